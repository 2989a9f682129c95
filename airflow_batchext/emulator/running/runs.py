"""Runs of tasks that are processes of this machine: begun, watched and ended by one thread.

Whoever can sign a request to such an emulator can run commands as its user. So it is off unless it is asked
for, and only where nobody but this machine can reach it: ``check``.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import Failure
from airflow_batchext.emulator.account.output import Output
from airflow_batchext.emulator.account.runs import beyond_its_time, prepared_node
from airflow_batchext.emulator.account.work import TaskRun
from airflow_batchext.emulator.running.commands import Command, command_of, not_emulated, place_of
from airflow_batchext.emulator.running.processes import Process, program_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.job_records import Preparation, Task
    from airflow_batchext.emulator.account.pools import Node, Pool

log = logging.getLogger(__name__)

#: Seconds of the wall for which a command may run that has no time limit.
LONGEST = 3600.0
#: Commands at a time; what is more waits.
MOST_AT_ONCE = max(2, os.cpu_count() or 1)
_PAUSE = 0.05
#: Seconds from one time that a fault is told to the next.
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0
_NOT_FOUND = "CommandProgramNotFound"
_NOT_FOUND_TEXT = "The specified command program is not found"


def check(folder: str | Path, time_scale: float, *, is_local: bool) -> Path:
    """The folder for tasks, made; ValueError if their command lines cannot be run."""
    if sys.platform != "linux":
        raise ValueError("run_tasks runs the command lines of tasks, which only Linux can here")
    if not is_local:
        raise ValueError(
            "run_tasks lets whoever can sign a request run commands as you: host has to be a loopback address"
        )
    if time_scale < 1:
        raise ValueError("run_tasks needs a clock that runs: time_scale has to be 1 or more")
    place = Path(folder).absolute()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise ValueError(f"run_tasks: {place}: {problem.strerror}") from None
    return place


class _Faults:
    """Tells of a fault when it is met, and of one that stays at longer and longer intervals."""

    def __init__(self) -> None:
        self._untold, self._last, self._again, self._pause = 0, float("-inf"), float("-inf"), _FIRST_PAUSE

    def tell(self, now: float) -> None:
        """Log the exception that is being handled, unless one was told a short while ago.

        :param now: by ``time.monotonic``.
        """
        if now - self._last > _LONGEST_PAUSE:
            self._pause = _FIRST_PAUSE
            self._again = now
        self._last = now
        if now < self._again:
            self._untold += 1
            return
        more = f" ({self._untold} times more since that was told)" if self._untold else ""
        log.exception("The tasks could not be looked after%s", more)
        self._untold, self._again = 0, now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class LocalRuns:
    """Begins what the scheduler has found a node for, and tells the account how it ends."""

    def __init__(self, account: Account, folder: Path, url: Callable[[], str]) -> None:
        """Start watching.

        :param folder: below it each node has its own.
        :param url: of the account, as tasks are told it.
        """
        self._account, self._folder, self._url = account, folder, url
        self._commands: dict[TaskRun, Command] = {}
        self._waiting: deque[TaskRun] = deque()
        self._processes: dict[TaskRun, Process] = {}
        self._stopped: set[TaskRun] = set()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="batchext-emulator-tasks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all processes; the account is told of none."""
        self._ending.set()
        self._thread.join()

    # --- what the scheduler asks, with the account's lock held ---------------------------------------------

    def plan(self, task: Task, pool: Pool, node: Node, now: datetime) -> TaskRun:
        """A run that begins at once, and ends when its process does; or at once, if it cannot be run."""
        command = command_of(task, pool, node, self._folder, (self._account.name, self._url()))
        if isinstance(command, Command) and program_of(command) is None:
            details = (("Message", f"{command.argv[0][:200]} was not found"),)
            command = Failure(_NOT_FOUND, _NOT_FOUND_TEXT, details)
        slots, prepares = task.document["requiredSlots"], prepared_node(task)
        if isinstance(command, Failure):
            return TaskRun(task.job.id, task.id, slots, now, now, now, None, command, prepares=prepares)
        output = Output(folder=str(place_of(self._folder, task, node).task))
        end = exit_code = failure = None
        if task.limit is not None:
            exit_code, failure = beyond_its_time(self._account.scenario)
            end = now + task.limit
        run = TaskRun(task.job.id, task.id, slots, now, now, end, exit_code, failure, output, prepares)
        self._commands[run] = command
        return run

    def release(self, preparation: Preparation, start: datetime, end: datetime) -> TaskRun:
        """One that says that it is not run."""
        name, failure = preparation.job.document["jobReleaseTask"]["id"], not_emulated("job release tasks")
        return TaskRun(preparation.job.id, name, 0, start, start, start, None, failure)

    def begin(self, run: TaskRun) -> None:
        """Have it started, when there is room."""
        if run in self._commands:
            self._waiting.append(run)

    def stop(self, run: TaskRun) -> None:
        """Have its process end, if it has one."""
        if run in self._commands:
            self._stopped.add(run)

    # --- the thread ----------------------------------------------------------------------------------------

    def _keep(self) -> None:
        faults = _Faults()
        while not self._ending.wait(_PAUSE):
            try:
                with self._account.lock:
                    self._account.pools()  # what has become due, as nobody may be asking
                    self._look()
            except Exception:
                faults.tell(time.monotonic())
        for process in self._processes.values():
            process.stop()
        while self._processes:
            for run in [run for run, process in self._processes.items() if process.ended() is not None]:
                del self._processes[run]
            time.sleep(_PAUSE)

    def _look(self) -> None:
        for run, process in list(self._processes.items()):
            if run in self._stopped or time.monotonic() - process.started > LONGEST:
                process.stop()
            code = process.ended()
            if code is not None:
                del self._processes[run]
                self._over(run, code)
        for run in list(self._waiting):
            if run in self._stopped:
                self._waiting.remove(run)
                self._over(run, None)
        self._start()

    def _start(self) -> None:
        for run in list(self._waiting):
            if len(self._processes) >= MOST_AT_ONCE:
                return
            # Its folder may still be that of an earlier run, whose process has not ended yet.
            if any(other.output.folder == run.output.folder for other in self._processes):
                continue
            self._waiting.remove(run)
            command = self._commands[run]
            program = program_of(command)
            try:
                if program is None:
                    raise FileNotFoundError(command.argv[0])
                self._processes[run] = Process(command, program)
            except (OSError, ValueError) as problem:
                log.warning("A task could not be started: %s", problem)
                self._over(run, 127)

    def _over(self, run: TaskRun, code: int | None) -> None:
        self._commands.pop(run, None)
        if code is not None and run not in self._stopped:
            self._account.jobs.end_run(run, code)
        self._stopped.discard(run)
