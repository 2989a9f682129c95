"""What is counted, timed and traced, received by a real statsd socket and a real OpenTelemetry collector."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
import timeit
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    Stats,
    TaskDeferred,
)

from airflow_batchext import metrics
from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.exceptions import (
    GateFailedError,
    GateTimeoutError,
    TaskFailedError,
    TaskTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.events import AzureBatchPoolEventTrigger
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from airflow_batchext.triggers.task import AzureBatchTaskTrigger
from airflow_batchext.triggers.tasks import AzureBatchTasksTrigger
from tests.airflow_names import needs_airflow
from tests.collector import Collector
from tests.operators.conftest import event_of
from tests.operators.test_task import context as try_of
from tests.sensors.test_extension import context
from tests.statsd import Statsd
from tests.waiting import until

_why = "older Airflows have another way to set metrics up"
_shared = "airflow.sdk._shared.observability.metrics.base_stats_logger"
NoStatsLogger = pytest.importorskip(_shared, reason=_why).NoStatsLogger
_utils = pytest.importorskip("airflow.sdk.observability.metrics.stats_utils", reason=_why)
get_stats_factory = _utils.get_stats_factory

ROOT = Path(__file__).parents[1]
#: What a span carries: names of its attributes, not of metrics.
SPAN = {f"batchext.{name}" for name in ("look", "pool_id", "outcome", "nodes_ready", "nodes_wanted")}
HERE = metrics._here()["hostname"]


pytestmark = needs_airflow("3.3", "statistics are set up otherwise")


def switch(*, on: bool) -> None:
    """Set up Airflow's statistics as its processes do at their start."""
    from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
    from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

    Stats.initialize(factory=get_stats_factory() if on else NoStatsLogger, export_legacy_names=True)


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Statsd]:
    server = Statsd()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    switch(on=True)
    metrics._by_pool.cache_clear()
    yield server
    switch(on=False)
    metrics._by_pool.cache_clear()
    server.close()


@pytest.fixture
def pauses(azure, monkeypatch):
    """Pauses take no time; in each, 30 seconds pass for the emulator."""
    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", lambda _: azure.pass_time(30))


@pytest.fixture
def by_pool(monkeypatch: pytest.MonkeyPatch, statsd: Statsd) -> None:
    monkeypatch.setenv("AIRFLOW__BATCHEXT__METRICS_POOL_ID", "True")


def gate(azure, **change):
    return AzureBatchExtensionSensor(
        task_id="gate", pool_id=azure.pool_id, **{"poke_interval": 0, "timeout": 0, **change}
    )


def trigger(azure, **change):
    given = {"poll_interval": 0.1, "timeout": 60.0, "ends_task": True, **change}
    given = {"pool_id": azure.pool_id, **given}
    return AzureBatchExtensionTrigger(azure_batchext_conn_id="official", **given)


def test_each_answer_of_azure_is_counted_by_its_plane(azure, statsd):
    azure.create()
    with AzureBatchNodeHook("official") as hook:
        azure.emulator.requests.clear()
        statsd.forget()
        hook.list_nodes(azure.pool_id)
        hook.get_pool(azure.pool_id)
    assert len(azure.emulator.requests) == 2
    assert statsd.received == {"airflow.batchext.reads,plane=data": [("1", "c")] * 2}
    with AzureBatchPoolHook() as hook:
        statsd.forget()
        hook.delete_pool(azure.pool_id)
    assert statsd.received["airflow.batchext.writes,plane=management"] == [("1", "c")]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_throttles_and_repetitions_are_counted(azure, statsd, how):
    azure.create()
    azure.emulator.faults.add(action="throttle", path="*/nodes", count=2, retry_after=0)
    statsd.forget()
    if how == "sync":
        with AzureBatchNodeHook("official", retries=3) as hook:
            await asyncio.to_thread(hook.list_nodes, azure.pool_id)
    else:
        async with AzureBatchNodeHook("official", retries=3) as hook:
            await hook.alist_nodes(azure.pool_id)
    azure.emulator.faults.clear()
    assert statsd.total("batchext.reads") == 3
    assert statsd.total("batchext.throttles") == 2
    assert statsd.total("batchext.retries") == 2


