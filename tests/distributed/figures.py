"""What was counted and measured in the runs, and the page of the docs that shows it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DOC = Path(__file__).parents[2] / "docs" / "distributed.md"
_BEGIN, _END = "<!-- figures: written by make test-distributed -->", "<!-- end of figures -->"


class Figures:
    """The figures of each seed's run, in the order in which they came."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, Any]] = {}

    def add(self, seed: int, figures: dict[str, Any]) -> None:
        """Note a run's figures."""
        self._rows[seed] = figures

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
        now = datetime.now(UTC).date()
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python"
        lines += ["", f"Written on {now}: {machine} {platform.python_version()}."]
        return "\n".join(lines)

    def publish(self) -> None:
        """Put the table into the docs, in place of the one that is there."""
        if not self._rows:
            return
        before, found, rest = DOC.read_text().partition(_BEGIN)
        assert found, f"{DOC} has no place for the figures"
        DOC.write_text(f"{before}{_BEGIN}\n{self.text()}\n{_END}{rest.partition(_END)[2]}")
