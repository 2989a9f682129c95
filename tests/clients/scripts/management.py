"""azure-mgmt-batch, whichever version is installed here, with azure-identity.

management.py sync|async life|changes
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from importlib.metadata import version
from typing import Any

from azure.core import MatchConditions
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.mgmt.batch import BatchManagementClient
from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient
from story import EXTENSION, IMAGE, INFO, refusal, tell, until

Json = dict[str, Any]
MODE = sys.argv[1]
LOOP = asyncio.new_event_loop()
MAJOR = int(version("azure-mgmt-batch").split(".")[0])
PLACE = (INFO["resource_group"], INFO["account"])
POOL = f"arm-{MAJOR}-{MODE}-{sys.argv[2]}"


def connect(**changes: str) -> Any:
    is_async = MODE == "async"
    sign_in = AsyncClientSecretCredential if is_async else ClientSecretCredential
    credential = sign_in(
        INFO["tenant_id"],
        INFO["client_id"],
        changes.get("secret", INFO["client_secret"]),
        authority=INFO["authority"],
        disable_instance_discovery=True,
        connection_verify=INFO["ca_bundle"],
    )
    client = AsyncBatchManagementClient if is_async else BatchManagementClient
    return client(
        credential,
        changes.get("subscription", INFO["subscription_id"]),
        base_url=INFO["arm_endpoint"],
        credential_scopes=[changes.get("scope", "https://management.azure.com/.default")],
        connection_verify=INFO["ca_bundle"],
    )


def done(answer: Any) -> Any:
    return LOOP.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer


def listed(pages: Any) -> list[Any]:
    async def collect() -> list[Any]:
        return [item async for item in pages]

    return LOOP.run_until_complete(collect()) if MODE == "async" else list(pages)


def body(**changes: Any) -> io.BytesIO:
    """A pool document as this generation of the library takes it without touching it."""
    machine = {
        "imageReference": IMAGE,
        "nodeAgentSkuId": "batch.node.ubuntu 18.04",
        "extensions": [EXTENSION],
    }
    properties = {
        "vmSize": "Standard_D2_v2",
        "deploymentConfiguration": {"virtualMachineConfiguration": machine},
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 2}},
    }
    top = {name: changes.pop(name) for name in list(changes) if name == "location"}
    return io.BytesIO(json.dumps({**top, "properties": {**properties, **changes}}).encode())


def only_new() -> Json:
    """Create, but do not replace: as this generation says it."""
    return {"match_condition": MatchConditions.IfMissing} if MAJOR >= 19 else {"if_none_match": "*"}


def only_same(etag: str) -> Json:
    if MAJOR >= 19:
        return {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    return {"if_match": etag}


def put(client: Any, pool: str = POOL, options: Json | None = None, **changes: Any) -> Any:
    return done(client.pool.create(*PLACE, pool, body(**changes), **(options or {})))


def get(client: Any) -> Any:
    return done(client.pool.get(*PLACE, POOL))


def account(client: Any) -> Json:
    found, keys = done(client.batch_account.get(*PLACE)), done(client.batch_account.get_keys(*PLACE))
    return {
        "endpoint": found.account_endpoint == INFO["batch_endpoint"].removeprefix("https://"),
        "state": [found.provisioning_state, found.type],
        "key": keys.primary == INFO["key"],
    }


def life(client: Any) -> Json:
    young = put(client, options=only_new())
    extension = young.deployment_configuration.virtual_machine_configuration.extensions[0]
    seen: Json = {
        "young": [
            young.vm_size,
            young.provisioning_state,
            young.allocation_state,
            young.current_dedicated_nodes,
        ],
        "defaults": [young.inter_node_communication, young.task_slots_per_node],
        "weak_etag": young.etag.startswith('W/"0x8D'),
        "timeout": str(young.scale_settings.fixed_scale.resize_timeout),
        "settings": extension.settings,
        "protected": extension.protected_settings,
    }

    def settled() -> Any:
        found = get(client)
        return found if found.allocation_state == "Steady" else None

    grown = until("the pool is steady", settled)
    seen["steady"] = [grown.current_dedicated_nodes, grown.etag == young.etag]
    seen["listed"] = POOL in [pool.name for pool in listed(client.pool.list_by_batch_account(*PLACE))]
    again = put(client, options=only_same(grown.etag))
    seen["replaced"] = again.etag != grown.etag
    stranger = connect(subscription="00000000-0000-0000-0000-000000000000")
    elsewhere = connect(scope="https://batch.core.windows.net//.default")
    seen["refusals"] = {
        "exists": refusal(lambda: put(client, options=only_new()))[1:],
        "modified": refusal(lambda: put(client, options=only_same(young.etag)))[1:],
        "immutable": refusal(lambda: put(client, vmSize="Standard_D4_v2"))[1:],
        "unknown": refusal(lambda: put(client, "other", location="westeurope"))[1:],
        "name": refusal(lambda: put(client, "a.b"))[1:],
        "pool": refusal(lambda: done(client.pool.get(*PLACE, "nope")))[1:],
        "group": refusal(lambda: done(client.pool.get("nope", PLACE[1], POOL)))[1:],
        "account": refusal(lambda: done(client.pool.get(PLACE[0], "nope", POOL)))[1:],
        "subscription": refusal(lambda: get(stranger))[1:],
        "audience": refusal(lambda: get(elsewhere))[1:],
        "secret": refusal(lambda: get(connect(secret="wrong")))[0],
    }
    done(done(client.pool.begin_delete(*PLACE, POOL)).result())
    seen["gone"] = refusal(lambda: get(client))[1:]
    return seen


def patch(client: Any, document: Json, options: Json | None = None) -> Any:
    data = io.BytesIO(json.dumps({"properties": document}).encode())
    return done(client.pool.update(*PLACE, POOL, data, **(options or {})))


def names(client: Any, **options: Any) -> list[str]:
    return [pool.name for pool in listed(client.pool.list_by_batch_account(*PLACE, **options))]


def changes(client: Any) -> Json:
    """PATCH, stop a resize, scale by formula and by hand again."""
    young = put(client)
    stopped = done(client.pool.stop_resize(*PLACE, POOL))
    seen: Json = {"stopped": stopped.etag == young.etag}
    metadata = [{"name": "what", "value": "patched"}]
    patched = patch(client, {"metadata": metadata})
    seen["patched"] = [patched.metadata[0].value, patched.etag != young.etag]
    seen["kept"] = patched.vm_size
    seen["stale"] = refusal(lambda: patch(client, {"metadata": metadata}, only_same(young.etag)))[1:]
    until("the pool is steady", lambda: get(client).allocation_state == "Steady")
    errors = get(client).resize_operation_status.errors
    seen["errors"] = [error.code for error in errors or []]
    automatic = patch(client, {"scaleSettings": {"autoScale": {"formula": "$TargetDedicatedNodes=1"}}})
    seen["formula"] = automatic.scale_settings.auto_scale.formula
    seen["results"] = automatic.auto_scale_run.results
    by_hand = done(client.pool.disable_auto_scale(*PLACE, POOL))
    seen["by_hand"] = by_hand.scale_settings.auto_scale is None
    return seen


def lists(client: Any) -> Json:
    """Pages, filters, selections, accounts, quotas, keys."""
    others = [f"{POOL}-{letter}" for letter in "ab"]
    for other in others:
        put(client, other)
    mine = [name for name in names(client, maxresults=1) if name.startswith(POOL)]
    seen: Json = {"paged": mine == [POOL, *others]}
    seen["filtered"] = names(client, filter=f"name eq '{others[0]}'") == others[:1]
    chosen = listed(client.pool.list_by_batch_account(*PLACE, select="properties/vmSize"))[0]
    seen["selected"] = [chosen.vm_size, chosen.allocation_state]
    seen["accounts"] = [
        [found.name for found in listed(client.batch_account.list())],
        [found.name for found in listed(client.batch_account.list_by_resource_group(PLACE[0]))],
    ]
    seen["quota"] = done(client.location.get_quotas("westeurope")).account_quota
    before = done(client.batch_account.get_keys(*PLACE)).secondary
    renew = io.BytesIO(b'{"keyName": "Secondary"}')
    seen["key"] = done(client.batch_account.regenerate_key(*PLACE, renew)).secondary != before
    for pool in (POOL, *others):
        done(done(client.pool.begin_delete(*PLACE, pool)).result())
    return seen


client = connect()
if sys.argv[2] == "changes":
    tell(changes=changes(client), lists=lists(client))
else:
    tell(major=MAJOR, account=account(client), life=life(client))
done(client.close())
