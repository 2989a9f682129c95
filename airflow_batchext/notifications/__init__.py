"""Notifiers: what is sent when a task failed."""
