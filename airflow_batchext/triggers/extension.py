"""The gate's wait, in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from uuid import uuid4

from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.work import Work
from airflow_batchext.links import LINK_XCOM_KEY, live_link_xcom, portal_url
from airflow_batchext.live.form import Outcome as LiveOutcome
from airflow_batchext.live.form import Snapshot
from airflow_batchext.live.writer import Live, in_triggerer
from airflow_batchext.metrics import gate_ended, gate_opened, gate_waiting
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.repair import RepairPolicy
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.status import lease_for, owner_of
from airflow_batchext.rules.deadline import Backoff, Deadline, Limit, Turns
from airflow_batchext.rules.gate import Outcome, Rules, Verdict
from airflow_batchext.rules.sharing import OwnPool
from airflow_batchext.rules.told import waiting_text, wanted_text
from airflow_batchext.triggers._base import DeclaredTrigger
from airflow_batchext.triggers._ending import end_repair, end_work, shielded
from airflow_batchext.triggers._failing import connection_text
from airflow_batchext.triggers._logged import logged
from airflow_batchext.triggers._sharing import SharedLooks, SharedLooksLease

#: The XCom of a gate that was not opened and ended in the triggerer: why.
REASON_XCOM_KEY = "reason"


class GateStatus(str, Enum):
    """How a gate ended; the ``status`` of the trigger's event."""

    OPEN = "open"
    FAILED = "failed"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    """It could not look at all, which is not the pool's fault."""


#: How the live page calls it.
LIVE_OUTCOMES: Mapping[GateStatus, LiveOutcome] = {
    GateStatus.OPEN: "done",
    GateStatus.FAILED: "failed",
    GateStatus.TIMEOUT: "timeout",
    GateStatus.REFUSED: "refused",
}


def failure_text(pool_id: str, reasons: str) -> str:
    """What a gate says that cannot open any more."""
    return f"The gate on pool {pool_id} cannot open: {reasons}"


def timeout_text(pool_id: str, limit: Limit, missing: str) -> str:
    """What a gate says whose deadline has passed."""
    return f"The gate on pool {pool_id} did not open within {limit}; still missing: {missing}"


@dataclass(frozen=True, slots=True)
class GateEnd:
    """How a gate ended, why, and what was seen."""

    status: GateStatus
    text: str
    report: Mapping[str, Any] = field(default_factory=dict)

    def event(self, started: float) -> TriggerEvent:
        """The event that resumes the task on a worker."""
        status, report = self.status.value, dict(self.report)
        ended = {"status": status, "text": self.text, "report": report}
        return TriggerEvent({**ended, "started": started, "at": time.time()})


def missing_text(verdict: Verdict, known: str) -> str:
    """What a gate still lacks at its deadline.

    :param verdict: what its last look has come to.
    :param known: what was lacking at the last look that was made to its end, "" if none was.
    """
    if verdict.cut and known:
        return f"{known} (the last look was not over at the deadline)"
    return verdict.listed()


def timed(report: Mapping[str, Any], started: float) -> dict[str, Any]:
    """A report with how long the gate took, in seconds: the sensor's XCom."""
    return {**report, "seconds": round(max(0.0, time.time() - started), 3)}


