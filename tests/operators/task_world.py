"""A task instance of Airflow that runs work on a pool, in a world in which everything dies and others meddle.

It is played in this process as Airflow plays it: a worker runs it, a triggerer waits for it from what its row
holds, and goes on from there when another one dies. All time is the emulator's. ``play`` looks all the while,
and at the end, into the account's own books.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from airflow.triggers.base import TaskSuccessEvent

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.wire.errors import RefusedError
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.rules.work_ids import read_attempt_id
from tests.operators.test_task import context

_STATES = "airflow.sdk.execution_time.task_runner.RuntimeTaskInstance.get_task_states"
_TIMED = (
    "airflow_batchext.operators._steps.task_gate",
    "airflow_batchext.operators._steps.work",
    "airflow_batchext.triggers._base",
    "airflow_batchext.triggers._sharing",
    "airflow_batchext.triggers.extension",
    "airflow_batchext.triggers._job_looks",
    "airflow_batchext.triggers.task",
    "airflow_batchext.triggers.tasks",
)
_SLEEPING = (
    "airflow_batchext.triggers.extension",
    "airflow_batchext.triggers.task",
    "airflow_batchext.triggers.tasks",
)
_INTERVAL = 30.0
#: A wait that came too late may still look, and end what it has begun.
_LATE_SECONDS = 60.0
#: After what a job that nobody uses has to have ended: Azure may be two minutes late.
_SOON_SECONDS = 600.0
_FINAL = ("success", "failed for good", "skipped", "marked", "lost and marked")
_numbers = itertools.count()

Json = dict[str, Any]
#: A blow that does not come.
NONE = ("none", 0, False)


class LostError(BaseException):
    """The process is gone; nobody who could catch it is left."""


class Played(NamedTuple):
    """How each try ended, how many of the blows to come have come, and all tasks that there ever were."""

    outcomes: list[str]
    strikes: int
    ever: list[str]


class World:
    """The account, the task instance's Batch tasks in it, and what happens to both."""

    def __init__(self, azure: Any, history: Json) -> None:
        self.azure, self.history = azure, history
        self.account = azure.emulator.account
        self.number, self.max_tries = 1, int(history["retries"])
        self.requests = self.pauses = self.strikes = 0
        self.blow: tuple[str, int, bool] = NONE
        self.happenings: dict[int, str] = {}
        self.task: Any = None
        self.waiting: asyncio.Future[Any] | None = None
        #: All Batch tasks that there ever were, also those that were deleted.
        self.ever: dict[tuple[str, str], Any] = {}
        #: Those that were live when the last pause was over.
        self.judged: list[Any] = []

    @property
    def now(self) -> float:
        """The time, for Azure and for Airflow."""
        return float(self.azure.emulator.clock.now().timestamp())

    def attempts(self) -> list[tuple[Any, Any]]:
        """All Batch tasks of the pool, with their jobs."""
        return [(job, task) for job in self.jobs() for task in job.tasks.values()]

    def jobs(self) -> list[Any]:
        """All jobs of the pool."""
        return [job for job in self.account.jobs.all() if job.pool == self.azure.pool_id]

    def live(self) -> list[str]:
        """Those that run, or may still be given a node."""
        return [task.id for task in self.live_tasks()]

    def live_tasks(self) -> list[Any]:
        """The same, as the account has them."""
        return [
            task
            for job, task in self.attempts()
            if not task.is_completed
            and not (task.is_waiting and job.goal == "completed")
            and job.gone is None
        ]

    # --- what is done to it --------------------------------------------------------------------------------

    def expose(self, one: Json, blow: str) -> None:
        """Begin counting requests and pauses anew: a process has begun."""
        self.requests = self.pauses = 0
        self.blow = one[blow] or NONE
        self.happenings = dict(one["happenings"])

    def send(self, original: Any, hook: Any, request: Any) -> Any:
        """Send a request of a worker, and strike before or after it."""
        number = self._count()
        self._strike(number, performed=False)
        try:
            return original(hook, request)
        finally:
            self.look()
            self._strike(number, performed=True)

    async def asend(self, original: Any, hook: Any, request: Any) -> Any:
        """The same of a triggerer."""
        number = self._count()
        self._strike(number, performed=False)
        try:
            return await original(hook, request)
        finally:
            self.look()
            self._strike(number, performed=True)

    def _count(self) -> int:
        self.requests += 1
        return self.requests - 1

    def _strike(self, number: int, *, performed: bool) -> None:
        how, at, after = self.blow
        if (at, after) != (number, performed) or how in ("none", "pause", "event"):
            return
        self.blow = NONE
        self.strikes += 1
        match how:
            case "killed":
                raise LostError
            case "ended":
                # As a signal does: in between, and then it goes on.
                self.task.on_kill()
            case "alarm":
                raise AirflowTaskTimeout("its time is up")
            case "cancelled":
                assert self.waiting is not None
                self.waiting.cancel()

    def look(self) -> None:
        """Never are two attempts of the same live at once."""
        self.ever |= {(job.id, task.id): task for job, task in self.attempts()}
        keys = [one.key for one in map(read_attempt_id, self.live()) if one]
        assert len(keys) == len(set(keys)), f"two at once: {self.live()}"

    def pause(self, seconds: float) -> None:
        """Let time pass, and what was to happen."""
        if self.blow[:2] == ("pause", self.pauses):
            self.strikes += 1
            raise LostError
        what = self.happenings.pop(self.pauses, None)
        if what is not None:
            with suppress(RefusedError, IndexError, ValueError):
                self._let(what)
        self.pauses += 1
        self.azure.pass_time(max(seconds, 0.001))
        self.look()
        self.judged = self.live_tasks()

    async def apause(self, seconds: float) -> None:
        """The same in a triggerer."""
        self.pause(seconds)
        await asyncio.sleep(0)

    def _let(self, what: str) -> None:
        jobs = self.account.jobs
        if what in ("preempt", "preempt all", "reboot", "fail", "hang"):
            self._let_nodes(what)
            return
        job, task = self.attempts()[-1]
        match what:
            case "end task":
                jobs.terminate_task(job.id, task.id)
            case "end job":
                jobs.terminate(job.id)
            case "strand":
                # As if all that was in it had ended in the moment in which the tasks were added.
                if job.id.endswith("-1") and all(each.is_waiting for each in job.tasks.values()):
                    jobs.terminate(job.id, "AllTasksCompleted")
            case "delete job":
                jobs.delete(job.id)
            case "delete task":
                jobs.delete_task(job.id, task.id)
            case "disable job":
                jobs.disable(job.id, "requeue")

    def _let_nodes(self, what: str) -> None:
        name = self.azure.pool_id
        match what:
            case "reboot":
                self.account.reboot_node(name, self.account.nodes(name)[0].node.id)
            case "preempt":
                self.account.preempt_node(name, self.account.nodes(name)[0].node.id, back_after=60)
            case "preempt all":
                for visible in self.account.nodes(name):
                    if visible.now.state.value in ("idle", "running"):
                        self.account.preempt_node(name, visible.node.id, back_after=600)
            case "fail" | "hang":
                # The gate sees it, and no task does but the one that ran there.
                kept = self.azure.emulator.scenario
                self.azure.emulator.scenario = Scenario.load({"extensions": [{"outcome": what}]})
                self.account.reboot_node(name, self.account.nodes(name)[0].node.id)
                self.azure.emulator.scenario = kept

    # --- what has to be true -------------------------------------------------------------------------------

    def succeeded(self, told: Json) -> None:
        """What a success has to be true of."""
        life = f"m{self.max_tries}"
        if "tasks" in told:
            ended = {
                found.key
                for task in self.ever.values()
                if (found := read_attempt_id(task.id)) and found.life.endswith(life)
                if (task.is_completed, task.failure, task.exit_code) == (True, None, 0)
            }
            assert len(ended) == told["tasks"] == told["succeeded"]
            return
        task = self.ever[told["job_id"], told["batch_task_id"]]
        assert (task.is_completed, task.failure, task.exit_code) == (True, None, 0)
        attempt = read_attempt_id(task.id)
        assert attempt is not None
        assert attempt.life.endswith(life), "of an earlier life"

    def unstarted(self, text: str) -> None:
        """What has to be true where it was said that nothing has started in time."""
        ran = [task.id for task in self.judged if any(state == "running" for _, state in task.moments)]
        assert "start_timeout" not in text or not ran, f"they had started: {ran}"

    def tidied(self, wish: str) -> None:
        """What is left of those that have ended, after a success that nothing has disturbed."""
        left = [task for _, task in self.attempts() if task.is_completed]
        if wish == "delete_succeeded":
            left = [task for task in left if task.failure is None]
        assert wish == "keep" or not left, [task.id for task in left]

    def ended(self, *, is_left: bool, is_followed: bool) -> None:
        """What has to be true when no try comes any more.

        :param is_left: whether the work is to be left alone, as was asked for.
        :param is_followed: whether anybody was there to clean up.
        """
        if (is_left or not is_followed) and all(self.history["checks"]):
            return  # it waits for nodes of which none will ever take it
        if is_left or not is_followed:
            # Azure itself ends it then: what waits has its nodes, and each runs for so long at most.
            for job in self.jobs():
                with suppress(RefusedError):
                    self.account.jobs.enable(job.id)
            self.azure.pass_time(5 * self.history["timeout"] + _SOON_SECONDS)
            assert self.live() == [], "for ever"
            return
        assert self.live() == []
        if self.history["ends_by_itself"] == "never" or any(
            what == "disable job" for one in self.history["tries"] for _, what in one["happenings"]
        ):
            return
        self.azure.pass_time(_SOON_SECONDS)
        still = [job.id for job in self.jobs() if job.gone is None and job.goal != "completed"]
        assert still == [], "a job that nobody uses stays active"


