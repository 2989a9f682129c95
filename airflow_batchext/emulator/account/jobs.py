"""Jobs and their tasks, as clients make, change and end them."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.job_records import (
    ACTIVE,
    COMPLETED,
    Job,
    Task,
    state_at,
    until,
)
from airflow_batchext.emulator.account.scheduling import Scheduler
from airflow_batchext.emulator.scenario import seconds
from airflow_batchext.emulator.wire.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_batchext.emulator.wire.http import Json


class Jobs(Scheduler):
    """The jobs of an account."""

    # --- looking up ----------------------------------------------------------------------------------------

    def all(self) -> list[Job]:
        """The jobs that exist, by id."""
        self._account.pools()  # catches up
        return sorted(self._jobs.values(), key=lambda job: job.id)

    def job(self, job: str) -> Job:
        """A job; refused with JobNotFound if there is none."""
        self._account.pools()
        found = self._jobs.get(job.casefold())
        if found is None:
            raise refusal("JobNotFound")
        return found

    def task(self, job: str, task: str) -> Task:
        """A task; refused with JobNotFound or TaskNotFound if there is none."""
        found = self.job(job).tasks.get(task.casefold())
        if found is None:
            raise refusal("TaskNotFound")
        return found

    def counts_of_pool(self, pool: str, now: datetime) -> Counter[str]:
        """Count the tasks of a pool as autoscale formulas name them."""
        counts: Counter[str] = Counter()
        for job in self._jobs.values():
            if job.pool.casefold() != pool.casefold():
                continue
            for task in job.tasks.values():
                if task.created > now:
                    continue
                (_, state), _ = state_at(task.moments, now)
                if state == COMPLETED:
                    counts["FailedTasks" if task.failure else "SucceededTasks"] += 1
                else:
                    counts["PendingTasks"] += 1
                    counts["ActiveTasks" if state == ACTIVE else "RunningTasks"] += 1
        return counts

    # --- jobs ----------------------------------------------------------------------------------------------

    def create(self, job: str, document: Json) -> Job:
        """Create a job; its pool need not exist."""
        with self._account.lock:
            self._account.pools()
            existing = self._jobs.get(job.casefold())
            if existing is not None:
                raise refusal("JobBeingDeleted" if existing.gone else "JobExists")
            stamp = self._account.stamp()
            now = self._account.now()
            open_jobs = sum(state_at(job.moments, now)[0][1] != COMPLETED for job in self._jobs.values())
            if open_jobs >= self._account.scenario.account.active_job_quota:
                raise refusal("ActiveJobAndScheduleQuotaReached")
            made = Job(job, document, stamp, stamp, [(stamp, ACTIVE)])
            self._jobs[job.casefold()] = made
            self._limit(made, made.limit)
            manager = document.get("jobManagerTask")
            if manager is not None:
                self._add(made, manager["id"], manager, stamp)
            self._perhaps_complete(made, stamp)
            return made

    def update(self, job: str, document: Json) -> Job:
        """Replace what a job asks for."""
        with self._changing(job) as (found, _):
            moves = document["poolInfo"] != found.document["poolInfo"]
            if moves and found.goal != "disabled":
                reason = "The pool of a job can be changed only while the job is disabled"
                raise refusal("OperationInvalidForCurrentState", Reason=reason)
            found.document, found.modified = document, self._account.stamp()
            self._limit(found, found.limit)
            self._perhaps_complete(found, found.modified)
            self._touch(found.modified)
            return found

    def disable(self, job: str, option: str) -> Job:
        """Keep the tasks of a job from running. ``option`` is what becomes of those that run."""
        with self._changing(job, is_open=True) as (found, _):
            found.modified = self._account.stamp()
            self._disable(found, found.modified, option)
            return found

    def enable(self, job: str) -> Job:
        """Let the tasks of a job run again."""
        with self._changing(job, is_open=True) as (found, now):
            found.modified = self._account.stamp()
            if found.goal != ACTIVE:
                found.moments = [*until(found.moments, now), (found.modified, ACTIVE)]
            self._touch(found.modified)
            return found

    def terminate(self, job: str, reason: str = "UserTerminate") -> Job:
        """End a job and its tasks."""
        with self._changing(job, is_open=True) as (found, _):
            found.modified = self._account.stamp()
            self._end(found, found.modified, reason)
            self._touch(found.modified)
            return found

    def delete(self, job: str) -> None:
        """Delete a job and its tasks."""
        with self._account.lock:
            found = self.job(job)
            if found.gone is not None:
                raise refusal("JobBeingDeleted")
            now = self._account.now()
            found.moments = [*until(found.moments, now), (now, "deleting")]
            for task in found.tasks.values():
                if not task.is_completed:
                    self._cut(task, now, is_terminated=True)
            self._clean_up(found, now, now)
            found.gone = now + seconds(self._account.scenario.timings.job_ending)
            self._leaving.append(found)
            self._touch(now)

    # --- tasks ---------------------------------------------------------------------------------------------

    def add(self, job: str, task: str, document: Json) -> Task:
        """Add a task to a job."""
        with self._changing(job, is_open=True) as (found, _):
            if task.casefold() in found.tasks:
                raise refusal("TaskExists")
            for member in ("jobPreparationTask", "jobReleaseTask"):
                if task.casefold() == found.document.get(member, {}).get("id", "").casefold():
                    raise refusal(f"TaskIdSameAs{member[0].upper()}{member[1:]}")
            if "dependsOn" in document and not found.document["usesTaskDependencies"]:
                raise refusal("TaskDependenciesNotSpecifiedOnJob")
            return self._add(found, task, document, self._account.stamp())

    def update_task(self, job: str, task: str, document: Json) -> Task:
        """Replace what a task asks for."""
        with self._changing(job):
            found = self.task(job, task)
            if found.is_completed:
                raise refusal("TaskCompleted")
            found.document, found.modified = document, self._account.stamp()
            return found

    def terminate_task(self, job: str, task: str) -> Task:
        """End a task."""
        with self._changing(job) as (_, now):
            found = self.task(job, task)
            if found.is_completed:
                raise refusal("TaskCompleted")
            found.modified = self._account.stamp()
            self._cut(found, now, is_terminated=True)
            self._touch(now)
            return found

    def reactivate(self, job: str, task: str) -> Task:
        """Let a task that has failed run again."""
        with self._changing(job):
            found = self.task(job, task)
            if not found.is_completed:
                raise refusal("TaskNotCompleted")
            if found.failure is None:
                raise refusal("TaskSucceeded")
            found.modified = self._account.stamp()
            found.moments.append((found.modified, ACTIVE))
            found.run, found.nodes, found.ended, found.exit_code, found.failure = None, [], None, None, None
            found.retries, found.retried = 0, None
            self._wait(found, found.modified)
            self._touch(found.modified)
            return found

    def delete_task(self, job: str, task: str) -> None:
        """Delete a task."""
        with self._account.lock:
            parent, found = self.job(job), self.task(job, task)
            now = self._account.now()
            if not found.is_completed:
                self._cut(found, now, is_terminated=True)
            del parent.tasks[task.casefold()]
            self._touch(now)

    # --- inside --------------------------------------------------------------------------------------------

    @contextmanager
    def _changing(self, job: str, *, is_open: bool = False) -> Iterator[tuple[Job, datetime]]:
        """A job that is to be changed, and the time; one that must be open is refused if it is completed."""
        with self._account.lock:
            found = self.job(job)
            if found.gone is not None:
                raise refusal("JobBeingDeleted")
            now = self._account.now()
            if found.goal == COMPLETED and state_at(found.moments, now)[0][1] != COMPLETED:
                raise refusal("JobBeingTerminated")
            if is_open and found.goal == COMPLETED:
                raise refusal("JobCompleted")
            yield found, now
