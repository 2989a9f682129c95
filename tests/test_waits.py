"""Everything of ours that waits, and what ends its wait beside the pool: a limit, a failing trigger.

Whatever waits, however it waits: ``execution_timeout`` ends it and is named; where the triggerer could not
wait, one sentence says so and why; and what the task had promised to clean up is cleaned up.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import AirflowSkipException, AirflowTaskTimeout, TaskDeferred
from airflow.sdk.execution_time.timeout import timeout as alarm

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import (
    BatchextError,
    ExecutionTimeoutError,
    NoConnectionError,
    TriggerFailedError,
    UnavailableError,
)
from tests.conftest import document, own_connection
from tests.repair.conftest import fails, journal
from tests.test_contexts import TASKS, WAITS, task

#: Airflow's alarm may strike in the midst of a finalizer, where Python swallows what it raises: our own limit
#: ends the wait then.
pytestmark = pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")

SHORT = timedelta(seconds=0.6)
#: Also for two looks on a loaded machine.
LONGER = timedelta(seconds=3)
KINDS = pytest.mark.parametrize("name", WAITS)
WORK = "AzureBatchTaskOperator"
CREATE, REPAIR, GATE = (
    "AzureBatchCreatePoolOperator",
    "AzureBatchRepairNodesOperator",
    "AzureBatchExtensionSensor",
)


class Instance(SimpleNamespace):
    """A task instance, as far as a task that waits asks it for anything; it outlives the task's processes."""

    dag_id, task_id, run_id, map_index, try_number = "d", "one", "r", -1, 1

    def __init__(self) -> None:
        super().__init__(xcoms={})

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.xcoms[key] = json.dumps(value)

    def xcom_pull(self, *, key: str, task_ids: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return json.loads(self.xcoms.get(key, "null"))

    def get_first_reschedule_date(self, context: Any) -> None:
        return None


@pytest.fixture(autouse=True, scope="module")
def _loaded() -> None:
    """An alarm in the middle of an import leaves half a module to the tests after it."""
    steps = ("create_pool", "delete_pool", "repair", "resize_pool", "update_pool", "task")
    ours = [f"airflow_batchext.operators._steps.{name}" for name in steps]
    for name in (
        *ours,
        "airflow_batchext.sensors._gate",
        "azure.batch",
        "azure.mgmt.batch",
        "azure.identity",
    ):
        importlib.import_module(name)


@pytest.fixture(autouse=True)
def _nothing_swallows_an_alarm() -> Iterator[None]:
    """What an alarm raises within a callback of the garbage collector, such as Hypothesis's, goes nowhere."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", "tests")
    return Instance()


def waiting(azure: Any, name: str, **more: Any) -> Any:
    """A task that waits for what does not come: the emulator's time stands still."""
    if name == REPAIR:
        options: dict[str, Any] = {"policy": {"order": ["reboot"]}}
    else:
        options = WAITS[name]
    made = task(name, azure, **{**options, "timeout": 900, **more})
    if name == WORK:
        azure.emulator.scenario = Scenario()
    return made


def prepared(azure: Any, name: str) -> None:
    if name == REPAIR:
        azure.emulator.scenario = fails({"node": 1})
        azure.create(3)
    elif name != CREATE:
        azure.create(nodes=2, ready=name != GATE)


def run(made: Any, context: dict[str, Any]) -> Any:
    """What Airflow's runner does with it on a worker."""
    return resumed(made, lambda: made.execute(context))


def resumed(made: Any, work: Callable[[], Any]) -> Any:
    if made.execution_timeout is None:
        return work()
    try:
        with alarm(made.execution_timeout.total_seconds()):
            return work()
    except AirflowTaskTimeout:
        made.on_kill()
        raise


def deferred(made: Any, context: dict[str, Any]) -> Any:
    """The trigger that a task leaves, as another process makes it of its row."""
    with pytest.raises(TaskDeferred) as left:
        run(made, context)
    row = Trigger.from_object(left.value.trigger)
    kind = type(left.value.trigger)
    return kind(**{**row.kwargs, **({"not_before": 0} if "not_before" in row.kwargs else {})}), left.value


def event_of(trigger: Any) -> dict[str, Any]:
    trigger.poll_interval = 0.05

    async def first() -> Any:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(first())
    return {"event": json.loads(json.dumps(payload))}


def go_on(made: Any, method: str, kwargs: dict[str, Any], context: dict[str, Any]) -> Any:
    return resumed(made, lambda: made.resume_execution(method, kwargs, context))


def seen_through(make: Callable[[], Any], context: dict[str, Any]) -> Any:
    """On a worker, or there, in the triggerer, and in another worker's process: to its end."""
    made = make()
    if not made.deferrable:
        return run(made, context)
    trigger, left = deferred(made, context)
    return go_on(make(), left.method_name, event_of(trigger), context)


def test_all_that_wait_are_tried():
    limits = {"timeout", "poke_interval", "poll_interval"}
    found = {
        name
        for name, kind in TASKS.items()
        if limits & {p for k in kind.__mro__[:3] for p in inspect.signature(k.__init__).parameters}
        and hasattr(kind, "execute_complete")
    }
    assert found == WAITS.keys()


# --- execution_timeout -------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("rings", [True, False], ids=["Airflow's alarm", "no alarm"])
def test_it_ends_a_wait_on_a_worker_and_is_named(azure, instance, name, rings):
    prepared(azure, name)
    made = waiting(azure, name, execution_timeout=SHORT)
    with pytest.raises(ExecutionTimeoutError, match=r"0\.6 seconds \(execution_timeout\)") as ended:
        (run if rings else lambda made, context: made.execute(context))(made, {"ti": instance})
    assert isinstance(ended.value, AirflowTaskTimeout), "so Airflow tries it again, and calls on_kill"
    assert azure.pool_id in str(ended.value)
    if name == REPAIR:
        # There is none where the time was over before anything was repaired.
        assert not (journal(azure) or {}).get("by"), "others may repair the pool"


@KINDS
def test_it_ends_a_wait_in_the_triggerer_and_is_named(azure, instance, name):
    prepared(azure, name)
    trigger, left = deferred(
        waiting(azure, name, execution_timeout=LONGER, deferrable=True), {"ti": instance}
    )
    assert left.timeout < timedelta(seconds=90), "Airflow's own limit comes soon after"
    happened = event_of(trigger)
    again = waiting(azure, name, execution_timeout=LONGER, deferrable=True)
    with pytest.raises(ExecutionTimeoutError, match=r" 3 seconds \(execution_timeout\)"):
        go_on(again, left.method_name, happened, {"ti": instance})
    if name == REPAIR:
        assert not (journal(azure) or {}).get("by")


@KINDS
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_shorter_timeout_ends_it_first_and_is_named(azure, instance, name, deferrable):
    prepared(azure, name)
    limits = {"timeout": 0.4, "execution_timeout": timedelta(minutes=5), "deferrable": deferrable}
    if name == REPAIR:
        limits["policy"] = {"order": ["reboot"]}
    with pytest.raises(BatchextError, match=r"0\.4 seconds \(timeout\)") as ended:
        seen_through(lambda: waiting(azure, name, **limits), {"ti": instance})
    assert not isinstance(ended.value, AirflowTaskTimeout)


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize("soft", [{}, {"soft_fail": True}, {"never_fail": True}])
def test_it_is_a_failure_like_any_other_of_a_gate(azure, instance, mode, soft):
    azure.create(ready=False)
    made = waiting(azure, GATE, execution_timeout=SHORT, mode=mode, **soft)
    kind = AirflowSkipException if soft else ExecutionTimeoutError
    with pytest.raises(kind, match=r"within 0\.6 seconds \(execution_timeout\); still missing: ."):
        run(made, {"ti": instance})


def test_the_time_that_a_gate_was_away_counts(azure, instance, monkeypatch):
    """Airflow's own alarm is set anew for each process of a rescheduled task."""
    from datetime import UTC, datetime

    azure.create(ready=False)
    first = datetime.now(UTC) - timedelta(minutes=5)
    monkeypatch.setattr(Instance, "get_first_reschedule_date", lambda self, context: first)
    made = waiting(azure, GATE, execution_timeout=timedelta(minutes=4), mode="reschedule")
    with pytest.raises(ExecutionTimeoutError, match=r"240 seconds \(execution_timeout\)"):
        run(made, {"ti": instance})


# --- what is cleaned up ------------------------------------------------------------------------------------


def is_going(azure: Any) -> bool:
    pool = azure.emulator.account.find(azure.pool_id)
    return pool is None or pool.deleted is not None


def created(azure: Any, **more: Any) -> Any:
    return waiting(azure, CREATE, delete_on_failure=True, **more)


@pytest.mark.parametrize("deletes", [True, False])
def test_a_pool_whose_creation_ran_out_of_time_goes_if_that_was_wanted(azure, instance, deletes):
    for deferrable in (False, True):
        given = {"execution_timeout": LONGER, "deferrable": deferrable, "delete_on_failure": deletes}
        with pytest.raises(ExecutionTimeoutError):
            seen_through(lambda given=given: waiting(azure, CREATE, **given), {"ti": instance})
        assert is_going(azure) is deletes
        azure.pass_time(3600)
        if not deletes:
            azure.emulator.account.delete_pool(azure.pool_id)
        azure.pass_time(3600)


def test_whatever_ends_a_creation_its_pool_goes(azure, instance, monkeypatch):
    """An error that nobody expects is a failure, too."""
    made = created(azure)
    monkeypatch.setattr("airflow_batchext.operators._steps.pool.look", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(made, {"ti": instance})
    assert is_going(azure)


def test_a_document_that_cannot_be_read_any_more_leaves_no_pool(azure, instance, tmp_path):
    file = tmp_path / "pool.json"
    file.write_text(json.dumps({"name": azure.pool_id, **document(2)}))
    given = {"pool_document": str(file), "wait_for": "steady", "delete_on_failure": True, "deferrable": True}
    trigger, left = deferred(TASKS[CREATE](task_id="one", **given), {"ti": instance})
    azure.pass_time(600)
    happened = event_of(trigger)
    file.unlink()
    with pytest.raises(BatchextError, match=r"pool\.json"):
        go_on(TASKS[CREATE](task_id="one", **given), left.method_name, happened, {"ti": instance})
    assert is_going(azure)


def test_an_alarm_in_the_middle_of_the_clean_up_does_not_stop_it(azure, instance, monkeypatch):
    from airflow_batchext.operators._steps.create_pool import CreatePool

    delete, calls = CreatePool._delete_own, []

    def rings_once(self: Any, why: str) -> None:
        calls.append(why)
        if len(calls) == 1:
            raise AirflowTaskTimeout("Timeout, PID: 1")
        delete(self, why)

    monkeypatch.setattr(CreatePool, "_delete_own", rings_once)
    with pytest.raises(ExecutionTimeoutError, match="execution_timeout"):
        created(azure, timeout=0.3, execution_timeout=timedelta(seconds=400)).execute({"ti": instance})
    assert is_going(azure)


@pytest.mark.parametrize("lifetime", ["run", "kept"])
def test_a_pool_whose_creation_was_not_answered_goes_if_it_carries_the_runs_mark(
    azure, instance, capsys, lifetime
):
    azure.connect("hasty", own_connection(azure.emulator, extra={"retries": 0}))
    lost = {"action": "drop", "method": "PUT", "path": f"*/pools/{azure.pool_id}", "performed": True}
    azure.emulator.faults.add(read_fault(lost))
    with pytest.raises(UnavailableError):
        run(created(azure, azure_batchext_conn_id="hasty", lifetime=lifetime), {"ti": instance})
    assert is_going(azure) is (lifetime == "run")
    assert ("Delete it if nobody has" in capsys.readouterr().out) is (lifetime == "kept")


def test_a_pool_of_somebody_else_is_left_alone(azure, instance):
    azure.create(nodes=2, ready=False)
    with pytest.raises(ExecutionTimeoutError):
        run(created(azure, execution_timeout=SHORT), {"ti": instance})
    assert not is_going(azure)


# --- the trigger fails -------------------------------------------------------------------------------------

CRASH = [
    "Traceback (most recent call last):\n",
    '  File "/x/triggerer_job_runner.py", line 1, in run_trigger\n    async for event in event_stream:\n',
    '  File "/x/pool.py", line 2, in run\n    raise OSError("sig=abc")\n',
]
FAILURES = {
    "a crash": (
        {"error": "Trigger failure", "traceback": [*CRASH, "OSError: no space left; password=hunter2\n"]},
        r"crashed: OSError: no space left",
    ),
    "no such class": (
        {
            "error": "Trigger failure",
            "traceback": [*CRASH[:2], "ModuleNotFoundError: No module named 'airflow_batchext'\n"],
        },
        r"cannot load what waits .*No module named 'airflow_batchext'.* Install this provider there too",
    ),
    "no such class in that version": (
        {
            "error": "Trigger failure",
            "traceback": [*CRASH[:2], 'ImportError: Module "airflow_batchext.t" does not define "X"\n'],
        },
        r"cannot load what waits .* in the version that the workers have",
    ),
    "no word": ({"error": "Trigger failure", "traceback": None}, "given up without a word"),
    "nothing at all": ({}, "given up without a word"),
    "what is stored cannot be read": (
        {"error": "Could not resume the task: its stored next_kwargs could not be decoded (KeyError: 'x')"},
        "next_kwargs could not be decoded",
    ),
}


@KINDS
@pytest.mark.parametrize(("failure", "words"), FAILURES.values(), ids=FAILURES)
def test_it_is_told_in_a_sentence(azure, instance, capsys, name, failure, words):
    prepared(azure, name)
    deferred(waiting(azure, name, deferrable=True), {"ti": instance})
    again = waiting(azure, name, deferrable=True)
    with pytest.raises(TriggerFailedError, match=words) as ended:
        go_on(again, "__fail__", failure, {"ti": instance})
    said, logged = str(ended.value), capsys.readouterr().out
    assert azure.pool_id in said
    assert "\n" not in said
    assert "hunter2" not in said + logged
    assert ended.value.__cause__ is None
    assert ("Traceback" in logged) == ("crashed" in said), "only where nobody knows the reason"
    if name == REPAIR:
        # There is none where the time was over before anything was repaired.
        assert not (journal(azure) or {}).get("by"), "others may repair the pool"


@pytest.mark.parametrize("failure", [f for f, _ in FAILURES.values()], ids=FAILURES)
@pytest.mark.parametrize("deletes", [True, False])
def test_the_pool_goes_with_the_trigger_if_that_was_wanted(azure, instance, failure, deletes):
    made = waiting(azure, CREATE, delete_on_failure=deletes, deferrable=True)
    deferred(made, {"ti": instance})
    again = waiting(azure, CREATE, delete_on_failure=deletes, deferrable=True)
    with pytest.raises(TriggerFailedError):
        go_on(again, "__fail__", failure, {"ti": instance})
    assert is_going(azure) is deletes


def test_a_pool_created_anew_does_not_go_with_the_trigger(azure, instance):
    deferred(created(azure, deferrable=True), {"ti": instance})
    azure.emulator.account.recreate_pool(azure.pool_id)
    with pytest.raises(TriggerFailedError):
        go_on(created(azure, deferrable=True), "__fail__", {}, {"ti": instance})
    assert not is_going(azure)


@pytest.mark.parametrize("name", [name for name in WAITS if name != GATE])
@pytest.mark.parametrize(
    "limit", [{}, {"execution_timeout": timedelta(seconds=30)}], ids=["timeout", "execution"]
)
def test_airflows_own_limit_is_told_with_ours(azure, instance, name, limit):
    """A gate looks once more then: tests/sensors/test_deadline.py."""
    prepared(azure, name)
    deferred(waiting(azure, name, deferrable=True, **limit), {"ti": instance})
    words = r"30 seconds \(execution_timeout\)" if limit else r"900 seconds \(timeout\)"
    again = waiting(azure, name, deferrable=True, **limit)
    with pytest.raises(BatchextError, match=rf"{words}.*no triggerer has told anything.*Check that"):
        go_on(again, "__fail__", {"error": "Trigger timeout"}, {"ti": instance})


@pytest.fixture
def workers_alone(azure: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """A connection that comes and goes: a worker has it, the triggerer has not."""
    azure.connect("workeronly", own_connection(azure.emulator))
    import os

    kept = os.environ["AIRFLOW_CONN_WORKERONLY"]

    def there(is_there: bool) -> None:
        if is_there:
            monkeypatch.setenv("AIRFLOW_CONN_WORKERONLY", kept)
        else:
            monkeypatch.delenv("AIRFLOW_CONN_WORKERONLY")

    return there


@KINDS
def test_a_connection_that_the_triggerer_lacks(azure, instance, workers_alone, name):
    prepared(azure, name)
    given = {"azure_batchext_conn_id": "workeronly", "deferrable": True}
    if name == CREATE:
        given["delete_on_failure"] = True
    if name == GATE:
        given["soft_fail"] = True
    trigger, left = deferred(waiting(azure, name, **given), {"ti": instance})
    workers_alone(False)
    happened = event_of(trigger)
    workers_alone(True)
    with pytest.raises(
        BatchextError, match="the triggerer does not have the connection 'workeronly'"
    ) as ended:
        go_on(waiting(azure, name, **given), left.method_name, happened, {"ti": instance})
    assert "\n" not in str(ended.value)
    if name == CREATE:
        assert is_going(azure)
    if name == REPAIR:
        assert not (journal(azure) or {}).get("by")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("how", [{}, {"deferrable": True}], ids=["worker", "deferrable"])
def test_a_connection_that_nobody_has_is_one_error(azure, instance, name, how):
    if how and name not in WAITS:
        pytest.skip("does not wait")
    made = task(name, azure, azure_batchext_conn_id="nobody_has_it", **how)
    with pytest.raises(NoConnectionError, match="Airflow has no connection 'nobody_has_it'") as ended:
        run(made, {"ti": instance})
    chain = []
    error: BaseException | None = ended.value
    while error is not None:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert len(chain) == 1
    for link in made.operator_extra_links:
        if link.name != "Live status":  # asks nobody
            assert link.get_link(made, ti_key=None) == "", "and Airflow logs no second one for the link"
