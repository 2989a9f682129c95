"""The gate as a task: how it ends, what it says, what it returns. In real Airflow: tests/airflow."""

from __future__ import annotations

from datetime import UTC, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_batchext.assets import batch_pool_asset
from airflow_batchext.emulator import ExtensionScenario, PoolScenario, Scenario
from airflow_batchext.emulator.scenario import ResizeError
from airflow_batchext.exceptions import GateFailedError, GateTimeoutError, ParameterError
from airflow_batchext.live.snapshot import read_snapshot
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.triggers.extension import AzureBatchExtensionTrigger
from tests.airflow_names import AirflowRescheduleException
from tests.conftest import own_connection


class Store(dict):
    """Airflow's store for the state of a task, as far as it is used here."""

    def set(self, key, value):
        self[key] = value


def context(first_reschedule=None, store=None, try_number=1):
    ti = SimpleNamespace(get_first_reschedule_date=lambda context: first_reschedule, try_number=try_number)
    return {"ti": ti} if store is None else {"ti": ti, "task_state_store": store}


def sensor(azure, **kwargs):
    kwargs = {"task_id": "gate", "pool_id": azure.pool_id, "poke_interval": 0, "timeout": 0, **kwargs}
    return AzureBatchExtensionSensor(**kwargs)


@pytest.fixture(params=["azure_batchext_default", "official"])
def conn_id(request):
    return request.param


def test_opens_with_a_report(azure, conn_id):
    azure.create(nodes=2)
    report = sensor(azure, azure_batchext_conn_id=conn_id).execute(context())
    assert report.pop("seconds") >= 0
    assert report.pop("pool_created").startswith("20")
    assert 0 <= report.pop("oldest_reading_seconds") < 60
    nodes = report.pop("nodes")
    assert report == {"pool_id": azure.pool_id, "outcome": "open", "extensions": ["secretext"]}
    assert (
        list(nodes.values())
        == [{"state": "idle", "extensions": {"secretext": "ProvisioningState/succeeded"}}] * 2
    )


def test_the_data_plane_alone_is_asked(azure):
    azure.create()
    azure.emulator.requests.clear()
    sensor(azure, azure_batchext_conn_id="official").execute(context())
    assert azure.reads("/providers/") == []
    assert azure.reads("oauth2") == []


def test_names_the_node_the_extension_the_code_and_the_message(azure):
    azure.emulator.scenario = Scenario(
        extensions=[
            ExtensionScenario(extension="secretext", node=1, outcome="fail", code="5", message="no\nvault")
        ]
    )
    azure.create(nodes=3)
    failed = azure.emulator.account.node(azure.pool_id, 1)
    with pytest.raises(GateFailedError) as caught:
        sensor(azure).execute(context())
    text = str(caught.value)
    assert text == (
        f"The gate on pool {azure.pool_id} cannot open: node {failed.node.id[:14]}…_d (idle): "
        "extension secretext reports ProvisioningState/failed/5: no\\nvault\n"
        f"For the rest: batchext diagnose --conn-id=azure_batchext_default {azure.pool_id}"
    )


def test_a_failed_resize_ends_it_with_the_services_words(azure):
    error = ResizeError(code="AllocationFailed", message="could not be allocated", values={"Reason": "x"})
    azure.emulator.scenario = Scenario(pools=[PoolScenario(resize_error=error)])
    azure.create(nodes=2)
    with pytest.raises(GateFailedError, match=r"ended with 0 of 2 nodes: AllocationFailed: could .*Reason=x"):
        sensor(azure).execute(context())


def test_a_failed_resize_of_an_autoscale_pool_is_waited_for(azure):
    """Its formula is evaluated again, and then resizes it again."""
    azure.emulator.scenario = Scenario(pools=[PoolScenario(resize_error=ResizeError())])
    azure.create(ready=False, scale={"autoScale": {"formula": "$TargetDedicatedNodes = 2;"}})
    azure.pass_time(300)
    with pytest.raises(GateTimeoutError, match=r"still missing: the resize of pool .* AllocationFailed"):
        sensor(azure).execute(context())


