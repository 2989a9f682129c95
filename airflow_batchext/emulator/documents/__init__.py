"""The documents of pools, jobs and tasks: which members they have on which plane, and what they mean."""
