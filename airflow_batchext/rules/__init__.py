"""The rules, pure: what may be concluded from what was read, and what has to be read next."""
