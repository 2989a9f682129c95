"""The three kinds of use, each by its example DAGs: on schedule, as a gate between pipelines, on demand."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from tests.airflow.conftest import INTERVAL
from tests.airflow.harness import Airflow, play, wait_until
from tests.airflow_names import airflow_is, needs_airflow

if TYPE_CHECKING:
    from tests.airflow.conftest import Collector, Statsd

pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.timeout(900)]

ON_DEMAND, NIGHTLY, EVENTS = "batch_pool_on_demand", "batch_many_pools", "batch_pool_events"
PRODUCER, CONSUMER = "batch_pipeline_pool", "batch_pipeline_work"
POOL = "pipeline"


def runs(airflow: Airflow, dag_id: str) -> list[dict[str, Any]]:
    answer = airflow.get(f"dags/{dag_id}/dagRuns", order_by="run_after", limit=50)
    found: list[dict[str, Any]] = answer["dag_runs"]
    return found


def exists(airflow: Airflow, dag_id: str) -> bool:
    return airflow._client.get(f"/api/v2/dags/{dag_id}").status_code == 200


def asset_events(airflow: Airflow, uri: str) -> list[dict[str, Any]]:
    answer = airflow.get("assets", uri_pattern=uri)
    ids = [asset["id"] for asset in answer["assets"] if asset["uri"] == uri]
    return [
        event
        for asset_id in ids
        for event in airflow.get("assets/events", asset_id=asset_id, order_by="timestamp")["asset_events"]
    ]


def memories(airflow: Airflow, what: str) -> list[Any]:
    """What each watcher has kept of this; before Airflow 3.3 there is nowhere to keep it."""
    if not airflow_is("3.3"):
        return []
    with closing(sqlite3.connect(f"file:{airflow.home}/airflow.db?mode=ro", uri=True)) as db:
        about = "WHERE key LIKE 'batchext_pool_events/%'"  # what is told, not what is shown
        kept = db.execute(f"SELECT value FROM asset_state_store {about}").fetchall()
    assert kept
    return [json.loads(value)[what] for (value,) in kept]


def asks(airflow: Airflow, dag_id: str, conf: dict[str, Any]) -> Any:
    """The answer of the REST API to a request for a run."""
    wait_until("the DAG", lambda: exists(airflow, dag_id))
    body = {"logical_date": None, "conf": conf}
    return airflow._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body)


def test_no_example_has_an_import_error(airflow: Airflow):
    wanted = {ON_DEMAND, NIGHTLY, EVENTS, PRODUCER, CONSUMER, "batch_pool_gate"}
    wait_until(
        "the examples", lambda: wanted <= {dag["dag_id"] for dag in airflow.get("dags", limit=100)["dags"]}
    )
    assert airflow.get("importErrors")["import_errors"] == []


# On schedule


def test_each_night_several_pools_work_and_go_and_one_that_fails_holds_up_no_other(
    airflow: Airflow, service: Emulator
):
    details = airflow.get(f"dags/{NIGHTLY}/details")
    assert details["timetable_summary"] == "0 2 * * *"
    assert details["next_dagrun_run_after"]
    assert {run["run_type"] for run in runs(airflow, NIGHTLY)} <= {"manual"}, "not when it is switched on"
    fails = ExtensionScenario(pool="pool-*", node=2, extension="agent", outcome="fail", code="9")
    service.scenario = Scenario(extensions=[fails])
    service.requests.clear()
    run_id = airflow.trigger(NIGHTLY, {"sizes": [1, 2, 3]})
    assert play(airflow, service, NIGHTLY, run_id) == "failed"
    instances = airflow.get(f"dags/{NIGHTLY}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
    states = {(i["task_id"].rpartition(".")[2], i["map_index"]): i["state"] for i in instances}
    assert [states["gate", index] for index in range(3)] == ["success", "success", "failed"]
    assert [states["use_pool", index] for index in range(3)] == ["success", "success", "upstream_failed"]
    assert [states["delete", index] for index in range(3)] == ["success"] * 3
    created = {r.path.split("/pools/")[1].split("?")[0] for r in service.requests if r.method == "PUT"}
    assert len({name for name in created if name.startswith("pool-")}) == 3
    assert not [p.name for p in service.account.pools() if p.name in created and not p.deleted]
    service.scenario = Scenario()


# As a gate between pipelines


@pytest.fixture(scope="module")
def pipeline(airflow: Airflow, service: Emulator) -> dict[str, Any]:
    """The producer's run, and the run of the consumer that it has started; both ended."""
    service.scenario = Scenario()
    wait_until("the consumer", lambda: exists(airflow, CONSUMER))
    before = len(runs(airflow, CONSUMER))
    producer = airflow.trigger(PRODUCER)
    wait_until("the gate to wait", lambda: airflow.states(PRODUCER, producer).get("gate") == "deferred")
    assert len(runs(airflow, CONSUMER)) == before
    states = {PRODUCER: play(airflow, service, PRODUCER, producer)}
    consumer = wait_until("the consumer to start", lambda: runs(airflow, CONSUMER)[before:])[0]["dag_run_id"]
    states[CONSUMER] = play(airflow, service, CONSUMER, consumer, step=5)
    return {"states": states, "producer": producer, "consumer": consumer}


