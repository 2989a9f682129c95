"""What becomes of a pool document: what the service fills in, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.batch import models

from airflow_batchext.emulator.documents.codec import write
from airflow_batchext.emulator.documents.pool import read_data, read_management
from airflow_batchext.emulator.documents.pool_schema import DATA_POOL
from airflow_batchext.emulator.wire.errors import RefusedError
from tests.emulator.pool_documents import account_path, code_of, data_pool, extension, management_pool, raw

if TYPE_CHECKING:
    from airflow_batchext.emulator import Emulator

Put = Callable[..., Any]
SETTINGS = {"a": {"b": 1}}


def test_the_service_fills_in_and_normalises(put_pool: Put, name: str) -> None:
    document = management_pool(0)
    document["properties"]["scaleSettings"]["fixedScale"]["resizeTimeout"] = "PT06M00S"
    body = put_pool(name, document).as_dict()["properties"]
    assert body["vmSize"] == "STANDARD_D2_V2"
    assert body["interNodeCommunication"] == "Disabled"
    assert body["taskSlotsPerNode"] == 1
    assert body["taskSchedulingPolicy"] == {"nodeFillType": "Spread"}
    image = body["deploymentConfiguration"]["virtualMachineConfiguration"]["imageReference"]
    assert image["version"] == "latest"
    assert body["scaleSettings"] == {
        "fixedScale": {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0, "resizeTimeout": "PT6M"}
    }
    assert set(body["resizeOperationStatus"]) == {
        "targetDedicatedNodes", "nodeDeallocationOption", "resizeTimeout", "startTime",
    }  # fmt: skip
    assert body["allocationState"] == "Resizing"
    assert (body["currentDedicatedNodes"], body["currentLowPriorityNodes"]) == (0, 0)


def test_the_typed_models_of_the_sdk_are_understood(put_pool: Put, name: str) -> None:
    pool = models.Pool(
        properties=models.PoolProperties(
            vm_size="STANDARD_D2_V2",
            deployment_configuration=models.DeploymentConfiguration(
                virtual_machine_configuration=models.VirtualMachineConfiguration(
                    image_reference=models.ImageReference(
                        publisher="c", offer="u", sku="1", version="latest"
                    ),
                    node_agent_sku_id="batch.node.ubuntu 24.04",
                    extensions=[models.VMExtension(name="e", publisher="p", type="t", settings=SETTINGS)],
                )
            ),
            scale_settings=models.ScaleSettings(
                fixed_scale=models.FixedScaleSettings(target_low_priority_nodes=3)
            ),
            network_configuration=models.NetworkConfiguration(
                endpoint_configuration=models.PoolEndpointConfiguration(
                    inbound_nat_pools=[
                        models.InboundNatPool(
                            name="n",
                            protocol="UDP",
                            backend_port=1,
                            frontend_port_range_start=2000,
                            frontend_port_range_end=3000,
                        )
                    ]
                )
            ),
            user_accounts=[models.UserAccount(name="u", password="SENTINEL")],
        ),
        identity=models.BatchPoolIdentity(
            type="UserAssigned",
            user_assigned_identities={"/x/id": models.UserAssignedIdentities()},
        ),
        tags={"team": "a"},
    )
    made = put_pool(name, pool)
    body = made.as_dict()
    assert made.identity.user_assigned_identities["/x/id"].client_id
    assert body["tags"] == {"team": "a"}
    properties = body["properties"]
    assert properties["userAccounts"] == [{"name": "u", "elevationLevel": "NonAdmin"}]
    assert properties["resizeOperationStatus"]["targetLowPriorityNodes"] == 3
    extensions = properties["deploymentConfiguration"]["virtualMachineConfiguration"]["extensions"]
    assert extensions[0]["settings"] == SETTINGS


def test_a_document_in_the_shape_of_an_answer_is_accepted(put_pool: Put, name: str) -> None:
    document = {"id": "/x", "name": "test1", "type": "Microsoft.Batch/batchAccounts/pools", "etag": "W/x"}
    first = put_pool(name, {**document, **management_pool(1, extension())})
    again = put_pool(name, first.as_dict())
    assert again.name == name


# --- refused documents -------------------------------------------------------------------------------------


def changed(*path: str, value: Any = None) -> dict[str, Any]:
    """A good document with one place changed, or taken out."""
    document = management_pool(1, extension())
    here: Any = document
    *parents, last = path
    for step in parents:
        here = here[int(step)] if isinstance(here, list) else here[step]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return document


VM = ("properties", "deploymentConfiguration", "virtualMachineConfiguration")
EXTENSION = (*VM, "extensions", "0")
FIXED = ("properties", "scaleSettings", "fixedScale")
BOTH_SCALES = {"fixedScale": {}, "autoScale": {"formula": "$TargetDedicatedNodes=1"}}
HASTY = {"autoScale": {"formula": "$TargetDedicatedNodes=1", "evaluationInterval": "PT1M"}}
REFUSED = [
    (changed("properties"), "MissingRequiredProperty", "properties"),
    (changed("properties", "vmSize"), "MissingRequiredProperty", "properties.vmSize"),
    (changed("properties", "deploymentConfiguration"), "MissingRequiredProperty", "deploymentConfiguration"),
    (changed("properties", "deploymentConfiguration", value={}), "MissingRequiredProperty", "virtualMac"),
    (changed(*VM, "imageReference"), "MissingRequiredProperty", f"{'.'.join(VM)}.imageReference"),
    (changed(*VM, "imageReference", "sku"), "MissingRequiredProperty", "imageReference.sku"),
    (changed(*VM, "nodeAgentSkuId"), "MissingRequiredProperty", "nodeAgentSkuId"),
    (changed(*EXTENSION, "publisher"), "MissingRequiredProperty", "extensions[0].publisher"),
    (changed(*EXTENSION, "type", value="customSCRIPT"), "InvalidPropertyValue", "reserved for the Batch"),
    (changed(*VM, "extensions", value=[extension("a"), extension("A")]), "InvalidPropertyValue", "unique"),
    (changed(*EXTENSION, "autoUpgradeMinorVersion", value="yes"), "InvalidPropertyValue", "boolean"),
    (changed(*VM, "extensions", value={"a": 1}), "InvalidPropertyValue", "array"),
    (changed(*FIXED, "targetDedicatedNodes", value=-1), "InvalidPropertyValue", "negative"),
    (changed(*FIXED, "targetDedicatedNodes", value="two"), "InvalidPropertyValue", "integer"),
    (changed(*FIXED, "resizeTimeout", value="PT4M"), "InvalidPropertyValue", "5 minutes"),
    (changed(*FIXED, "resizeTimeout", value="15"), "InvalidPropertyValue", "ISO 8601"),
    (changed("properties", "interNodeCommunication", value="Maybe"), "InvalidPropertyValue", "Enabled"),
    (changed("properties", "scaleSettings", value=BOTH_SCALES), "InvalidPropertyValue", "Only one"),
    (changed("properties", "vmSize", value=""), "InvalidPropertyValue", "empty"),
    (changed(*EXTENSION, "publisher", value=""), "InvalidPropertyValue", "empty"),
    (changed("identity", value={"type": "UserAssigned"}), "MissingRequiredProperty", "userAssignedId"),
    (changed("properties", "scaleSettings", value=HASTY), "InvalidPropertyValue", "168 hours"),
    (changed("location", value="x"), "InvalidRequestBody", "'location' on object of type 'Pool'. Path"),
    (changed("properties", "vmsize", value="x"), "InvalidRequestBody", "of type 'PoolProperties'"),
    (changed(*EXTENSION, "protectedsettings", value="SENTINEL"), "InvalidRequestBody", "extensions[0].p"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "code", "says"), REFUSED)
def test_a_bad_document_is_refused(
    emulator: Emulator, put_pool: Put, name: str, document: dict[str, Any], code: str, says: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        put_pool(name, document)
    assert caught.value.status_code == 400
    assert code_of(caught.value) == code
    assert caught.value.response is not None
    text = caught.value.response.text()
    assert says in text
    assert "SENTINEL" not in text
    assert "\\nRequestId:" in text
    assert emulator.account.find(name) is None


def test_the_position_of_an_unknown_member(emulator: Emulator, name: str) -> None:
    answer = raw(emulator, "PUT", f"{account_path(emulator)}/pools/{name}", data='{"location":"japaneast"}')
    assert "Path 'location', line 1, position 12." in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"'])
def test_a_body_that_is_no_object_is_refused(emulator: Emulator, name: str, body: str) -> None:
    answer = raw(emulator, "PUT", f"{account_path(emulator)}/pools/{name}", data=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidRequestBody")


@pytest.mark.parametrize("bad", ["with.dot", "with%20space", "x" * 65])
def test_a_bad_name_is_refused(emulator: Emulator, bad: str) -> None:
    answer = raw(emulator, "PUT", f"{account_path(emulator)}/pools/{bad}", json=management_pool(0))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidPropertyValue")


# --- one definition from both planes -----------------------------------------------------------------------


def test_both_planes_read_the_same_pool() -> None:
    """The spelling differs, the pool does not."""
    secret = {"protectedSettings": {"k": "SENTINEL"}}
    settings = {"userName": "kept as it is", "nodeAgentSkuId": {"id": 1}}
    management = management_pool(
        2,
        extension(settings=settings, **secret),
        interNodeCommunication="Enabled",
        networkConfiguration={
            "dynamicVnetAssignmentScope": "none",
            "endpointConfiguration": {
                "inboundNatPools": [
                    {
                        "name": "n",
                        "protocol": "UDP",
                        "backendPort": 1,
                        "frontendPortRangeStart": 2,
                        "frontendPortRangeEnd": 3,
                    }
                ]
            },
        },
        startTask={"commandLine": "x", "userIdentity": {"autoUser": {"elevationLevel": "NonAdmin"}}},
        applicationPackages=[{"id": "app"}],
    )
    data = data_pool(
        "p",
        2,
        extension(settings=settings, **secret),
        enableInterNodeCommunication=True,
        networkConfiguration={
            "dynamicVNetAssignmentScope": "none",
            "endpointConfiguration": {
                "inboundNATPools": [
                    {
                        "name": "n",
                        "protocol": "udp",
                        "backendPort": 1,
                        "frontendPortRangeStart": 2,
                        "frontendPortRangeEnd": 3,
                    }
                ]
            },
        },
        startTask={"commandLine": "x", "userIdentity": {"autoUser": {"elevationLevel": "nonadmin"}}},
        applicationPackageReferences=[{"applicationId": "app"}],
    )
    one, (_, other) = read_management(management), read_data(data)
    assert one == other
    assert one.extensions[0]["settings"] == settings
    assert "SENTINEL" not in repr(one)
    flat = dict(one.properties)
    machine = flat.pop("deploymentConfiguration")["virtualMachineConfiguration"]
    flat.pop("interNodeCommunication")
    written = write(DATA_POOL, {**flat, "virtualMachineConfiguration": machine}, "data")
    for member in ("networkConfiguration", "applicationPackageReferences"):
        assert written[member] == data[member]
    assert written["startTask"] == {
        "commandLine": "x",
        "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": "nonadmin"}},
        "maxTaskRetryCount": 0,
        "waitForSuccess": True,
    }
    assert written["virtualMachineConfiguration"]["nodeAgentSKUId"]
    assert written["virtualMachineConfiguration"]["extensions"][0]["settings"] == settings


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"id": "a b"}, "InvalidPropertyValue"),
        ({"id": None}, "MissingRequiredProperty"),
        ({"nodeAgentSkuId": "x"}, "InvalidRequestBody"),
        ({"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes=1"}, "InvalidPropertyValue"),
        ({"enableAutoScale": True, "targetDedicatedNodes": None}, "MissingRequiredProperty"),
        ({"autoScaleEvaluationInterval": "PT1M"}, "InvalidPropertyValue"),
        ({"virtualMachineConfiguration": {}}, "MissingRequiredProperty"),
    ],
)
def test_what_the_data_plane_refuses(more: dict[str, Any], code: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_data({**data_pool("p"), **more})
    assert caught.value.code == code
    assert code in str(caught.value)
