"""Random histories of a task instance, of one task or several: workers die at any request, others meddle.

Whatever happens, the account's own books say: never are two attempts of it live at once, no success without a
success of Azure Batch in the same life, and in the end nothing of it is left running.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.rules.work_ids import read_attempt_id
from tests.operators.test_task import context

COUNT = int(os.environ.get("BATCHEXT_WORK_HISTORIES", "15"))
_numbers = itertools.count()

FAULTS = st.fixed_dictionaries(
    {
        "skip": st.integers(0, 8),
        "count": st.integers(1, 3),
        "method": st.sampled_from(["GET", "POST", "PATCH", "*"]),
        "path": st.just("/jobs*"),
    }
).flatmap(
    lambda place: st.sampled_from(
        [
            {"action": "throttle", "retry_after": 1},
            {"action": "error", "status": 503},
            {"action": "error", "status": 500, "performed": True},
            {"action": "drop"},
            {"action": "drop", "performed": True},
        ]
    ).map(lambda kind: {**place, **kind})
)
TRIES = st.fixed_dictionaries(
    {
        #: At which request its worker dies, and whether that is performed.
        "dies": st.none() | st.tuples(st.integers(0, 12), st.booleans()),
        "cleared": st.sampled_from([False, False, True]),
        "exit_code": st.sampled_from([0, 0, 3]),
        "seconds": st.sampled_from([1, 40, 200]),
        "happenings": st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from(["end task", "end job", "delete job", "delete task", "reboot", "preempt"]),
            ),
            max_size=1,
        ),
    }
)
HISTORIES = st.fixed_dictionaries(
    {
        "tries": st.lists(TRIES, min_size=1, max_size=5),
        "faults": st.lists(FAULTS, max_size=2),
        "ends_by_itself": st.sampled_from(["at once", "late", "never"]),
    }
)
ONE, SEVERAL = {"command_line": "/bin/true"}, {"tasks": ["/bin/true", "/bin/true 1", "/bin/true 2"]}
WORK = st.sampled_from([ONE, SEVERAL])


class WorkerLostError(BaseException):
    """Nobody who could catch it is left."""


class World:
    """The account, the one task instance in it, and what happens to both."""

    def __init__(self, azure: Any, history: dict[str, Any]) -> None:
        self.azure, self.history = azure, history
        self.account = azure.emulator.account
        self.requests = self.pauses = 0
        self.one: dict[str, Any] = {}

    def attempts(self) -> list[tuple[Any, Any]]:
        """All Batch tasks of the pool, with their jobs."""
        return [
            (job, task)
            for job in self.account.jobs.all()
            if job.pool == self.azure.pool_id
            for task in job.tasks.values()
        ]

    def live(self) -> list[str]:
        """Those that run, or may still be given a node."""
        return [
            task.id
            for job, task in self.attempts()
            if not task.is_completed
            and not (task.is_waiting and job.goal == "completed")
            and job.gone is None
        ]

    def send(self, original: Any, hook: Any, request: Any) -> Any:
        dies = self.one["dies"]
        number, self.requests = self.requests, self.requests + 1
        if dies == (number, False):
            raise WorkerLostError
        try:
            return original(hook, request)
        finally:
            keys = [one.key for one in map(read_attempt_id, self.live()) if one]
            assert len(keys) == len(set(keys)), f"two at once: {self.live()}"
            if dies == (number, True):
                raise WorkerLostError

    def pause(self, seconds: float) -> None:
        for at, what in self.one["happenings"]:
            if at == self.pauses:
                with suppress(RefusedError, IndexError, ValueError):
                    self.let(what)
        self.pauses += 1
        self.azure.pass_time(30)

    def let(self, what: str) -> None:
        jobs, name = self.account.jobs, self.azure.pool_id
        job, task = self.attempts()[-1]
        match what:
            case "end task":
                jobs.terminate_task(job.id, task.id)
            case "end job":
                jobs.terminate(job.id)
            case "delete job":
                jobs.delete(job.id)
            case "delete task":
                jobs.delete_task(job.id, task.id)
            case "reboot":
                self.account.reboot_node(name, self.account.nodes(name)[0].node.id)
            case "preempt":
                self.account.preempt_node(name, self.account.nodes(name)[0].node.id, back_after=60)

    def scenario(self) -> Scenario:
        rule = {"exit_code": self.one["exit_code"], "after": self.one["seconds"]}
        answers = {"ends_by_itself": self.history["ends_by_itself"]}
        return Scenario.load({"tasks": [rule], "answers": answers})

    def succeeded(self, told: dict[str, Any], max_tries: int) -> None:
        """What a success has to be true of."""
        if "tasks" in told:
            ended = {
                found.key
                for _, task in self.attempts()
                if (found := read_attempt_id(task.id)) and found.life.endswith(f"m{max_tries}")
                if (task.is_completed, task.failure, task.exit_code) == (True, None, 0)
            }
            assert len(ended) == told["tasks"] == told["succeeded"]
            return
        (task,) = [
            task
            for job, task in self.attempts()
            if (job.id, task.id) == (told["job_id"], told["batch_task_id"])
        ]
        assert (task.is_completed, task.failure, task.exit_code) == (True, None, 0)
        attempt = read_attempt_id(task.id)
        assert attempt is not None
        assert attempt.life.endswith(f"m{max_tries}"), "of an earlier life"


@settings(
    max_examples=COUNT,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES, work=WORK)
def test_it_runs_once_and_its_result_is_true(azure: Any, monkeypatch: Any, history: Any, work: Any) -> None:
    for outcome in play(azure, monkeypatch, history, work):
        event(f"a try ended with {outcome}")


def play(azure: Any, monkeypatch: Any, history: dict[str, Any], work: dict[str, Any]) -> list[str]:
    """Play a history, and look all the while; how each try ended."""
    outcomes = []
    azure.emulator.faults.clear()
    azure.emulator.scenario = Scenario()
    azure.pool_id = f"work-{next(_numbers)}"
    azure.create(2)
    world = World(azure, history)
    azure.emulator.faults.add(*(read_fault(fault) for fault in history["faults"]))
    original = BatchHook._send
    number, max_tries = 1, 2
    last = {**history["tries"][-1], "dies": None, "happenings": [], "cleared": False}
    with monkeypatch.context() as patch:
        patch.setattr(BatchHook, "_send", lambda hook, request: world.send(original, hook, request))
        patch.setattr("airflow_batchext.operators._steps.work.time.sleep", world.pause)
        for one in (*history["tries"], last):
            world.one, world.requests, world.pauses = one, 0, 0
            azure.emulator.scenario = world.scenario()
            if one is last:
                azure.emulator.faults.clear()
            task = AzureBatchTaskOperator(
                task_id="work", pool_id=azure.pool_id, poll_interval=5, logs_interval=0.001, **work
            )
            outcome = "success"
            try:
                told = task.execute(context(number, max_tries, run=azure.pool_id))
            except WorkerLostError:
                outcome = "lost"
            except AirflowException as error:
                outcome = type(error).__name__
            else:
                world.succeeded(told, max_tries)
            outcomes.append(outcome)
            if one["cleared"]:
                max_tries = number + 2
            elif outcome == "success":
                break  # Airflow makes no other
            number += 1
    azure.pass_time(1)
    assert world.live() == []
    azure.emulator.faults.clear()
    azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
    return outcomes


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("performed", [False, True])
@pytest.mark.parametrize("work", [ONE, SEVERAL], ids=["one", "several"])
def test_a_worker_may_die_at_any_request(
    azure: Any, monkeypatch: Any, number: int, performed: bool, work: Any
) -> None:
    one = {"dies": (number, performed), "cleared": False, "exit_code": 0, "seconds": 200, "happenings": []}
    history = {"tries": [one], "faults": [], "ends_by_itself": "at once"}
    outcomes = play(azure, monkeypatch, history, work)
    assert outcomes[-1] == "success"
    assert ("lost" in outcomes) is (len(outcomes) > 1)