def test_no_such_pool(azure):
    with pytest.raises(GateFailedError, match="does not exist"):
        sensor(azure).execute(context())


def test_refused_sign_in(azure):
    azure.connect("wrong", own_connection(azure.emulator, password="wrong-SENTINEL"))
    with pytest.raises(GateFailedError, match="AADSTS7000215") as caught:
        sensor(azure, azure_batchext_conn_id="wrong").execute(context())
    assert "SENTINEL" not in str(caught.value)


def test_the_deadline_says_what_is_missing_and_is_a_sensor_timeout(azure):
    azure.create(ready=False)
    with pytest.raises(
        GateTimeoutError, match=r"within 0 seconds \(timeout\); still .*is resizing"
    ) as caught:
        sensor(azure).execute(context())
    assert isinstance(caught.value, AirflowSensorTimeout), "terminal: Airflow does not retry it"


@pytest.mark.parametrize("how", [{"soft_fail": True}, {"never_fail": True}])
@pytest.mark.parametrize("deferrable", [False, True])
def test_soft_fail_and_never_fail_skip_a_failure_whatever_the_mode(azure, how, deferrable):
    azure.create()
    azure.emulator.account.delete_pool(azure.pool_id)
    with pytest.raises(AirflowSkipException):
        sensor(azure, deferrable=deferrable, **how).execute(context())
    event = {"status": "failed", "text": "x", "report": {}, "started": 0.0}
    with pytest.raises(AirflowSkipException):
        sensor(azure, deferrable=True, **how).execute_complete(context(), event)
    azure.pass_time(3600)


@pytest.mark.parametrize("how", [{"soft_fail": True}, {"never_fail": True}])
@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}])
def test_a_skip_says_why_in_every_mode(azure, how, mode):
    azure.create(ready=False)
    gate = sensor(azure, **how, **mode)
    if mode.get("deferrable"):
        missing = {"event": {"status": "timeout", "text": "pool x is resizing", "report": {}, "started": 0.0}}
        with pytest.raises(AirflowSkipException, match=r"did not open within .* is resizing"):
            gate.resume_execution("execute_complete", missing, context())
        with pytest.raises(AirflowSkipException, match=r"did not open within .* is resizing"):
            gate.resume_execution("__fail__", {"error": "Trigger timeout"}, context())
    else:
        with pytest.raises(AirflowSkipException, match=r"did not open within .* is resizing"):
            gate.execute(context())
    azure.emulator.account.delete_pool(azure.pool_id)
    with pytest.raises(AirflowSkipException, match=r"cannot open: .* is being deleted"):
        sensor(azure, **how, **mode).execute(context())


@pytest.mark.parametrize("pool_id", ["", "a b", "../x", "x" * 65, None, 7])
def test_a_pool_id_that_cannot_be_one_is_refused_before_any_request(azure, pool_id):
    azure.emulator.requests.clear()
    with pytest.raises(ParameterError, match="1 to 64 characters"):
        sensor(azure, pool_id=pool_id).execute(context())
    assert not azure.emulator.requests


