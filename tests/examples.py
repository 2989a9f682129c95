"""How many examples Hypothesis draws where they are dear: a third in `make test`, all in `make histories`."""

from __future__ import annotations

import os

_ALL = "BATCHEXT_ALL_EXAMPLES" in os.environ


def examples(count: int) -> int:
    """How many of so many examples are drawn now."""
    return count if _ALL else max(20, count // 3)
