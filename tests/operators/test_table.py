"""docs/operators.md says of each operator what is so; everything deferrable is so in the same way."""

from __future__ import annotations

import inspect
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred, conf

from airflow_batchext.exceptions import ParameterError
from airflow_batchext.operators._steps import repair
from airflow_batchext.operators._steps.pool import PoolSteps
from airflow_batchext.sensors._gate import Gate
from tests.operators.table import EACH, NOTHING, PAGE, SAID, page
from tests.test_contexts import TASKS, WAITS, task

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture(autouse=True)
def _deployment(monkeypatch):
    """The name of this Airflow, by which orphans are told."""
    monkeypatch.setenv("AIRFLOW__BATCHEXT__DEPLOYMENT", "tests")


def test_the_page_is_written_anew_when_a_class_changes():
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.operators.table"


def test_every_class_is_in_the_table():
    assert SAID.keys() == TASKS.keys()


@pytest.mark.parametrize("name", SAID)
def test_its_xcom_has_the_members_that_the_table_names(azure, name):
    azure.create(nodes=2)
    returned = task(name, azure).execute({})
    (first, *_) = returned if isinstance(returned, list) else [returned]
    said = SAID[name].xcom.removeprefix(EACH).partition(";")[0]
    assert list(first) == said.split(", ")


@pytest.mark.parametrize("name", WAITS)
class TestWhatWaits:
    def test_is_deferrable_by_the_configuration(self, azure, name):
        """As other providers have it: the option is read when the class is made."""
        kinds = [kind for kind in TASKS[name].__mro__ if "deferrable" in inspect.signature(kind).parameters]
        defaults = {inspect.signature(kind).parameters["deferrable"].default for kind in kinds}
        assert defaults == {conf.getboolean("operators", "default_deferrable")}

    def test_takes_seconds_and_timedeltas_and_refuses_what_cannot_be_meant(self, azure, name):
        pause = "poke_interval" if "Sensor" in name else "poll_interval"
        one = task(name, azure, timeout=timedelta(hours=1), **{pause: timedelta(seconds=7)})
        assert (one.timeout, getattr(one, pause)) == (3600.0, 7.0)
        for given in ({"timeout": -1}, {pause: -5}, {"timeout": "soon"}, {pause: float("nan")}):
            with pytest.raises(ParameterError, match=next(iter(given))):
                task(name, azure, **given)

    def test_looks_on_the_worker_first(self, azure, name):
        """What is there already costs no trigger; what is not there yet defers the task after a look."""
        if name == "AzureBatchTaskOperator":
            return  # what was submitted just now has not ended
        azure.create(nodes=2)
        assert task(name, azure, deferrable=True).execute({})
        if "Repair" in name:
            return
        if "Create" in name:
            azure.emulator.account.delete_pool(azure.pool_id)
            azure.pass_time(600)
        elif "Sensor" in name:
            azure.emulator.account.recreate_pool(azure.pool_id)
        azure.emulator.requests.clear()
        with pytest.raises(TaskDeferred) as deferred:
            task(name, azure, **WAITS[name], deferrable=True).execute({})
        assert azure.reads(f"/pools/{azure.pool_id}"), "looked"
        assert deferred.value.method_name == "execute_complete"
        assert deferred.value.timeout is not None, "Airflow ends it where nobody else does"


@pytest.mark.parametrize("name", SAID)
def test_what_does_nothing_when_killed_changes_nothing_then(azure, name, monkeypatch):
    if not SAID[name].on_kill.endswith(NOTHING):
        return
    azure.create(nodes=2, ready="Sensor" not in name)

    def killed(*given, **more):
        raise KeyboardInterrupt

    for kind, method in ((PoolSteps, "_wait"), (Gate, "look"), (repair, "drive")):
        monkeypatch.setattr(kind, method, killed)
    one = task(name, azure, **WAITS.get(name, {}))
    if name in WAITS:
        with pytest.raises(KeyboardInterrupt):
            one.execute({})
    else:
        one.execute({})
    azure.emulator.requests.clear()
    one.on_kill()
    assert [request for request in azure.emulator.requests if request.method not in ("GET", "HEAD")] == []