@pytest.mark.parametrize("names", ["secretext", [], [""], ["a", 1], 7])
def test_extension_names_have_to_be_names(azure, names):
    with pytest.raises(ParameterError, match="has to be a list of names"):
        sensor(azure, extension_names=names).execute(context())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"min_nodes": -1}, "min_nodes is '-1'"),
        ({"min_nodes": "many"}, "min_nodes is 'many'"),
        ({"max_failed_nodes": 1.5}, "max_failed_nodes is '1.5'"),
        ({"node_states": ["idel"]}, "node_states has to be a list of states, of: creating, "),
        ({"node_states": "idle"}, "node_states has to be a list"),
        ({"on_failure": "ignore"}, "on_failure is 'ignore'"),
        ({"node_grace": -1}, "node_grace is '-1'"),
        ({"resize_grace": "1h"}, "resize_grace is '1h'"),
        ({"max_age": -1}, "max_age is '-1'"),
        ({"max_age": "young"}, "max_age is 'young'"),
        ({"node_states": ["idle", "preempted"]}, "In any other a node has no machine"),
        ({"node_states": ["unknown"]}, "In any other a node has no machine"),
    ],
)
def test_rules_that_make_no_sense_are_refused_before_any_request(azure, wrong, said):
    azure.emulator.requests.clear()
    with pytest.raises(ParameterError) as caught:
        sensor(azure, **wrong).execute(context())
    assert said in str(caught.value)
    assert not azure.emulator.requests


def test_rules_as_a_user_gives_them(azure):
    azure.emulator.scenario = Scenario(
        extensions=[ExtensionScenario(extension="secretext", node=0, outcome="fail")]
    )
    azure.create(nodes=3)
    lenient = sensor(azure, max_failed_nodes=1, min_nodes="2", node_states=["Idle", "running"])
    assert lenient.execute(context())["outcome"] == "open"
    with pytest.raises(GateTimeoutError, match=r"still missing: .*ProvisioningState/failed"):
        sensor(azure, on_failure="wait").execute(context())
    with pytest.raises(GateTimeoutError, match="1 of 4 nodes are not there yet"):
        sensor(azure, max_failed_nodes=1, min_nodes=4).execute(context())


def test_a_node_that_stays_unusable_fails_after_its_grace(azure):
    azure.create(nodes=2)
    azure.emulator.account.mark_node(azure.pool_id, 0, "unusable")
    with pytest.raises(GateTimeoutError, match="is unusable"):
        sensor(azure, node_grace=timedelta(hours=1)).execute(context())
    with pytest.raises(GateFailedError, match="is unusable for more than 0 seconds"):
        sensor(azure, node_grace=0).execute(context())


def test_an_open_gate_does_not_defer(azure):
    azure.create()
    assert sensor(azure, deferrable=True).execute(context())["outcome"] == "open"


def test_deferring_hands_everything_to_the_trigger(azure):
    azure.create(ready=False)
    gate = sensor(
        azure, deferrable=True, timeout=timedelta(minutes=2), poke_interval=7, extension_names=["secretext"]
    )
    with pytest.raises(TaskDeferred) as caught:
        gate.execute(context())
    trigger = caught.value.trigger
    assert isinstance(trigger, AzureBatchExtensionTrigger)
    _, kwargs = trigger.serialize()
    created = azure.emulator.account.pool(azure.pool_id).created
    assert kwargs.pop("deadline") - kwargs.pop("started") == 120
    assert kwargs.pop("pool_created").startswith(created.strftime("%Y-%m-%dT%H:%M:%S"))
    told = read_snapshot(kwargs.pop("told"))
    assert told is not None
    assert "is resizing" in told.summary, "what the first look has come to, for the live page"
    assert kwargs == {
        "pool_id": azure.pool_id,
        "azure_batchext_conn_id": "azure_batchext_default",
        "poll_interval": 7,
        "rules": {"extension_names": ["secretext"]},
    }
    assert caught.value.timeout > timedelta(minutes=2), "our own deadline comes first: it can say why"
    assert caught.value.kwargs is None, "dag.test() would lose them"


def test_the_trigger_waits_as_long_as_the_service_asked_the_first_look_to(azure):
    azure.create(ready=False)
    azure.emulator.faults.add(action="throttle", retry_after=200, path="*/nodes")
    with pytest.raises(TaskDeferred) as caught:
        sensor(azure, deferrable=True, timeout=600, poke_interval=30).execute(context())
    _, kwargs = caught.value.trigger.serialize()
    assert 198 < kwargs["not_before"] - kwargs["started"] < 205


