"""Looks at a pool that is waited for (``rules.pool_wait``), once, sync or async.

What Azure refuses for good ends the wait; an outage is something seen, and may pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.exceptions import AccessRefusedError, BatchextError, NotFoundError, ServiceError
from airflow_batchext.hooks._pool_requests import get_pool
from airflow_batchext.rules.pool_wait import Course, Look, judge

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Flow
    from airflow_batchext.hooks.pool import AzureBatchPoolHook
    from airflow_batchext.rules.pool_wait import Wait


def look(hook: AzureBatchPoolHook, pool_id: str, wait: Wait) -> Look:
    """Read the pool and say how far it is; nothing that Azure says raises."""
    return hook.run(_looked(pool_id, wait))


async def alook(hook: AzureBatchPoolHook, pool_id: str, wait: Wait) -> Look:
    """``look`` on the hook's async client."""
    return await hook.arun(_looked(pool_id, wait))


def _looked(pool_id: str, wait: Wait) -> Flow[Look]:
    try:
        body = yield from get_pool(pool_id)
    except BatchextError as error:
        return _judge_error(wait, pool_id, error)
    return judge(wait, pool_id, read_managed_pool(body))


def _judge_error(wait: Wait, pool_id: str, error: BatchextError) -> Look:
    match error:
        case NotFoundError():
            return judge(wait, pool_id, None)
        case ServiceError() if not isinstance(error, AccessRefusedError):
            return Look(Course.WAITING, error.reason, passing=True, retry_after=error.retry_after)
        case _:
            return Look(Course.REFUSED, str(error))
