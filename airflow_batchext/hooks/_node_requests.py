"""The requests of the data plane: pools, their nodes, and the nodes' extensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_batchext.hooks._requests import DATA, Body, Flow, Request, etag_of, page_of, pages, path, shaped
from airflow_batchext.hooks._shapes import POOL, UPLOADED, Shape

READ_ACTION = "Microsoft.Batch/batchAccounts/pools/read"
WRITE_ACTION = "Microsoft.Batch/batchAccounts/pools/write"


def get_pool(pool_id: str, *, select: Sequence[str] | None = None) -> Request[Body]:
    """Read a pool (``Pools_GetPool``).

    :param pool_id: the pool's name.
    :param select: members to ask for; None means all.
    :raises NotFoundError: if there is none.
    """
    return _read(f"read pool {pool_id}", "pools", pool_id, shape=POOL, select=select)


def list_nodes(pool_id: str, *, select: Sequence[str] | None = None) -> Flow[list[Body]]:
    """List all nodes of a pool, over all pages (``Nodes_ListNodes``).

    :param pool_id: the pool's name.
    :param select: members to ask for; None means all.
    """
    return pages(_page(f"list nodes of pool {pool_id}", "pools", pool_id, "nodes", select=select))


def list_node_extensions(pool_id: str, node_id: str) -> Flow[list[Body]]:
    """List the extensions of a node (``Nodes_ListNodeExtensions``), Batch's own among them.

    :param pool_id: the pool's name.
    :param node_id: the node, such as ``tvmps_…_d``.
    """
    does = f"list extensions of node {node_id} of pool {pool_id}"
    return pages(_page(does, "pools", pool_id, "nodes", node_id, "extensions"))


def get_node_extension(pool_id: str, node_id: str, extension_name: str) -> Request[Body]:
    """Read one extension of a node (``Nodes_GetNodeExtension``).

    :param pool_id: the pool's name.
    :param node_id: the node, such as ``tvmps_…_d``.
    :param extension_name: its name in the pool.
    :raises NotFoundError: if there is none of that name, or none yet.
    """
    does = f"read extension {extension_name} of node {node_id} of pool {pool_id}"
    return _read(does, "pools", pool_id, "nodes", node_id, "extensions", extension_name, shape=dict)


def list_supported_images() -> Flow[list[Body]]:
    """Read which images the account may use, each with its node agent (``Pools_ListSupportedImages``)."""
    return pages(_page("list the supported images", "supportedimages", needs=""))


def first_pool() -> Request[Body]:
    """Read a list of one pool, if there is one (``Pools_ListPools``): whether the data plane can be read."""
    return _page("list pools", "pools", query={"maxresults": "1"})


def change(change: Request[str]) -> Request[str]:
    """Change a pool or handle nodes, and do not wait for what comes of it.

    :param change: what to do, as the functions below write it.
    :return: the pool's new ETag, or "" where the service tells none.
    :raises ConflictError: if the pool is another one than the ETag is of, or a state forbids it.
    """
    return change


def replace_metadata(pool_id: str, items: Sequence[tuple[str, str]], *, etag: str = "") -> Request[str]:
    """Give a pool these metadata instead of those it has (``Pools_UpdatePool``)."""
    body = {"metadata": [{"name": name, "value": value} for name, value in items]}
    return _change(f"update the metadata of pool {pool_id}", "PATCH", body, "pools", pool_id, etag=etag)


def reboot_node(pool_id: str, node_id: str, *, on_tasks: str = "requeue") -> Request[str]:
    """Reboot a node (``Nodes_RebootNode``); Azure lets that be done to idle and running nodes.

    :param on_tasks: what becomes of its tasks: ``requeue``, ``terminate``, ``taskcompletion`` (it ends them
        first, and takes no other) or ``retaineddata``.
    """
    return _restart("reboot", pool_id, node_id, {"nodeRebootOption": on_tasks})


def reimage_node(pool_id: str, node_id: str, *, on_tasks: str = "requeue") -> Request[str]:
    """Install a node anew (``Nodes_ReimageNode``); for pools of virtual machines Azure may refuse that."""
    return _restart("reimage", pool_id, node_id, {"nodeReimageOption": on_tasks})


def remove_nodes(
    pool_id: str, node_ids: Sequence[str], *, on_tasks: str = "requeue", etag: str = ""
) -> Request[str]:
    """Take nodes out of a steady pool (``Pools_RemoveNodes``), a hundred at most; its targets fall."""
    body = {"nodeList": list(node_ids), "nodeDeallocationOption": on_tasks}
    does = f"remove nodes {', '.join(node_ids)} of pool {pool_id}"
    return _change(does, "POST", body, "pools", pool_id, "removenodes", etag=etag)


def resize_pool(pool_id: str, dedicated: int, low_priority: int, *, etag: str = "") -> Request[str]:
    """Give a steady pool of fixed size other targets (``Pools_ResizePool``)."""
    body = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low_priority}
    return _change(f"resize pool {pool_id}", "POST", body, "pools", pool_id, "resize", etag=etag)


def upload_node_logs(
    pool_id: str, node_id: str, body: Mapping[str, Any], *, secrets: Collection[str]
) -> Request[Body]:
    """Have a node upload the logs of the Batch service (``Nodes_UploadNodeLogs``)."""
    url = path("pools", pool_id, "nodes", node_id, "uploadbatchservicelogs")
    does = f"upload the logs of node {node_id}"
    return Request(DATA, does, "POST", url, shaped(UPLOADED), body=body, secrets=secrets, needs=WRITE_ACTION)


def _read(does: str, *segments: str, shape: Shape, select: Sequence[str] | None = None) -> Request[Body]:
    query = _selected(select)
    return Request(DATA, does, "GET", path(*segments), shaped(shape), query=query, needs=READ_ACTION)


def _page(
    does: str,
    *segments: str,
    select: Sequence[str] | None = None,
    query: Mapping[str, str] | None = None,
    needs: str = READ_ACTION,
) -> Request[Body]:
    asked = {**_selected(select), **(query or {})}
    return Request(DATA, does, "GET", path(*segments), page_of, query=asked, needs=needs)


def _selected(select: Sequence[str] | None) -> dict[str, str]:
    return {} if select is None else {"$select": ",".join(select)}


def _restart(step: str, pool_id: str, node_id: str, body: Mapping[str, str]) -> Request[str]:
    return _change(
        f"{step} node {node_id} of pool {pool_id}", "POST", body, "pools", pool_id, "nodes", node_id, step
    )


def _change(does: str, method: str, body: Mapping[str, Any], *segments: str, etag: str = "") -> Request[str]:
    return Request(
        DATA,
        does,
        method,
        path(*segments),
        etag_of,
        body=body,
        headers={"If-Match": etag} if etag else {},
        expected=range(200, 300),
        needs=WRITE_ACTION,
    )
