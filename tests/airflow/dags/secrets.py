"""Secrets in every place of a pool document where a user may put them; the test looks for them afterwards.

The file itself is stored by Airflow as source, so it takes the secrets from the environment.
"""

from __future__ import annotations

import copy
import json
import os
from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_batchext.concealment import conceal
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

SECRET = os.environ.get("TEST_SECRET", "")
CONTROL = os.environ.get("TEST_CONTROL", "")


def document(name: str, secret: object, **properties: object) -> dict:
    extension = {
        "name": "monitor",
        "publisher": "Microsoft.EnterpriseCloud.Monitoring",
        "type": "OmsAgentForLinux",
        "settings": {"workspaceId": CONTROL},
        "protectedSettings": secret,
    }
    machine = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSkuId": "batch.node.ubuntu 24.04",
        "extensions": [extension],
    }
    return copy.deepcopy(
        {
            "name": name,
            "properties": {
                "vmSize": "STANDARD_DS2_V2",
                "deploymentConfiguration": {"virtualMachineConfiguration": machine},
                "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 1}},
                **properties,
            },
        }
    )


LITERAL = {"key": f"literal-{SECRET}", "nested": [{"deep": f"deep-{SECRET}"}]}

with DAG("secrets", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    literal = AzureBatchCreatePoolOperator(task_id="literal", pool_document=document("s-literal", LITERAL))
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id="s-literal", deferrable=True)
    read = AzureBatchGetExtensionOperator(task_id="read", pool_id="s-literal")
    literal >> gate >> read

    AzureBatchCreatePoolOperator(
        task_id="connection",
        pool_document=document("s-connection", {"key": "{{ conn.vault.password }}"}),
    )
    AzureBatchCreatePoolOperator(
        task_id="variable", pool_document=document("s-variable", {"key": "{{ var.value.from_variable }}"})
    )
    AzureBatchCreatePoolOperator(task_id="file", pool_document="secret_pool.json")
    AzureBatchCreatePoolOperator(task_id="text", pool_document=json.dumps(document("s-text", LITERAL)))
    AzureBatchCreatePoolOperator.partial(task_id="mapped").expand(
        pool_document=[conceal(document("s-mapped", LITERAL))]
    )
    # Two endings with an error: one before anything is sent, one from the service.
    broken = document("s-broken", LITERAL)
    broken["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"] *= 2
    AzureBatchCreatePoolOperator(task_id="broken", pool_document=broken)
    refused = document("s-refused", LITERAL, interNodeCommunication="Sometimes")
    AzureBatchCreatePoolOperator(task_id="refused", pool_document=refused)
