"""How far a repair is, and who it is that repairs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

#: For so long nobody else repairs the pool after each look.
DEFAULT_LEASE_SECONDS = 900.0


class Stage(str, Enum):
    """How far a repair is."""

    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """What one look came to.

    :param text: what is waited for, or why it ended.
    :param acts: what was done at this look, in words; in a dry run, what would have been.
    :param actions: all that was done to nodes, as plain JSON.
    :param soon: look again at once.
    :param retry_after: how long the service asked to be left alone, in seconds.
    :param unread: pool or nodes could not be read.
    """

    stage: Stage
    text: str = ""
    acts: tuple[str, ...] = ()
    actions: tuple[dict[str, Any], ...] = ()
    soon: bool = False
    retry_after: float | None = None
    unread: bool = False
    notes: tuple[str, ...] = ()

    def report(self, pool_id: str) -> dict[str, Any]:
        """What was done, as plain JSON."""
        return {
            "pool_id": pool_id,
            "outcome": self.stage.value,
            "actions": [dict(action) for action in self.actions],
            "notes": list(self.notes),
        }


def ended(pool_id: str, progress: Progress, *, given_back: str | None = None) -> dict[str, Any]:
    """How a repair ended, as plain JSON: ``stage``, ``text`` and ``report``.

    :param given_back: what putting the targets back came to, if the deadline has passed.
    """
    stage = progress.stage.value if given_back is None else "timeout"
    text = ". ".join(filter(None, (progress.text, given_back)))
    return {"stage": stage, "text": text, "report": progress.report(pool_id)}


def lease_for(interval: float) -> float:
    """For how long nobody else repairs a pool that is looked at so often, in seconds."""
    return max(DEFAULT_LEASE_SECONDS, 4 * interval)


def owner_of(instance: Any) -> str:
    """Who repairs: a task of a run, whatever its try; "" if it is not known."""
    names = [getattr(instance, name, None) for name in ("dag_id", "task_id", "run_id")]
    if not all(name and isinstance(name, str) for name in names):
        return ""
    index = getattr(instance, "map_index", -1)
    mapped = f" [{index}]" if isinstance(index, int) and index >= 0 else ""
    return f"{names[0]}.{names[1]} {names[2]}{mapped}"
