"""Why a pool could not be repaired, in a few lines: known causes, for the text of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.diagnosis import diagnose
from airflow_batchext.hooks.health import aread_health, read_health
from airflow_batchext.rules.deadline import NEVER
from airflow_batchext.transport import over_within

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.rules.deadline import Deadline
    from airflow_batchext.rules.gate import Rules


def causes(
    hook: AzureBatchNodeHook, pool_id: str, rules: Rules | None = None, deadline: Deadline = NEVER
) -> str:
    """The known causes of what the pool shows now; "" if there is none.

    :param rules: of the gate by which its nodes are judged.
    :param deadline: of the gate.
    """
    return _told(read_health(hook, pool_id, rules=rules, deadline=deadline))


async def acauses(
    hook: AzureBatchNodeHook, pool_id: str, rules: Rules | None = None, deadline: Deadline = NEVER
) -> str:
    """``causes`` on the hook's async client."""
    try:
        async with over_within(deadline.left):
            return _told(await aread_health(hook, pool_id, rules=rules))
    except TimeoutError:
        return ""


def _told(health: PoolHealth) -> str:
    diagnosis = diagnose(health)
    return f"\n{diagnosis.short()}" if diagnosis.found_causes else ""
