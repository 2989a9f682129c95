"""The builder of pool documents: what it writes is right, and is what one would write by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk import DAG

from airflow_batchext import pool_builder
from airflow_batchext.concealment import Concealed, reveal
from airflow_batchext.emulator.data.images import IMAGES
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator
from airflow_batchext.pool_builder import (
    ALMALINUX_9,
    UBUNTU_22_04,
    UBUNTU_24_04,
    WINDOWS_SERVER_2022,
    AzureMonitorAgentExtension,
    Extension,
    GpuDriverExtension,
    Image,
    KeyVaultExtension,
    pool_document,
)
from airflow_batchext.pool_spec import parse_document
from airflow_batchext.pool_spec._sdk_schema import check_pool
from tests.airflow_names import DagSerialization
from tests.pool_spec.documents import IDENTITY, SENTINEL

ROOT = Path(__file__).parents[1]
SIZE = "STANDARD_D2S_V5"
GPU_SIZE = "STANDARD_NC4AS_T4_V3"
CLIENT = "885b1a3d-f13c-4030-afcf-9f05044d78dc"
CERTIFICATE = "https://v.vault.azure.net/secrets/c"
VAULT = KeyVaultExtension(certificates=[CERTIFICATE], client_id=CLIENT)
SHIPPED = [value for value in vars(pool_builder).values() if isinstance(value, Image)]


@pytest.mark.parametrize("image", SHIPPED, ids=lambda image: image.node_agent)
def test_a_full_document_is_right_on_every_image(image):
    document = pool_document(
        name="p1",
        image=image,
        size=GPU_SIZE,
        dedicated=2,
        low_priority="{{ params.spot }}",
        resize_timeout=timedelta(minutes=20),
        identities=[IDENTITY],
        extensions=[
            VAULT,
            AzureMonitorAgentExtension(identity=IDENTITY, after=[VAULT.name]),
            GpuDriverExtension(after=["monitor"]),
        ],
        start_task='cmd /c "ver"' if image.operating_system == "windows" else "/bin/sh -c 'apt-get update'",
        task_slots=4,
        metadata={"team": "a"},
        tags={"cost": "b"},
        more={"interNodeCommunication": "Disabled"},
    )
    (template,) = check_pool(document)
    assert template.path.endswith("targetLowPriorityNodes")
    document["properties"]["scaleSettings"]["fixedScale"]["targetLowPriorityNodes"] = 1
    assert check_pool(document) == []
    assert document["properties"]["scaleSettings"]["fixedScale"]["resizeTimeout"] == "PT1200S"


@pytest.mark.parametrize("image", SHIPPED, ids=lambda image: image.node_agent)
def test_every_image_is_one_that_recorded_traffic_lists(image):
    listed = {
        (
            entry["imageReference"]["publisher"],
            entry["imageReference"]["offer"],
            entry["imageReference"]["sku"],
        ): entry["nodeAgentSKUId"]
        for entry in IMAGES
    }
    assert listed[image.publisher, image.offer, image.sku] == image.node_agent


def test_the_document_of_the_how_to_can_be_built():
    text = (ROOT / "dags" / "pools" / "keyvault_almalinux.json").read_text("utf-8")
    by_hand = parse_document(text.replace("{{ params.nodes | default(1) }}", "1"), source="x.json")
    secrets = by_hand["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"][0]
    built = pool_document(
        name=by_hand["name"],
        image=ALMALINUX_9,
        size="STANDARD_DS2_V2",
        dedicated="1",
        low_priority=0,
        resize_timeout="PT15M",
        identities=list(by_hand["identity"]["userAssignedIdentities"]),
        extensions=[
            KeyVaultExtension(
                name="secretext",
                version="1.0",
                polling_interval=300,
                client_id=CLIENT,
                certificates=secrets["settings"]["secretsManagementSettings"]["observedCertificates"],
            )
        ],
        more={"taskSchedulingPolicy": {"nodeFillType": "Pack"}},
    )
    del by_hand["type"]
    assert reveal(built) == by_hand


def test_a_formula_takes_the_place_of_numbers():
    document = pool_document(
        name="p1",
        image=UBUNTU_24_04,
        size=SIZE,
        formula="$TargetDedicatedNodes = 1;",
        evaluation_interval=timedelta(minutes=5),
    )
    assert document["properties"]["scaleSettings"] == {
        "autoScale": {"formula": "$TargetDedicatedNodes = 1;", "evaluationInterval": "PT300S"}
    }
    assert check_pool(document) == []


@pytest.mark.parametrize("nodes", [{}, {"formula": "x", "dedicated": 1}, {"formula": "x", "low_priority": 0}])
def test_how_many_nodes_is_said_in_one_way(nodes):
    with pytest.raises(ParameterError, match="how many nodes"):
        pool_document(image=UBUNTU_24_04, size=SIZE, **nodes)


def test_extensions_follow_the_operating_system_of_the_image():
    def kinds(image, *extensions):
        document = pool_document(image=image, size=SIZE, dedicated=1, extensions=extensions)
        machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
        return [extension["type"] for extension in machine["extensions"]]

    extensions = [VAULT, AzureMonitorAgentExtension(identity=IDENTITY), GpuDriverExtension()]
    assert kinds(UBUNTU_22_04, *extensions) == [
        "KeyVaultForLinux",
        "AzureMonitorLinuxAgent",
        "NvidiaGpuDriverLinux",
    ]
    assert kinds(WINDOWS_SERVER_2022, *extensions, GpuDriverExtension(vendor="amd", name="amd")) == [
        "KeyVaultForWindows",
        "AzureMonitorWindowsAgent",
        "NvidiaGpuDriverWindows",
        "AmdGpuDriverWindows",
    ]
    with pytest.raises(ParameterError, match="amd's GPUs on linux"):
        kinds(UBUNTU_22_04, GpuDriverExtension(vendor="amd"))
    with pytest.raises(ParameterError, match="Linux or Windows"):
        kinds(Image(node_agent="{{ params.agent }}", id="/x"), VAULT)


def test_an_image_of_ones_own_is_named_by_its_id():
    gallery = (
        "/subscriptions/0/resourceGroups/g/providers/Microsoft.Compute/galleries/a/images/b/versions/1.0.0"
    )
    image = Image(id=gallery, node_agent="batch.node.ubuntu 22.04")
    document = pool_document(name="p1", image=image, size=SIZE, dedicated=1)
    assert check_pool(document) == []
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    assert machine["imageReference"] == {"id": gallery}


def test_protected_settings_are_concealed_everywhere():
    extension = Extension(
        name="x",
        publisher="Example",
        type="Example",
        version="1.0",
        settings={"a": 1},
        protected_settings={"key": SENTINEL},
    )
    assert SENTINEL not in repr(extension)
    document = pool_document(image=UBUNTU_24_04, size=SIZE, dedicated=1, extensions=[extension])
    machine = document["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    assert isinstance(machine["extensions"][0]["protectedSettings"], Concealed)
    assert reveal(document)["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"][
        "extensions"
    ][0]["protectedSettings"] == {"key": SENTINEL}
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        AzureBatchCreatePoolOperator(task_id="one", pool_document=document, pool_id="p")
        AzureBatchCreatePoolOperator.partial(task_id="many", pool_document=document).expand(
            pool_id=["a", "b"]
        )
    assert SENTINEL not in str(DagSerialization.to_dict(dag))


def test_azure_takes_what_was_built(azure):
    document = pool_document(
        image=UBUNTU_24_04,
        size=SIZE,
        dedicated="{{ params.nodes }}",
        identities=[IDENTITY],
        extensions=[VAULT],
        start_task="/bin/sh -c true",
        metadata={"team": "a"},
    )
    operator = AzureBatchCreatePoolOperator(task_id="create", pool_document=document, pool_id=azure.pool_id)
    operator.render_template_fields({"params": {"nodes": 3}})
    result = operator.execute({})
    assert (result["created"], result["extensions"]) == (True, ["keyvault"])
    pool = azure.emulator.account.find(azure.pool_id)
    assert pool.definition.scale.dedicated == 3
    assert pool.definition.properties["startTask"]["userIdentity"]["autoUser"]["elevationLevel"] == "Admin"
