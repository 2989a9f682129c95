"""Tests of what the live page shows, and how that is kept."""
