"""What a task has written, from bytes to lines that are fit for a log; nothing is judged here.

A line that was written over (``\\r``, as progress bars do) reads as it read last. What a terminal would obey
is made visible, secrets that show themselves are hidden, and what is too long is cut. Pure.
"""

from __future__ import annotations

import codecs
import re

from airflow_batchext.loose_json.values import visible
from airflow_batchext.secrets.redact import redact_text

#: Characters of a line that are shown.
LONGEST_LINE = 4000
_PIECES = re.compile(r"([^\r\n]*)([\r\n]?)")


class Lines:
    """Makes lines of bytes, however they come in parts."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line, self._cut, self._is_over = "", 0, False

    def feed(self, data: bytes, *, is_last: bool = False) -> list[str]:
        """The lines that end in this part; with the last part, also what stands behind them."""
        lines = []
        for text, end in _PIECES.findall(self._decoder.decode(data, is_last)):
            if text:
                if self._is_over:
                    self._start()
                room = LONGEST_LINE - len(self._line)
                self._line += text[:room]
                self._cut += max(0, len(text) - room)
            if end == "\r":
                self._is_over = True
            elif end:
                lines.append(self._shown())
        if is_last and self._line:
            lines.append(self._shown())
        return lines

    def _start(self) -> None:
        self._line, self._cut, self._is_over = "", 0, False

    def _shown(self) -> str:
        shown = visible(redact_text(self._line))
        cut = f"… ({self._cut} characters more)" if self._cut else ""
        self._start()
        return f"{shown}{cut}"
