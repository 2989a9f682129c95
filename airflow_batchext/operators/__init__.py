"""Operators: create and delete pools, read what extensions return."""
