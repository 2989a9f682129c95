"""What a Batch task writes, in the log of the Airflow task: as it runs, once, and never a reason to fail."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_batchext.batch.task_output import PART_BYTES
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.exceptions import ParameterError, TaskResultError, TaskTimeoutError
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.rules.task_output import END_BYTES, MOST_LIVE_BYTES
from tests.operators.conftest import go_on, run
from tests.operators.test_task import MODES, books, context, left_alone, scenario, work

pytestmark = pytest.mark.usefixtures("signed_in")

SOON = 0.001


def logged(azure, monkeypatch, **options):
    """A task with its log."""
    said = []
    task = work(azure, **{"logs_interval": SOON, **options})
    note = SimpleNamespace(
        **{
            level: lambda text, *values, level=level: said.append(f"{level}: {text % values}")
            for level in ("debug", "info", "warning")
        }
    )
    monkeypatch.setattr(type(task), "log", note)
    monkeypatch.setattr("airflow_batchext.triggers.task.AzureBatchTaskTrigger.log", note)
    return task, said


def output(said, mark="out"):
    return [line.partition("| ")[2] for line in said if line.startswith(f"info: {mark}| ")]


# --- while it runs ---------------------------------------------------------------------------

NUMBERS = [f"line {number}" for number in range(30_000)]


@MODES
def test_it_is_in_the_log_while_the_task_runs_each_line_once(azure, pauses, monkeypatch, deferrable):
    """In parts whose borders are in the midst of lines, the last of them read by another worker."""
    azure.create(1)
    text = "\n".join(NUMBERS)
    assert len(text) > 4 * PART_BYTES
    scenario(azure, {"after": 1200, "stdout": text, "stderr": "ü"})
    task, said = logged(azure, monkeypatch)
    seen = []
    if deferrable:
        original = type(task).execute_complete

        def execute_complete(self, given, event):
            seen.extend(said)
            return original(self, given, event)

        monkeypatch.setattr(type(task), "execute_complete", execute_complete)
    run(azure, task, deferrable=deferrable, context=context())
    assert output(said) == NUMBERS
    assert output(said, "err") == ["ü"]
    before = seen or said[: [" succeeded" in line for line in said].index(True)]
    assert len(output(before)) > 10_000, "while it ran"
    assert len([line for line in said if "Output of its run on node" in line]) == 1


@MODES
def test_what_a_short_task_wrote_costs_two_requests(azure, pauses, monkeypatch, deferrable):
    azure.create(1)
    scenario(azure, {"after": 90, "stdout": "a\n"})
    task, said = logged(azure, monkeypatch, logs_interval=60)
    azure.emulator.requests.clear()
    run(azure, task, deferrable=deferrable, context=context())
    assert output(said) == ["a"]
    asked = azure.reads("/files")
    assert len(asked) <= 4, asked


def test_another_run_begins_its_output_anew_and_the_log_says_so(azure, pauses, monkeypatch):
    azure.create(1)
    scenario(azure, {"after": 300, "stdout": "a\nb\n"})
    task, said = logged(azure, monkeypatch)
    account, taken = azure.emulator.account, []

    def pause(seconds):
        azure.pass_time(30)
        if output(said) and not taken:
            taken.append(account.nodes(azure.pool_id)[0].node.id)
            account.preempt_node(azure.pool_id, taken[0], back_after=60)

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", pause)
    assert task.execute(context())["result"] == "succeeded"
    assert output(said) == ["a", "b", "a", "b"]
    assert len([line for line in said if "Output of its run on node" in line]) == 2


@MODES
def test_of_endless_output_a_part_is_shown_and_the_end(azure, pauses, monkeypatch, deferrable):
    azure.create(1)
    scenario(azure, {"after": 1200, "stdout": "x" * 999 + "\n", "output_every": 0.01})
    task, said = logged(azure, monkeypatch, timeout=10**5)
    if deferrable:
        monkeypatch.setattr("airflow_batchext.triggers._task_output._EVERY_SECONDS", 0.0)
    run(azure, task, deferrable=deferrable, context=context())
    shown = sum(len(line) + 1 for line in output(said) if line.startswith("x"))
    assert END_BYTES < shown <= MOST_LIVE_BYTES + PART_BYTES + END_BYTES
    assert [line for line in output(said) if "bytes before this are left out" in line]
    if not deferrable:
        assert shown > MOST_LIVE_BYTES
        assert len([line for line in output(said) if "of the rest the end is shown" in line]) == 1


def test_what_a_task_wrote_that_was_ended_at_its_deadline_is_in_the_log(azure, monkeypatch):
    azure.create(1)
    scenario(azure, {"exit_code": None, "stdout": "a\nb"})
    task, said = logged(azure, monkeypatch, logs="end")

    def pause(seconds):
        azure.pass_time(10)
        if "running" in str(books(azure)):
            task._steps._memo["deadline"] = 0

    monkeypatch.setattr("airflow_batchext.operators._steps.work.time.sleep", pause)
    with pytest.raises(TaskTimeoutError):
        task.execute(context())
    assert output(said) == ["a", "b"]


@MODES
@pytest.mark.parametrize("what", ["node is gone", "an outage", "nonsense", "lies"])
def test_output_that_cannot_be_read_while_it_runs_fails_nothing(azure, pauses, monkeypatch, what, deferrable):
    azure.create(1)
    scenario(azure, {"after": 600, "stdout": "a\n"})
    task, said = logged(azure, monkeypatch)
    listed = b'{"value": [{"name": "stdout.txt", "properties": {"contentLength": "999999999999999999"}}]}'
    fault = {
        "node is gone": {"action": "error", "status": 409},
        "an outage": {"action": "error", "status": 503},
        "nonsense": {"action": "garble", "status": 200, "body": "x" * 100_000},
        "lies": {"action": "garble", "status": 200, "body": listed.decode()},
    }[what]
    azure.emulator.faults.add(read_fault({**fault, "path": "*/files*", "count": 10**6}))
    assert run(azure, task, deferrable=deferrable, context=context())["result"] == "succeeded"
    told = [line for line in said if "output c" in line]
    assert (1 <= len(told) <= 4) is (what != "lies"), told
    assert len(said) < 40


# --- when it has ended -----------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("exit_code", [0, 3])
def test_what_it_wrote_is_in_the_log_however_it_ended(azure, pauses, monkeypatch, deferrable, exit_code):
    azure.create(1)
    secret = "password=hunter2hunter2"
    scenario(azure, {"exit_code": exit_code, "stdout": f"1%\r2%\n{secret}\n", "stderr": "\x1b[1mü"})
    task, said = logged(azure, monkeypatch, soft_fail=True)
    with suppress(AirflowSkipException):
        run(azure, task, deferrable=deferrable, context=context())
    assert [line for line in said if "| " in line] == [
        "info: out| 2%",
        "info: out| password=***",
        "info: err| \\x1b[1mü",
    ]


def test_of_long_output_the_end_is_in_the_log(azure, pauses, monkeypatch):
    azure.create(1)
    scenario(azure, {"after": 10**6, "stdout": f"{'x' * 999}\n", "output_every": 1})
    task, said = logged(azure, monkeypatch, timeout=10**7)
    deferred = left_alone(azure, task)
    azure.pass_time(10**6 + 100)
    go_on(azure, task, deferred, context())
    output = [line for line in said if "out| " in line]
    assert output[0] == f"info: out| … {1000 * (10**6 + 1) - 65536} bytes before this are left out"
    assert len(output) == 66, "of the line that was cut nothing is shown"
    assert output[-1] == f"info: out| {'x' * 999}"
    assert len(azure.reads("/files")) == 2, "asked how long, then for the end; of stderr there is nothing"


@pytest.mark.parametrize("what", ["node is gone", "an outage", "nonsense"])
def test_output_that_cannot_be_read_fails_nothing(azure, pauses, monkeypatch, what):
    azure.create(1)
    scenario(azure, {"stdout": "x"})
    task, said = logged(azure, monkeypatch)
    deferred = left_alone(azure, task)
    azure.pass_time(60)
    if what == "node is gone":
        node = azure.emulator.account.nodes(azure.pool_id)[0].node.id
        azure.emulator.account.remove_node(azure.pool_id, node)
        azure.pass_time(60)
    else:
        fault = {"status": 503} if what == "an outage" else {"status": 200, "body": "x" * 100_000}
        action = "error" if what == "an outage" else "garble"
        azure.emulator.faults.add(read_fault({"action": action, **fault, "path": "*/files/*", "count": 99}))
    assert go_on(azure, task, deferred, context())["result"] == "succeeded"
    assert what == "nonsense" or [line for line in said if line.startswith("warning: Its output")]


def test_output_that_nobody_wants_is_not_asked_for(azure, pauses):
    azure.create(1)
    run(azure, work(azure, logs="none"), deferrable=False, context=context())
    assert not azure.reads("/files/")


# --- results ----------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize(
    ("result", "rule", "wanted"),
    [
        ("last_line", {"stdout": "a\nb\n"}, "b"),
        ("json", {"stdout": 'x\n{"frames": 3}\n'}, {"frames": 3}),
        ("json", {"stdout": "x" * 999 + "\n", "output_every": 1, "after": 600}, None),
        ("wd/out.json", {"files": {"wd/out.json": "[1, 2]"}}, [1, 2]),
        ("wd/a b/ü.txt", {"files": {"wd/a b/ü.txt": "text"}}, "text"),
        ("wd/none.txt", {}, None),
        ("wd/long.txt", {"files": {"wd/long.txt": "x" * 65_537}}, None),
        ("wd/most.txt", {"files": {"wd/most.txt": "x" * 65_536}}, "x" * 65_536),
    ],
)
def test_a_result_that_was_asked_for_is_in_the_xcom(azure, pauses, deferrable, result, rule, wanted):
    azure.create(1)
    scenario(azure, rule)
    task, told = work(azure, result=result, logs="none"), context()
    if wanted is None:
        with pytest.raises(TaskResultError, match=r"succeeded, but its result .* outputFiles"):
            run(azure, task, deferrable=deferrable, context=told)
        assert told["ti"].pushed["batch_task"]["result"] == "succeeded"
    else:
        assert run(azure, task, deferrable=deferrable, context=told)["value"] == wanted


def test_a_node_that_is_busy_is_asked_for_the_result_again(azure, pauses):
    azure.create(1)
    scenario(azure, {"stdout": "7\n"})
    azure.emulator.faults.add(
        read_fault({"action": "error", "status": 409, "code": "NodeNotReady", "path": "*/files*", "count": 2})
    )
    assert work(azure, result="json", logs="none").execute(context())["value"] == 7


@pytest.mark.parametrize("result", ["", "yes", "/etc/passwd", "../x", "wd/../../x", "wd/\n", 5, "a\\b/c"])
def test_what_is_no_result_is_refused(azure, result):
    with pytest.raises(ParameterError, match="result"):
        work(azure, result=result)


def test_of_many_none_is_read():
    with pytest.raises(ParameterError, match="result is for command_line"):
        AzureBatchTaskOperator(task_id="t", pool_id="p", tasks=["x"], result="json")
