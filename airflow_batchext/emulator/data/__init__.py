"""The data plane: pools, nodes, node extensions, jobs and tasks."""
