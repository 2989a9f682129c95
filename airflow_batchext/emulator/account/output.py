"""The files of a task: what its scenario says, as far as it is written at a time.

Whatever the length, nothing is made but the part that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

STDOUT, STDERR, WORKING = "stdout.txt", "stderr.txt", "wd"


@dataclass(frozen=True, slots=True)
class Output:
    """What a run of a task writes; ``files`` are pairs of path and text, there once it has ended.

    With ``every`` the texts are written again and again, each time so many seconds have passed.
    """

    stdout: str = ""
    stderr: str = ""
    files: tuple[tuple[str, str], ...] = ()
    every: float | None = None


SILENT = Output()


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A file or a folder of a task: a text so many times; ``times`` 0 is an empty file."""

    path: str
    text: bytes = b""
    times: int = 1
    is_folder: bool = False

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.text) * self.times

    def part(self, start: int, end: int) -> bytes:
        """Its bytes from ``start`` until before ``end``."""
        end = min(end, self.size)
        if start >= end:
            return b""
        first = start // len(self.text)
        copies = -(-end // len(self.text)) - first
        shift = first * len(self.text)
        return (self.text * copies)[start - shift : end - shift]


def files_of(output: Output, start: datetime, end: datetime | None, now: datetime) -> Iterator[TaskFile]:
    """Yield the files of a run that has begun, as they are now."""
    is_over = end is not None and end <= now
    seconds = ((end if end is not None and is_over else now) - start).total_seconds()
    times = 1 if output.every is None else int(seconds // output.every) + 1
    yield TaskFile(STDERR, output.stderr.encode(), times)
    yield TaskFile(STDOUT, output.stdout.encode(), times)
    yield TaskFile(WORKING, is_folder=True)
    if is_over:
        for path, text in sorted(output.files):
            yield TaskFile(path, text.encode())