class Airflow:
    """Airflow, as far as it concerns one task instance."""

    def __init__(self, world: World, work: Json) -> None:
        self.world, self.work, self.history = world, work, world.history
        self.outcomes: list[str] = []
        self.is_ended = False

    def play(self) -> list[str]:
        """Make one try after the other; how each ended."""
        world = self.world
        last = {"worker": None, "resumed": None, "triggerers": [], "user": "", "happenings": [], "delay": 300}
        script = [*self.history["tries"], {**self.history["tries"][-1], **last}]
        for one in itertools.chain(script, itertools.repeat(script[-1], 3)):
            world.azure.emulator.scenario = self._scenario(one)
            if one is script[-1]:
                world.azure.emulator.faults.clear()
            began = world.now
            outcome = self._try(one)
            self.outcomes.append(outcome)
            is_lost = outcome in ("lost", "lost and marked")
            away = sum(300 for kind, *_ in one["triggerers"] if kind != "event")
            if not is_lost:
                assert world.now - began <= self.history["timeout"] + _LATE_SECONDS + away, "too late"
            if one["user"] == "clear":
                world.max_tries = world.number + self.history["retries"]
            elif outcome in _FINAL or world.number > world.max_tries:
                break
            world.number += 1
            world.azure.pass_time(one["delay"])
        is_quiet = not (one["worker"] or one["resumed"] or one["triggerers"] or self.history["faults"])
        if outcome == "success" and is_quiet:
            world.tidied(self.work.get("on_finish", "keep"))
        # Who is ended does not know by whom: also in the last try it leaves the work, if that was asked for.
        is_left = self.history["on_kill"] == "leave" and (outcome == "marked" or self.is_ended)
        world.ended(is_left=is_left, is_followed=not is_lost)
        return self.outcomes

    def _scenario(self, one: Json) -> Scenario:
        rule = {"exit_code": one["exit_code"], "after": one["seconds"], "stdout": "a line\n"}
        if one["seconds"] is None:
            rule |= {"exit_code": None, "after": 0}
        answers = {"ends_by_itself": self.history["ends_by_itself"]}
        checks = [{"node": node, "exit_code": code} for node, code in enumerate(self.history["checks"])]
        rules = [{**rule, "task": one["good"], "exit_code": 0}, rule] if "good" in one else [rule]
        return Scenario.load({"tasks": rules, "answers": answers, "preparations": checks})

    def _operator(self) -> AzureBatchTaskOperator:
        return AzureBatchTaskOperator(
            task_id="work",
            pool_id=self.world.azure.pool_id,
            poll_interval=_INTERVAL,
            timeout=self.history["timeout"],
            deferrable=self.history["deferrable"],
            on_kill=self.history["on_kill"],
            end_from_trigger=self.history["ends_there"],
            logs_interval=100,
            fail_on_exit_code=9,
            **self.work,
        )

    def _try(self, one: Json) -> str:
        world, self.is_ended = self.world, False
        told = context(world.number, world.max_tries, run=world.azure.pool_id)
        method, arguments, blow = "execute", {}, "worker"
        while True:
            is_struck = one[blow] is not None and one[blow][0] == "ended"
            world.expose(one, blow)
            world.task = self._operator()
            try:
                if method == "execute":
                    result = world.task.execute(told)
                else:
                    result = world.task.resume_execution(method, arguments, told)
            except LostError:
                # A user's wish is done all the same; nobody hears of it.
                return "lost and marked" if one["user"] == "mark" else "lost"
            except TaskDeferred as deferred:
                if is_struck and world.blow == NONE:
                    raise AssertionError("it was ended, and defers itself") from None
                event = self._deferred(one, deferred)
                if isinstance(event, TaskSuccessEvent):
                    world.succeeded(event.xcoms["return_value"])
                    return "success"
                if event is None:
                    return "lost and marked" if one["user"] == "mark and lose" else "marked"
                method, arguments, blow = *event, "resumed"
                continue
            except (AirflowFailException, AirflowSkipException) as error:
                world.unstarted(str(error))
                return "skipped" if isinstance(error, AirflowSkipException) else "failed for good"
            except AirflowException as error:
                world.unstarted(str(error))
                ended = self.is_ended = is_struck and world.blow == NONE
                return "marked" if ended and one["user"] == "mark" else "failed"
            # What was deleted had succeeded before, and would run again.
            is_deleted = "on_finish" in self.work
            assert is_deleted or not (is_struck and world.blow == NONE), "it was ended, and has succeeded"
            world.succeeded(json.loads(json.dumps(result)))
            return "success"

    # --- the triggerer -------------------------------------------------------------------------------------

    def _deferred(self, one: Json, deferred: TaskDeferred) -> tuple[str, Json] | TaskSuccessEvent | None:
        """Wait in triggerers, one after the other: how the worker goes on, or the end of the task.

        None: a user has ended it.
        """
        path, kwargs = deferred.trigger.serialize()
        row = json.dumps(kwargs)
        limit = self.world.now + deferred.timeout.total_seconds()
        for struck in (*one["triggerers"], None):
            trigger = type(deferred.trigger)(**json.loads(row))
            assert trigger.serialize() == (path, json.loads(row))
            self.world.expose({**one, "struck": struck}, "struck")
            event = asyncio.run(self._live(trigger))
            if event is not None and (struck is None or struck[0] != "event"):
                if isinstance(event, TaskSuccessEvent):
                    return event
                return deferred.method_name, {"event": json.loads(json.dumps(event.payload))}
            if one["user"] == "mark and lose":
                return None
            if one["user"] in ("mark", "clear"):
                asyncio.run(self._kill(type(trigger)(**json.loads(row)), one["user"]))
                return None
            # Moved to another triggerer, Airflow tells it the same as if it were ended.
            if struck is not None and struck[0] == "cancelled":
                asyncio.run(self._kill(type(trigger)(**json.loads(row)), "move"))
            self.world.azure.pass_time(0 if struck is not None and struck[0] == "event" else 100)
            if self.world.now > limit:
                return "__fail__", {"error": "Trigger timeout"}
        raise AssertionError("the last triggerer had no event")

    async def _live(self, trigger: Any) -> Any:
        events = trigger.run()
        self.world.waiting = first = asyncio.ensure_future(anext(events))
        try:
            return await first
        except (LostError, asyncio.CancelledError):
            return None
        finally:
            await events.aclose()

    async def _kill(self, trigger: Any, why: str) -> None:
        state = {"mark": "failed", "clear": "queued", "move": "deferred"}[why]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_STATES, staticmethod(lambda **given: {"r": {"work": state}}))
            trigger.task_instance = SimpleNamespace(dag_id="d", task_id="work", run_id="r", map_index=-1)
            self.world.expose({"struck": None, "happenings": []}, "struck")
            await trigger.on_kill()


