"""The life of a pool as seen through a client of the data plane, whichever it is.

The client is an adapter that takes and returns the documents of the wire as plain dicts, so that one story
says what every client must see. ``nodes`` is a pool's listing; ``act`` is anything done to a pool or a node.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from story import EXTENSION, IMAGE, refusal, until

Json = dict[str, Any]


class DataClient(Protocol):
    """What a story asks of a client."""

    def create(self, pool: Json) -> None: ...
    def exists(self, pool: str) -> bool: ...
    def get(self, pool: str) -> Json: ...
    def pools(self) -> list[Json]: ...
    def delete(self, pool: str) -> None: ...
    def nodes(self, pool: str, **options: Any) -> list[Json]: ...
    def node(self, pool: str, node: str) -> Json: ...
    def extensions(self, pool: str, node: str) -> list[Json]: ...
    def extension(self, pool: str, node: str, name: str) -> Json: ...
    def reboot(self, pool: str, node: str) -> None: ...
    def stranger(self) -> Any: ...


def document(name: str, nodes: int) -> Json:
    machine = {
        "imageReference": IMAGE,
        "nodeAgentSKUId": "batch.node.ubuntu 18.04",
        "extensions": [EXTENSION],
    }
    return {
        "id": name,
        "vmSize": "Standard_D2_v2",
        "virtualMachineConfiguration": machine,
        "targetDedicatedNodes": nodes,
    }


def idle_nodes(client: DataClient, pool: str, count: int) -> list[Json]:
    def check() -> list[Json]:
        nodes = client.nodes(pool)
        return nodes if [node["state"] for node in nodes] == ["idle"] * count else []

    return list(until(f"{pool} has {count} idle nodes", check))


def steady(client: DataClient, pool: str) -> Json:
    def check() -> Json | None:
        found = client.get(pool)
        return found if found["allocationState"] == "steady" else None

    return dict(until(f"{pool} is steady", check))


def life_of_a_pool(client: DataClient, pool: str) -> Json:
    """Create, look, wait, read nodes and extensions, reboot, delete."""
    client.create(document(pool, 2))
    seen: Json = {"exists": client.exists(pool)}
    young = client.get(pool)
    seen["young"] = [young["state"], young["allocationState"], young["currentDedicatedNodes"]]
    seen["young_nodes"] = len(client.nodes(pool))
    grown = steady(client, pool)
    seen["steady"] = [grown["currentDedicatedNodes"], grown["targetDedicatedNodes"], grown["vmSize"]]
    seen["same_etag"] = grown["eTag"] == young["eTag"]
    machine = grown["virtualMachineConfiguration"]
    seen["pool_settings"] = machine["extensions"][0]["settings"]
    seen["pool_protected"] = "protectedSettings" in machine["extensions"][0]
    seen["listed"] = pool in [item["id"] for item in client.pools()]

    nodes = idle_nodes(client, pool, 2)
    ids = [node["id"] for node in nodes]
    seen["sorted"] = ids == sorted(ids)
    seen["paged"] = [node["id"] for node in client.nodes(pool, max_results=1)] == ids
    seen["filtered"] = [
        len(client.nodes(pool, filter=f"state eq '{state}'")) for state in ("idle", "unusable")
    ]
    seen["selected"] = sorted(client.nodes(pool, select=["id", "state"])[0])
    first = client.node(pool, ids[0])
    seen["node"] = [first["isDedicated"], first["schedulingState"], first["vmSize"]]

    listed = client.extensions(pool, ids[0])
    seen["extensions"] = sorted(item["vmExtension"]["name"] for item in listed)
    one = until("the extension has succeeded", lambda: succeeded(client, pool, ids[0]))
    seen["extension"] = [one["provisioningState"], one["instanceView"]["statuses"][0]["code"]]
    seen["settings"] = json.loads(one["vmExtension"]["settings"])
    seen["protected"] = "protectedSettings" in one["vmExtension"]

    client.reboot(pool, ids[0])
    seen["rebooted"] = until("the node has booted again", lambda: newer(client, pool, first))

    seen["refusals"] = {
        "again": refusal(lambda: client.create(document(pool, 1)))[1:],
        "pool": refusal(lambda: client.get("nope"))[1:],
        "node": refusal(lambda: client.node(pool, "tvmps_nope_d"))[1:],
        "extension": refusal(lambda: client.extension(pool, ids[0], "nope"))[1:],
        "filter": refusal(lambda: client.nodes(pool, filter="state eq 'asleep'"))[1:],
        "key": refusal(client.stranger)[1:],
    }
    client.delete(pool)
    until("the pool is gone", lambda: refusal(lambda: client.get(pool))[2] == "PoolNotFound")
    return seen


def succeeded(client: DataClient, pool: str, node: str) -> Json | None:
    found = client.extension(pool, node, "SecretExt")
    return found if found["provisioningState"] == "Succeeded" else None


def newer(client: DataClient, pool: str, before: Json) -> bool:
    node = client.node(pool, before["id"])
    return bool(node["state"] == "idle" and node["lastBootTime"] > before["lastBootTime"])


def troubles(client: DataClient, prefix: str) -> Json:
    """Nodes whose extension fails or hangs, and a pool that meets its quota."""
    broken, quota = f"broken-{prefix}", f"quota-{prefix}"
    client.create(document(broken, 3))
    client.create(document(quota, 3))
    errors = steady(client, quota)
    steady(client, broken)
    nodes = client.nodes(broken)

    def codes() -> list[str] | None:
        views = [client.extension(broken, node["id"], "secretext")["instanceView"] for node in nodes]
        # A fresh node says nothing yet.
        shown = sorted(status["code"] for view in views for status in (view.get("statuses") or [])[:1])
        return shown if len(set(shown)) == 3 else None

    seen: Json = {"codes": until("the extensions have come out differently", codes)}
    seen["quota"] = [errors["currentDedicatedNodes"], errors["targetDedicatedNodes"]]
    seen["resize_errors"] = [[error["code"], error["message"]] for error in errors["resizeErrors"]]
    for pool in (broken, quota):
        client.delete(pool)
    return seen