def test_the_event_ends_the_task(azure):
    gate = sensor(azure, timeout=60, deferrable=True)
    report = {"pool_id": azure.pool_id, "outcome": "open"}
    event = {"status": "open", "text": "2 of 2", "report": report, "started": 0.0}
    assert gate.execute_complete(context(), event).pop("seconds") > 1e9
    with pytest.raises(GateFailedError, match="cannot open: bad"):
        gate.execute_complete(context(), {**event, "status": "failed", "text": "bad"})
    with pytest.raises(GateTimeoutError, match=r"within 60 seconds \(timeout\); still missing: n2"):
        gate.execute_complete(context(), {**event, "status": "timeout", "text": "n2"})


def test_a_rescheduled_gate_counts_from_its_first_try(azure):
    from airflow.providers.common.compat.sdk import timezone

    azure.create(ready=False)
    first = timezone.utcnow() - timedelta(hours=2)
    with pytest.raises(GateTimeoutError):
        sensor(azure, mode="reschedule", timeout=3600).execute(context(first))
    azure.pass_time(300)
    report = sensor(azure, mode="reschedule", timeout=3600).execute(context(first))
    assert 7200 <= report["seconds"] < 7300


def test_the_log_tells_changes_only(azure, capsys):
    azure.create(ready=False)
    gate = sensor(azure)
    for _ in range(3):
        assert not gate.poke(context())
    azure.pass_time(300)
    assert gate.poke(context())
    said = [line for line in capsys.readouterr().out.splitlines() if f"Pool {azure.pool_id}: " in line]
    assert len(said) == 2
    assert "2 of 2 nodes are not there yet" in said[0]
    assert "2 of 2 nodes ready" in said[1]


def test_a_throttled_account_is_waited_for(azure):
    gate = sensor(azure, azure_batchext_conn_id="down")
    azure.connect("down", own_connection(azure.emulator, extra={"account_url": "https://127.0.0.1:9"}))
    with pytest.raises(GateTimeoutError, match="could not be read"):
        gate.execute(context())


def test_defaults_follow_the_configuration(azure, monkeypatch):
    gate = AzureBatchExtensionSensor(task_id="gate", pool_id="p")
    assert (gate.poke_interval, gate.timeout, gate.deferrable) == (30, 3600, False)
    monkeypatch.setenv("AIRFLOW__BATCHEXT__POLL_INTERVAL", "5")
    assert AzureBatchExtensionSensor(task_id="gate", pool_id="p").poke_interval == 5


class TestStartFromTrigger:
    def test_it_says_at_parse_time_how_to_start(self):
        gate = AzureBatchExtensionSensor(
            task_id="gate", pool_id="{{ params.p }}", start_from_trigger=True, timeout=60, soft_fail=True,
            poke_interval=7, min_nodes=2,
        )  # fmt: skip
        args = gate.start_trigger_args
        assert gate.start_from_trigger
        assert args.timeout == timedelta(seconds=180), "after our own deadline"
        assert args.trigger_kwargs == {
            "pool_id": "{{ params.p }}",
            "azure_batchext_conn_id": "azure_batchext_default",
            "poll_interval": 7,
            "timeout": 60,
            "rules": {"min_nodes": 2},
            "ends_task": True,
            "skips": True,
        }
        assert AzureBatchExtensionTrigger(**args.trigger_kwargs).serialize()[1] == args.trigger_kwargs

    def test_where_it_comes_to_a_worker_all_the_same_it_does_not_hold_it(self, azure):
        azure.create(ready=False)
        with pytest.raises(TaskDeferred) as caught:
            sensor(azure, start_from_trigger=True, timeout=60, poke_interval=7).execute(context())
        trigger = caught.value.trigger
        assert not trigger.ends_task, "outlets and callbacks of a mapped task are the worker's"
        assert (trigger.pool_id, trigger.poll_interval) == (azure.pool_id, 7)

    def test_others_have_none(self):
        gate = AzureBatchExtensionSensor(task_id="gate", pool_id="p")
        assert not gate.start_from_trigger
        assert gate.start_trigger_args is None
        assert AzureBatchExtensionSensor.start_trigger_args is None, (
            "a mapped task has to go through a worker"
        )

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"pool_id": "{{ ti.xcom_pull('up') }}"}, "needs map_indexes"),
            ({"pool_id": 7}, "has to be a text or a template"),
            ({"extension_names": ["{{ params.e }}"]}, "names cannot be templates"),
            ({"min_nodes": "{{ params.n }}"}, "min_nodes is"),
            ({"on_success_callback": print}, "does not go with on_success_callback"),
            ({"outlets": ["x"]}, "does not go with outlets"),
        ],
    )
    def test_what_cannot_be_had_is_refused_when_the_dag_is_parsed(self, wrong, said):
        with pytest.raises(ParameterError, match=said):
            AzureBatchExtensionSensor(
                **{"task_id": "gate", "pool_id": "p", "start_from_trigger": True, **wrong}
            )

    def test_the_output_of_another_task_is_refused(self):
        from datetime import datetime

        from airflow.sdk import DAG, task

        @task
        def make():
            return "p"

        with (
            DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)),
            pytest.raises(ParameterError, match="not the output of another task"),
        ):
            AzureBatchExtensionSensor(task_id="gate", pool_id=make(), start_from_trigger=True)


