"""What is kept of the past for who looks at it while more comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

_T = TypeVar("_T")


class Remembered(deque[_T]):
    """A deque to go through while another thread adds to it: one sees what was there at the start."""

    def __iter__(self) -> Iterator[_T]:
        return iter(list(super().__iter__()))