def test_a_gate_that_opens_on_a_worker_is_counted_and_timed_once(azure, statsd):
    azure.create()
    gate(azure).execute(context())
    assert statsd.total("batchext.gate.opened") == 1
    ((value, kind),) = statsd.received["airflow.batchext.gate.time_to_ready"]
    assert kind == "ms"
    assert 0 <= float(value) < 30_000


@pytest.mark.parametrize("lenient", [False, True])
def test_gates_that_do_not_open_on_a_worker_are_counted_once_skipped_or_not(azure, statsd, lenient):
    azure.create(ready=False)
    with pytest.raises(AirflowSkipException if lenient else GateTimeoutError):
        gate(azure, soft_fail=lenient).execute(context())
    assert statsd.total("batchext.gate.timed_out") == 1
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    failure = AirflowSkipException if lenient else GateFailedError
    with pytest.raises(failure):
        gate(azure, soft_fail=lenient).execute(context())
    assert statsd.total("batchext.gate.failed") == 1
    with pytest.raises(failure):
        gate(azure, soft_fail=lenient).execute_complete(
            context(), {"status": "failed", "text": "x", "started": 0}
        )
    assert statsd.total("batchext.gate.failed") == 2
    assert statsd.total("batchext.gate.opened") == 0


async def test_the_triggerer_shows_its_gates_and_the_nodes_of_their_pools(azure, statsd):
    azure.create(ready=False)
    tasks = [asyncio.create_task(anext(trigger(azure).run())) for _ in range(3)]
    waiting = f"airflow.batchext.gate.waiting,hostname={HERE}"
    wanted = f"airflow.batchext.nodes.wanted,hostname={HERE}"
    await until(lambda: wanted in statsd.received and statsd.received[waiting][-1] == ("3", "g"))
    gauges = statsd.received
    assert gauges[f"airflow.batchext.gate.waiting,hostname={HERE}"][-1] == ("3", "g")
    assert gauges[f"airflow.batchext.nodes.ready,hostname={HERE}"][-1] == ("0", "g")
    assert gauges[f"airflow.batchext.nodes.wanted,hostname={HERE}"][-1] == ("2", "g")
    azure.pass_time(300)
    await asyncio.gather(*tasks)
    gauges = statsd.received
    assert ("2", "g") in gauges[f"airflow.batchext.nodes.ready,hostname={HERE}"]
    assert gauges[f"airflow.batchext.gate.waiting,hostname={HERE}"][-1] == ("0", "g")
    assert gauges[f"airflow.batchext.nodes.wanted,hostname={HERE}"][-1] == ("0", "g")
    assert statsd.total("batchext.gate.opened") == 3


async def test_a_pool_counts_once_however_many_look_at_it(azure, statsd):
    """Each of these looks by itself, as it has other rules, another interval or is another kind."""
    azure.create(3, ready=False)
    other = replace(azure, pool_id=f"{azure.pool_id}-b")
    other.create(4, ready=False)
    rules = [{}, {"min_nodes": 1}, {"extension_names": ["secretext"]}, {"node_grace": 5.0}]
    gates = [trigger(azure, rules=rule) for rule in rules]
    gates += [
        trigger(azure, pool_id=azure.pool_id.upper()),
        trigger(other),
        trigger(other, poll_interval=0.07),
    ]
    watcher = AzureBatchPoolEventTrigger(
        pool_id=azure.pool_id, azure_batchext_conn_id="official", poll_interval=0.1
    )
    runs = [looker.run() for looker in (*gates, watcher)]
    tasks = [asyncio.create_task(anext(run)) for run in runs]
    wanted = f"airflow.batchext.nodes.wanted,hostname={HERE}"
    ready = f"airflow.batchext.nodes.ready,hostname={HERE}"
    waiting = f"airflow.batchext.gate.waiting,hostname={HERE}"
    await until(lambda: statsd.received.get(wanted, [()])[-1] == ("7", "g"))
    await until(lambda: statsd.received[waiting][-1] == ("7", "g"))
    azure.emulator.requests.clear()
    await until(lambda: len(azure.reads("/pools/")) > 60)
    assert statsd.received[wanted][-1] == ("7", "g")
    assert statsd.received[ready][-1] == ("0", "g")
    azure.pass_time(300)
    await asyncio.gather(*tasks)
    await runs[-1].aclose()
    # Gates that have opened count no more, so the pools need not be ready at the same look.
    assert max(int(value) for value, _ in statsd.received[ready]) in (3, 4, 7)
    assert max(int(value) for value, _ in statsd.received[wanted]) == 7
    assert statsd.received[wanted][-1] == ("0", "g")


