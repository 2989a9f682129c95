"""What a trigger does when a user ends its task.

Airflow calls ``on_kill`` also when the trigger is merely moved to another triggerer, and when the task is
cleared and its next try waits already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.gate import agive_back
from airflow_batchext.hooks._drivers.work_items import end_items
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.hooks.node import AzureBatchNodeHook

if TYPE_CHECKING:
    from airflow_batchext.hooks._drivers.work import Work
    from airflow_batchext.repair.controller import Repair

#: Airflow tells triggers that a user has ended their task from 3.3 on.
TRIGGERS_ARE_TOLD = hasattr(BaseTrigger, "on_kill")
# asyncio itself holds its tasks weakly.
_endings: set[asyncio.Task[None]] = set()
# A removal that is under way when the task is ended is waited for during so many looks.
_GIVE_BACK_LOOKS = 12
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


async def shielded(ending: Coroutine[Any, Any, None]) -> None:
    """Do it to its end: Airflow 3.3.2 cancels a trigger anew in every loop until it is done, on_kill too."""
    task = asyncio.create_task(ending)
    _endings.add(task)
    task.add_done_callback(_endings.discard)
    await asyncio.shield(task)


async def was_ended(trigger: Any) -> bool:
    """Whether it was a user who ended the task of this trigger."""
    instance = getattr(trigger, "task_instance", None)
    if instance is None:
        return False
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from asgiref.sync import sync_to_async

    states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
        dag_id=instance.dag_id,
        task_ids=[instance.task_id],
        run_ids=[instance.run_id],
        map_index=instance.map_index,
    )
    found = {str(state) for state in states.get(instance.run_id, {}).values()}
    trigger.log.info("The task is %s now", ", ".join(sorted(found)) or "deleted, with its run")
    return not found or bool(found & _ENDED)


async def end_work(trigger: Any, conn_id: str, work: Work, *, is_alone: bool) -> None:
    """End all Batch tasks of a task instance, if it was a user who ended it.

    :param work: their ids; what is to run is not asked for.
    :param is_alone: whether there is nothing else in their jobs.
    """
    if not await was_ended(trigger):
        return
    try:
        async with AzureBatchJobHook(conn_id) as hook:
            ended = await hook.arun(end_items(work, is_alone=is_alone))
        trigger.log.info("%d Batch tasks were ended, as the task was", ended)
    except BatchextError as error:
        trigger.log.warning("The Batch tasks go on: %s", error)


async def end_repair(trigger: Any, conn_id: str, repair: Repair, interval: float) -> None:
    """Put the pool's targets back if nodes are being replaced, and it was a user who ended the task."""
    if not await was_ended(trigger):
        return
    try:
        async with AzureBatchNodeHook(conn_id) as hook:
            text = await agive_back(hook, repair, interval=interval, looks=_GIVE_BACK_LOOKS)
        trigger.log.info("The repair of pool %s was ended. %s", repair.pool_id, text)
    except BatchextError as error:
        trigger.log.warning("Pool %s was left as it is: %s", repair.pool_id, error)
