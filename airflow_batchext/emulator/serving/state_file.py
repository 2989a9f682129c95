"""The file in which an emulator keeps its account, its clock and its identities across restarts.

It is written when the emulator stops and, while it runs, shortly after each request that may have changed
something; always as a whole, so that it is never half written. Only its owner can read it, as the keys of the
emulated account are in it. Time stands still while no emulator runs.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_batchext.emulator.account.account import Account
from airflow_batchext.emulator.account.autoscale import Evaluation
from airflow_batchext.emulator.account.extensions import Override
from airflow_batchext.emulator.account.job_records import Job, Preparation, Task
from airflow_batchext.emulator.account.jobs import Jobs
from airflow_batchext.emulator.account.lifecycle import (
    Boot,
    Failure,
    Moment,
    NodeState,
    Resize,
    ResizeFault,
    StartTask,
)
from airflow_batchext.emulator.account.output import Output
from airflow_batchext.emulator.account.pools import Fate, Node, Pool
from airflow_batchext.emulator.account.work import TaskRun, Work
from airflow_batchext.emulator.documents.pool import PoolDefinition, Scale
from airflow_batchext.emulator.login.tokens import Identities
from airflow_batchext.emulator.scenario import ExtensionRun, Run, Scenario
from airflow_batchext.emulator.serving import snapshot

log = logging.getLogger(__name__)

_FORMAT = 6
KINDS: Mapping[str, type] = {
    "account": Account,
    "boot": Boot,
    "evaluation": Evaluation,
    "extension run": ExtensionRun,
    "failure": Failure,
    "fate": Fate,
    "job": Job,
    "jobs": Jobs,
    "moment": Moment,
    "node": Node,
    "node state": NodeState,
    "output": Output,
    "override": Override,
    "pool": Pool,
    "pool definition": PoolDefinition,
    "preparation": Preparation,
    "resize": Resize,
    "resize fault": ResizeFault,
    "run": Run,
    "scale": Scale,
    "scenario": Scenario,
    "start task": StartTask,
    "task": Task,
    "task run": TaskRun,
    "work": Work,
}
"""What an account is made of, and the word for each kind in the file; a change here is a new format."""
_PAUSE = 0.3
"""Seconds of the wall clock for which changes are gathered before they are written, at least."""
_LONGEST_PAUSE = 60.0
"""Seconds after which it is tried again at the latest, where they could not be written."""


class StateFile:
    """What was kept, and where what is now will be kept."""

    def __init__(self, path: str | Path) -> None:
        """Read the file if there is one; ValueError in one line if it is none of ours."""
        self.path = Path(path)
        self.time: datetime | None = None
        """The simulated time at which the clock stood."""
        self.identities: Identities | None = None
        """Who could sign in."""
        self._account: list[Any] = []
        self._read()
        self._changed, self._stopping = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def restore(self, account: Account) -> None:
        """Give an account back what it held."""
        if not self._account:
            return
        try:
            snapshot.read(self._account, account, _outside(account), KINDS)
        except ValueError as problem:
            raise ValueError(f"the state file {self.path} cannot be used: {problem}") from None

    def save(self, account: Account, identities: Identities) -> None:
        """Write down what is now."""
        with account.lock:
            kept = {
                "format": _FORMAT,
                "time": account.clock.now().isoformat(),
                "identities": asdict(identities),
                "account": snapshot.write(account, _outside(account), KINDS),
            }
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        try:
            with open(
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
            ) as file:
                json.dump(kept, file, separators=(",", ":"))
            new.replace(self.path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    # --- while the emulator runs ---------------------------------------------------------------------------

    def start(self, account: Account, identities: Identities) -> None:
        """Save now, which must work, and after each change from now on."""
        self.save(account, identities)
        self._stopping.clear()
        self._thread = threading.Thread(
            target=self._keep, args=(account, identities), name="batchext-emulator-state", daemon=True
        )
        self._thread.start()

    def changed(self) -> None:
        """Say that something may have changed."""
        self._changed.set()

    def stop(self) -> None:
        """Save a last time, and no more."""
        if self._thread is not None:
            self._stopping.set()
            self._changed.set()
            self._thread.join()
            self._thread = None

    def _keep(self, account: Account, identities: Identities) -> None:
        pause = _PAUSE
        while not self._stopping.is_set():
            self._changed.wait()
            self._stopping.wait(pause)
            self._changed.clear()
            started = time.monotonic()
            try:
                self.save(account, identities)
            except Exception:  # a full disk, a folder that went away; the emulator goes on
                log.exception("The state could not be written to %s", self.path)
                # Tried again without another change, and told of, at longer and longer intervals.
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._changed.set()
                continue
            # A large account takes a while to write, in which nobody is served: that must stay the exception.
            pause = max(_PAUSE, 10 * (time.monotonic() - started))

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as problem:
            raise ValueError(f"cannot read the state file {self.path}: {problem}") from None
        try:
            kept = json.loads(text)
            if kept["format"] != _FORMAT:
                raise ValueError(kept["format"])
            self.time = datetime.fromisoformat(kept["time"])
            self.identities = Identities(**kept["identities"])
            self._account = kept["account"]
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{self.path} is not a state file of this version of the emulator") from None


def _outside(account: Account) -> dict[str, object]:
    return {"clock": account.clock, "lock": account.lock, "scenario": account.scenario, "runs": account.runs}
