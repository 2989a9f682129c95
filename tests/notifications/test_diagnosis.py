"""The notifier: the short diagnosis goes through any other notifier's templates, or into the log."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import AsyncCallback

from airflow_batchext.exceptions import GateFailedError
from airflow_batchext.notifications._diagnosis import Message
from airflow_batchext.notifications.diagnosis import AzureBatchDiagnosisNotifier
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.airflow_names import CallbackTrigger
from tests.diagnosis.faults import FAULTS, HEALTH, Fault, produce, says

pytestmark = pytest.mark.usefixtures("signed_in")

SECRET = "S3NTINEL"


class Sent(BaseNotifier):
    """Keeps what it would send."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.sent: list[str] = []

    def notify(self, context) -> None:
        self.sent.append(self.text)


def context(azure, **more):
    return {"task": SimpleNamespace(task_id="gate", pool_id=azure.pool_id), **more}


def test_the_diagnosis_is_in_the_templates_of_the_other_notifier(azure):
    produce(azure, FAULTS["key-vault-no-role"])
    other = Sent("{{ task.task_id }} failed\n{{ batch_diagnosis }}\n{{ batch_causes[0] }}")
    AzureBatchDiagnosisNotifier(through=other)(context(azure, exception=GateFailedError("the gate closed")))
    (text,) = other.sent
    assert text.startswith("gate failed\ngate: the gate closed\nPool ")
    assert "- The identity may not read the vault's secrets (secretext on 3 nodes)." in text
    assert text.endswith("key-vault-no-role")


def test_several_notifiers_get_it_and_html_is_escaped(azure):
    produce(azure, Fault([HEALTH], says("health", f"<b>bold</b> https://a/b?sig={SECRET}")))
    plain, html = Sent("{{ batch_diagnosis }}"), Sent("{{ batch_diagnosis_html }}")
    AzureBatchDiagnosisNotifier(through=[plain, html], pool_id="{{ task.pool_id }}")(context(azure))
    assert "<b>bold</b>" in plain.sent[0]
    assert "&lt;b&gt;bold" in html.sent[0]
    assert SECRET not in plain.sent[0] + html.sent[0]


def test_without_another_notifier_it_is_in_the_log(azure, capsys):
    produce(azure, FAULTS["disk-full"])
    AzureBatchDiagnosisNotifier()(context(azure))
    assert "A node's disk is full" in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"azure_batchext_conn_id": "nobody"}, {"pool_id": "{{ 'no pool' }}"}])
def test_a_diagnosis_that_fails_does_not_keep_the_message_back(azure, given):
    other = Sent("{{ batch_diagnosis }}")
    AzureBatchDiagnosisNotifier(through=other, **given)(context(azure))
    assert "could not be diagnosed" in other.sent[0]


def test_what_other_errors_say_is_not_sent_on(azure):
    azure.create(nodes=1)
    other = Sent("{{ batch_diagnosis }}")
    AzureBatchDiagnosisNotifier(through=other)(context(azure, exception=RuntimeError(SECRET)))
    assert SECRET not in other.sent[0]
    assert "Nothing is wrong" in other.sent[0]


def test_causes_are_told_once(azure):
    """The error of a gate names the likeliest cause itself, with more lines than one."""
    produce(azure, FAULTS["key-vault-no-role"])
    error = GateFailedError("closed\nLikeliest cause: x (y). z.\nFor the rest: batchext diagnose p")
    other = Sent("{{ batch_diagnosis }}")
    AzureBatchDiagnosisNotifier(through=other)(context(azure, exception=error))
    assert other.sent[0].startswith(f"gate: closed\nPool {azure.pool_id}: ")


class SentAsync(Sent):
    """Sends in the event loop."""

    async def async_notify(self, context) -> None:
        self.sent.append(self.text)


