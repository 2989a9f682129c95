"""Faults of requests, and what real clients make of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.batch.models import BatchNodeState
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.mgmt.batch import BatchManagementClient

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario, Timings
from airflow_batchext.emulator.faults import (
    Drop,
    Edit,
    Error,
    Expire,
    Garble,
    Slow,
    Throttle,
    Truncate,
)

from .conftest import MANAGEMENT_SCOPE, credential_for
from .pool_documents import data_pool, extension, raw, raw_data

if TYPE_CHECKING:
    from azure.batch import BatchClient

AT_ONCE: dict[str, Any] = {"retry_backoff_factor": 0.01}
NEVER: dict[str, Any] = {"retry_total": 0}
EXTENSIONS = "/pools/*/nodes/*/extensions"


def statuses(emulator: Emulator) -> list[int]:
    return [request.status for request in emulator.requests]


# --- what clients see ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_date", [False, True])
def test_throttling_is_waited_out_by_the_sdk(emulator: Emulator, batch: BatchClient, as_date: bool) -> None:
    emulator.faults.add(Throttle(plane="data", retry_after=1, as_date=as_date, count=2))
    started = time.monotonic()
    assert list(batch.list_pools()) == []
    assert statuses(emulator) == [429, 429, 200]
    assert time.monotonic() - started > (0.5 if as_date else 1.9)
    assert [(fired.plane, fired.path) for fired in emulator.faults.fired] == [("data", "/pools")] * 2


def test_throttling_tells_the_real_code(emulator: Emulator, management: BatchManagementClient) -> None:
    emulator.faults.add(Throttle(), Throttle(plane="management", retry_after=9, as_date=True))
    data = raw_data(emulator, "GET", "/pools")
    assert (data.status_code, data.json()["code"]) == (429, "TooManyRequests")
    assert "Retry-After" not in data.headers
    arm = raw(emulator, "GET", "/subscriptions")
    assert (arm.status_code, arm.json()["error"]["code"]) == (429, "TooManyRequests")
    ahead = parsedate_to_datetime(arm.headers["Retry-After"]) - datetime.now(UTC)
    assert 5 < ahead.total_seconds() <= 9


def test_a_burst_of_503_is_survived_and_a_longer_one_is_not(emulator: Emulator, batch: BatchClient) -> None:
    emulator.faults.add(Error(count=3))
    assert list(batch.list_pools(**AT_ONCE)) == []
    assert statuses(emulator) == [503, 503, 503, 200]
    emulator.faults.add(Error(status=500, count=2))
    with pytest.raises(HttpResponseError) as caught:
        list(batch.list_pools(retry_total=1, **AT_ONCE))
    assert (caught.value.status_code, caught.value.model.code) == (500, "InternalError")


def test_a_gateway_error_of_the_management_plane(
    emulator: Emulator, management: BatchManagementClient
) -> None:
    emulator.faults.add(
        Error(plane="management", status=502), Error(plane="management", code="Odd", message="m", status=409)
    )
    info = emulator.info
    with pytest.raises(HttpResponseError) as caught:
        management.batch_account.get(info.resource_group, info.account, **NEVER)
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (502, "InvalidGatewayHost")
    with pytest.raises(ResourceExistsError, match=r"\(Odd\) m"):
        management.batch_account.get(info.resource_group, info.account, **NEVER)


def test_an_answer_that_is_lost_after_the_deed(emulator: Emulator, batch: BatchClient, name: str) -> None:
    emulator.faults.add(Error(method="POST", path="/pools", performed=True))
    with pytest.raises(ResourceExistsError) as caught:
        batch.create_pool(data_pool(name, 0), **AT_ONCE)  # type: ignore[arg-type]
    assert caught.value.model.code == "PoolExists"
    assert statuses(emulator) == [503, 409]


@pytest.mark.parametrize("performed", [False, True])
def test_a_dropped_connection(emulator: Emulator, batch: BatchClient, name: str, performed: bool) -> None:
    emulator.faults.add(Drop(method="POST", performed=performed))
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        batch.create_pool(data_pool(name, 0), **NEVER)  # type: ignore[arg-type]
    assert statuses(emulator) == [0]
    assert (emulator.account.find(name) is not None) is performed


def test_a_dropped_connection_over_tls(emulator: Emulator, batch_with_token: BatchClient) -> None:
    list(batch_with_token.list_pools())
    emulator.faults.add(Drop(plane="data", count=2))
    assert list(batch_with_token.list_pools(**AT_ONCE)) == []
    assert statuses(emulator)[-3:] == [0, 0, 200]


@pytest.mark.parametrize("plane", ["data", "management"])
def test_a_truncated_body(emulator: Emulator, management: BatchManagementClient, plane: str) -> None:
    emulator.faults.add(Truncate())
    send = raw_data if plane == "data" else raw
    path = "/pools" if plane == "data" else "/subscriptions"
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        send(emulator, "GET", path)
    assert send(emulator, "GET", path).status_code != 0


def test_a_truncated_body_and_the_sdk(emulator: Emulator, batch: BatchClient) -> None:
    emulator.faults.add(Truncate(path="/pools"))
    with pytest.raises(HttpResponseError):
        list(batch.list_pools(**NEVER))
    emulator.faults.add(Truncate(path="/pools"))
    assert list(batch.list_pools(**AT_ONCE)) == []


def test_a_body_that_is_not_json(emulator: Emulator, batch: BatchClient) -> None:
    emulator.faults.add(Garble(count=2))
    page = raw_data(emulator, "GET", "/pools")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.text.startswith("<html>")
    with pytest.raises(ValueError, match="Expecting value"):
        list(batch.list_pools(**NEVER))


def test_a_slow_answer(emulator: Emulator, batch: BatchClient) -> None:
    emulator.faults.add(Slow(seconds=0.4), Error())
    started = time.monotonic()
    assert list(batch.list_pools(**AT_ONCE)) == []
    assert time.monotonic() - started > 0.4
    assert statuses(emulator) == [503, 200]


def test_a_slow_answer_does_not_hold_up_the_end() -> None:
    with Emulator(scenario=Scenario(faults=[Slow(seconds=600)])) as emulator:
        url, errors = f"{emulator.info.http_endpoint}/pools", []

        def ask() -> None:
            try:
                requests.get(url, timeout=3000)
            except requests.exceptions.ConnectionError as problem:
                errors.append(problem)

        asking = threading.Thread(target=ask)
        asking.start()
        while not emulator.faults.fired:
            time.sleep(0.01)
        emulator.stop()
        asking.join(timeout=60)
        assert len(errors) == 1


def test_an_expired_token(emulator: Emulator, batch_with_token: BatchClient, batch: BatchClient) -> None:
    emulator.faults.add(Expire(plane="data"))
    with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed"):
        list(batch_with_token.list_pools())
    assert list(batch_with_token.list_pools()) == []
    emulator.faults.add(Expire(plane="data"))
    assert list(batch.list_pools()) == []  # a shared key has no token that could expire


def test_a_token_that_is_given_expired(emulator: Emulator) -> None:
    emulator.faults.add(Expire(plane="sign-in", path="*/oauth2/*"))
    info = emulator.info
    with (
        credential_for(emulator) as credential,
        BatchManagementClient(
            credential,
            info.subscription_id,
            info.arm_endpoint,
            credential_scopes=[MANAGEMENT_SCOPE],
            connection_verify=info.ca_bundle,
        ) as client,
        pytest.raises(ClientAuthenticationError, match="ExpiredAuthenticationToken"),
    ):
        client.batch_account.get(info.resource_group, info.account)


def test_what_an_extension_may_look_like(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1, extension())
    (node,) = batch.list_nodes(name)

    def shown() -> dict[str, Any]:
        listed = batch.list_node_extensions(name, node.id)
        return {item.vm_extension.name: item for item in listed}  # type: ignore[union-attr]

    emulator.faults.add(Edit(path=EXTENSIONS, at="**/statuses", where={"vmExtension/name": "secretext"}))
    extensions = shown()
    assert extensions["secretext"].instance_view.statuses is None
    assert len(extensions["batchNodeExtension"].instance_view.statuses) == 1

    emulator.faults.add(Edit(path=EXTENSIONS, at="**/instanceView", to="nothing"))
    assert shown()["secretext"].instance_view is None

    emulator.faults.add(Edit(path=EXTENSIONS, at="**/code", to="upper"))
    assert shown()["secretext"].instance_view.statuses[0].code == "PROVISIONINGSTATE/SUCCEEDED"

    emulator.faults.add(Edit(path=EXTENSIONS, at="**/statuses/*/message", to="markup"))
    assert len(shown()["secretext"].instance_view.statuses[0].message) == 4096

    gone = Edit(path=EXTENSIONS, at="value/*", where={"vmExtension/name": "secretext"}, to="nothing")
    emulator.faults.add(gone)
    assert list(shown()) == ["batchNodeExtension"]
    assert "secretext" in shown()


def test_an_extension_that_flaps_with_the_simulated_time(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1, extension())
    (node,) = batch.list_nodes(name)
    assert node.id is not None
    flap = {"path": f"{EXTENSIONS}/secretext", "at": "**/code", "value": "ProvisioningState/updating"}
    emulator.faults.add(action="edit", until=30, every=60, **flap)
    seen = []
    for _ in range(4):
        found = batch.get_node_extension(name, node.id, "secretext")
        seen.append(found.instance_view.statuses[0].code.rpartition("/")[2])  # type: ignore[union-attr,index]
        emulator.clock.advance(30)
    assert seen == ["updating", "succeeded", "updating", "succeeded"]


def test_an_extension_of_one_node_flaps_or_disappears(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    rules = [
        ExtensionScenario(node=0, extension="a", flap_every=30),
        ExtensionScenario(node=1, extension="b", gone_after=60),
    ]
    emulator.scenario = Scenario(extensions=rules, timings=Timings(allocation=0, settling=0))
    name = ready_pool(2, extension("a"), extension("b"))  # 200 s ago
    nodes = [emulator.account.node(name, index).node.id for index in range(2)]

    def shown(index: int) -> dict[str, str]:
        listed = batch.list_node_extensions(name, nodes[index])
        return {item["vmExtension"]["name"]: item["provisioningState"] for item in listed}

    assert set(shown(1)) == {"batchNodeExtension", "a"}
    with pytest.raises(ResourceNotFoundError):
        batch.get_node_extension(name, nodes[1], "b")
    assert set(shown(0)) == {"batchNodeExtension", "a", "b"}
    seen = []
    for _ in range(4):
        seen.append(shown(0)["a"])
        emulator.clock.advance(30)
    assert seen == ["Succeeded", "Creating", "Succeeded", "Creating"]


def test_a_state_in_odd_casing_is_no_member_of_the_enum(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(1)
    emulator.faults.add(Edit(path="/pools/*/nodes", at="value/*/state", to="swapped"))
    assert [node.state for node in batch.list_nodes(name)] == ["IDLE"]
    assert [node.state for node in batch.list_nodes(name)] == [BatchNodeState.IDLE]


def test_faults_added_while_it_runs_can_be_taken_back(emulator: Emulator, batch: BatchClient) -> None:
    emulator.faults.add(Error(count=1000))
    with pytest.raises(HttpResponseError):
        list(batch.list_pools(**NEVER))
    emulator.faults.clear()
    assert list(batch.list_pools(**NEVER)) == []


def test_the_faults_of_a_scenario_follow_the_scenario(emulator: Emulator, batch: BatchClient) -> None:
    emulator.scenario = Scenario(faults=[Error(count=1000)])
    emulator.scenario.faults.append(Error(count=1000))
    with pytest.raises(HttpResponseError):
        list(batch.list_pools(**NEVER))
    emulator.scenario = Scenario()
    assert list(batch.list_pools(**NEVER)) == []


def test_the_same_seed_and_requests_give_the_same_history() -> None:
    def history(seed: int) -> list[int]:
        scenario = Scenario(faults=[Error(probability=0.4), Throttle(probability=0.3)])
        with Emulator(time_scale=0, seed=seed, scenario=scenario) as emulator:
            for _ in range(30):
                raw_data(emulator, "GET", "/pools")
            return statuses(emulator)

    assert history(5) == history(5) != history(6)
    assert set(history(5)) == {200, 429, 503}


def test_the_clock_of_an_emulator_is_the_one_faults_go_by() -> None:
    with Emulator(time_scale=0, scenario=Scenario(faults=[Error(start=100, until=200)])) as emulator:
        asked = []
        for _ in range(3):
            asked.append(raw_data(emulator, "GET", "/pools").status_code)
            emulator.clock.advance(100)
        assert asked == [200, 503, 200]
