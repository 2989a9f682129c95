"""Requests of the data plane that change a pool or handle nodes, as they go through the SDK's client.

The SDK's own methods for most of these (``begin_reboot_node``, ``begin_remove_nodes``, …) start a thread that
reads the pool every five seconds until it is done, and none tells the new ETag. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_batchext.hooks._reading import API_VERSION

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest

_CONTENT_TYPE = "application/json; odata=minimalmetadata"


@dataclass(frozen=True)
class Change:
    """One request.

    :param does: what it does, for the text of an error: "reboot node n1 of pool p1".
    :param etag: only if the pool is still the one that was read with this ETag.
    """

    does: str
    method: str
    path: str
    body: Mapping[str, Any]
    etag: str = ""

    def request(self) -> HttpRequest:
        """The request as azure-core sends it; the client puts its endpoint before the path."""
        from azure.core.rest import HttpRequest

        headers = {"Content-Type": _CONTENT_TYPE, "Accept": "application/json"}
        if self.etag:
            headers["If-Match"] = self.etag
        return HttpRequest(
            self.method,
            f"{{endpoint}}{self.path}",
            params={"api-version": API_VERSION},
            headers=headers,
            json=dict(self.body),
        )

    def etag_of(self, response: Any) -> str:
        """The ETag in the answer, or "".

        :raises HttpResponseError: if it is a refusal.
        """
        response.raise_for_status()
        return str(response.headers.get("ETag") or "")


def replace_metadata(pool_id: str, items: Sequence[tuple[str, str]], *, etag: str = "") -> Change:
    """Give a pool these metadata instead of those it has (``Pools_UpdatePool``)."""
    body = {"metadata": [{"name": name, "value": value} for name, value in items]}
    return Change(f"update the metadata of pool {pool_id}", "PATCH", _pool(pool_id), body, etag)


def reboot_node(pool_id: str, node_id: str, *, on_tasks: str = "requeue") -> Change:
    """Reboot a node (``Nodes_RebootNode``); Azure lets that be done to idle and running nodes.

    :param on_tasks: what becomes of its tasks: ``requeue``, ``terminate``, ``taskcompletion`` (it ends them
        first, and takes no other) or ``retaineddata``.
    """
    return _restart("reboot", pool_id, node_id, {"nodeRebootOption": on_tasks})


def reimage_node(pool_id: str, node_id: str, *, on_tasks: str = "requeue") -> Change:
    """Install a node anew (``Nodes_ReimageNode``); for pools of virtual machines Azure may refuse that."""
    return _restart("reimage", pool_id, node_id, {"nodeReimageOption": on_tasks})


def remove_nodes(
    pool_id: str, node_ids: Sequence[str], *, on_tasks: str = "requeue", etag: str = ""
) -> Change:
    """Take nodes out of a steady pool (``Pools_RemoveNodes``), a hundred at most; its targets fall."""
    body = {"nodeList": list(node_ids), "nodeDeallocationOption": on_tasks}
    does = f"remove nodes {', '.join(node_ids)} of pool {pool_id}"
    return Change(does, "POST", f"{_pool(pool_id)}/removenodes", body, etag)


def resize_pool(pool_id: str, dedicated: int, low_priority: int, *, etag: str = "") -> Change:
    """Give a steady pool of fixed size other targets (``Pools_ResizePool``)."""
    body = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low_priority}
    return Change(f"resize pool {pool_id}", "POST", f"{_pool(pool_id)}/resize", body, etag)


def _restart(step: str, pool_id: str, node_id: str, body: Mapping[str, str]) -> Change:
    path = f"{_pool(pool_id)}/nodes/{quote(node_id, safe='')}/{step}"
    return Change(f"{step} node {node_id} of pool {pool_id}", "POST", path, body)


def _pool(pool_id: str) -> str:
    return f"/pools/{quote(pool_id, safe='')}"
