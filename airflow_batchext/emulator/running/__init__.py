"""Command lines of tasks, run as processes of this machine; only where ``run_tasks`` asks for it."""
