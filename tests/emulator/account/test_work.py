"""Whatever happens to jobs, and to the nodes that are prepared for them: what must be true of the books."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.emulator import Scenario, Timings
from airflow_batchext.emulator.account import lifecycle
from airflow_batchext.emulator.account.job_records import Job, Preparation, Task, state_at
from airflow_batchext.emulator.account.nodes import Option
from airflow_batchext.emulator.account.runs import SimulatedRuns
from airflow_batchext.emulator.documents.job import read_job, read_task
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.scenario import PreparationScenario, TaskScenario
from airflow_batchext.emulator.wire.errors import RefusedError
from tests.emulator.account.test_account import account
from tests.emulator.pool_documents import management_pool
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow_batchext.emulator.account.account import Account
    from airflow_batchext.emulator.account.pools import Node, Pool
    from airflow_batchext.emulator.account.work import TaskRun

OPTIONS: tuple[Option, ...] = get_args(Option)
SLOTS = 2
SHORT = {
    "allocation": 5,
    "creating": 1,
    "starting": 1,
    "rebooting": 5,
    "reimaging": 9,
    "leaving": 2,
    "deletion": 2,
}
SOON = Timings(**SHORT)
AT_ONCE = Timings(**SHORT, scheduling=0, task=0, preparation=0, job_ending=0)
MORE: list[dict[str, Any]] = [
    {}, {}, {"onAllTasksComplete": "terminatejob"}, {"onTaskFailure": "performexitoptionsjobaction"}
]  # fmt: skip


def drawn(number: int, *choices: Sequence[Any]) -> list[Any]:
    """One of each, as the number says."""
    found = []
    for choice in choices:
        number, place = divmod(number, len(choice))
        found.append(choice[place])
    return found


def scenario_of(number: int) -> Scenario:
    ends, lengths, turns = [0, 1, None, 0], [None, 0, 3, 40], ["all", "first", "later"]
    preparation_ends, ends_as, after, preparation_after, when, preparation_when, where, timings = drawn(
        number, ends, ends, lengths, lengths, turns, turns, ["*", 0], [SOON, AT_ONCE]
    )
    task = TaskScenario(exit_code=ends_as, after=after, attempts=when)
    preparation = PreparationScenario(
        exit_code=preparation_ends, after=preparation_after, attempts=preparation_when, node=where
    )
    return Scenario(timings=timings, tasks=[task], preparations=[preparation])


def job_of(number: int) -> dict[str, Any]:
    yes_no = [True, False]
    retries, waits, again, what, limit, more = drawn(
        number,
        [0, -1, 2],
        [True, True, False],
        yes_no,
        ["release", "prepare", "run"],
        [None, None, "PT30S"],
        MORE,
    )
    limits = {} if limit is None else {"maxWallClockTime": limit}
    made = {"constraints": {"maxTaskRetryCount": retries, **limits}, **more}
    if what != "run":
        flags = {"waitForSuccess": waits, "rerunOnNodeRebootAfterSuccess": again}
        made["jobPreparationTask"] = {"commandLine": "x", **flags}
    if what == "release":
        made["jobReleaseTask"] = {"commandLine": "x"}
    return made


def waits_for_success(job: Job) -> bool:
    return bool(job.document.get("jobPreparationTask", {}).get("waitForSuccess"))


class Watched(SimulatedRuns):
    """Runs as the scenario says; each preparation and release is looked at when it is planned."""

    def __init__(self, made: Account) -> None:
        super().__init__(lambda: made.scenario)
        self.last: dict[tuple[int, str], Preparation] = {}
        """The last preparation of each job on each node."""
        self.released: set[int] = set()
        self.kept: list[object] = []
        """So that no other gets their ``id``."""

    def plan(self, task: Task, pool: Pool, node: Node, now: datetime) -> TaskRun:
        if isinstance(task, Preparation):
            assert task.job.preparations[node.id] is task, "one that was dropped comes back"
            key = id(task.job), node.id
            before = self.last.get(key)
            if before is not None and before is not task and before.is_completed:
                is_new = lifecycle.is_new_since(node.history, before.created, now)
                again = task.document["rerunOnNodeRebootAfterSuccess"] and before.failure is None
                reboots = lifecycle.boots(node.history, now) - 1 > before.boot
                assert is_new or (again and reboots), "a node is prepared twice"
            self.last[key] = task
            self.kept += [task, task.job]
        elif waits_for_success(task.job):
            for kept in task.nodes:
                self.check_that_it_is_prepared(task.job.preparations[kept.id], kept, now)
        state = lifecycle.node_at(node.history, now)
        assert state is not None
        assert state.state is lifecycle.NodeState.IDLE
        return super().plan(task, pool, node, now)

    def check_that_it_is_prepared(self, preparation: Preparation, node: Node, now: datetime) -> None:
        assert preparation.has_succeeded
        assert not lifecycle.is_new_since(node.history, preparation.created, now)
        if preparation.document["rerunOnNodeRebootAfterSuccess"]:
            assert not any(moment.boot and preparation.created < moment.at <= now for moment in node.history)

    def release(self, preparation: Preparation, start: datetime, end: datetime) -> TaskRun:
        assert id(preparation) not in self.released, "a node is released twice"
        self.released.add(id(preparation))
        assert preparation.has_succeeded
        assert preparation.is_used
        return super().release(preparation, start, end)


class World:
    """An account with one pool, and what can be done to it."""

    def __init__(self, scenario: Scenario) -> None:
        self.made = account(scenario)
        self.made.runs = Watched(self.made)
        self.numbers = itertools.count()
        self.make_pool()
        self.made.clock.advance(20)

    def make_pool(self) -> None:
        document = management_pool(2, taskSlotsPerNode=SLOTS)
        self.made.create_pool("p", read_management(document))

    def node(self, number: int) -> str:
        nodes = self.made.nodes("p")
        if not nodes:
            raise RefusedError(404, "NodeNotFound", "none")
        return nodes[number % len(nodes)].node.id

    def job(self, number: int) -> Job:
        jobs = self.made.jobs.all()
        return jobs[number % len(jobs)] if jobs else self.make_job(job_of(number))

    def task(self, number: int) -> tuple[str, str]:
        tasks = [(job.id, task.id) for job in self.made.jobs.all() for task in job.tasks.values()]
        if not tasks:
            raise RefusedError(404, "TaskNotFound", "none")
        return tasks[number % len(tasks)]

    def make_job(self, more: dict[str, Any]) -> Job:
        document = {"id": f"j{next(self.numbers)}", "poolInfo": {"poolId": "p"}, **more}
        return self.made.jobs.create(*read_job(document))

    def add_task(self, number: int) -> None:
        job = self.job(number)
        document: dict[str, Any] = {"id": f"t{next(self.numbers)}", "commandLine": "x"}
        if number % 4 == 1:
            document["multiInstanceSettings"] = {"numberOfInstances": 2, "coordinationCommandLine": "x"}
        else:
            document["requiredSlots"] = 1 + number // 4 % 2
        self.made.jobs.add(job.id, *read_task(document, job.document))

    def do(self, what: str, number: int) -> None:
        made, jobs, option = self.made, self.made.jobs, OPTIONS[number // 7 % 4]
        actions: dict[str, Callable[[], object]] = {
            "wait": lambda: None,
            "job": lambda: self.make_job(job_of(number)),
            "task": lambda: self.add_task(number),
            "terminate task": lambda: jobs.terminate_task(*self.task(number)),
            "delete task": lambda: jobs.delete_task(*self.task(number)),
            "reactivate": lambda: jobs.reactivate(*self.task(number)),
            "disable": lambda: jobs.disable(
                self.job(number).id, ("wait", "requeue", "terminate")[number % 3]
            ),
            "wait and disable": lambda: jobs.disable(self.job(number).id, "wait"),
            "enable": lambda: jobs.enable(self.job(number).id),
            "terminate": lambda: jobs.terminate(self.job(number).id),
            "delete": lambda: jobs.delete(self.job(number).id),
            "reboot": lambda: made.reboot_node("p", self.node(number), option),
            "reimage": lambda: made.reimage_node("p", self.node(number), option),
            "deallocate": lambda: made.deallocate_node("p", self.node(number), option),
            "start": lambda: made.start_node("p", self.node(number)),
            "preempt": lambda: made.preempt_node("p", self.node(number), 5.0 if number % 2 else None),
            "mark": lambda: made.mark_node("p", self.node(number), ("unusable", "idle")[number % 2]),
            "spare": lambda: made.set_scheduling("p", self.node(number), enabled=False, option=option),
            "use": lambda: made.set_scheduling("p", self.node(number), enabled=True),
            "remove": lambda: made.remove_nodes("p", [self.node(number)], option),
            "resize": lambda: made.resize_pool("p", 1 + number % 3, deallocation=option),
            "stop": lambda: made.stop_resize("p"),
            "delete pool": lambda: made.delete_pool("p", at_once=bool(number % 2)),
            "make pool": self.make_pool,
            "recreate": lambda: made.recreate_pool("p"),
            "scenario": lambda: setattr(made, "scenario", scenario_of(number)),
        }
        try:
            actions[what]()
        except RefusedError as problem:
            assert problem.status in (404, 409)  # noqa: PT017

    def check(self) -> None:
        self.made.pools()
        now = self.made.now()
        for job in self.made.jobs.all():
            (_, state), _ = state_at(job.moments, now)
            assert job.moments == sorted(job.moments, key=lambda moment: moment[0])
            busy = [task for task in job.tasks.values() if task.has_node]
            assert state != "disabling" or busy
            assert state in ("active", "disabling") or not busy
            unfinished = [made for made in job.preparations.values() if not made.is_completed]
            assert state in ("active", "disabling", "disabled") or not unfinished
            for task in [*busy, *unfinished]:
                self.check_its_place(task, now)
            for task in busy:
                self.check_that_it_may_run(task, now)
            for task in job.tasks.values():
                assert task.moments == sorted(task.moments, key=lambda moment: moment[0])
                assert task.retries >= 0
        pool = self.made.find("p")
        for visible in self.made.nodes("p") if pool is not None else ():
            self.check_node(visible.node, now)

    def check_its_place(self, task: Task, now: datetime) -> None:
        pool = self.made.find("p")
        assert pool is not None
        assert task.run is not None
        for node in task.nodes:
            assert pool.nodes.get(node.id) is node
            state = lifecycle.node_at(node.history, now)
            assert state is not None
            assert state.state is lifecycle.NodeState.IDLE
            assert node.work.runs.count(task.run) == 1

    def check_that_it_may_run(self, task: Task, now: datetime) -> None:
        if not waits_for_success(task.job):
            return
        made = [task.job.preparations.get(node.id) for node in task.nodes]
        is_preparing = task.moments[-1][1] == "preparing"
        assert all(one is not None and one.failure is None for one in made)
        assert any(one is not None and not one.is_completed for one in made) == is_preparing

    def check_node(self, node: Node, now: datetime) -> None:
        assert node.work.slots(now) <= SLOTS
        jobs = {job.id: job for job in self.made.jobs.all()}
        for run in node.work.current(now):
            job = jobs[run.job]
            task = job.preparations[node.id] if run.prepares else job.tasks[run.task]
            assert task.run == run
            assert node in task.nodes
            assert not task.is_completed

    def come_to_rest(self) -> None:
        """From now on all goes well, and there is room: each task of each job has to come to its end."""
        made = self.made
        made.scenario = Scenario(timings=SOON)
        made.clock.advance(3600)
        if made.find("p") is None:
            self.make_pool()
        made.clock.advance(8 * 86400)
        for job in made.jobs.all():
            if job.goal in ("disabled", "disabling"):
                made.jobs.enable(job.id)
        made.resize_pool("p", made.pool("p").definition.scale.dedicated + 2)
        made.clock.advance(8 * 86400)
        self.check()
        for job in made.jobs.all():
            if job.goal == "active":
                for task in job.tasks.values():
                    hangs = task.has_node and task.run is not None and task.run.end is None
                    waits = task.moments[-1][1] == "preparing"
                    assert task.is_completed or (hangs and not waits) or self.is_prepared_for_ever(task)

    def is_prepared_for_ever(self, task: Task) -> bool:
        """Whether the preparation of its node was begun when such never ended."""
        made = [task.job.preparations.get(node.id) for node in task.nodes]
        return any(one is not None and one.run is not None and one.run.end is None for one in made)


ACTIONS = [
    *("wait", "job", "job", "task", "task", "task", "terminate task", "delete task", "reactivate"),
    *("disable", "wait and disable", "enable", "terminate", "delete"),
    *("reboot", "reimage", "deallocate", "start", "preempt", "mark", "spare", "use", "remove"),
    *("resize", "stop", "delete pool", "make pool", "recreate", "scenario"),
]
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 10**6), st.sampled_from([0, 0.3, 1, 4, 11, 60])),
    min_size=4,
    max_size=14,
)


@pytest.mark.timeout(120)  # one that hangs does so with the account's lock
@given(st.integers(0, 10**6), STEPS)
@settings(max_examples=examples(300))
def test_whatever_happens_to_jobs_the_books_balance(seed: int, todo: list[tuple[str, int, float]]) -> None:
    play(seed, todo)


def play(seed: int, todo: list[tuple[str, int, float]]) -> None:
    world = World(scenario_of(seed))
    for what, number, pause in [("job", seed, 0.0), *[("task", 0, 0.0)] * 3, *todo]:
        world.do(what, number)
        world.check()
        world.made.clock.advance(pause)
        world.check()
    world.come_to_rest()
