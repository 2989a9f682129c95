"""How far a pool is on its way to be gone, settled or complete, as the management plane shows it.

Pure: no I/O, no clock, no Airflow, no Azure SDK. Somebody reads the pool and asks here what it means; worker
and triggerer wait by the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from airflow_batchext.batch.resize_errors import resize_errors

_LONGEST_PAUSE_SECONDS = 300.0


class Goal(str, Enum):
    """What a pool is waited for to be."""

    GONE = "gone"
    SETTLED = "settled"
    """Steady, with whatever nodes: the next change can be asked for."""
    COMPLETE = "complete"
    """Steady, with the nodes that it is to have."""


class Course(str, Enum):
    """What one look at the pool comes to."""

    REACHED = "reached"
    WAITING = "waiting"
    TIMEOUT = "timeout"
    LOST = "lost"
    """The pool is not there any more, or is another one of the same name."""
    SHORT = "short"
    """A resize ended without the nodes."""
    REFUSED = "refused"
    """Azure does not let us look, or the connection cannot be used."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What to wait for.

    :param goal: what the pool is to be.
    :param created: the ``creationTime`` of the pool that is meant; "" for any.
    """

    goal: Goal
    created: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look came to, and what was seen, in words.

    ``passing`` says that nothing could be read, ``retry_after`` for how many seconds the service wants to be
    left alone.
    """

    course: Course
    text: str = ""
    passing: bool = False
    retry_after: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The look as plain JSON."""
        return {**asdict(self), "course": self.course.value}


def judge(wait: Wait, pool_id: str, body: Mapping[str, Any] | None) -> Look:
    """What it means that the pool looks so.

    :param body: the pool as ``Pool_Get`` returns it; None if there is none.
    """
    if wait.goal is Goal.GONE:
        if body is None or (wait.created and creation_time(body) != wait.created):
            return Look(Course.REACHED, f"pool {pool_id} is gone")
        return Look(Course.WAITING, f"provisioningState is {_properties(body).get('provisioningState')}")
    if body is None:
        return Look(Course.LOST, f"pool {pool_id} does not exist (any more)")
    if is_deleting(body):
        return Look(Course.LOST, f"pool {pool_id} is being deleted")
    if wait.created and creation_time(body) != wait.created:
        return Look(
            Course.LOST,
            f"pool {pool_id} was deleted and created anew: the one of {wait.created} was waited for, this "
            f"one is of {creation_time(body)}",
        )
    state = str(_properties(body).get("allocationState") or "").lower()
    if state != "steady":
        return Look(Course.WAITING, f"pool {pool_id} is {state or 'in no known state'}: {_nodes(body)}")
    if wait.goal is Goal.SETTLED:
        return Look(Course.REACHED, f"pool {pool_id} is steady: {_nodes(body)}")
    return _judge_size(pool_id, body)


def _judge_size(pool_id: str, body: Mapping[str, Any]) -> Look:
    errors = resize_errors(body)
    if is_autoscaled(body):
        # The next evaluation of the formula resizes again: only what is hopeless ends the wait.
        errors = tuple(error for error in errors if error.fatal)
        run = _mapping(_properties(body).get("autoScaleRun"))
        if not run:
            return Look(Course.WAITING, f"the autoscale formula of pool {pool_id} was not evaluated yet")
        problem = _mapping(run.get("error"))
        if problem:
            why = f"{problem.get('code')}: {problem.get('message')}"
            return Look(Course.SHORT, f"the autoscale formula of pool {pool_id} cannot be evaluated: {why}")
        if not errors:
            return Look(Course.REACHED, f"pool {pool_id} is steady: {_nodes(body)}")
    elif current_nodes(body) == target_nodes(body):
        return Look(Course.REACHED, f"pool {pool_id} is steady: {_nodes(body)}")
    if errors:
        said = "; ".join(error.text for error in errors)
        return Look(Course.SHORT, f"the resize of pool {pool_id} ended with {_nodes(body)}. {said}")
    return Look(Course.WAITING, f"pool {pool_id} is steady, but has {_nodes(body)}")


def creation_time(body: Mapping[str, Any]) -> str:
    """When a pool was created, as the service writes it: this tells it from another one of its name."""
    return str(_properties(body).get("creationTime") or "")


def is_deleting(body: Mapping[str, Any]) -> bool:
    """Whether a pool is on its way out."""
    return str(_properties(body).get("provisioningState", "")).lower() == "deleting"


def is_autoscaled(body: Mapping[str, Any]) -> bool:
    """Whether a formula decides how many nodes a pool has."""
    return bool(_mapping(_properties(body).get("scaleSettings")).get("autoScale"))


def target_nodes(body: Mapping[str, Any]) -> tuple[int, int]:
    """How many dedicated and low-priority nodes a pool of fixed size is to have."""
    fixed = _mapping(_mapping(_properties(body).get("scaleSettings")).get("fixedScale"))
    return int(fixed.get("targetDedicatedNodes") or 0), int(fixed.get("targetLowPriorityNodes") or 0)


def current_nodes(body: Mapping[str, Any]) -> tuple[int, int]:
    """How many dedicated and low-priority nodes a pool has."""
    found = _properties(body)
    return int(found.get("currentDedicatedNodes") or 0), int(found.get("currentLowPriorityNodes") or 0)


def is_empty(body: Mapping[str, Any]) -> bool:
    """Whether a pool is steady, has no nodes, and wants none."""
    steady = str(_properties(body).get("allocationState") or "").lower() == "steady"
    return steady and current_nodes(body) == (0, 0) and target_nodes(body) == (0, 0)


def pause_after(look: Look, failures: int, interval: float) -> float:
    """Seconds until the next look: the interval, longer after looks that failed or as the service asks.

    :param failures: how many looks failed in a row.
    """
    backed_off = min(interval * 2.0 ** min(failures, 10), max(interval, _LONGEST_PAUSE_SECONDS))
    return max(backed_off, look.retry_after or 0.0)


def _nodes(body: Mapping[str, Any]) -> str:
    dedicated, low = current_nodes(body)
    if is_autoscaled(body):
        return f"{dedicated} dedicated and {low} low-priority nodes"
    wanted_dedicated, wanted_low = target_nodes(body)
    text = f"{dedicated} of {wanted_dedicated} dedicated"
    return f"{text} and {low} of {wanted_low} low-priority nodes" if low or wanted_low else f"{text} nodes"


def _properties(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(body.get("properties"))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
