"""The processes of tasks: how one is started, seen to end, and made to end with all that it has started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.job_records import KILLED
from airflow_batchext.emulator.account.output import STDERR, STDOUT

if TYPE_CHECKING:
    from airflow_batchext.emulator.running.commands import Command

#: Bytes that a command may write into one file.
MOST_BYTES = 64 * 1024 * 1024
#: Seconds from being asked to end to being killed.
GRACE = 5.0
_LAUNCH = str(Path(__file__).with_name("launch.py"))
_SIGNALLED = KILLED - signal.SIGKILL  # how a shell tells of a signal


def program_of(command: Command) -> str | None:
    """The file that is executed, by the command's own PATH and folder; None if there is none."""
    name = command.argv[0]
    if "/" in name:
        name = os.path.join(command.place.working, name)
    return shutil.which(name, path=command.environment.get("PATH", ""))


class Process:
    """A command that runs, in a session of its own."""

    def __init__(self, command: Command, program: str) -> None:
        """Start it, in new folders. OSError if it cannot be started. To be called by a thread that stays."""
        place = command.place
        shutil.rmtree(place.task, ignore_errors=True)
        for folder in (place.working, place.shared, place.startup):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(place.task / STDOUT, "wb") as output, open(place.task / STDERR, "wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - to run what it is given is what it is for
                [
                    sys.executable,
                    "-I",
                    "-S",
                    _LAUNCH,
                    str(MOST_BYTES),
                    str(os.getpid()),
                    program,
                    *command.argv[1:],
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=place.working,
                env=command.environment,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self._killed_at: float | None = None

    def ended(self) -> int | None:
        """Its exit code, once it has ended, and everything that it has started with it; None before."""
        # Its number is nobody else's until it has been waited for, so its group can be told safely.
        seen = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if seen is None:
            if self._killed_at is not None and time.monotonic() >= self._killed_at:
                self._tell(signal.SIGKILL)
            return None
        self._tell(signal.SIGKILL)
        code = self._process.wait()
        return code if code >= 0 else _SIGNALLED - code

    def stop(self) -> None:
        """Ask it to end, and have it killed if it does not."""
        if self._killed_at is None:
            self._killed_at = time.monotonic() + GRACE
            self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
