"""What was counted and measured in the runs, and the page of the docs that shows it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DOC = Path(__file__).parents[2] / "docs" / "distributed.md"
_BEGIN, _END = "<!-- figures: written by make test-distributed -->", "<!-- end of figures -->"
_BEGIN_WORK = "<!-- figures of work: written by make test-distributed -->"


class Figures:
    """The figures of each seed's run, in the order in which they came."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}
        self._work: dict[str, int] = {}

    def add(self, seed: int, figures: dict[str, Any]) -> None:
        """Note a run's figures."""
        self._rows[seed] = figures

    def add_work(self, figures: dict[str, int]) -> None:
        """Note the figures of the run of work."""
        self._work = figures

    def text(self) -> str:
        """A table of them, and the machine."""
        names = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        lines = [
            f"| seed | {' | '.join(str(seed) for seed in self._rows)} |",
            f"|---|{'---:|' * len(self._rows)}",
        ]
        for name in names:
            cells = " | ".join(f"{row.get(name, 0):,}" for row in self._rows.values())
            lines.append(f"| {name} | {cells} |")
        return f"{_lines(lines)}\n\n{_when()}"

    def work_text(self) -> str:
        """A table of those of work, and the machine."""
        rows = [f"| {name} | {value:,} |" for name, value in self._work.items()]
        return f"{_lines(['| the run of work | |', '|---|---:|', *rows])}\n\n{_when()}"

    def publish(self, *, main: bool, work: bool) -> None:
        """Put tables into the docs, in place of those that are there.

        :param main: whether the main run was at full size; it is shown with several seeds alone.
        :param work: whether that of work was.
        """
        if main and len(self._rows) > 1:
            _replace(_BEGIN, self.text())
        if work and self._work:
            _replace(_BEGIN_WORK, self.work_text())


def _lines(lines: list[str]) -> str:
    return "\n".join(lines)


def _when() -> str:
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"Written on {datetime.now(UTC).date()}: {machine}, Python {platform.python_version()}."


def _replace(begin: str, text: str) -> None:
    before, found, rest = DOC.read_text().partition(begin)
    assert found, f"{DOC} has no place for the figures"
    DOC.write_text(f"{before}{begin}\n{text}\n{_END}{rest.partition(_END)[2]}")