@dataclass(kw_only=True, eq=False)
class AzureBatchExtensionTrigger(DeclaredTrigger):
    """Looks at a pool until its gate opens, fails, or its deadline passes.

    Everything it needs is in its arguments, so a new triggerer goes on where another one died; the
    deadline is a moment, not a duration, and does not move then. What extensions have succeeded is read
    again.

    It ends the task itself if ``ends_task``; else its one event resumes the task on a worker, with the
    payload: ``status`` (``GateStatus``), ``text`` (the reason, in words), ``report`` (what was
    seen), ``started`` (as given) and ``at`` (when it ended, in seconds since the epoch).

    :param pool_id: the pool.
    :param azure_batchext_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; the first one comes after one interval.
    :param deadline: when to give up, in seconds since the epoch; or None, ``timeout`` after the start.
    :param started: when the gate was set, in seconds since the epoch; or None, now.
    :param timeout: seconds until it gives up, where there is no deadline.
    :param limit: the task's parameter that ``timeout`` comes from.
    :param ends_task: end the task in the triggerer.
    :param skips: let it end as skipped instead of failed, unless it could not look at all.
    :param never_fails: let it end as skipped then, too.
    :param rules: what the gate asks for, as ``Rules.to_json`` writes it.
    :param repair: what may be done to nodes before the gate fails, as ``RepairPolicy.to_json`` writes it.
    :param owner: who repairs; by default the task.
    :param pool_created: the pool's ``creationTime`` when the gate was set, if it was seen.
    :param exponential_backoff: wait twice as long after each look as after the one before.
    :param max_wait: but no longer than so many seconds.
    :param told: what the worker has told the live page, as ``live.snapshot`` writes it.
    :param work: the ids of Batch tasks that earlier tries may have left: they are ended with the task.
    :param not_before: when to look first, in seconds since the epoch, if the service asked to be left alone
        for longer than one interval.
    """

    pool_id: str
    azure_batchext_conn_id: str
    poll_interval: float
    deadline: float | None = None
    started: float | None = None
    timeout: float | None = None
    limit: str = "timeout"
    ends_task: bool = False
    skips: bool = False
    never_fails: bool = False
    rules: dict[str, Any] = field(default_factory=dict)
    repair: dict[str, Any] | None = None
    owner: str = ""
    pool_created: str | None = None
    not_before: float | None = None
    exponential_backoff: bool = False
    max_wait: float | None = None
    told: dict[str, Any] | None = None
    work: dict[str, Any] | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, when the gate has ended."""
        started, link = time.time() if self.started is None else self.started, ""
        ends = started + (self.timeout or 0.0) if self.deadline is None else self.deadline
        turns = Turns(Deadline(ends, time.time))
        own = OwnPool(self.pool_created, started)
        live = in_triggerer(self, lambda: self._about(started, ends), self.told)
        try:
            async with SharedLooksLease(
                conn_id=self.azure_batchext_conn_id,
                pool_id=check_pool_id(self.pool_id),
                rules=self.rules,
                pool_created=self.pool_created,
                interval=self.poll_interval,
                repair=self._repair(),
                deadline=turns.deadline,
            ) as looks:
                if self.ends_task:
                    self.log.info("%s", self._waiting_text(turns.deadline.at))
                with gate_waiting():
                    end = await self._wait(looks, turns, own, live)
                link = portal_url(await looks.hook.aconnection(), self.pool_id)
        except BatchextError as error:
            end = GateEnd(GateStatus.REFUSED, connection_text(error, self.azure_batchext_conn_id))
        finally:
            live.close()
        live.ends(LIVE_OUTCOMES[end.status], end.text)
        if not self.ends_task:
            yield end.event(started)
            return
        # No worker ends this task, so nobody else leaves its links.
        left = {**live.xcoms(), **live_link_xcom(getattr(self, "task_instance", None))}
        event = self._task_end(end, started, ends, link, left)
        await logged()
        yield event

    async def on_kill(self) -> None:
        """Leave no repair half done and no work of an earlier try, if it was a user who ended the task."""
        if self.work is not None:
            told = {**self.work}
            is_alone = bool(told.pop("is_alone"))
            work = Work(attempt_id="", task={}, job={}, **told)
            await shielded(end_work(self, self.azure_batchext_conn_id, work, is_alone=is_alone))
        repair = self._repair()
        if repair is not None:
            await shielded(end_repair(self, self.azure_batchext_conn_id, repair, self.poll_interval))

    def _repair(self) -> Repair | None:
        if self.repair is None:
            return None
        self.owner = self.owner or owner_of(getattr(self, "task_instance", None)) or str(uuid4())
        policy = RepairPolicy.from_json(self.repair)
        lease = lease_for(self.poll_interval)
        return Repair(self.pool_id, policy, owner=self.owner, keeps_journal=True, lease=lease)

    async def _wait(self, looks: SharedLooks, turns: Turns, own: OwnPool, live: Live) -> GateEnd:
        since = time.monotonic()
        # A task that was deferred by a worker has looked already.
        pause = 0.0 if self.ends_task else max(self.poll_interval, (self.not_before or 0.0) - time.time())
        said = known = ""
        backoff, looks_made = Backoff(self.max_wait), 0 if self.ends_task else 1
        while True:
            await asyncio.sleep(turns.pause(pause))
            is_last, began = turns.is_last, time.time()
            verdict = await looks.verdict(since, deadline=turns.limit, is_last=is_last)
            turns.took(time.time() - began, was_whole=is_last)
            verdict = own.judge(verdict, time.time(), is_last=is_last)
            live.sees(verdict, looks.watch, looks.hook.known_connection)
            if verdict.summary != said:
                said = verdict.summary
                self.log.info("Pool %s: %s", self.pool_id, said)
            if verdict.outcome is Outcome.OPEN:
                return GateEnd(GateStatus.OPEN, said, verdict.report())
            if verdict.outcome is Outcome.FAIL:
                status = GateStatus.REFUSED if verdict.refused else GateStatus.FAILED
                why = await looks.causes(verdict, Rules.from_json(self.rules), turns.limit)
                return GateEnd(status, verdict.listed() + why, verdict.report())
            if turns.deadline.has_passed or (is_last and turns.is_last):
                why = await looks.causes(verdict, Rules.from_json(self.rules), turns.deadline)
                await asyncio.sleep(turns.deadline.left)
                return GateEnd(GateStatus.TIMEOUT, missing_text(verdict, known) + why, verdict.report())
            if not verdict.cut:
                known = verdict.listed()
            pause, looks_made = looks.next_look(), looks_made + 1
            if self.exponential_backoff:
                pause = max(pause, backoff.pause(self.poll_interval, looks_made))
            live.waits(turns.pause(max(0.0, pause)))

    def _waiting_text(self, until: float) -> str:
        return waiting_text(
            self.pool_id,
            Rules.from_json(self.rules),
            interval=self.poll_interval,
            until=until,
            how="in the triggerer, without a worker (start_from_trigger)",
            repairs=self.repair is not None,
        )

    def _about(self, started: float, deadline: float) -> Snapshot:
        """What is known of it before the first look, for the live page."""
        rules = Rules.from_json(self.rules)
        return Snapshot(
            kind="gate",
            pool=self.pool_id,
            connection=self.azure_batchext_conn_id,
            mode="start_from_trigger" if self.ends_task else "deferrable",
            rules=wanted_text(self.pool_id, rules, repairs=self.repair is not None),
            started=started,
            deadline=deadline,
            interval=self.poll_interval,
        )

    def _task_end(
        self, end: GateEnd, started: float, deadline: float, link: str, live: Mapping[str, Any]
    ) -> TriggerEvent:
        if end.status is GateStatus.OPEN:
            report = timed(end.report, started)
            gate_opened(self.pool_id, report["seconds"])
            return TaskSuccessEvent(xcoms={"return_value": report, LINK_XCOM_KEY: link, **live})
        gate_ended(self.pool_id, timed_out=end.status is GateStatus.TIMEOUT)
        if end.status is GateStatus.TIMEOUT:
            limit = Limit(round(deadline - started, 3), self.limit)
            text = timeout_text(self.pool_id, limit, end.text)
        else:
            text = failure_text(self.pool_id, end.text)
        # The event that fails a task carries no message, so the reason stands in the log and in an XCom.
        self.log.error("%s", text)
        skips = self.never_fails or (self.skips and end.status is not GateStatus.REFUSED)
        return (TaskSkippedEvent if skips else TaskFailedEvent)(xcoms={REASON_XCOM_KEY: text, **live})
