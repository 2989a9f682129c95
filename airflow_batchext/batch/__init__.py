"""What Azure Batch says, read into values: nothing here judges, and nothing here asks."""