async def test_gates_that_end_in_the_triggerer_are_counted(azure, statsd):
    azure.create(ready=False)
    await anext(trigger(azure, timeout=0.1).run())
    assert statsd.total("batchext.gate.timed_out") == 1
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    # One set just now would wait a while for a pool that the service does not show yet.
    await anext(trigger(azure, started=time.time() - 60).run())
    assert statsd.total("batchext.gate.failed") == 1
    await anext(trigger(azure, ends_task=False, deadline=1.0).run())
    assert statsd.total("batchext.gate.failed") == 1, "the worker that goes on with it counts it"


async def test_the_events_of_a_watcher_are_counted(azure, statsd):
    azure.emulator.scenario = Scenario(extensions=[ExtensionScenario(node=0, outcome="fail")])
    azure.create()
    watcher = AzureBatchPoolEventTrigger(
        pool_id=azure.pool_id, azure_batchext_conn_id="official", poll_interval=0.1, events=["failed"]
    )
    watcher.asset_state_store = _Nothing()
    watching = watcher.run()
    await anext(watching)
    await watching.aclose()
    assert statsd.received["airflow.batchext.pool_events,event=failed"] == [("1", "c")]


class _Nothing:
    async def aget(self, key):
        return None


WORK = ("submitted", "succeeded", "failed", "timed_out", "skipped")


def work(azure, **kwargs):
    given = {"command_line": "/bin/true", "poll_interval": 5, "timeout": 3600, **kwargs}
    return AzureBatchTaskOperator(
        task_id="work", pool_id=azure.pool_id, azure_batchext_conn_id="official", **given
    )


@pytest.mark.parametrize("mode", ["worker", "triggerer", "to its end in the triggerer"])
@pytest.mark.parametrize(
    ("fate", "options", "error", "counted"),
    [
        ({}, {}, None, {"submitted": 1, "succeeded": 1}),
        ({"exit_code": 3}, {}, TaskFailedError, {"submitted": 1, "failed": 1}),
        ({"exit_code": 3}, {"soft_fail": True}, AirflowSkipException, {"submitted": 1, "failed": 1}),
        ({"exit_code": 3}, {"fail_on_exit_code": 3}, AirflowFailException, {"submitted": 1, "failed": 1}),
        ({"exit_code": 3}, {"skip_on_exit_code": 3}, AirflowSkipException, {"submitted": 1, "skipped": 1}),
        ({}, {"command_line": None, "tasks": ["/bin/true"] * 3}, None, {"submitted": 3, "succeeded": 1}),
        ({}, {"command_line": None, "tasks": []}, AirflowSkipException, {"skipped": 1}),
    ],
)
def test_work_is_counted_once_by_its_end(azure, pauses, statsd, mode, fate, options, error, counted):
    azure.create(3)
    azure.emulator.scenario = Scenario.load({"tasks": [{"after": 60, **fate}]})
    task = work(azure, **options, end_from_trigger=mode.startswith("to"))
    with pytest.raises(error) if error else nullcontext():
        ended_in(azure, task, deferrable=mode != "worker")
    assert {name: n for name in WORK if (n := statsd.total(f"batchext.work.{name}"))} == counted
    ran = statsd.received.get("airflow.batchext.work.run_time", [])
    assert [float(ms) for ms, _ in ran] == [60_000] * counted.get("submitted", 0)


@pytest.mark.parametrize("lenient", [False, True])
def test_work_whose_time_is_up_is_counted_as_such(azure, statsd, lenient):
    azure.create(0)
    with pytest.raises(AirflowSkipException if lenient else TaskTimeoutError):
        ended_in(azure, work(azure, timeout=0.2, soft_fail=lenient), deferrable=True)
    counted = {name: statsd.total(f"batchext.work.{name}") for name in WORK}
    assert counted == dict.fromkeys(WORK, 0) | {"submitted": 1, "timed_out": 1}


