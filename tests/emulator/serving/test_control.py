"""What a user in another process can do to a running emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.serving.control import HAPPENINGS
from tests.emulator.pool_documents import data_pool, extension

if TYPE_CHECKING:
    from azure.batch import BatchClient


def control(emulator: Emulator, method: str, path: str = "", **options: Any) -> requests.Response:
    headers = {"Authorization": f"Key {emulator.info.key}", **options.pop("headers", {})}
    return requests.request(
        method, f"{emulator.info.http_endpoint}/emulator{path}", headers=headers, timeout=5, **options
    )


def test_the_clock_is_advanced(emulator: Emulator, ready_pool: Callable[..., str]) -> None:
    name, before = ready_pool(0), emulator.clock.now()
    assert control(emulator, "POST", "/clock", json={"advance": 90}).status_code == 200
    assert (emulator.clock.now() - before).total_seconds() == 90
    described = control(emulator, "GET").json()
    assert (described["pools"], described["timeScale"]) == ([name], 0)


@pytest.mark.parametrize("years", [100, 3_000, 6_900])
@pytest.mark.parametrize("pools", [1, 3])
def test_a_jump_of_more_than_can_be_caught_up_with_is_refused(
    emulator: Emulator, batch: BatchClient, name: str, years: int, pools: int
) -> None:
    """Autoscale formulas are evaluated each few minutes, also of the thousands of years of a jump."""
    for number in range(pools):
        document = data_pool(
            f"{name}{number}", enableAutoScale=True, autoScaleFormula="$TargetDedicatedNodes=2"
        )
        del document["targetDedicatedNodes"]
        batch.create_pool(document)
    before = emulator.clock.now()
    refused = control(emulator, "POST", "/clock", json={"advance": years * 31_536_000})
    assert (refused.status_code, emulator.clock.now()) == (400, before)
    assert "evaluations of autoscale formulas" in refused.text
    for _ in range(3):  # in smaller steps it goes, also if nobody looks in between
        emulator.clock.advance(86_400 * 20 / pools)
    assert batch.get_pool(f"{name}0").auto_scale_run.timestamp > before + timedelta(days=59 / pools)


def test_faults_are_given_and_taken_back(emulator: Emulator, batch: BatchClient) -> None:
    faults = [{"action": "error", "count": 1000}, {"action": "slow", "seconds": 0.01}]
    assert control(emulator, "POST", "/faults", json=faults).json() == {"added": 2}
    with pytest.raises(HttpResponseError):
        list(batch.list_pools(retry_total=0))
    fired = control(emulator, "GET", "/faults").json()["fired"]
    assert [item["fault"]["action"] for item in fired] == ["error", "slow"]
    assert {item["path"] for item in fired} == {"/pools"}
    assert control(emulator, "DELETE", "/faults").status_code == 204
    assert list(batch.list_pools(retry_total=0)) == []


def test_the_scenario_is_replaced(emulator: Emulator) -> None:
    scenario = {"timings": {"allocation": 1}}
    assert control(emulator, "PUT", "/scenario", json=scenario).status_code == 204
    assert emulator.scenario == Scenario.load(scenario)


def test_something_happens_to_nodes_and_pools(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str]
) -> None:
    name = ready_pool(2, extension())
    assert (
        control(emulator, "POST", "/account/preempt_node", json={"pool": name, "node": 0}).status_code == 204
    )
    what = {"pool": name, "node": 1, "extension": "secretext", "outcome": "fail", "code": "7"}
    assert control(emulator, "POST", "/account/set_extension", json=what).status_code == 204
    assert {node.state for node in batch.list_nodes(name)} == {"idle", "preempted"}
    shown = emulator.account.extensions(name, 1)["secretext"]
    assert (shown.outcome, shown.code) == ("fail", "7")
    assert all(callable(getattr(emulator.account, happening)) for happening in HAPPENINGS)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "", {"headers": {"Authorization": "Key wrong"}}, 401),
        ("GET", "", {"headers": {"Authorization": ""}}, 401),
        ("GET", "/nothing", {}, 404),
        ("POST", "/clock", {"json": {"advance": -1}}, 400),
        ("POST", "/clock", {"json": {"advance": "x"}}, 400),
        ("POST", "/clock", {"json": []}, 400),
        ("POST", "/faults", {"json": {"action": "explode"}}, 400),
        ("POST", "/faults", {"data": "nonsense"}, 400),
        ("PUT", "/scenario", {"json": {"x": 1}}, 400),
        ("POST", "/account/_catch_up", {"json": {}}, 404),
        ("POST", "/account/preempt_node", {"json": {"pool": "missing", "node": 0}}, 404),
        ("POST", "/account/preempt_node", {"json": {"x": 0}}, 400),
    ],
)
def test_what_is_refused(
    emulator: Emulator, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = control(emulator, method, path, **options)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert emulator.info.key not in answer.text


def test_it_is_no_part_of_azure(emulator: Emulator, batch: BatchClient) -> None:
    emulator.faults.add(action="drop", count=1000)
    assert control(emulator, "GET").status_code == 200
    assert list(emulator.requests) == []
