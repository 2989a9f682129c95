"""The management plane: Azure Resource Manager, and Batch's resource provider behind it."""
