"""``batchext demo``: the example DAG, run by real Airflow against the emulator, before one's eyes.

``command`` starts the emulator and a child process; ``airflow_run`` is that child, in which Airflow runs
the DAG; ``screen`` shows what the emulated service says meanwhile.
"""