def test_where_airflows_own_limit_comes_first_it_says_what_is_missing(azure):
    gate = sensor(azure, deferrable=True, timeout=60)
    azure.create(ready=False)
    with pytest.raises(GateTimeoutError, match=r"within 60 seconds \(timeout\); still .*is resizing"):
        gate.resume_execution("__fail__", {"error": "Trigger timeout"}, context())
    azure.pass_time(300)
    late = sensor(azure, deferrable=True, timeout=60)
    assert late.resume_execution("__fail__", {"error": "Trigger timeout"}, context())["outcome"] == "open"


def test_a_rescheduled_gate_knows_the_pool_that_it_saw_first(azure):
    azure.emulator.scenario = Scenario(extensions=[ExtensionScenario(outcome="hang")])
    azure.create(nodes=1)
    store = Store()

    def gate(**kwargs):
        return sensor(azure, mode="reschedule", timeout=3600).execute(context(store=store, **kwargs))

    for _ in range(2):
        with pytest.raises(AirflowRescheduleException):
            gate()
    azure.pass_time(1)
    azure.emulator.account.recreate_pool(azure.pool_id)
    with pytest.raises(GateFailedError, match="created anew"):
        gate()
    with pytest.raises(AirflowRescheduleException):  # the next try is about the pool that is there now
        gate(try_number=2)


def test_grace_times_are_by_the_clock_of_the_service_in_a_rescheduled_task_too(azure):
    azure.create(nodes=2)
    azure.emulator.account.mark_node(azure.pool_id, 0, "unusable")
    azure.pass_time(500)
    with pytest.raises(GateTimeoutError, match="is unusable"):
        sensor(azure, mode="reschedule", node_grace=600).execute(context())
    azure.pass_time(200)
    with pytest.raises(GateFailedError, match="is unusable for more than 600 seconds"):
        sensor(azure, mode="reschedule", node_grace=600).execute(context())


def test_the_asset_event_of_a_pool_says_of_which_pool_it_is(azure):
    mine, other = batch_pool_asset("account", azure.pool_id), Asset("other")
    events = OutletEventAccessors()
    azure.create()
    sensor(azure, outlets=[mine, other]).execute({**context(), "outlet_events": events})
    payload = events[mine].extra["payload"]
    assert payload.pop("at").endswith("Z")
    assert payload.pop("pool_created").startswith("20")
    assert payload == {
        "event": "ready",
        "pool_id": azure.pool_id,
        "extensions": ["secretext"],
        "nodes_ready": 2,
    }
    assert events[other].extra == {}
