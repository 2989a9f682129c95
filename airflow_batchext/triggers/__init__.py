"""Triggers: wait in the triggerer, async all the way, without holding a worker."""
