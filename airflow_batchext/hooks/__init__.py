"""Hooks: sign in and make the REST calls. Management plane: ``pool``; data plane: ``node``."""
