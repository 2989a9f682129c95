"""The links from a task to its pool in the Azure portal, to the report that it wrote, and to the live page.

Airflow asks for them on the worker whenever a process of the task ends, also when it is deferred, and keeps
them as XComs. A task that ends in the triggerer brings them along itself.

Every DAG file with an operator loads this module, and parsing is hot: what a link is made of is imported when
one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperatorLink

from airflow_batchext.exceptions import BatchextError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_batchext.connection import BatchConnection

#: The XCom in which Airflow keeps the link to a pool, which it names after the class.
LINK_XCOM_KEY = "_link_AzureBatchPoolLink"
#: That in which it keeps the link to the live page.
LIVE_LINK_XCOM_KEY = "_link_AzureBatchLiveLink"


def status_page() -> bool:
    """Whether tasks keep what they see, and the live page shows it: ``[batchext] status_page``.

    What cannot be read as yes or no is a no: Airflow's processes have to start with any settings.
    """
    try:
        return bool(conf.getboolean("batchext", "status_page", fallback=True))
    except Exception:  # a file of settings can be wrong in any way
        return False


def live_url(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """Where the live page shows a task; "" where there is no such page.

    Without a slash at its head, as it is below whatever path Airflow has.
    """
    if not status_page():
        return ""
    which = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    return f"batchext/?from=airflow&{urlencode(which)}"


def portal_url(connection: BatchConnection, pool_id: str) -> str:
    """The URL of a pool in the portal of the connection's cloud; "" if there is no such portal.

    A connection for the data plane alone does not say enough of the account either.
    """
    from airflow_batchext.batch.clouds import CLOUDS

    # Told by its management plane alone: that is what the portal shows, whoever signs in and however.
    clouds = (cloud for cloud in CLOUDS.values() if cloud.arm_url == connection.cloud.arm_url)
    cloud = next(clouds, None)
    place = (connection.subscription_id, connection.resource_group, connection.account_name, pool_id)
    if cloud is None or not all(place):
        return ""
    subscription, group, account, pool = (quote(part, safe="") for part in place)
    return (
        f"{cloud.portal_url}/#@{quote(connection.tenant_id, safe='')}/resource/subscriptions/{subscription}"
        f"/resourceGroups/{group}/providers/Microsoft.Batch/batchAccounts/{account}/pools/{pool}"
    )


def pool_of(task: Any) -> str:
    """The id of the pool that a task is about, as it was given or rendered; "" if there is none."""
    pool_id = getattr(task, "linked_pool_id", "") or getattr(task, "pool_id", "")
    return pool_id if isinstance(pool_id, str) else ""


def live_link_xcom(instance: Any) -> dict[str, str]:
    """The link to the live page as the XCom in which Airflow keeps it, of a task that no worker has begun.

    :param instance: the task instance; None where there is none.
    """
    if instance is None:
        return {}
    url = live_url(instance.dag_id, instance.run_id, instance.task_id, instance.map_index)
    return {LIVE_LINK_XCOM_KEY: url} if url else {}


class AzureBatchPoolLink(BaseOperatorLink):
    """ "Pool in the Azure portal" beside a task; greyed out where the cloud has no portal (an emulator)."""

    name = "Pool in the Azure portal"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL, from the operator's rendered parameters; "" where there is none."""
        from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

        from airflow_batchext.connection import parse_connection

        pool_id, conn_id = pool_of(operator), getattr(operator, "azure_batchext_conn_id", "")
        if not pool_id or not isinstance(conn_id, str):
            return ""
        try:
            return portal_url(parse_connection(BaseHook.get_connection(conn_id)), pool_id)
        except (AirflowNotFoundException, BatchextError):  # the task itself has failed with it, in more words
            return ""


class AzureBatchReportLink(BaseOperatorLink):
    """ "Pool report" beside a task that wrote one; greyed out until then."""

    name = "Pool report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Where the operator has just written its report; "" where there is none."""
        return str(getattr(operator, "linked_report", ""))


class AzureBatchLiveLink(BaseOperatorLink):
    """ "Live status" beside a task that waits: what it waits for, node by node."""

    name = "Live status"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address of the page, with this task opened."""
        return live_url(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)
