"""The links from a task to its pool in the Azure portal, and to the report that it wrote.

Airflow asks for it on the worker whenever a process of the task ends, also when it is deferred, and keeps it
as an XCom. A task that ends in the triggerer brings it along itself.

Every DAG file with an operator loads this module, and parsing is hot: what a link is made of is imported when
one is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_batchext.exceptions import BatchextError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

    from airflow_batchext.connection import BatchConnection

#: The XCom in which Airflow keeps the link to a pool, which it names after the class.
LINK_XCOM_KEY = "_link_AzureBatchPoolLink"


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