@pytest.fixture(params=["sync", "async"])
def told(request):
    """What a notifier sends: called as Airflow's worker does, or awaited as its triggerer does."""

    def tell(context, **given):
        other = (Sent if request.param == "sync" else SentAsync)("{{ batch_diagnosis }}")
        notifier = AzureBatchDiagnosisNotifier(through=other, **given)
        if request.param == "sync":
            notifier(context)
        else:
            notifier.context = context
            asyncio.run(awaited(notifier))
        (text,) = other.sent
        return text

    return tell


async def awaited(notifier):
    await notifier


class TestTwoAccounts:
    @pytest.fixture(autouse=True)
    def _two_pools_of_one_name(self, azure, elsewhere):
        azure.create(nodes=1)
        produce(elsewhere, FAULTS["disk-full"])

    def failed(self, azure, conn_id, **more):
        task = SimpleNamespace(task_id="gate", pool_id=azure.pool_id, azure_batchext_conn_id=conn_id, **more)
        return {"task": task, "exception": GateFailedError("closed")}

    def test_it_reads_the_account_of_the_task_that_failed(self, azure, elsewhere, told):
        assert "disk is full" in told(self.failed(azure, "elsewhere"))
        assert "Nothing is wrong" in told(self.failed(azure, azure.conn_id))

    def test_the_account_also_of_a_pool_that_it_was_given(self, azure, elsewhere, told):
        context = self.failed(azure, "elsewhere")
        assert "disk is full" in told(context, pool_id=azure.pool_id)
        assert "disk is full" in told(context, pool_id="{{ task.pool_id }}")

    def test_a_connection_of_its_own_goes_first(self, azure, elsewhere, told):
        text = told(self.failed(azure, "elsewhere"), azure_batchext_conn_id=azure.conn_id)
        assert "Nothing is wrong" in text

    def test_the_name_of_the_pool_may_come_from_its_document(self, azure, elsewhere, told):
        task = SimpleNamespace(pool_id=None, linked_pool_id=azure.pool_id, azure_batchext_conn_id="elsewhere")
        assert "disk is full" in told({"task": task})

    def test_one_notifier_serves_many_tasks(self, azure, elsewhere):
        other = Sent("{{ batch_diagnosis }}")
        notifier = AzureBatchDiagnosisNotifier(
            through=other, azure_batchext_conn_id="{{ task.azure_batchext_conn_id }}"
        )
        for conn_id in ("elsewhere", azure.conn_id):
            notifier(self.failed(azure, conn_id))
        assert "disk is full" in other.sent[0]
        assert "Nothing is wrong" in other.sent[1]


class TestInTheDagProcessor:
    """Where no task runs: after a worker was lost, and for the callbacks of a DAG."""

    @pytest.fixture
    def dag(self, azure, elsewhere):
        with DAG("d") as dag:
            gates = [
                AzureBatchExtensionSensor(
                    task_id=task_id, pool_id="{{ run_id }}-{{ ti.map_index }}", azure_batchext_conn_id=conn_id
                )
                for task_id, conn_id in (("here", azure.conn_id), ("there", "elsewhere"))
            ]
            gates >> EmptyOperator(task_id="last")
        for place in (azure, elsewhere):
            place.pool_id = "pool--1"
        azure.create(nodes=1)
        produce(elsewhere, FAULTS["disk-full"])
        return dag

    def tell(self, dag, task_id, **more):
        other = Sent("{{ batch_diagnosis }}")
        instance = SimpleNamespace(task_id=task_id, map_index=-1, run_id="pool", dag_id="d")
        context = {"dag": dag, "run_id": "pool", "task": dag.get_task(task_id), "ti": instance, **more}
        AzureBatchDiagnosisNotifier(through=other)(context)
        (text,) = other.sent
        return text

    def test_templates_of_the_task_are_rendered(self, dag):
        assert "disk is full" in self.tell(dag, "there")
        assert "Nothing is wrong" in self.tell(dag, "here")

    def test_what_still_looks_like_a_template_on_a_worker_is_not(self, dag):
        rendered = dag.get_task("there").prepare_for_execution()
        assert "could not be diagnosed: pool_id is '{{ run_id }}-" in self.tell(dag, "there", task=rendered)

    @pytest.mark.parametrize(
        ("states", "says"),
        [
            ({"here": "success", "there": "failed", "last": "upstream_failed"}, ["disk is full"]),
            ({"here": "failed", "there": "failed"}, ["Nothing is wrong", "disk is full"]),
            ({"here": "success", "there_-1": "success", "gone": "failed"}, ["has a pool_id"]),
        ],
    )
    def test_of_a_dag_each_task_that_failed_is_told(self, dag, monkeypatch, states, says):
        asked = []
        monkeypatch.setattr(
            "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states",
            lambda **about: asked.append(about) or {"pool": states},
        )
        text = self.tell(dag, "last", reason="task_failure")
        assert asked == [{"dag_id": "d", "run_ids": ["pool"]}]
        assert [
            words for words in ("Nothing is wrong", "disk is full", "has a pool_id") if words in text
        ] == says


