"""Has nodes upload the logs of the Batch service to a container of Azure Storage.

The container is written to with a shared access signature in its URL, which is a secret, or as a managed
identity of the pool; the signature is looked up here, at the last moment, and shown to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.diagnosis import NodeLogs
from airflow_batchext.exceptions import ParameterError, ServiceError
from airflow_batchext.hooks import _node_requests as requests
from airflow_batchext.secret_references import look_up_secrets
from airflow_batchext.secrets.redact import redact_text

if TYPE_CHECKING:
    from airflow_batchext.hooks.node import AzureBatchNodeHook


def upload_logs(
    hook: AzureBatchNodeHook,
    pool_id: str,
    node_ids: Sequence[str],
    *,
    container: Any,
    identity: str | None = None,
    hours: float = 2.0,
) -> list[NodeLogs]:
    """Ask nodes to upload their logs (``Nodes_UploadNodeLogs``), one after the other.

    What a node refuses is told in its place; the others are asked all the same.

    :param container: URL of the container, or a reference to a secret (``secret_references``) that holds it
        with its signature.
    :param identity: resource id of the pool's identity that may write there, if the URL has no signature.
    :param hours: how far back the logs go.
    :raises ParameterError: if the container cannot be used.
    """
    url = look_up_secrets(container, "logs_container")
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise ParameterError(
            "logs_container is no URL of a container: https://ACCOUNT.blob.core.windows.net/…"
        )
    if identity is None and "sig=" not in url:
        raise ParameterError(
            "logs_container has no signature, so logs_identity has to name an identity of the pool that may "
            "write there; or refer to a URL with a signature: {'$secret': {'variable': NAME}}."
        )
    start = datetime.fromtimestamp(hook.service_time(), UTC) - timedelta(hours=hours)
    return [_upload(hook, pool_id, node_id, url, identity, start) for node_id in node_ids]


def _upload(
    hook: AzureBatchNodeHook, pool_id: str, node_id: str, url: str, identity: str | None, start: datetime
) -> NodeLogs:
    body: dict[str, Any] = {"containerUrl": url, "startTime": start.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    if identity:
        body["identityReference"] = {"resourceId": identity}
    query = url.partition("?")[2]
    secrets = [url, *(part.partition("=")[2] for part in query.split("&") if part.startswith("sig="))]
    try:
        found = hook.run(requests.upload_node_logs(pool_id, node_id, body, secrets=secrets))
    except ServiceError as error:
        return NodeLogs(node_id, problem=redact_text(str(error)))
    count = found.get("numberOfFilesUploaded")
    folder = one_line(str(found.get("virtualDirectoryName") or ""))
    return NodeLogs(node_id, folder, count if isinstance(count, int) else 0)
