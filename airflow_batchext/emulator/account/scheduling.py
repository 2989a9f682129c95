"""Gives tasks their nodes, and takes note of how they end.

A task waits until a node of its job's pool is idle and has room; its run is then written ahead, as long and
with the exit code that the scenario says. Whatever becomes due (a run that ends, a node that becomes idle) is
dealt with in the order of time, by ``next_event`` and ``advance``, before the account is looked at.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.candidates import (
    candidates_of,
    dependencies,
    is_satisfied,
    takes_more,
)
from airflow_batchext.emulator.account.job_records import (
    ACTIVE,
    ALL_DONE,
    BAD_EXIT,
    COMPLETED,
    DISABLING,
    ENDED_BY_USER,
    OUT_OF_TIME,
    RUNNING,
    Job,
    Preparation,
    Task,
    state_at,
    until,
)
from airflow_batchext.emulator.account.lifecycle import NodeState
from airflow_batchext.emulator.account.preparing import Preparing, preparing_on
from airflow_batchext.emulator.scenario import seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from airflow_batchext.emulator.account.inventory import Inventory
    from airflow_batchext.emulator.account.pools import Node, Pool
    from airflow_batchext.emulator.account.work import TaskRun
    from airflow_batchext.emulator.wire.http import Json

# How long a job takes to see that it has nothing left to do, where that takes long.
_LATE = timedelta(minutes=2)


class Scheduler(Preparing):
    """Keeps the jobs of an account going."""

    def __init__(self, account: Inventory) -> None:
        """Start without jobs."""
        self._account = account
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[tuple[str, str], Task] = {}
        self._ends: list[tuple[datetime, int, Task, TaskRun]] = []
        self._leaving: list[Job] = []
        self._limits: list[tuple[datetime, int, Job, str]] = []
        """When jobs end for want of time, or because they have nothing left to do, and the word for why."""
        self._due: datetime | None = None
        """When something changed on account of which tasks may start."""
        self._seen = account.clock.now()
        """Up to when the books are kept."""
        self._assigned = 0

    # --- in the order of time ------------------------------------------------------------------------------

    def next_event(self, now: datetime) -> datetime | None:
        """When the first thing is due that has not been dealt with, if that is by now."""
        times = [job.gone for job in self._leaving if job.gone is not None]
        if self._due is not None:
            times.append(self._due)
        times += [heap[0][0] for heap in (self._ends, self._limits) if heap]
        if self._waiting:
            times += self._wakes(now)
        first = min(times, default=None)
        return first if first is not None and first <= now else None

    def advance(self, at: datetime) -> None:
        """Deal with everything that is due at a time."""
        while self._ends and self._ends[0][0] <= at:
            end, _, task, run = heapq.heappop(self._ends)
            if task.run is run and task.has_node:
                self._ended(task, run, end)
        while self._limits and self._limits[0][0] <= at:
            limit, _, job, reason = heapq.heappop(self._limits)
            self._reached(job, limit, reason)
        for job in [job for job in self._leaving if job.gone is not None and job.gone <= at]:
            self._leaving.remove(job)
            del self._jobs[job.id.casefold()]
        for job in self._jobs.values():
            if job.goal == DISABLING and not any(task.has_node for task in job.tasks.values()):
                job.moments.append((at, "disabled"))
        self._due, self._seen = None, max(self._seen, at)
        if self._waiting:
            self._schedule(at)

    def release(self, runs: Iterable[TaskRun], now: datetime, *, is_terminated: bool) -> None:
        """Take note that nodes have lost those runs."""
        for run in runs:
            task = self._task_of(run)
            if task is None or task.is_completed:
                continue
            if isinstance(task, Preparation):
                self._drop(task, now)
            else:
                self._cut(task, now, is_terminated=is_terminated)
        self._touch(now)

    def _wakes(self, now: datetime) -> Iterator[datetime]:
        """Yield when nodes became or become idle that tasks are waiting for, since the books were kept."""
        # By jobs, not by tasks: of those there may be thousands.
        for name in {job.pool for job in self._jobs.values()}:
            pool = self._account.known_pool(name)
            if pool is not None:
                for history in {id(node.history): node.history for node in pool.nodes.values()}.values():
                    for moment in history:
                        if moment.state is NodeState.IDLE and self._seen < moment.at <= now:
                            yield moment.at

    # --- giving tasks their nodes --------------------------------------------------------------------------

    def _schedule(self, now: datetime) -> None:
        free: dict[str, tuple[Pool, list[tuple[int, int, Node]]]] = {}
        for name in {job.pool.casefold() for job in self._jobs.values()}:
            pool = self._account.known_pool(name)
            if pool is not None and not pool.deleted and (candidates := candidates_of(pool, now)):
                free[name] = pool, candidates
        if not free:
            return
        active = {job.id for job in self._jobs.values() if state_at(job.moments, now)[0][1] == ACTIVE}
        by_pool: dict[str, list[Task]] = {}
        for task in self._waiting.values():
            if task.job.id in active and (name := task.job.pool.casefold()) in free:
                by_pool.setdefault(name, []).append(task)
        for name, tasks in by_pool.items():
            tasks.sort(key=lambda task: (-task.job.document["priority"], task.created))
            self._fill(*free[name], tasks, now)

    def _fill(
        self, pool: Pool, candidates: list[tuple[int, int, Node]], tasks: list[Task], now: datetime
    ) -> None:
        heapq.heapify(candidates)
        is_open: dict[str, bool] = {}
        for task in tasks:
            if not candidates:
                return
            job = task.job
            if job.id not in is_open:
                is_open[job.id] = any(self._is_open(job, node, now) for _, _, node in candidates)
            if is_open[job.id] and self._may_start(task):
                self._place(pool, task, candidates, now)

    def _place(self, pool: Pool, task: Task, candidates: list[tuple[int, int, Node]], now: datetime) -> None:
        slots: int = task.document["requiredSlots"]
        wanted: int = task.document.get("multiInstanceSettings", {}).get("numberOfInstances", 1)
        taken: list[tuple[int, int, Node]] = []
        passed: list[tuple[int, int, Node]] = []
        while candidates and len(taken) < wanted:
            candidate = heapq.heappop(candidates)
            fits = abs(candidate[0]) >= slots and self._is_open(task.job, candidate[2], now)
            (taken if fits else passed).append(candidate)
        if len(taken) == wanted:
            self._assign(pool, task, [node for _, _, node in taken], now)
            sign = 1 if taken[0][0] > 0 else -1
            taken = [(key - sign * slots, place, node) for key, place, node in taken if abs(key) > slots]
        for candidate in (*taken, *passed):
            heapq.heappush(candidates, candidate)

    def _may_start(self, task: Task) -> bool:
        job = task.job
        most: int = job.document["maxParallelTasks"]
        if most >= 0 and sum(item.has_node for item in job.tasks.values()) >= most:
            return False
        return all(is_satisfied(job, needed) for needed in dependencies(task.document))

    def _assign(self, pool: Pool, task: Task, nodes: list[Node], now: datetime) -> None:
        task.nodes, task.pool = nodes, pool.name
        self._waiting.pop((task.job.id, task.id), None)
        for node in nodes:
            self._prepare(task.job, pool, node, now)
        if all(self._is_ready(task.job, node, now) for node in nodes):
            self._begin(pool, task, now)
        else:
            self._wait_on(task, now)

    def _begin(self, pool: Pool, task: Task, now: datetime) -> None:
        run = self._account.runs.plan(task, pool, task.nodes[0], now)
        for node in task.nodes:
            if (preparation := task.job.preparations.get(node.id)) is not None:
                preparation.is_used = True
        task.moments.append((run.start, RUNNING))
        self._follow(task, run)

    def _follow(self, task: Task, run: TaskRun) -> None:
        task.run = run
        for node in task.nodes:
            node.work = replace(node.work, runs=(*node.work.runs, run))
        self._assigned += 1
        if run.end is not None:
            heapq.heappush(self._ends, (run.end, self._assigned, task, run))
        self._account.runs.begin(run)

    # --- how tasks and jobs end ----------------------------------------------------------------------------

    def end_run(self, run: TaskRun, exit_code: int) -> None:
        """Take note that a run whose end nobody knew has ended by itself."""
        with self._account.lock:
            self._account.pools()
            task = self._task_of(run)
            if task is None or not task.has_node:
                return
            now = self._account.now()
            task.run = ended = replace(run, end=now, exit_code=exit_code, failure=None)
            for node in task.nodes:
                runs = tuple(ended if other == run else other for other in node.work.runs)
                node.work = replace(node.work, runs=runs)
            self._ended(task, ended, now)
            self._touch(now)

    def requeue_lost(self) -> None:
        """Let tasks wait again whose processes were those of an emulator that has ended."""
        with self._account.lock:
            now = self._account.now()
            for made in [made for job in self._jobs.values() for made in job.preparations.values()]:
                if made.run is not None and made.run.output.folder is not None and not made.is_completed:
                    self._give_back(made, now)
            for task in [task for job in self._jobs.values() for task in job.tasks.values()]:
                if task.has_node and task.run is not None and task.run.output.folder is not None:
                    self._cut(task, now, is_terminated=False)
            self._touch(now)

    def _ended(self, task: Task, run: TaskRun, at: datetime) -> None:
        self._account.runs.stop(run)
        for node in task.nodes:
            node.work = node.work.finished(run, at)
        most: int = task.document["constraints"]["maxTaskRetryCount"]
        if run.failure is None and run.exit_code and (most < 0 or task.retries < most):
            task.retries, task.retried = task.retries + 1, at
            if not isinstance(task, Preparation):
                task.moments.append((at, ACTIVE))
                self._wait(task, at)
            elif takes_more(task.node, at):
                self._run_preparation(task, at)
            else:
                self._give_back(task, at)
            return
        task.ended, task.exit_code = at, run.exit_code
        task.failure = run.failure or (BAD_EXIT if run.exit_code else None)
        task.moments.append((at, COMPLETED))
        if not isinstance(task, Preparation):
            self._after(task, at)
        elif task.has_succeeded:
            self._let_begin(task, at)
        else:
            self._give_back(task, at)

    def _let_begin(self, preparation: Preparation, now: datetime) -> None:
        """Let the tasks run that waited for a node to be prepared."""
        job, pool = preparation.job, self._account.known_pool(preparation.pool)
        for task in preparing_on(job, preparation.node):
            if pool is not None and all(self._is_ready(job, node, now) for node in task.nodes):
                self._take_from_nodes(task, now)
                self._begin(pool, task, now)

    def _give_back(self, preparation: Preparation, now: datetime) -> None:
        """Let the tasks wait for another node whose own is not prepared: that has failed, or is cut off."""
        if not preparation.is_completed:
            self._drop(preparation, now)
        for task in preparing_on(preparation.job, preparation.node):
            self._take_from_nodes(task, now)
            self._wait_again(task, now)
        self._touch(now)

    def _disable(self, job: Job, at: datetime, option: str) -> None:
        """Let no task of a job begin; once those that run are over it is disabled.

        :param option: what becomes of those: ``wait``, ``requeue`` or ``terminate``.
        """
        job.moments = [*until(job.moments, at), (at, DISABLING)]
        if option != "wait":
            for task in job.tasks.values():
                if task.has_node:
                    self._cut(task, at, is_terminated=option == "terminate")
        self._touch(at)

    def _leave(self, task: Task, now: datetime) -> None:
        """Give a task no node any more, also not the one that is kept for it; it stays as it is."""
        self._take_from_nodes(task, now)
        task.run, task.nodes, task.moments = None, [], until(task.moments, now)
        self._waiting.pop((task.job.id, task.id), None)

    def _cut(self, task: Task, now: datetime, *, is_terminated: bool) -> None:
        """End the run of a task now, if it has one: for good, or so that it waits for another node."""
        run = self._take_from_nodes(task, now)
        task.moments = until(task.moments, now)
        if is_terminated:
            began = run is not None and run.start <= now
            task.run = replace(run, end=now) if run is not None and began else None
            task.nodes = task.nodes if began else []
            task.ended, task.failure = now, ENDED_BY_USER
            task.moments.append((now, COMPLETED))
            self._waiting.pop((task.job.id, task.id), None)
            self._after(task, now)
            return
        if not task.is_waiting:
            task.requeues, task.requeued = task.requeues + 1, now
        self._wait_again(task, now)

    def _after(self, task: Task, now: datetime) -> None:
        """Do what the end of a task means for its job."""
        job = task.job
        if job.goal != ACTIVE:
            return
        manager = job.document.get("jobManagerTask")
        if manager is not None and manager["id"] == task.id and manager["killJobOnCompletion"]:
            self._end(job, now, "JMComplete")
        elif task.failure is not None and job.document["onTaskFailure"] == "performexitoptionsjobaction":
            action = task.exit_options().get("jobAction", "terminate")
            if action == "terminate":
                self._end(job, now, "TaskFailed")
            elif action == "disable":
                self._disable(job, now, "requeue")
        self._perhaps_complete(job, now)

    def _perhaps_complete(self, job: Job, now: datetime) -> None:
        # Documented: of a job without tasks all are considered complete.
        wants = job.document["onAllTasksComplete"] == "terminatejob"
        if wants and job.goal == ACTIVE and all(task.is_completed for task in job.tasks.values()):
            match self._account.scenario.answers.ends_by_itself:
                case "at once":
                    self._end(job, now, ALL_DONE)
                case "late":
                    self._limit(job, now + _LATE, ALL_DONE)

    def _limit(self, job: Job, at: datetime | None, reason: str = OUT_OF_TIME) -> None:
        """Have a job end at a time, if that still holds then."""
        if at is not None:
            self._assigned += 1
            heapq.heappush(self._limits, (at, self._assigned, job, reason))

    def _reached(self, job: Job, at: datetime, reason: str) -> None:
        if job.goal == COMPLETED or job.gone is not None:
            return
        holds = job.limit == at
        if reason == ALL_DONE:
            holds = all(task.is_completed for task in job.tasks.values())
        if holds:
            self._end(job, at, reason)

    def _end(self, job: Job, at: datetime, reason: str) -> None:
        job.ended = at + seconds(self._account.scenario.timings.job_ending)
        job.reason = reason
        job.moments = [*until(job.moments, at), (at, "terminating"), (job.ended, COMPLETED)]
        stay = self._account.scenario.answers.active_tasks_of_an_ended_job == "stay"
        for task in job.tasks.values():
            if stay and state_at(task.moments, at)[0][1] == ACTIVE:
                self._leave(task, at)
            elif not task.is_completed:
                self._cut(task, at, is_terminated=True)
        self._clean_up(job, at, job.ended)

    # --- helpers -------------------------------------------------------------------------------------------

    def _add(self, job: Job, task: str, document: Json, stamp: datetime) -> Task:
        made = Task(task, job, document, stamp, stamp, [(stamp, ACTIVE)])
        job.tasks[task.casefold()] = made
        self._wait(made, stamp)
        self._touch(stamp)
        return made

    def _task_of(self, run: TaskRun) -> Task | None:
        """The task, or the preparation, that has that run."""
        job = self._jobs.get(run.job.casefold())
        if job is None:
            return None
        tasks: Mapping[str, Task] = job.preparations if run.prepares else job.tasks
        task = tasks.get(run.prepares or run.task.casefold())
        return task if task is not None and task.run == run else None

    def _wait_again(self, task: Task, now: datetime) -> None:
        task.run, task.nodes = None, []
        if not task.is_waiting:
            task.moments.append((now, ACTIVE))
        self._wait(task, now)

    def _wait(self, task: Task, now: datetime) -> None:
        if not self._waiting:
            # Nodes that became idle while nobody waited are idle now, or they are not.
            self._seen = max(self._seen, now)
        self._waiting[task.job.id, task.id] = task

    def _touch(self, at: datetime) -> None:
        self._due = at if self._due is None else min(self._due, at)
