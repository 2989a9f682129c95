"""What a repair may do, and to which nodes.

Pure, and light enough for a DAG file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from airflow_batchext.parameters import (
    Check,
    check_count,
    check_flag,
    check_names,
    check_number,
    check_seconds,
    one_of,
    optional,
    read_literal,
    refused,
    settle,
    some_of,
    wrong,
)

STEPS = ("reboot", "reimage", "replace")
"""All that can be done to a node, the mildest first."""
PICKS = ("failed", "unusable", "start_task_failed", "stuck")
ON_TASKS = ("taskcompletion", "requeue", "terminate")
#: Azure takes no more nodes out of a pool in one request.
MOST_AT_ONCE = 100


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
        if isinstance(self.pick, (list, tuple)) and self.stuck_after is not None and "stuck" not in self.pick:
            object.__setattr__(self, "pick", (*self.pick, "stuck"))
        settle(self, _CHECKS)
        if "stuck" in self.pick and self.stuck_after is None:
            raise wrong('pick has "stuck", but no stuck_after says after how many seconds a node is.')

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

        :param given: members of a policy by name, as ``to_json`` writes them.
        :raises ParameterError: if one of them is unknown or cannot be used; the text says which.
        """
        known = [item.name for item in fields(cls)]
        unknown = [str(name) for name in given if name not in known]
        if unknown:
            raise wrong(f"{unknown[0][:40]!r} is no part of a repair policy; it has: {', '.join(known)}.")
        return cls(**given)

    def most_at_once(self, nodes: int) -> int:
        """How many nodes of a pool may be under repair at the same time; at least one.

        :param nodes: how many the pool has.
        """
        # 1 is a number of nodes, 1.0 the whole pool.
        is_share = self.at_once < 1 or (isinstance(self.at_once, float) and self.at_once == 1)
        most = int(self.at_once * nodes) if is_share else int(self.at_once)
        return max(1, min(most, MOST_AT_ONCE))


def check_repair_policy(name: str, value: object) -> RepairPolicy:
    """What a repair may do: a ``RepairPolicy``, a mapping with members of one, or None for the default.

    :raises ParameterError: if it is anything else, or a member cannot be used.
    """
    if isinstance(value, RepairPolicy):
        return value
    if isinstance(value, str):
        value = read_literal(value)
    if value is not None and not isinstance(value, Mapping):
        raise refused(name, value, "; it is a RepairPolicy or a dict of its members.")
    try:
        return RepairPolicy.from_json(value or {})
    except ValueError as error:
        raise wrong(f"{name}: {error}") from None


def _at_once(name: str, value: object) -> float:
    wanted = "a number of nodes, or a share up to 1.0"
    number = check_number(name, value, wanted)
    if number == 0 or (number > 1 and number % 1):
        raise refused(name, value, f", but it has to be {wanted}.")
    return number


_CHECKS: dict[str, Check] = {
    "order": some_of(*STEPS),
    "pick": some_of(*PICKS),
    "extension_names": optional(check_names),
    "on_tasks": one_of(*ON_TASKS),
    "include_running": check_flag,
    "at_once": _at_once,
    "stuck_after": optional(check_seconds),
    **dict.fromkeys(("broken_after", "step_timeout", "settle", "memory"), check_seconds),
    **dict.fromkeys(("attempts", "max_actions", "give_up_after", "rounds"), partial(check_count, least=1)),
}
