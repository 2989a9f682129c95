"""Sensors: let downstream tasks run only when a pool is ready for them."""
