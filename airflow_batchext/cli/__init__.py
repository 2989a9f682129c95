"""The console script ``batchext``: ``main`` has the commands, each command a module or a room of its own."""
