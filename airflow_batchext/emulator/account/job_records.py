"""The facts about jobs and tasks, from which everything that they show is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import Failure
from airflow_batchext.emulator.wire.http import Json, Versioned, read_duration

if TYPE_CHECKING:
    from airflow_batchext.emulator.account.pools import Node
    from airflow_batchext.emulator.account.work import TaskRun

Moments = list[tuple[datetime, str]]
"""States and when they are entered, some of them in the time to come."""
OUT_OF_TIME, ALL_DONE = "MaxWallClockTimeExpiry", "AllTasksCompleted"
"""Why jobs end by themselves."""
KILLED = 137
"""The exit code of what a system of Linux has killed."""
ACTIVE, PREPARING, RUNNING, COMPLETED = "active", "preparing", "running", "completed"
DISABLING = "disabling"
ENDED_BY_USER = Failure("TaskEnded", "Task Was Ended by User Request")
BAD_EXIT = Failure(
    "FailureExitCode",
    "The task exited with an exit code representing a failure",
    (("Message", "The task process exited with an unexpected exit code"),),
)


def until(moments: Moments, now: datetime) -> Moments:
    """What has happened by now."""
    return [moment for moment in moments if moment[0] <= now]


def state_at(moments: Moments, now: datetime) -> tuple[tuple[datetime, str], tuple[datetime, str] | None]:
    """The state now and since when, and the same of the one before."""
    past = until(moments, now) or moments[:1]
    return past[-1], past[-2] if len(past) > 1 else None


# Longer than any emulator lives.
_ENDLESS = timedelta(days=10_000)


def _limit(document: Json) -> timedelta | None:
    limit = read_duration(document["constraints"]["maxWallClockTime"])
    return None if limit is None or limit > _ENDLESS else limit


@dataclass
class Task(Versioned):
    """A task of a job."""

    id: str
    job: Job
    document: Json
    created: datetime
    modified: datetime
    moments: Moments
    run: TaskRun | None = None
    """Its present run, or the last."""
    nodes: list[Node] = field(default_factory=list)
    """Where that is; a multi-instance task has several."""
    pool: str = ""
    retries: int = 0
    retried: datetime | None = None
    requeues: int = 0
    requeued: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    failure: Failure | None = None

    @property
    def is_completed(self) -> bool:
        """Whether it has come to an end."""
        return self.moments[-1][1] == COMPLETED

    @property
    def limit(self) -> timedelta | None:
        """For how long one run of it may last; None: for ever."""
        return _limit(self.document)

    @property
    def is_waiting(self) -> bool:
        """Whether it has no node."""
        return self.moments[-1][1] == ACTIVE

    @property
    def has_node(self) -> bool:
        """Whether it runs, or a node is kept for it."""
        return not (self.is_waiting or self.is_completed)

    def exit_options(self) -> Json:
        """What its exit conditions say for the way in which it ended."""
        conditions: Json = self.document.get("exitConditions", {})
        for entry in conditions.get("exitCodes", []):
            if entry["code"] == self.exit_code:
                return dict(entry["exitOptions"])
        for entry in conditions.get("exitCodeRanges", []):
            if self.exit_code is not None and entry["start"] <= self.exit_code <= entry["end"]:
                return dict(entry["exitOptions"])
        return dict(conditions.get("default", {}))


@dataclass
class Preparation(Task):
    """The preparation task of a job on one node, which is alone in ``nodes``: it is in no list of tasks."""

    boot: int = 0
    """In which boot of the node it was begun."""
    is_used: bool = False
    """Whether a task of the job has begun on the node since."""
    release: TaskRun | None = None
    """What the release task does there."""

    @property
    def node(self) -> Node:
        """Where it runs."""
        return self.nodes[0]

    @property
    def has_succeeded(self) -> bool:
        """Whether it has ended well."""
        return self.is_completed and self.failure is None


@dataclass
class Job(Versioned):
    """A job."""

    id: str
    document: Json
    created: datetime
    modified: datetime
    moments: Moments
    tasks: dict[str, Task] = field(default_factory=dict)
    """By lower-case id."""
    preparations: dict[str, Preparation] = field(default_factory=dict)
    """By the id of the node: the last one of each."""
    ended: datetime | None = None
    reason: str | None = None
    gone: datetime | None = None

    @property
    def pool(self) -> str:
        """The id of the pool on which it runs; there may be none of that name."""
        pool: str = self.document["poolInfo"]["poolId"]
        return pool

    @property
    def limit(self) -> datetime | None:
        """When its time is up; None: never."""
        limit = _limit(self.document)
        return None if limit is None else self.created + limit

    @property
    def goal(self) -> str:
        """The state in which it will come to rest."""
        return self.moments[-1][1]
