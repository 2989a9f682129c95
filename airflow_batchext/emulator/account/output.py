"""The files of a task: what its scenario says, as far as it is written at a time, or what is in its folder.

Whatever the length, nothing is made or read but the part that is asked for.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

STDOUT, STDERR, WORKING = "stdout.txt", "stderr.txt", "wd"
#: So many files of a folder are shown; what more a command has written is not.
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Output:
    """What a run of a task writes; ``files`` are pairs of path and text, there once it has ended.

    With ``every`` the texts are written again and again, each time so many seconds have passed.
    """

    stdout: str = ""
    stderr: str = ""
    files: tuple[tuple[str, str], ...] = ()
    every: float | None = None
    folder: str | None = None
    """Where the files are, if its command line is really run."""


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


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file or a folder that a command has written.

    :param place: where it is on this machine.
    """

    path: str
    place: str
    size: int = 0
    is_folder: bool = False

    def part(self, start: int, end: int) -> bytes:
        """Its bytes from ``start`` until before ``end``, as far as they are there."""
        with suppress(OSError), open(os.open(self.place, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            file.seek(start)
            return file.read(max(0, min(end, self.size) - start))
        return b""


def files_of(
    output: Output, start: datetime, end: datetime | None, now: datetime
) -> Iterator[TaskFile | KeptFile]:
    """Yield the files of a run that has begun, as they are now."""
    if output.folder is not None:
        yield from _kept(output.folder)
        return
    is_over = end is not None and end <= now
    seconds = ((end if end is not None and is_over else now) - start).total_seconds()
    times = 1 if output.every is None else int(seconds // output.every) + 1
    yield TaskFile(STDERR, output.stderr.encode(), times)
    yield TaskFile(STDOUT, output.stdout.encode(), times)
    yield TaskFile(WORKING, is_folder=True)
    if is_over:
        for path, text in sorted(output.files):
            yield TaskFile(path, text.encode())


def _kept(folder: str) -> Iterator[KeptFile]:
    """Yield what is in a folder, by path; a link is not followed, nor shown."""
    found: list[KeptFile] = []
    for place, folders, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        for name in (*folders, *names):
            whole = os.path.join(place, name)
            path = name if inside == "." else f"{inside}/{name}"
            with suppress(OSError):
                if os.path.isdir(whole) and not os.path.islink(whole):
                    found.append(KeptFile(path, whole, is_folder=True))
                elif os.path.isfile(whole) and not os.path.islink(whole):
                    found.append(KeptFile(path, whole, os.stat(whole).st_size))
        if len(found) >= MOST_FILES:
            break
    yield from sorted(found[:MOST_FILES], key=lambda file: file.path)
