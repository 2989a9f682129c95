"""Which verdict a history leaves no choice about, whatever the moments at which somebody looks.

The history is let happen without any gate, and what is true is written down. Where the first verdict that
is true stays so until long after the deadline, and there is time to notice it, every mode has to come to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_batchext.emulator import Clock, Scenario
from airflow_batchext.emulator.account.account import Account
from tests.sensors.histories.truth import truth
from tests.sensors.histories.world import GLANCES, JITTER, LONGEST_PAUSE, NOTICE, Pool

if TYPE_CHECKING:
    from tests.sensors.histories.drawing import History

_STEP = 7.0
#: Airflow ends a gate that waits in the triggerer alone so many seconds later, if the triggerer died.
_MARGIN = 120.0


def forced(history: History) -> str | None:
    """The only right verdict (``open``, ``failed``, ``timeout``), or None where the moments decide."""
    if history.ambush or (history.is_created_anew and (history.faults or history.deaths)):
        return None  # it depends on who looks when; who has not seen the first pool cannot know
    timeout, pause = float(history.gate["timeout"]), _pause(history)
    pool = Pool(Account(Clock(0), Scenario()), history, "scan")
    pool.pass_time(history.starts)
    here = pool.account.find(pool.pool_id)
    known = here.created if here else None
    first, since, most, passed, is_of_extensions = "wait", 0.0, 0, 0.0, False
    while passed <= timeout + _MARGIN + pause:
        true = truth(pool.account, pool.pool_id, history.gate, known)
        if first == "wait":
            first, since = true.outcome, passed
            most = max(most, len(true.nodes))
            # Of a pool with several nodes these are read by turns.
            is_of_extensions = any("extension" in words[-1] for words in true.failures)
        elif true.outcome != first:
            return None
        pool.pass_time(_STEP)
        passed += _STEP
    if first == "wait":
        return "timeout"
    noticed = max([since, *(fault.get("until", 0.0) for fault in history.faults)])
    # That a glance still holds is known at once; other news waits for the next whole look.
    glances = GLANCES if first == "fail" else 0
    noticed += (3 + glances + sum(fault.get("count", 0) for fault in history.faults)) * pause
    if is_of_extensions and most > 1:
        turns = (1 + GLANCES) * most * pause  # at least one node at each whole look
        noticed += (1 + len(history.deaths)) * min(NOTICE + pause, turns)
    if noticed > timeout:
        return None
    return "failed" if first == "fail" else first


def _pause(history: History) -> float:
    """The longest time from one look to the next."""
    gate: dict[str, Any] = history.gate
    waits = [fault.get("retry_after") or 0.0 for fault in history.faults]
    if history.faults:
        waits.append(LONGEST_PAUSE)
    reads = 80 * 2 * history.answer_seconds
    return (
        JITTER * max([2 * gate["poke_interval"], *waits]) + reads + len(history.deaths) * history.dead_seconds
    )
