"""What nobody outside Microsoft knows of Azure Batch (``answers`` of a scenario), and what a walk tells.

Pure. Each question has the name of its setting, so that what is found is a patch for the scenario.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_batchext.cli.selftest.walk import EXTENSION, Answered, Walk, error_code, steps_of, told
from airflow_batchext.loose_json.values import as_sequence, below

_NOT_SO_FAR = "the walk did not come that far"


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    :param setting: its name in ``answers``.
    :param read: the setting by which an emulator would answer as was seen; None where that was not seen.
    :param seen: what was seen, in words; "" for nothing.
    :param why_not: why a walk cannot settle it, or what it needs.
    """

    setting: str
    read: Callable[[Walk], Any]
    seen: Callable[[Walk], str]
    why_not: str = _NOT_SO_FAR


def _first(walk: Walk, step: str, plane: str) -> Answered | None:
    return next(iter(steps_of(walk.exchanges, step, plane)), None)


def _told_first(walk: Walk, step: str, plane: str) -> str:
    answered = _first(walk, step, plane)
    return told(answered) if answered else ""


def _code(setting: str, step: str, plane: str, *known: str, why_not: str = _NOT_SO_FAR) -> Question:
    """A question that the code of a refusal answers."""

    def read(walk: Walk) -> Any:
        answered = _first(walk, step, plane)
        code = error_code(answered.body) if answered else ""
        return code if code in known else None

    return Question(setting, read, lambda walk: _told_first(walk, step, plane), why_not)


def _kind(setting: str, step: str, plane: str, find: Callable[[Any], list[Any]], **kinds: type) -> Question:
    """A question that the JSON type of a value answers."""

    def values(walk: Walk) -> list[Any]:
        bodies = [a.body for ask, a in walk.exchanges if ask.plane == plane and ask.step.startswith(step)]
        return [value for body in bodies for value in find(body) if value is not None]

    def read(walk: Walk) -> Any:
        found = values(walk)
        return next((name for name, kind in kinds.items() if found and isinstance(found[0], kind)), None)

    return Question(setting, read, lambda walk: ", ".join(repr(value)[:80] for value in values(walk)[:1]))


def _good(setting: str, step: str, plane: str, good: str, refused: str) -> Question:
    """A question that success or refusal answers."""

    def read(walk: Walk) -> Any:
        answered = _first(walk, step, plane)
        if answered is None or not (answered.is_good or answered.status == 409):
            return None
        return good if answered.is_good else refused

    return Question(setting, read, lambda walk: _told_first(walk, step, plane))


def _empty_pool(walk: Walk) -> Any:
    size = _first(walk, "another size of a pool without nodes", "management")
    extensions = _first(walk, "no extensions of a pool without nodes", "management")
    if size is None or extensions is None:
        return None
    if not size.is_good:
        return "as any other"
    return "changes" if extensions.is_good else "changes but for extensions"


def _seen_empty(walk: Walk) -> str:
    steps = ("another size of a pool without nodes", "no extensions of a pool without nodes")
    return "; ".join(f"{s}: {told(a)}" for s in steps if (a := _first(walk, s, "management")))


def _levels(body: Any) -> list[Any]:
    return [
        below(status, "level")
        for item in as_sequence(below(body, "value"))
        for status in as_sequence(below(item, "instanceView", "statuses"))
    ]


def _node_settings(body: Any) -> list[Any]:
    return [below(item, "vmExtension", "settings") for item in as_sequence(below(body, "value"))]


def _pool_settings(body: Any) -> list[Any]:
    extensions = as_sequence(below(body, "virtualMachineConfiguration", "extensions"))
    return [below(item, "settings") for item in extensions if below(item, "name") == EXTENSION]


def _lifetime(walk: Walk) -> Any:
    return None if walk.token_seconds is None else 60 * round(walk.token_seconds / 60)


def _never(setting: str, why: str) -> Question:
    return Question(setting, lambda walk: None, lambda walk: "", why)


QUESTIONS = (
    _code("existing_pool", "creating it once more", "management", "ConditionNotMet", "PoolExists"),
    _code("missing_pool", "a pool that is missing", "management", "PoolNotFound", "ResourceNotFound"),
    _code(
        "missing_extension", "an extension that the node does not have", "data",
        "ResourceNotFound", "NodeNotFound",
    ),
    _kind("level", "extensions of a node", "data", _levels, number=int, word=str),
    _kind("node_settings", "extensions of a node", "data", _node_settings, string=str, object=dict),
    _kind("pool_settings", "the pool", "data", _pool_settings, string=str, object=dict),
    _good(
        "extensions_without_machine", "extensions of a node, deallocated", "data", "last", "refused"
    ),
    _good("reimage", "reimage", "data", "works", "refused"),
    _good("autoscale_while_resizing", "autoscale while it is resized", "data", "held", "refused"),
    Question("empty_pool", _empty_pool, _seen_empty),
    Question("token_lifetime", _lifetime, lambda walk: f"{walk.token_seconds or 0:.0f} s"),
    _code(
        "keys_not_allowed", "keys that are not allowed", "management",
        "InvalidRestAPIForAccountSetting", "AuthorizationFailure",
        why_not="it is asked only of an account that takes no keys",
    ),
    _never("refused_shared_key", "it needs a request with a wrong key, and none is sent"),
    _never("missing_role", "it needs an identity without a role on the account"),
    _never("key_vault_without_identity", "it needs a key vault, and a pool without an identity"),
    *(
        _never(setting, "it needs a job with tasks, and the walk runs none")
        for setting in (
            "active_tasks_of_an_ended_job", "ends_by_itself", "task_beyond_its_time",
            "files_before_start", "files_without_node", "range_past_end",
        )
    ),
)  # fmt: skip
