"""Every operator, the sensor and the triggers with every kind of secret, well and badly; see test_leaks.

A new operator gets a task among those that do well, and one among those that fail.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.secret_references import from_connection, from_environment
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

SECRET = os.environ.get("TEST_SECRET", "")
CONTROL = os.environ.get("TEST_CONTROL", "")


def document(protected: object, nodes: int = 1, **properties: object) -> dict:
    extension = {
        "name": "monitor",
        "publisher": "Microsoft.EnterpriseCloud.Monitoring",
        "type": "OmsAgentForLinux",
        "protectedSettings": protected,
    }
    machine = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSkuId": "batch.node.ubuntu 24.04",
        "extensions": [extension],
    }
    return {
        "properties": {
            "vmSize": "STANDARD_DS2_V2",
            "deploymentConfiguration": {"virtualMachineConfiguration": machine},
            "scaleSettings": {"fixedScale": {"targetDedicatedNodes": nodes}},
            **properties,
        }
    }


REFERENCES = {"key": from_connection("vault"), "other": from_environment("TEST_REFERENCE")}
LITERAL = {"key": f"leak-{SECRET}", "nested": [{"deep": f"deep-{SECRET}"}]}


STORE = "https://acct.blob.core.windows.net/c"


def signed() -> tuple:
    """Secrets in every other place: in tuples, in URLs with a signature, in options of mounts."""
    body = document({"key": (f"tuple-{SECRET}", [f"list-{SECRET}"])})
    (extension,) = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"]
    extension["settings"] = {"fileUris": (f"{STORE}/g.sh?sv=1&sig=uris-{SECRET}",)}
    file = {"httpUrl": f"{STORE}/f.sh?sv=1&sig=files-{SECRET}", "filePath": "f.sh"}
    share = {"userName": "u", "source": "//a/b", "relativeMountPath": "m", "password": f"cifs-{SECRET}"}
    share["mountOptions"] = f"-o vers=3.0,username=u,password=options-{SECRET}"
    blobs = {"accountName": "a", "containerName": "c", "relativeMountPath": "n", "sasKey": f"sas-{SECRET}"}
    blobs["blobfuseOptions"] = f"--account-key=fuse-{SECRET}"
    body["properties"]["startTask"] = {"commandLine": "f.sh", "resourceFiles": (file,)}
    body["properties"]["mountConfiguration"] = (
        {"cifsMountConfiguration": share},
        {"azureBlobFileSystemConfiguration": blobs},
    )
    return ({"name": "signed", **body}, {"name": "another", **document(LITERAL)})


def create(name: str, conn_id: str, **options: object) -> AzureBatchCreatePoolOperator:
    options = {"pool_id": "leaks", "pool_document": document(LITERAL), **options}
    return AzureBatchCreatePoolOperator(task_id=name, azure_batchext_conn_id=conn_id, **options)


def gate(name: str, conn_id: str, **options: object) -> AzureBatchExtensionSensor:
    options = {"pool_id": "leaks", "poke_interval": 12, "timeout": 300, **options}
    return AzureBatchExtensionSensor(task_id=name, azure_batchext_conn_id=conn_id, **options)


def part(nodes: int) -> dict:
    return {"properties": {"scaleSettings": {"fixedScale": {"targetDedicatedNodes": nodes}}}}


with DAG(
    "leaks",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    default_args={"retries": 0, "execution_timeout": timedelta(seconds=400)},
):

    @task
    def control() -> str:
        """Leaks a word that is no secret, wherever a task can."""
        print(f"in the log: {CONTROL}")
        return CONTROL

    @task
    def crash() -> None:
        raise RuntimeError(f"in a traceback: {CONTROL}")

    control()
    crash()

    born = create("create", "by_certificate", pool_document=document(REFERENCES))
    gates = [
        gate("gate", "by_locked_certificate", deferrable=True),
        gate("gate_in_triggerer", "by_workload", start_from_trigger=True),
    ]
    reads = [
        create("adopt", "by_certificate"),
        AzureBatchGetExtensionOperator(
            task_id="read", pool_id="leaks", azure_batchext_conn_id="by_listed_key"
        ),
        AzureBatchGetExtensionOperator(
            task_id="read_by_key", pool_id="leaks", azure_batchext_conn_id="by_key"
        ),
        AzureBatchDiagnosePoolOperator(
            task_id="diagnose",
            pool_id="leaks",
            azure_batchext_conn_id="by_key",
            output_uri=f"file://{os.environ['AIRFLOW_HOME']}/reports",
        ),
        AzureBatchRepairNodesOperator(
            task_id="repair", pool_id="leaks", azure_batchext_conn_id="by_certificate", deferrable=True
        ),
    ]
    reads.append(
        AzureBatchTaskOperator(
            task_id="work",
            pool_id="leaks",
            command_line="/bin/true",
            azure_batchext_conn_id="by_certificate",
            deferrable=True,
        )
    )
    update = AzureBatchUpdatePoolOperator(
        task_id="update", pool_id="leaks", pool_document=part(2), azure_batchext_conn_id="by_certificate"
    )
    resize = AzureBatchResizePoolOperator(
        task_id="resize", pool_id="leaks", target_dedicated_nodes=1, deferrable=True
    )
    delete = AzureBatchDeletePoolOperator(
        task_id="delete", pool_id="leaks", deferrable=True, trigger_rule="all_done"
    )
    born >> gates
    for reader in (*reads, update):
        gates >> reader
    update >> resize
    [*reads, resize] >> delete

    # These fail, each in another place.
    create("create_refused", "by_secret", pool_id="refused", pool_document=document(LITERAL))
    create("create_signed", "by_secret", pool_id="signed", pool_document=signed())
    for name in ("create_of_conf", "create_of_conf_shown"):
        create(name, "by_secret", pool_document=f"{{{{ dag_run.conf['{name}'] | tojson }}}}")
    create("create_wrong_secret", "wrong_secret", pool_id="unborn")
    create("create_no_reference", "by_secret", pool_document=document({"key": from_connection("nowhere")}))
    gate("gate_wrong_secret", "wrong_secret", start_from_trigger=True)
    told = AzureBatchDiagnosisNotifier(pool_id="leaks", azure_batchext_conn_id="wrong_secret")
    gate("gate_wrong_key", "wrong_key", deferrable=True, on_failure_callback=told)
    AzureBatchDiagnosePoolOperator(
        task_id="diagnose_wrong_secret", pool_id="leaks", azure_batchext_conn_id="wrong_secret"
    )
    AzureBatchRepairNodesOperator(
        task_id="repair_wrong_key", pool_id="leaks", azure_batchext_conn_id="wrong_key", deferrable=True
    )
    AzureBatchTaskOperator(
        task_id="work_wrong_key",
        pool_id="leaks",
        command_line="/bin/true",
        azure_batchext_conn_id="wrong_key",
    )
    AzureBatchTaskOperator(
        task_id="work_with_secrets",
        pool_id="leaks",
        command_line="/bin/true",
        environment={"DB_PASSWORD": f"leak-{SECRET}"},
        task_document={"resourceFiles": [{"httpUrl": f"{STORE}/f.sh?sv=1&sig=files-{SECRET}"}]},
    )
    gate("gate_wrong_certificate", "wrong_certificate", start_from_trigger=True)
    gate("gate_behind_proxy", "behind_proxy", start_from_trigger=True, timeout=15)
    AzureBatchGetExtensionOperator(
        task_id="read_behind_proxy", pool_id="leaks", azure_batchext_conn_id="behind_proxy"
    )
    AzureBatchGetExtensionOperator(task_id="read_broken", pool_id="leaks", azure_batchext_conn_id="broken")
    AzureBatchUpdatePoolOperator(
        task_id="update_wrong_secret",
        pool_id="leaks",
        pool_document=document(LITERAL),
        azure_batchext_conn_id="wrong_secret",
    )
    AzureBatchResizePoolOperator(
        task_id="resize_wrong_secret",
        pool_id="leaks",
        target_dedicated_nodes=1,
        azure_batchext_conn_id="wrong_secret",
    )
    AzureBatchDeletePoolOperator(
        task_id="delete_behind_proxy", pool_id="leaks", azure_batchext_conn_id="behind_proxy", timeout=5
    )
