"""Leaves nothing behind, whatever becomes of the tests: ends processes and removes folders.

It is a process of its own that is told on its standard input what there is (``process 123``, ``folder /x``)
and what is gone (``no process 123``). When that input ends, because the tests did or because they were
killed, it ends what is left, with all that it has started. A process that has ended is told at once, so
that no number is used twice.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

_PATIENCE_SECONDS = 5.0


class Reaper:
    """The tests' end of it."""

    def __init__(self) -> None:
        # A session of its own: a Ctrl-C in the terminal is not for it.
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def watch(self, kind: str, name: int | Path) -> None:
        """There is a ``process`` or a ``folder`` to end or to remove in the end."""
        self._tell(f"{kind} {name}")

    def forget(self, kind: str, name: int | Path) -> None:
        """It is gone already."""
        self._tell(f"no {kind} {name}")

    def close(self) -> None:
        """End and remove what is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_PATIENCE_SECONDS + 15)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def descendants(process: int) -> list[psutil.Process]:
    """The processes that a process has started, and those that these have."""
    with suppress(psutil.NoSuchProcess):
        found: list[psutil.Process] = psutil.Process(process).children(recursive=True)
        return found
    return []


def kill(processes: Iterable[psutil.Process], how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to those of the processes that are still there."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(how)


def main() -> None:
    """Listen until the input ends, then end what is left."""
    left: dict[str, None] = {}
    for line in sys.stdin:
        told = line.strip()
        if told.startswith("no "):
            left.pop(told.removeprefix("no "), None)
        else:
            left[told] = None
    leaders = [int(told.split(" ", 1)[1]) for told in left if told.startswith("process ")]
    family: list[psutil.Process] = []
    for leader in leaders:
        with suppress(psutil.NoSuchProcess):
            family += [psutil.Process(leader), *descendants(leader)]
    kill(family, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=_PATIENCE_SECONDS)
    kill(alive)
    for told in left:
        if told.startswith("folder "):
            shutil.rmtree(told.split(" ", 1)[1], ignore_errors=True)


if __name__ == "__main__":
    main()
