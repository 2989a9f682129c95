"""Two accounts in one DAG: whatever is given a connection asks the account behind it, and no other.

Also where pool and connection come out of templates, native or not, and read like numbers.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG

from airflow_batchext.assets import watched_pool_asset
from airflow_batchext.emulator import ExtensionScenario, Scenario
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.links import AzureBatchPoolLink
from airflow_batchext.operators._steps.pool import PoolSteps
from airflow_batchext.provider_info import get_provider_info
from tests.conftest import own_connection
from tests.test_contexts import NEEDS, NO_POOL, NOTIFIERS, TASKS, WAITS
from tests.test_public_names import thing
from tests.waiting import until

#: What of each trigger cannot be left out.
TRIGGERS: dict[str, dict[str, Any]] = {
    "extension.AzureBatchExtensionTrigger": {"poll_interval": 0.02, "timeout": 600.0},
    "pool.AzureBatchPoolTrigger": {"goal": "complete", "poll_interval": 0.02, "deadline": 2e10},
    "repair.AzureBatchRepairTrigger": {"poll_interval": 0.02, "deadline": 2e10, "owner": "o"},
    "events.AzureBatchPoolEventTrigger": {"poll_interval": 0.02},
    "task.AzureBatchTaskTrigger": {
        "poll_interval": 0.02,
        "deadline": 2e10,
        "job_id": "j",
        "batch_task_id": "t",
    },
    "tasks.AzureBatchTasksTrigger": {
        "poll_interval": 0.02,
        "deadline": 2e10,
        "job_ids": ["j"],
        "base": "j",
        "key": "k",
        "life": "m1",
        "count": 2,
    },
}


@pytest.fixture(autouse=True)
def _deployment(monkeypatch):
    """The name of this Airflow, by which orphans are told."""
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", "tests")


@pytest.fixture(params=["here", "elsewhere"])
def asked(request, azure, elsewhere):
    """The account that is meant; afterwards the other, with a pool of the same name, was asked nothing."""
    meant, other = (azure, elsewhere) if request.param == "here" else (elsewhere, azure)
    for place in (azure, elsewhere):
        place.pool_id = "1_0"
        place.emulator.scenario = Scenario.load({"timings": {"scheduling": 0, "task": 0}})
        place.create(nodes=2)
    before = len(other.emulator.requests), len(meant.emulator.requests)
    yield meant
    strays = [f"{request.method} {request.path}" for request in [*other.emulator.requests][before[0] :]]
    assert strays == [], "asked the other account"
    assert len(meant.emulator.requests) > before[1], "asked nobody"


def task(name: str, asked: Any, *, native: bool = False, **kwargs: Any) -> Any:
    """A task as it is when its templates have been rendered."""
    given = {"pool_id": "{{ pool }}", "azure_batchext_conn_id": "{{ account }}", "poll_interval": 0.02}
    given = {key: value for key, value in given.items() if key in accepted(name)}
    if "Sensor" in name:
        given["poke_interval"] = 0.02
    with DAG("d", render_template_as_native_obj=native) as dag:
        one = TASKS[name](task_id="one", **given, **{**NEEDS[name], **kwargs})
    one.render_template_fields({"dag": dag, "pool": asked.pool_id, "account": asked.conn_id})
    return one


def accepted(name: str) -> set[str]:
    return {parameter for kind in TASKS[name].__mro__ for parameter in inspect.signature(kind).parameters}


NATIVE = pytest.mark.parametrize("native", [False, True], ids=["texts", "native"])


@NATIVE
@pytest.mark.parametrize("name", NEEDS)
def test_each_task_asks_the_account_of_its_connection(asked, name, native):
    assert task(name, asked, native=native).execute({})


@NATIVE
@pytest.mark.parametrize("name", WAITS)
def test_so_does_its_trigger_and_what_goes_on_after_that(asked, name, native):
    waiting = {**WAITS[name], "deferrable": True, "native": native}
    if "Create" in name:
        asked.emulator.account.delete_pool(asked.pool_id)
        asked.pass_time(600)
    elif "Repair" in name:
        waiting.pop("node_ids")
        fails = ExtensionScenario(pool="*", extension="*", node=0, outcome="fail", boots="first")
        asked.emulator.scenario = Scenario(extensions=[fails])
        asked.emulator.account.recreate_pool(asked.pool_id)
        asked.pass_time(600)
    elif "Sensor" in name:
        waiting["min_nodes"] = 3
    with pytest.raises(TaskDeferred) as deferred:
        task(name, asked, **waiting).execute({})
    asked.pass_time(600)
    if "Sensor" in name:
        deferred.value.trigger.rules.pop("min_nodes")
    deferred.value.trigger.poll_interval = 0.02
    (event,) = asyncio.run(events_of(deferred.value.trigger))
    assert task(name, asked, **waiting).execute_complete({}, event)


async def events_of(trigger: Any) -> list[Any]:
    return [json.loads(json.dumps(event.payload)) async for event in trigger.run()]


def test_every_trigger_is_tried():
    (modules,) = (each["python-modules"] for each in get_provider_info()["triggers"])
    found = {
        f"{module.rpartition('.')[2]}.{name}"
        for module in modules
        for name, kind in inspect.getmembers(thing(module), inspect.isclass)
        if kind.__module__ == module and name.startswith("AzureBatch")
    }
    assert found == TRIGGERS.keys()


@pytest.mark.parametrize("name", TRIGGERS)
def test_each_trigger_asks_the_account_of_its_connection(asked, name):
    kind = thing(f"airflow_batchext.triggers.{name}")
    given = {"pool_id": asked.pool_id, "azure_batchext_conn_id": asked.conn_id, **TRIGGERS[name]}

    async def run() -> None:
        before = len(asked.emulator.requests)
        running = asyncio.create_task(events_of(kind(**given)))
        await until(lambda: running.done() or len(asked.emulator.requests) > before + 1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    asyncio.run(run())


def test_the_watcher_of_an_asset_asks_the_account_of_its_connection(asked):
    (watcher,) = watched_pool_asset(
        "anaccount", asked.pool_id, azure_batchext_conn_id=asked.conn_id, poll_interval=0.02
    ).watchers

    async def look() -> None:
        before = len(asked.emulator.requests)
        running = asyncio.create_task(anext(watcher.trigger.run()))
        await until(lambda: len(asked.emulator.requests) > before + 1)
        running.cancel()

    with suppress(asyncio.CancelledError):
        asyncio.run(look())


@pytest.mark.parametrize("name", NOTIFIERS)
@pytest.mark.parametrize("is_awaited", [False, True], ids=["called", "awaited"])
def test_each_notifier_asks_the_account_of_the_task_that_failed(asked, name, is_awaited, capsys):
    failed = SimpleNamespace(task_id="t", pool_id=asked.pool_id, azure_batchext_conn_id=asked.conn_id)
    notifier = NOTIFIERS[name]()
    if is_awaited:
        asyncio.run(notifier.async_notify({"task": failed}))
    else:
        notifier({"task": failed})
    assert "Nothing is wrong" in capsys.readouterr().out


@pytest.mark.parametrize("deferrable", [False, True], ids=["on the worker", "in the triggerer"])
def test_a_gate_that_fails_asks_its_own_account_why(asked, deferrable):
    asked.emulator.scenario = Scenario(
        extensions=[
            ExtensionScenario(pool="*", extension="*", outcome="fail", message="no space left on device")
        ]
    )
    asked.emulator.account.recreate_pool(asked.pool_id)
    gate = task("AzureBatchExtensionSensor", asked, deferrable=deferrable)
    if deferrable:
        with pytest.raises(TaskDeferred) as deferred:
            gate.execute({})
        asked.pass_time(900)
        (event,) = asyncio.run(events_of(deferred.value.trigger))
        with pytest.raises(BatchextError, match="no space left"):
            gate.execute_complete({}, event)
    else:
        asked.pass_time(900)
        with pytest.raises(BatchextError, match="no space left"):
            gate.execute({})


KILLED = {
    "AzureBatchCreatePoolOperator": {"delete_on_kill": True},
    "AzureBatchResizePoolOperator": {"stop_resize_on_kill": True, "wait_for_nodes": True},
}


@pytest.mark.parametrize("name", KILLED)
def test_what_a_killed_task_cleans_up_is_in_its_own_account(asked, name, monkeypatch):
    if "Create" in name:
        asked.emulator.account.delete_pool(asked.pool_id)
        asked.pass_time(600)

    def killed(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(PoolSteps, "_wait", killed)
    one = task(name, asked, **WAITS[name], **KILLED[name])
    with pytest.raises(KeyboardInterrupt):
        one.execute({})
    before = len(asked.emulator.requests)
    one.on_kill()
    assert len(asked.emulator.requests) > before


@pytest.mark.parametrize("name", sorted(NEEDS.keys() - NO_POOL))
def test_the_link_leads_to_the_account_of_the_connection(azure, name):
    """A link is greyed out on an emulator, so these connections are to the public cloud; nobody is asked."""
    for account in ("first", "second"):
        extra = {"arm_url": "", "account_name": account}
        azure.connect(account, own_connection(azure.emulator, extra=extra))
        one = task(name, SimpleNamespace(pool_id="p", conn_id=account))
        url = AzureBatchPoolLink().get_link(one, ti_key=None)
        assert url.endswith(f"/batchAccounts/{account}/pools/p")
