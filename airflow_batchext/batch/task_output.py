"""What a task has written, from bytes to lines that are fit for a log; nothing is judged here.

A line that was written over (``\\r``, as progress bars do) reads as it read last. What a terminal would obey
is made visible, secrets that show themselves are hidden, and what is too long is cut. Lines are whole before
they are looked through for secrets, however the bytes come in parts: half a line is read again with its other
half. Pure.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.values import as_mapping, as_name, below, visible
from airflow_batchext.secrets.redact import redact_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Characters of a line that are shown.
LONGEST_LINE = 4000
#: Bytes that are read at once while it runs; a line of as many is shown before its end is seen.
PART_BYTES = 64 * 1024
_DIGITS = 18
_KEY = re.compile(rb"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?!.*-----END)")
_MOST_KEY_LINES = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a file has been read.

    :param offset: the first byte that is not shown yet: mostly the beginning of a line.
    :param read_to: where what was read last has ended.
    :param shown: bytes that were shown of it, over all runs of the task.
    :param is_inside: whether ``offset`` stands within a line, the rest of which is left out.
    :param key_lines: so many lines of a private key stand before it; 0 outside of one.
    """

    offset: int = 0
    read_to: int = 0
    shown: int = 0
    is_inside: bool = False
    key_lines: int = 0


@dataclass(frozen=True, slots=True)
class OutputSeen:
    """How far the output of a task has been read.

    :param run: which run of the task has written it: Batch may run it again, elsewhere.
    :param files: by name.
    """

    run: str = ""
    files: Mapping[str, Reading] = field(default_factory=dict)

    @property
    def is_unread(self) -> bool:
        """Whether nothing of this run has been read."""
        return not any(reading.offset for reading in self.files.values())

    def to_json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: object) -> OutputSeen:
        """It again; what is missing has its default."""
        known = [one.name for one in fields(Reading)]
        files = {
            name: Reading(**{key: value for key, value in as_mapping(one).items() if key in known})
            for name, one in as_mapping(below(kept, "files")).items()
        }
        return cls(as_name(below(kept, "run")), files)

    def of_run(self, run: str) -> OutputSeen:
        """It for a run: of another one nothing has been read yet, though as much has been shown."""
        if run == self.run:
            return self
        files = {name: Reading(shown=reading.shown) for name, reading in self.files.items()}
        return OutputSeen(run, files)


def file_sizes(items: Iterable[object]) -> dict[str, int]:
    """Bytes of each file in a list of files."""
    return {
        as_name(below(item, "name")): _count(below(item, "properties", "contentLength")) for item in items
    }


def take(reading: Reading, data: bytes, *, is_last: bool) -> tuple[list[str], Reading]:
    """The lines in a part of a file, and how far it has been read then.

    :param data: its bytes from ``reading.offset`` on.
    :param is_last: whether nothing comes behind them.
    """
    start = (data.find(b"\n") + 1 or len(data)) if reading.is_inside else 0
    ends = max(data.rfind(b"\n") + 1, start)
    found = [(line, True) for line in data[start:ends].split(b"\n")[:-1]]
    rest, is_inside = data[ends:], reading.is_inside and not data[:start].endswith(b"\n")
    if rest and is_last:
        found.append((rest, True))
        ends = len(data)
    elif rest and not ends and len(data) >= PART_BYTES:
        found.append((rest, False))
        ends, is_inside = len(data), True
    elif rest:
        # What was written over is a line, too, or a progress bar would show nothing until it is full.
        over = rest.rstrip(b"\r").rfind(b"\r") + 1
        if rest[:over].strip(b"\r"):
            found.append((rest[:over], True))
        ends += over
    lines, key_lines = _lines(found, reading.key_lines)
    read_to = reading.offset + len(data)
    return lines, Reading(reading.offset + ends, read_to, reading.shown + ends, is_inside, key_lines)


def left_out(reading: Reading, start: int) -> Reading:
    """It, with all before ``start`` left out, and the line that is under way there."""
    return replace(reading, offset=start, is_inside=True)


def _lines(found: Iterable[tuple[bytes, bool]], key_lines: int) -> tuple[list[str], int]:
    """The lines as they are shown, but for those of a private key, and in how many of one they end.

    :param found: lines, and whether they are whole.
    """
    lines = []
    for line, is_whole in found:
        if key_lines:
            # What has no end is no key.
            is_over = b"-----END" in line or key_lines == _MOST_KEY_LINES
            key_lines = 0 if is_over else key_lines + 1
            continue
        key_lines = int(_KEY.search(line) is not None)
        written = [part for part in line.split(b"\r") if part]
        text = written[-1].decode("utf-8", "replace") if written else ""
        lines.append(_shown(text, is_whole=is_whole))
    return lines, key_lines


def _shown(text: str, *, is_whole: bool) -> str:
    if is_whole and len(text) <= LONGEST_LINE:
        return visible(redact_text(text))
    # The whole first: of a secret that is cut its half would not be known.
    cut = f"{len(text) - LONGEST_LINE} characters more" if is_whole else "the rest of the line is left out"
    return f"{visible(redact_text(text)[:LONGEST_LINE])}… ({cut})"


def _count(value: object) -> int:
    """A count of bytes, which the service writes as a text."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
