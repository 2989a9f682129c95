"""How far a pool is on its way to be gone, settled or complete, as the management plane shows it.

Pure: no I/O, no clock, no Airflow, no Azure SDK. Somebody reads the pool and asks here what it means; worker
and triggerer wait by the same rules.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_batchext.batch.management_plane import ManagedPool

_LONGEST_PAUSE_SECONDS = 300.0


class Goal(str, Enum):
    """What a pool is waited for to be."""

    GONE = "gone"
    SETTLED = "settled"
    """Steady, with whatever nodes: the next change can be asked for."""
    COMPLETE = "complete"
    """Steady, with the nodes that it is to have."""


class WaitStatus(str, Enum):
    """How a wait stands."""

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
class Observation:
    """What one look at the pool came to, in words too.

    ``passing`` says that nothing could be read, ``retry_after`` for how many seconds the service wants to be
    left alone.
    """

    status: WaitStatus
    text: str = ""
    passing: bool = False
    retry_after: float | None = None

    def to_json(self) -> dict[str, Any]:
        """It as plain JSON; ``course`` is its word for the status, as it waits in Airflow's database."""
        shown = asdict(self)
        return {"course": shown.pop("status").value, **shown}


def assess(wait: Wait, pool_id: str, pool: ManagedPool | None) -> Observation:
    """What it means that the pool looks so.

    :param pool: None if there is none.
    """
    if wait.goal is Goal.GONE:
        if pool is None or (wait.created and pool.created != wait.created):
            return Observation(WaitStatus.REACHED, f"pool {pool_id} is gone")
        return Observation(WaitStatus.WAITING, f"provisioningState is {pool.provisioning_state}")
    if pool is None:
        return Observation(WaitStatus.LOST, f"pool {pool_id} does not exist (any more)")
    if pool.is_deleting:
        return Observation(WaitStatus.LOST, f"pool {pool_id} is being deleted")
    if wait.created and pool.created != wait.created:
        return Observation(
            WaitStatus.LOST,
            f"pool {pool_id} was deleted and created anew: the one of {wait.created} was waited for, this "
            f"one is of {pool.created}",
        )
    if not pool.is_steady:
        state = pool.allocation_state.lower() or "in no known state"
        return Observation(WaitStatus.WAITING, f"pool {pool_id} is {state}: {_nodes(pool)}")
    if wait.goal is Goal.SETTLED:
        return Observation(WaitStatus.REACHED, f"pool {pool_id} is steady: {_nodes(pool)}")
    return _assess_size(pool_id, pool)


def _assess_size(pool_id: str, pool: ManagedPool) -> Observation:
    errors = pool.resize_errors
    if pool.autoscaled:
        # The next evaluation of the formula resizes again: only what is hopeless ends the wait.
        errors = tuple(error for error in errors if error.fatal)
        if not pool.formula_evaluated:
            return Observation(
                WaitStatus.WAITING, f"the autoscale formula of pool {pool_id} was not evaluated yet"
            )
        if pool.formula_error:
            why = f"the autoscale formula of pool {pool_id} cannot be evaluated: {pool.formula_error}"
            return Observation(WaitStatus.SHORT, why)
        if not errors:
            return Observation(WaitStatus.REACHED, f"pool {pool_id} is steady: {_nodes(pool)}")
    elif pool.current == pool.target:
        return Observation(WaitStatus.REACHED, f"pool {pool_id} is steady: {_nodes(pool)}")
    if errors:
        said = "; ".join(error.text for error in errors)
        return Observation(
            WaitStatus.SHORT, f"the resize of pool {pool_id} ended with {_nodes(pool)}. {said}"
        )
    return Observation(WaitStatus.WAITING, f"pool {pool_id} is steady, but has {_nodes(pool)}")


def pause_after(observed: Observation, failures: int, interval: float) -> float:
    """Seconds until the next look: the interval, longer after looks that failed or as the service asks.

    :param failures: how many looks failed in a row.
    """
    backed_off = min(interval * 2.0 ** min(failures, 10), max(interval, _LONGEST_PAUSE_SECONDS))
    return max(backed_off, observed.retry_after or 0.0)


def _nodes(pool: ManagedPool) -> str:
    dedicated, low = pool.current
    if pool.autoscaled:
        return f"{dedicated} dedicated and {low} low-priority nodes"
    wanted_dedicated, wanted_low = pool.target
    text = f"{dedicated} of {wanted_dedicated} dedicated"
    return f"{text} and {low} of {wanted_low} low-priority nodes" if low or wanted_low else f"{text} nodes"
