"""azure-identity finds by itself how to sign in, from its environment; ``sync`` or ``async``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from azure.batch import BatchClient
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.identity import DefaultAzureCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential
from azure.mgmt.batch import BatchManagementClient
from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient
from story import INFO, tell

MODE = sys.argv[1]
PLACE = (INFO["resource_group"], INFO["account"])
CA = INFO["ca_bundle"]
OPTIONS: dict[str, Any] = {"disable_instance_discovery": True}
MANAGEMENT: dict[str, Any] = {
    "base_url": INFO["arm_endpoint"],
    "credential_scopes": ["https://management.azure.com/.default"],
    "connection_verify": CA,
}


async def asynchronous() -> dict[str, Any]:
    async with (
        AsyncDefaultAzureCredential(**OPTIONS) as credential,
        AsyncBatchClient(INFO["batch_endpoint"], credential, connection_verify=CA) as batch,
        AsyncBatchManagementClient(credential, INFO["subscription_id"], **MANAGEMENT) as management,
    ):
        pools = [pool.id async for pool in batch.list_pools()]
        account = await management.batch_account.get(*PLACE)
        return {"pools": isinstance(pools, list), "account": account.name}


def synchronous() -> dict[str, Any]:
    with (
        DefaultAzureCredential(**OPTIONS) as credential,
        BatchClient(INFO["batch_endpoint"], credential, connection_verify=CA) as batch,
        BatchManagementClient(credential, INFO["subscription_id"], **MANAGEMENT) as management,
    ):
        pools = [pool.id for pool in batch.list_pools()]
        return {"pools": isinstance(pools, list), "account": management.batch_account.get(*PLACE).name}


tell(**(asyncio.run(asynchronous()) if MODE == "async" else synchronous()))