@contextmanager
def worlds_time(world: World) -> Iterator[None]:
    """Let the worker and the triggerer live by the world's clock, and tell it of each request and pause."""
    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(time=lambda: world.now, monotonic=lambda: world.now, sleep=world.pause)
        for module in _TIMED:
            patch.setattr(f"{module}.time", clock)
        for module in _SLEEPING:
            patch.setattr(f"{module}.asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": world.apause}))
        # The SDK's own pauses between two times that it asks for the same.
        patch.setattr("airflow_batchext.transport.threads.time", SimpleNamespace(sleep=lambda seconds: None))
        send, asend = BatchHook._send, BatchHook._asend
        patch.setattr(BatchHook, "_send", lambda hook, request: world.send(send, hook, request))
        patch.setattr(BatchHook, "_asend", lambda hook, request: world.asend(asend, hook, request))
        yield


def play(azure: Any, history: Mapping[str, Any], work: Json) -> Played:
    """Play a history, and look all the while."""
    azure.emulator.faults.clear()
    azure.emulator.scenario = Scenario()
    azure.pool_id = f"work-{next(_numbers)}"
    azure.create(2)
    world = World(azure, dict(history))
    azure.emulator.faults.add(*(read_fault(fault) for fault in history["faults"]))
    try:
        with worlds_time(world):
            outcomes = Airflow(world, work).play()
            return Played(outcomes, world.strikes, sorted(task for _, task in world.ever))
    finally:
        azure.emulator.faults.clear()
        azure.emulator.account.delete_pool(azure.pool_id, at_once=True)