def test_the_gate_of_one_dag_starts_another_that_runs_its_work_on_the_pool(
    airflow: Airflow, service: Emulator, pipeline: dict[str, Any]
):
    assert pipeline["states"] == {PRODUCER: "success", CONSUMER: "success"}
    assert airflow.states(CONSUMER, pipeline["consumer"]) == {"work": "success", "delete": "success"}
    run = airflow.get(f"dags/{CONSUMER}/dagRuns/{pipeline['consumer']}")
    assert run["run_type"] == "asset_triggered"
    told = airflow.xcom(CONSUMER, pipeline["consumer"], "work")
    assert (told["pool_id"], told["result"]) == (POOL, "succeeded")
    ended = {job.id: job.moments[-1][1] for job in service.account.jobs.all()}
    assert ended[told["job_id"]] == "completed"
    assert service.account.find(POOL) is None


def test_the_asset_event_says_of_which_pool_it_is(airflow: Airflow, pipeline: dict[str, Any]):
    event = asset_events(airflow, f"azbatch://myaccount/{POOL}")[-1]
    payload = event["extra"]["payload"]
    assert payload["event"] == "ready"
    assert payload["pool_id"] == POOL
    assert payload["nodes_ready"] == 1
    assert payload["extensions"] == ["monitor"]
    assert event["source_task_id"] == "gate"
    assert [run["dag_id"] for run in event["created_dagruns"]] == [CONSUMER]


def test_each_event_of_a_watched_pool_starts_a_dag_once_also_after_the_triggerer_was_killed(
    airflow: Airflow, service: Emulator, pipeline: dict[str, Any]
):
    import signal

    from airflow_batchext.emulator.documents.pool import read_management
    from tests.conftest import document

    fails = ExtensionScenario(pool=POOL, node=0, outcome="fail", code="7", message="no such vault")
    service.scenario = Scenario(extensions=[fails])
    service.account.create_pool(POOL, read_management(document(2)))
    service.clock.advance(300)
    wait_until("the failure to be told", lambda: len(runs(airflow, EVENTS)) == 1)
    airflow.finish(EVENTS, runs(airflow, EVENTS)[0]["dag_run_id"])

    wait_until("the watchers to have kept what they told", lambda: all(memories(airflow, "failed")))
    airflow.stop_component("triggerer", signal.SIGKILL)
    airflow.start_component("triggerer")
    reads = len([r for r in service.requests if f"/pools/{POOL}?" in r.path])
    wait_until(
        "the new triggerer to look",
        lambda: len([r for r in service.requests if f"/pools/{POOL}?" in r.path]) >= reads + 3,
    )
    assert len(runs(airflow, EVENTS)) == 1, "what was told before is not told again"

    service.account.preempt_node(POOL, 1, back_after=None)
    wait_until("the loss to be told", lambda: len(runs(airflow, EVENTS)) == 2)
    told = []
    for run in runs(airflow, EVENTS):
        airflow.finish(EVENTS, run["dag_run_id"])
        told += airflow.xcom(EVENTS, run["dag_run_id"], "tell")
    assert [payload["event"] for payload in told] == ["failed", "lost"]
    assert "no such vault" in told[0]["reasons"][0]
    assert "is preempted" in told[1]["reasons"][0]
    service.scenario = Scenario()
    service.account.delete_pool(POOL, at_once=True)


def test_all_watchers_of_the_pool_make_one_poll(
    airflow: Airflow, service: Emulator, pipeline: dict[str, Any]
):
    """Those for failures and for losses: each look is one read while the pool is not there."""

    def reads() -> list[Any]:
        return [r for r in service.requests if f"/pools/{POOL}?" in r.path]

    service.requests.clear()
    began = time.monotonic()
    wait_until("some looks", lambda: len(reads()) >= 3)
    assert len(reads()) <= 1 + (time.monotonic() - began) / INTERVAL, "for two watchers"


