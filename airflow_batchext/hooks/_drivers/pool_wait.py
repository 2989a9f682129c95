"""Looks at a pool that is waited for (``rules.pool_wait``), once, sync or async.

What Azure refuses for good ends the wait; an outage is an observation, and may pass.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.exceptions import AccessRefusedError, BatchextError, NotFoundError, ServiceError
from airflow_batchext.hooks._pool_requests import get_pool
from airflow_batchext.hooks._requests import Aside
from airflow_batchext.rules.pool_wait import Observation, WaitStatus, assess

if TYPE_CHECKING:
    from airflow_batchext.hooks._requests import Flow
    from airflow_batchext.hooks.pool import AzureBatchPoolHook
    from airflow_batchext.rules.pool_wait import Wait


def look(hook: AzureBatchPoolHook, pool_id: str, wait: Wait) -> Observation:
    """Read the pool and say how far it is; nothing that Azure says raises."""
    return hook.run(_looked(pool_id, wait))


async def alook(hook: AzureBatchPoolHook, pool_id: str, wait: Wait) -> Observation:
    """``look`` on the hook's async client."""
    return await hook.arun(_looked(pool_id, wait))


def _looked(pool_id: str, wait: Wait) -> Flow[Observation]:
    try:
        body = yield from get_pool(pool_id)
    except BatchextError as error:
        return _assess_error(wait, pool_id, error)
    return assess(wait, pool_id, (yield from Aside(partial(read_managed_pool, body))))


def _assess_error(wait: Wait, pool_id: str, error: BatchextError) -> Observation:
    match error:
        case NotFoundError():
            return assess(wait, pool_id, None)
        case ServiceError() if not isinstance(error, AccessRefusedError):
            return Observation(WaitStatus.WAITING, error.reason, passing=True, retry_after=error.retry_after)
        case _:
            return Observation(WaitStatus.REFUSED, str(error))