class TestInTheTriggerer:
    def test_a_deadline_has_it_awaited(self, azure, caplog, capsys):
        """As Airflow's ``AsyncCallback`` is run, with the little context that a deadline has."""
        produce(azure, FAULTS["disk-full"])
        context = {"dag_run": {"dag_id": "d", "dag_run_id": "r"}, "deadline": {"id": "1"}}
        kwargs = {"pool_id": azure.pool_id, "context": context}
        assert self.run(AsyncCallback(AzureBatchDiagnosisNotifier).path, kwargs) == ["running", "success"]
        assert "disk is full" in capsys.readouterr().out

    def test_a_deadline_has_it_called_in_an_executor_too(self, azure, capsys):
        """As Airflow's ``SyncCallback`` is run (3.2 and later)."""
        executor = pytest.importorskip("airflow.sdk.execution_time.callback_supervisor")
        produce(azure, FAULTS["disk-full"])
        kwargs = {"pool_id": azure.pool_id, "context": {"dag_run": {"dag_id": "d"}}}
        path = AsyncCallback(AzureBatchDiagnosisNotifier).path
        assert executor.execute_callback(path, kwargs, Path("d.py"), None, MagicMock()) == (True, None)
        assert "disk is full" in capsys.readouterr().out

    def test_without_a_pool_it_says_what_it_needs(self, azure, capsys):
        kwargs = {"context": {"dag_run": {"dag_id": "d"}}}
        assert self.run(AsyncCallback(AzureBatchDiagnosisNotifier).path, kwargs) == ["running", "success"]
        assert "could not be diagnosed: nothing that failed has a pool_id" in capsys.readouterr().out

    def run(self, path, kwargs):
        async def states():
            trigger = CallbackTrigger(path, kwargs)
            return [str(getattr(s := e.payload["state"], "value", s)) async for e in trigger.run()]

        return asyncio.run(states())

    def test_the_loop_goes_on_meanwhile(self, azure, monkeypatch):
        """What computes, and notifiers that know no loop, are in threads of their own."""
        azure.create(nodes=1)
        threads = {}

        def note(name, then):
            return lambda *given: (threads.setdefault(name, threading.get_ident()), then(*given))[1]

        monkeypatch.setattr(Message, "add", note("diagnosis", Message.add))
        monkeypatch.setattr(Sent, "notify", note("blocking", Sent.notify))
        several = [Sent("{{ batch_diagnosis }}"), SentAsync("{{ batch_diagnosis }}")]
        notifier = AzureBatchDiagnosisNotifier(pool_id=azure.pool_id, through=several)
        asyncio.run(awaited(notifier))
        assert ["Nothing is wrong" in other.sent[0] for other in several] == [True, True]
        assert threads.keys() == {"diagnosis", "blocking"}
        assert threading.get_ident() not in threads.values()
