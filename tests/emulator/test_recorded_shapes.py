"""The shapes of the real service's answers, as fixtures: which members there are, of which types.

They restate what was seen in recorded traffic and in Microsoft's how-to; values that differ are patterns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Scenario

from .pool_documents import account_path, data_pool, extension, management_pool, raw, raw_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_batchext.emulator import Emulator

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
ETAG = re.compile(r"0x8D[0-9A-F]{13}")
WEAK_ETAG = re.compile(r'W/"0x8D[0-9A-F]{13}"')
NODE = re.compile(r"tvmps_[0-9a-f]{64}_d")
AFFINITY = re.compile(r"TVM:tvmps_[0-9a-f]{64}_d")
URL = re.compile(r"http://127\.0\.0\.1:\d+/pools/.+")
ADDRESS = re.compile(r"10\.\d+\.\d+\.\d+")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HTTP_DATE = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
ANY_TEXT = re.compile(r"(?s).+")
NAT_POOL = {
    "name": "TestEndpointConfig",
    "protocol": "udp",
    "backendPort": 64444,
    "frontendPortRangeStart": 60000,
    "frontendPortRangeEnd": 61000,
    "networkSecurityGroupRules": [
        {"priority": 150, "access": "allow", "sourceAddressPrefix": "*", "sourcePortRanges": ["*"]}
    ],
}
NETWORK = {
    "dynamicVNetAssignmentScope": "none",
    "endpointConfiguration": {"inboundNATPools": [NAT_POOL]},
}
VM_EXTENSION = {
    "name": "secretext",
    "publisher": "Microsoft.Azure.KeyVault",
    "type": "KeyVaultForLinux",
    "typeHandlerVersion": "1.0",
    "autoUpgradeMinorVersion": True,
}
SYSTEM_EXTENSION = {
    "name": "batchNodeExtension",
    "publisher": "Microsoft.Azure.Extensions",
    "type": "CustomScript",
    "typeHandlerVersion": "2.0",
    "autoUpgradeMinorVersion": True,
}
IMAGE = {"publisher": "canonical", "offer": "ubuntuserver", "sku": "18.04-lts", "version": "latest"}
OLD = "2022-10-01.16.0"
DATA_HEADERS = {
    "Content-Type": "application/json; odata=minimalmetadata",
    "DataServiceVersion": "3.0",
    "Server": "Microsoft-HTTPAPI/2.0",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Transfer-Encoding": "chunked",
    "X-Content-Type-Options": "nosniff",
    "request-id": GUID,
    "Date": HTTP_DATE,
}


def assert_shape(actual: Any, expected: Any, where: str = "") -> None:
    """Compare an answer with a shape; patterns stand for values that differ. No member more, none less."""
    if isinstance(expected, re.Pattern):
        assert isinstance(actual, str), where
        assert expected.fullmatch(actual), f"{where}: {actual!r}"
    elif isinstance(expected, dict):
        assert isinstance(actual, dict), where
        assert list(actual) == list(expected), where
        for name, value in expected.items():
            assert_shape(actual[name], value, f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), where
        for index, value in enumerate(expected):
            assert_shape(actual[index], value, f"{where}[{index}]")
    else:
        assert actual == expected, where
        assert type(actual) is type(expected), where


def assert_headers(answer: Any, expected: dict[str, Any]) -> None:
    for header, value in expected.items():
        assert_shape(answer.headers[header], value, header)


@pytest.fixture
def recorded(emulator: Emulator, name: str) -> str:
    """The pool of the recording, as soon as its node is visible and it is steady."""
    document = data_pool(name, 1, extension(), networkConfiguration=NETWORK)
    # The recording of 2023 shows extensions that have succeeded by then; those of 2025 are below.
    emulator.scenario = Scenario.model_validate({"timings": {"reporting": 0}})
    assert raw_data(emulator, "POST", "/pools", OLD, json=document).status_code == 201
    emulator.clock.advance(125.2)
    return name


def status(message: Any) -> dict[str, Any]:
    return {
        "code": "ProvisioningState/succeeded",
        "level": 0,
        "displayStatus": "Provisioning succeeded",
        "message": message,
    }


def shown(vm_extension: dict[str, Any], message: Any) -> dict[str, Any]:
    return {
        "provisioningState": "Succeeded",
        "instanceView": {"name": vm_extension["name"], "statuses": [status(message)]},
        "vmExtension": vm_extension,
    }


def test_a_created_pool(emulator: Emulator, name: str) -> None:
    answer = raw_data(emulator, "POST", "/pools", OLD, json=data_pool(name))
    assert (answer.status_code, answer.content) == (201, b"")
    url = f"{emulator.info.http_endpoint}/pools/{name}"
    assert_headers(
        answer,
        {
            "DataServiceId": url,
            "DataServiceVersion": "3.0",
            "ETag": ETAG,
            "Last-Modified": HTTP_DATE,
            "Location": url,
            "request-id": GUID,
            "Server": "Microsoft-HTTPAPI/2.0",
            "Transfer-Encoding": "chunked",
        },
    )


def test_a_steady_pool(emulator: Emulator, recorded: str) -> None:
    answer = raw_data(emulator, "GET", f"/pools/{recorded}", OLD)
    assert_headers(answer, {**DATA_HEADERS, "ETag": ETAG, "Last-Modified": HTTP_DATE})
    assert answer.headers["ETag"] == answer.json()["eTag"]
    machine = {
        "imageReference": IMAGE,
        "nodeAgentSKUId": "batch.node.ubuntu 18.04",
        "extensions": [VM_EXTENSION],
    }
    body = answer.json()
    expected = {
        "odata.metadata": f"{emulator.info.http_endpoint}/$metadata#pools/@Element",
        "id": recorded,
        "url": URL,
        "eTag": ETAG,
        "lastModified": TIME,
        "creationTime": TIME,
        "state": "active",
        "stateTransitionTime": TIME,
        "allocationState": "steady",
        "allocationStateTransitionTime": TIME,
        "vmSize": "standard_d2_v2",
        "resizeTimeout": "PT15M",
        "currentDedicatedNodes": 1,
        "targetDedicatedNodes": 1,
        "currentLowPriorityNodes": 0,
        "targetLowPriorityNodes": 0,
        "enableAutoScale": False,
        "enableInterNodeCommunication": False,
        "taskSlotsPerNode": 1,
        "taskSchedulingPolicy": {"nodeFillType": "Spread"},
        "virtualMachineConfiguration": machine,
        "networkConfiguration": NETWORK,
        "currentNodeCommunicationMode": "classic",
    }
    assert_shape({key: body[key] for key in expected}, expected)
    assert set(body) == set(expected)
    newer = raw_data(emulator, "GET", f"/pools/{recorded}").json()
    assert set(expected) - set(newer) == {"currentNodeCommunicationMode"}


def endpoint(name: str, protocol: str, front: int, back: int) -> dict[str, Any]:
    return {
        "name": name,
        "protocol": protocol,
        "publicIPAddress": ANY_TEXT,
        "publicFQDN": ANY_TEXT,
        "frontendPort": front,
        "backendPort": back,
    }


def test_a_node_that_is_being_created(emulator: Emulator, recorded: str) -> None:
    answer = raw_data(emulator, "GET", f"/pools/{recorded}/nodes", OLD)
    assert_headers(answer, DATA_HEADERS)
    assert "ETag" not in answer.headers
    endpoints = [
        endpoint("TestEndpointConfig.0", "udp", 60000, 64444),
        endpoint("SSHRule.0", "tcp", 50000, 22),
    ]
    node = {
        "id": NODE,
        "url": URL,
        "state": "creating",
        "schedulingState": "enabled",
        "stateTransitionTime": TIME,
        "allocationTime": TIME,
        "ipAddress": ADDRESS,
        "affinityId": AFFINITY,
        "vmSize": "standard_d2_v2",
        "totalTasksRun": 0,
        "totalTasksSucceeded": 0,
        "runningTasksCount": 0,
        "runningTaskSlotsCount": 0,
        "isDedicated": True,
        "endpointConfiguration": {"inboundEndpoints": endpoints},
        "virtualMachineInfo": {"imageReference": {**IMAGE, "exactVersion": ANY_TEXT}},
    }
    metadata = f"{emulator.info.http_endpoint}/$metadata#nodes"
    assert_shape(answer.json(), {"odata.metadata": metadata, "value": [node]})


def test_a_node_that_is_idle(emulator: Emulator, recorded: str) -> None:
    emulator.clock.advance(60)
    node = emulator.account.node(recorded, 0).node.id
    answer = raw_data(emulator, "GET", f"/pools/{recorded}/nodes/{node}", "2023-05-01.17.0").json()
    assert list(answer) == [
        "odata.metadata", "id", "url", "state", "schedulingState", "stateTransitionTime", "lastBootTime",
        "allocationTime", "ipAddress", "affinityId", "vmSize", "totalTasksRun", "totalTasksSucceeded",
        "runningTasksCount", "runningTaskSlotsCount", "certificateReferences", "isDedicated",
        "endpointConfiguration", "nodeAgentInfo", "virtualMachineInfo",
    ]  # fmt: skip
    assert answer["odata.metadata"].endswith("/$metadata#nodes/@Element")
    assert_shape(answer["nodeAgentInfo"], {"lastUpdateTime": TIME, "version": ANY_TEXT})
    assert answer["nodeAgentInfo"]["lastUpdateTime"] == answer["lastBootTime"]


def test_the_extensions_of_a_node(emulator: Emulator, recorded: str) -> None:
    node = emulator.account.node(recorded, 0).node.id
    path = f"/pools/{recorded}/nodes/{node}/extensions"
    answer = raw_data(emulator, "GET", path, OLD)
    assert_headers(answer, DATA_HEADERS)
    metadata = f"{emulator.info.http_endpoint}/$metadata#extensions"
    log = re.compile(r"(?s)Enable succeeded: \n\[stdout\]\n.{3000,}\n\[stderr\]\n")
    both = [shown(SYSTEM_EXTENSION, log), shown(VM_EXTENSION, "Plugin enabled")]
    assert_shape(answer.json(), {"odata.metadata": metadata, "value": both})
    one = raw_data(emulator, "GET", f"{path}/secretext", OLD)
    assert_headers(one, DATA_HEADERS)
    assert_shape(one.json(), {"odata.metadata": f"{metadata}/@Element", **both[1]})


def test_the_settings_of_a_node_extension(emulator: Emulator, name: str) -> None:
    settings = {
        "secretsManagementSettings": {
            "pollingIntervalInS": "300",
            "requireInitialSync": True,
            "observedCertificates": ["https://vault.example/secrets/a"],
        }
    }
    secret = {"protectedSettings": {"a": "SENTINEL"}}
    raw_data(emulator, "POST", "/pools", json=data_pool(name, 1, extension(settings=settings, **secret)))
    emulator.clock.advance(200)
    node = emulator.account.node(name, 0).node.id
    body = raw_data(emulator, "GET", f"/pools/{name}/nodes/{node}/extensions/secretext").json()
    assert_shape(
        body["vmExtension"],
        {
            **VM_EXTENSION,
            "enableAutomaticUpgrade": False,
            "settings": '{\r\n  "secretsManagementSettings": {\r\n    "pollingIntervalInS": "300",\r\n'
            '    "requireInitialSync": true,\r\n    "observedCertificates": [\r\n'
            '      "https://vault.example/secrets/a"\r\n    ]\r\n  }\r\n}',
        },
    )
    message = body["instanceView"]["statuses"][0]["message"]
    assert re.fullmatch(r"Successfully started Key Vault extension service\. \d{4}-.*Z", message)


def test_a_reboot_is_accepted(emulator: Emulator, recorded: str) -> None:
    emulator.clock.advance(60)
    node = emulator.account.node(recorded, 0).node.id
    path = f"/pools/{recorded}/nodes/{node}/reboot"
    answer = raw_data(emulator, "POST", path, OLD, json={"nodeRebootOption": "terminate"})
    assert (answer.status_code, answer.content) == (202, b"")
    assert_headers(
        answer,
        {
            "DataServiceId": f"{emulator.info.http_endpoint}{path}",
            "DataServiceVersion": "3.0",
            "request-id": GUID,
            "Transfer-Encoding": "chunked",
        },
    )
    assert "ETag" not in answer.headers


@pytest.mark.parametrize(("path", "has_values"), [("/pools/nope", False), ("/pools?maxresults=0", True)])
def test_an_error_of_the_data_plane(emulator: Emulator, path: str, has_values: bool) -> None:
    answer = raw_data(emulator, "GET", path)
    request_id = answer.headers["request-id"]
    body = answer.json()
    values = body.pop("values", None)
    base = re.escape(emulator.info.http_endpoint)
    assert_shape(
        body,
        {
            "odata.metadata": re.compile(
                rf"{base}/\$metadata#Microsoft\.Azure\.Batch\.Protocol\.Entities\.Container\.errors/@Element"
            ),
            "code": ANY_TEXT,
            "message": {
                "lang": "en-US",
                "value": re.compile(rf"[^\n]+\nRequestId:{request_id}\nTime:{TIME.pattern}"),
            },
        },
    )
    assert (values is not None) is has_values
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert answer.headers["Content-Type"] == "application/json; odata=minimalmetadata"


def test_a_pool_of_the_management_plane(emulator: Emulator, name: str) -> None:
    document = management_pool(0, displayName="test_pool")
    answer = raw(emulator, "PUT", f"{account_path(emulator)}/pools/{name}", "2022-01-01", json=document)
    assert answer.status_code == 200
    assert_headers(
        answer, {"ETag": WEAK_ETAG, "Last-Modified": HTTP_DATE, "Expires": "-1", "Pragma": "no-cache"}
    )
    properties = {
        "displayName": "test_pool",
        "lastModified": TIME,
        "creationTime": TIME,
        "provisioningState": "Succeeded",
        "provisioningStateTransitionTime": TIME,
        "allocationState": "Resizing",
        "allocationStateTransitionTime": TIME,
        "vmSize": "STANDARD_D2_V2",
        "interNodeCommunication": "Disabled",
        "taskSlotsPerNode": 1,
        "taskSchedulingPolicy": {"nodeFillType": "Spread"},
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": IMAGE,
                "nodeAgentSkuId": "batch.node.ubuntu 18.04",
            }
        },
        "scaleSettings": {
            "fixedScale": {"targetDedicatedNodes": 0, "targetLowPriorityNodes": 0, "resizeTimeout": "PT15M"}
        },
        "resizeOperationStatus": {
            "targetDedicatedNodes": 0,
            "nodeDeallocationOption": "Requeue",
            "resizeTimeout": "PT15M",
            "startTime": TIME,
        },
        "currentDedicatedNodes": 0,
        "currentLowPriorityNodes": 0,
    }
    expected = {
        "id": f"{account_path(emulator)}/pools/{name}",
        "name": name,
        "type": "Microsoft.Batch/batchAccounts/pools",
        "etag": WEAK_ETAG,
        "properties": properties,
    }
    assert_shape(answer.json(), expected)
    shown_times = answer.json()["properties"]
    assert len({value for key, value in shown_times.items() if key.endswith("Time")}) == 1


def test_a_deletion_on_the_management_plane(emulator: Emulator, ready_pool: Callable[..., str]) -> None:
    answer = raw(emulator, "DELETE", f"{account_path(emulator)}/pools/{ready_pool(0)}", "2022-01-01")
    assert_headers(
        answer,
        {
            "Content-Length": "0",
            "Cache-Control": "no-cache",
            "Location": re.compile(
                r"https://127\.0\.0\.1:\d+/subscriptions/.*/poolOperationResults/delete-.*"
            ),
            "Retry-After": re.compile(r"\d+"),
        },
    )


def test_an_error_of_the_management_plane(emulator: Emulator, name: str) -> None:
    answer = raw(
        emulator, "PUT", f"{account_path(emulator)}/pools/{name}", json={"properties": {"vmSize": "a"}}
    )
    error = answer.json()["error"]
    request_id = answer.headers["x-ms-request-id"]
    assert list(error) == ["code", "message", "target", "details"]
    assert re.fullmatch(rf"[^\n]+\nRequestId:{request_id}\nTime:{TIME.pattern}", error["message"])
    assert error["target"] == "BatchAccount"
    assert all(set(detail) == {"code", "message"} for detail in error["details"])


# --- what recordings of 2024 to 2026 show ------------------------------------------------------------------

NEW = "2025-06-01"


def test_the_extensions_of_a_fresh_node(emulator: Emulator, name: str) -> None:
    """Four seconds after the pool was steady; restated from two recorded pools of 2025."""
    raw_data(emulator, "POST", "/pools", NEW, json=data_pool(name, 2, extension()))
    emulator.clock.advance(124 + 4)
    shown = {"provisioningState": "Creating", "instanceView": {}}
    for place, node in enumerate(emulator.account.nodes(name)):
        assert node.now.state.value == "creating"
        path = f"/pools/{name}/nodes/{node.node.id}/extensions"
        listed = raw_data(emulator, "GET", path, "2024-07-01.20.0").json()["value"]
        wanted = [
            {**shown, "vmExtension": {**vm, "enableAutomaticUpgrade": False}}
            for vm in (VM_EXTENSION, SYSTEM_EXTENSION)
        ]
        assert_shape(listed, wanted if place == 0 else wanted[::-1])
        one = raw_data(emulator, "GET", f"{path}/batchNodeExtension", NEW).json()
        assert (one["provisioningState"], one["instanceView"]) == ("Creating", {})


def test_a_node_of_2025(emulator: Emulator, name: str) -> None:
    """No endpoints where the pool asks for none, no start task before it ran, ``latest`` as version."""
    document = data_pool(name, 1, startTask={"commandLine": "true", "waitForSuccess": True})
    raw_data(emulator, "POST", "/pools", NEW, json=document)
    emulator.clock.advance(126)
    (body,) = raw_data(emulator, "GET", f"/pools/{name}/nodes", NEW).json()["value"]
    assert {"endpointConfiguration", "startTask", "startTaskInfo"}.isdisjoint(body)
    assert body["virtualMachineInfo"]["imageReference"]["exactVersion"] == "latest"
    emulator.clock.advance(60)
    (body,) = raw_data(emulator, "GET", f"/pools/{name}/nodes", NEW).json()["value"]
    assert (body["startTaskInfo"]["result"], "startTask" in body) == ("success", True)
    raw_data(emulator, "POST", f"/pools/{name}/nodes/{body['id']}/deallocate", NEW)
    for state in ("deallocating", "deallocated"):
        (body,) = raw_data(emulator, "GET", f"/pools/{name}/nodes", NEW).json()["value"]
        assert (body["state"], body["schedulingState"]) == (state, "disabled")
        emulator.clock.advance(30)


def test_defaults_that_newer_answers_spell_out(emulator: Emulator, name: str) -> None:
    document = data_pool(
        name, 0, networkConfiguration={"endpointConfiguration": {"inboundNATPools": [NAT_POOL]}}
    )
    raw_data(emulator, "POST", "/pools", NEW, json=document)
    body = raw_data(emulator, "GET", f"/pools/{name}", NEW).json()
    assert body["taskSchedulingPolicy"] == {"nodeFillType": "Spread", "jobDefaultOrder": "none"}
    assert body["networkConfiguration"]["dynamicVNetAssignmentScope"] == "none"
    assert body["networkConfiguration"]["enableAcceleratedNetworking"] is False
    older = raw_data(emulator, "GET", f"/pools/{name}", OLD).json()
    assert older["taskSchedulingPolicy"] == {"nodeFillType": "Spread"}
    assert "enableAcceleratedNetworking" not in older["networkConfiguration"]


def test_a_pool_that_is_being_deleted(emulator: Emulator, recorded: str) -> None:
    before = raw_data(emulator, "GET", f"/pools/{recorded}", NEW).json()
    emulator.clock.advance(1)
    assert raw_data(emulator, "DELETE", f"/pools/{recorded}", NEW).status_code == 202
    after = raw_data(emulator, "GET", f"/pools/{recorded}", NEW).json()
    assert (after["state"], after["allocationState"]) == ("deleting", "resizing")
    assert (after["targetDedicatedNodes"], after["resizeTimeout"]) == (0, "PT7M9.497S")
    assert after["eTag"] != before["eTag"]
    assert after["lastModified"] > before["lastModified"]


def test_refusals_come_before_the_pool_is_looked_for(emulator: Emulator) -> None:
    answer = raw_data(emulator, "POST", "/pools/nowhere/resize", NEW, json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "MissingRequiredProperty")
    whole = raw_data(emulator, "POST", "/pools/nowhere/resize", NEW, json={"targetDedicatedNodes": 1})
    assert (whole.status_code, whole.json()["code"]) == (404, "PoolNotFound")


def test_a_head_of_what_is_missing(emulator: Emulator) -> None:
    answer = raw_data(emulator, "HEAD", "/pools/nowhere", NEW)
    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert {"Content-Type", "Content-Length"}.isdisjoint(answer.headers)


def test_no_usage_is_an_empty_list(emulator: Emulator) -> None:
    assert raw_data(emulator, "GET", "/poolusagemetrics", NEW).json()["value"] == []


def test_autoscale_is_enabled_while_the_pool_is_resized(emulator: Emulator, name: str) -> None:
    raw_data(emulator, "POST", "/pools", NEW, json=data_pool(name, 0))
    before = raw_data(emulator, "GET", f"/pools/{name}", NEW).json()
    body = {"autoScaleFormula": "$TargetDedicatedNodes = 2;"}
    answer = raw_data(emulator, "POST", f"/pools/{name}/enableautoscale", NEW, json=body)
    assert (answer.status_code, answer.headers["ETag"]) == (200, before["eTag"])
    after = raw_data(emulator, "GET", f"/pools/{name}", NEW).json()
    assert (after["targetDedicatedNodes"], "autoScaleRun" in after) == (0, False)
    emulator.clock.advance(5)
    assert raw_data(emulator, "GET", f"/pools/{name}", NEW).json()["targetDedicatedNodes"] == 2


def test_an_empty_start_task_takes_it_away(emulator: Emulator, name: str) -> None:
    path = f"{account_path(emulator)}/pools/{name}"
    document = management_pool(1)
    document["properties"]["startTask"] = {"commandLine": "true"}
    raw(emulator, "PUT", path, json=document)
    assert "startTask" in raw(emulator, "GET", path).json()["properties"]
    answer = raw(emulator, "PATCH", path, json={"properties": {"startTask": {}}})
    assert answer.status_code == 200
    assert "startTask" not in answer.json()["properties"]
