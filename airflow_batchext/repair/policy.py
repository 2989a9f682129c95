"""What a repair may do, and to which nodes.

Pure, and light enough for a DAG file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

STEPS = ("reboot", "reimage", "replace")
"""All that can be done to a node, the mildest first."""
PICKS = ("failed", "unusable", "start_task_failed", "stuck")
ON_TASKS = ("taskcompletion", "requeue", "terminate")
#: Azure takes no more nodes out of a pool in one request.
MOST_AT_ONCE = 100

_DURATIONS = ("stuck_after", "broken_after", "step_timeout", "settle", "memory")


@dataclass(frozen=True, slots=True)
class RepairPolicy:
    """What a repair may do. All durations are in seconds, or timedeltas.

    :param order: what is tried on a node, one after the other, of ``"reboot", "reimage", "replace"``. What
        Azure refuses for a node counts as tried.
    :param attempts: how often each of them is tried on one node.
    :param pick: which nodes are repaired: ``"failed"`` (an expected extension failed), ``"unusable"``,
        ``"start_task_failed"``, ``"stuck"`` (needs ``stuck_after``).
    :param stuck_after: for how long an extension may be pending, or a node may join, before it is stuck.
    :param broken_after: for how long a node may be unusable, or have a failed start task, until it is picked.
    :param extension_names: the extensions that count; by default all that the pool asks for.
    :param include_running: repair nodes that run tasks, too.
    :param on_tasks: what becomes of tasks on a node that is repaired: ``"taskcompletion"`` waits for them,
        ``"requeue"`` and ``"terminate"`` do not. Without ``include_running`` it is always the first.
    :param at_once: how many nodes are under repair at the same time: a number, or a share of the pool (0.2).
    :param max_actions: how many things are done to nodes in all, for as long as ``memory`` lasts.
    :param give_up_after: a step that helped no node, and failed to help so many with the same failure, is of
        no use against it. As long as it has helped none, it is under way on no more nodes than that.
    :param rounds: how often the nodes behind a gate are repaired that was repaired before and failed again.
    :param step_timeout: how long a node may take to be ready again.
    :param settle: how long after a boot a failure counts as one of this boot.
    :param memory: how long what was tried is remembered, by the pool itself.
    """

    order: tuple[str, ...] = STEPS
    attempts: int = 1
    pick: tuple[str, ...] = ("failed", "unusable", "start_task_failed")
    stuck_after: float | None = None
    broken_after: float = 900.0
    extension_names: tuple[str, ...] | None = None
    include_running: bool = False
    on_tasks: str = "taskcompletion"
    at_once: float = 0.2
    max_actions: int = 40
    give_up_after: int = 2
    rounds: int = 3
    step_timeout: float = 1800.0
    settle: float = 120.0
    memory: float = 21600.0

    def __post_init__(self) -> None:
        for name in ("order", "pick", "extension_names"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _texts(name, value))
        for name in _DURATIONS:
            value = getattr(self, name)
            if isinstance(value, timedelta):
                value = value.total_seconds()
            if value is None and name == "stuck_after":
                continue
            object.__setattr__(self, name, _number(name, value, 0))
        _among("order", self.order, STEPS)
        _among("pick", self.pick, PICKS)
        _among("on_tasks", (self.on_tasks,), ON_TASKS)
        for name in ("attempts", "max_actions", "give_up_after", "rounds"):
            if _number(name, getattr(self, name), 1) % 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}, but it has to be a whole number.")
        if _number("at_once", self.at_once, 0) == 0 or (self.at_once > 1 and self.at_once % 1):
            raise ValueError(
                f"at_once is {self.at_once!r}, but it has to be a number of nodes, or a share up to 1.0."
            )
        if not isinstance(self.include_running, bool):
            raise ValueError(f"include_running is {str(self.include_running)[:40]!r}; it is True or False.")  # noqa: TRY004 - one kind of error for all
        if ("stuck" in self.pick) != (self.stuck_after is not None):
            object.__setattr__(self, "pick", _with_stuck(self.pick, self.stuck_after))

    def to_json(self) -> dict[str, Any]:
        """The policy as plain JSON; ``from_json`` reads it back."""
        return {
            item.name: list(value) if isinstance(value, tuple) else value
            for item in fields(self)
            if (value := getattr(self, item.name)) != item.default
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> RepairPolicy:
        """The policy with these members; what is left out has its default.

        :raises ValueError: if one of them is unknown or cannot be used; the text says which.
        """
        known = [item.name for item in fields(cls)]
        unknown = [str(name) for name in given if name not in known]
        if unknown:
            raise ValueError(
                f"{unknown[0][:40]!r} is no part of a repair policy; it has: {', '.join(known)}."
            )
        return cls(**given)

    def most_at_once(self, nodes: int) -> int:
        """How many nodes of a pool of so many may be under repair at the same time; at least one."""
        # 1 is a number of nodes, 1.0 the whole pool.
        is_share = self.at_once < 1 or (isinstance(self.at_once, float) and self.at_once == 1)
        most = int(self.at_once * nodes) if is_share else int(self.at_once)
        return max(1, min(most, MOST_AT_ONCE))


def _with_stuck(pick: tuple[str, ...], stuck_after: float | None) -> tuple[str, ...]:
    if stuck_after is None:
        raise ValueError('pick has "stuck", but no stuck_after says after how many seconds a node is.')
    return (*pick, "stuck")


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    raise ValueError(f"{name} is {str(value)[:60]!r}, but it has to be a list of names.")


def _among(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for item in given:
        if item not in known:
            raise ValueError(f"{name} has {str(item)[:40]!r}, but it can have: {', '.join(known)}.")
    if len(set(given)) != len(given):
        raise ValueError(f"{name} names something twice.")


def _number(name: str, value: object, least: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least:
        return value
    raise ValueError(f"{name} is {str(value)[:40]!r}, but it has to be a number, {least:g} or more.")