# On demand


def test_the_pool_stays_if_it_is_asked_to(airflow: Airflow, service: Emulator):
    service.scenario = Scenario()
    kept = {"pool_id": "od-kept", "keep": True, "image": "windows-2022"}
    airflow.run("dags", "trigger", ON_DEMAND, "--run-id", "by-cli", "--conf", json.dumps(kept))
    assert play(airflow, service, ON_DEMAND, "by-cli") == "success"
    assert airflow.states(ON_DEMAND, "by-cli")["delete"] == "skipped"
    assert service.account.find("od-kept") is not None
    service.account.delete_pool("od-kept", at_once=True)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"nodes": 0}, "0 is less than the minimum of 1"),
        ({"pool_id": "no pool id"}, "does not match"),
        ({"extensions": ["antivirus"]}, "is not one of"),
        ({"size": "STANDARD D2S"}, "does not match"),
    ],
)
def test_a_wrong_form_is_one_clear_error_and_there_is_no_run(
    airflow: Airflow, service: Emulator, conf: dict[str, Any], said: str
):
    service.requests.clear()
    before = len(runs(airflow, ON_DEMAND))
    answer = asks(airflow, ON_DEMAND, conf)
    assert answer.status_code in (400, 422)
    assert said in answer.text
    assert len(runs(airflow, ON_DEMAND)) == before
    assert not [r for r in service.requests if r.method == "PUT"]


def test_the_command_line_tells_it_too(airflow: Airflow):
    before = len(runs(airflow, ON_DEMAND))
    with pytest.raises(AssertionError, match="0 is less than the minimum of 1"):
        airflow.run("dags", "trigger", ON_DEMAND, "--conf", json.dumps({"nodes": 0}))
    assert len(runs(airflow, ON_DEMAND)) == before


def test_what_only_the_whole_form_shows_to_be_wrong_is_one_clear_error_before_anything_is_created(
    airflow: Airflow, service: Emulator
):
    service.requests.clear()
    run_id = asks(airflow, ON_DEMAND, {"pool_id": "od-wrong", "extensions": ["gpu", "gpu"]}).json()[
        "dag_run_id"
    ]
    assert play(airflow, service, ON_DEMAND, run_id) == "failed"
    assert not [r for r in service.requests if r.method == "PUT" and "od-wrong" in r.path]
    assert airflow.states(ON_DEMAND, run_id)["create"] == "failed"
    log = airflow.log(ON_DEMAND, run_id, "create")
    assert "nothing was sent to Azure" in log


# Metrics and traces of all of these


def test_workers_and_the_triggerer_send_metrics(
    airflow: Airflow, service: Emulator, pipeline: dict[str, Any], statsd: Statsd
):
    names = statsd.received
    assert statsd.total("batchext.gate.opened") >= 1
    assert statsd.total("batchext.writes") >= 1, "from a worker"
    assert any(name.startswith("airflow.batchext.gate.time_to_ready") for name in names)
    (waiting,) = [name for name in names if name.startswith("airflow.batchext.gate.waiting,hostname=")]
    assert ("1", "g") in names[waiting], "from the triggerer"
    assert any(name.startswith("airflow.batchext.nodes.wanted") for name in names)


@needs_airflow("3.3", "before, it sends no spans from tasks and triggers")
def test_each_look_is_a_span_inside_airflows_own(
    airflow: Airflow, pipeline: dict[str, Any], collector: Collector
):
    def looks() -> list[Any]:
        return [span for span in collector.spans if span.name == "batchext.look"]

    wait_until("the spans", looks)
    run = airflow.get(f"dags/{PRODUCER}/dagRuns/{pipeline['producer']}")
    assert run["state"] == "success"
    by_id = {span.span_id: span for span in collector.spans}
    mine = [
        s for s in looks() if {a.key: a.value.string_value for a in s.attributes}["batchext.pool_id"] == POOL
    ]
    parents = {by_id[span.parent_span_id].name.split(".")[0] for span in mine if span.parent_span_id in by_id}
    assert parents, "Airflow's own span around task or trigger"
    assert {a.key for span in mine for a in span.attributes} == {
        "batchext.pool_id",
        "batchext.outcome",
        "batchext.nodes_ready",
        "batchext.nodes_wanted",
    }
