"""The emulated account: what exists in it and how it lives, as far as possible as functions of time."""