def ended_in(azure, task, *, deferrable):
    """Run it to its end, where a success may end it in the triggerer."""
    task.deferrable = deferrable
    try:
        return task.execute(try_of())
    except TaskDeferred as deferred:
        told = asyncio.run(event_of(azure, deferred.trigger))
        task._steps = None
        return task.execute_complete(try_of(), told) if isinstance(told, dict) else told


def test_what_a_try_finds_running_was_submitted_before(azure, pauses, statsd):
    azure.create(1)
    for number in (1, 2):
        with pytest.raises(TaskDeferred):
            work(azure, deferrable=True).execute(try_of(number))
    assert statsd.total("batchext.work.submitted") == 1
    with pytest.raises(TriggerFailedError):
        work(azure).resume_execution("__fail__", {"error": "Trigger failure"}, try_of(2))
    assert statsd.total("batchext.work.failed") == 1


async def test_the_triggerer_shows_how_much_work_it_waits_for(azure, statsd):
    azure.create(0)
    waiting = f"airflow.batchext.work.waiting,hostname={HERE}"
    with AzureBatchJobHook("official") as hook:
        hook.create_job("j", {"poolInfo": {"poolId": azure.pool_id}})
        hook.create_task("j", "t", {"commandLine": "true"})
    given = {"pool_id": azure.pool_id, "azure_batchext_conn_id": "official", "poll_interval": 0.1}
    one = AzureBatchTaskTrigger(job_id="j", batch_task_id="t", deadline=time.time() + 60, **given)
    many = AzureBatchTasksTrigger(
        job_ids=["j"], key="x", life="0m0", count=1, base="j", deadline=time.time() + 60, **given
    )
    tasks = [asyncio.create_task(anext(each.run())) for each in (one, many)]
    await until(lambda: statsd.received.get(waiting, [()])[-1] == ("2", "g"))
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert statsd.received[waiting][-1] == ("0", "g")


async def test_the_pools_id_is_a_tag_where_airflows_settings_say_so(azure, by_pool, statsd):
    azure.create()
    await anext(trigger(azure).run())
    names = statsd.received
    assert f"airflow.batchext.gate.opened,pool_id={azure.pool_id}" in names
    assert f"airflow.batchext.nodes.ready,hostname={HERE},pool_id={azure.pool_id}" in names


def test_without_that_setting_no_name_has_a_pool_in_it(azure, statsd):
    azure.create()
    gate(azure).execute(context())
    assert azure.pool_id not in "".join(statsd.received)


def test_counting_costs_next_to_nothing_while_it_is_off(statsd):
    """Beside what it costs while it is on, both at their quickest."""

    def cost(*, on: bool) -> float:
        switch(on=on)
        metrics.gate_ended("p")
        return min(timeit.repeat(lambda: metrics.gate_ended("p"), number=100, repeat=20))

    assert cost(on=False) < cost(on=True) / 2


OPEN_TELEMETRY = """
from airflow.providers.common.compat.sdk import Stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
from airflow_batchext import metrics
Stats.initialize(factory=get_stats_factory(), export_legacy_names=True)
metrics.gate_opened("p", 1.5)
with metrics.gate_waiting():
    pass
"""


def test_open_telemetry_gets_them_too():
    collector = Collector()
    environment = {
        **os.environ,
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    subprocess.run([sys.executable, "-c", OPEN_TELEMETRY], env=environment, check=True, capture_output=True)
    collector.close()
    assert set(collector.metrics) >= {
        "airflow.batchext.gate.opened",
        "airflow.batchext.gate.time_to_ready",
        "airflow.batchext.gate.waiting",
    }


def test_every_name_is_documented_and_every_documented_name_is_sent():
    source = (ROOT / "airflow_batchext" / "metrics.py").read_text()
    sent = set(re.findall(r'"(batchext\.[a-z_.]+)"', source)) - SPAN
    sent |= {"batchext.gate.failed", "batchext.gate.timed_out"}
    told = re.findall(r"^\| `(batchext\.[a-z_.]+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(sent)


def test_the_module_that_dag_files_do_not_load_is_not_loaded_by_them():
    code = "import sys, airflow_batchext.operators.pool, airflow_batchext.assets\n"
    code += "print('airflow_batchext.metrics' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
