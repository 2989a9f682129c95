"""What the sensor does on the worker, apart from the sensor itself: parsing a DAG is hot."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    PokeReturnValue,
    TaskDeferred,
)

from airflow_batchext.exceptions import (
    BatchextError,
    ExecutionTimeoutError,
    GateFailedError,
    GateRefusedError,
    GateTimeoutError,
    TriggerFailedError,
)
from airflow_batchext.hooks._drivers.diagnosis import causes
from airflow_batchext.hooks._drivers.gate import give_back, look
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.live.writer import on_worker, outcome_of, silent
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.gate import RepairingGate
from airflow_batchext.repair.status import lease_for, owner_of
from airflow_batchext.rules.deadline import Deadline, Turns, limit_of
from airflow_batchext.rules.gate import Outcome, Rules, Verdict
from airflow_batchext.rules.sharing import OwnPool
from airflow_batchext.rules.watch import DEFAULT_NOTICE_SECONDS, Watch
from airflow_batchext.sensors._rules import gate_repair, gate_rhythm, gate_rules
from airflow_batchext.sensors._telling import SensorParameters, ended, gate_snapshot, how_it_waits, opened
from airflow_batchext.triggers._base import deferral_limit
from airflow_batchext.triggers._failing import reason, timed_out
from airflow_batchext.triggers.extension import (
    AzureBatchExtensionTrigger,
    GateStatus,
    failure_text,
    missing_text,
    timed,
    timeout_text,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.live.form import Snapshot
    from airflow_batchext.repair import RepairPolicy

# The key in Airflow's store for the state of a task.
_POOL_SEEN = "batchext_pool_seen"
# Airflow's scheduler may fail a task that is back sooner: what is left then is waited for in the process.
_SHORTEST_RESCHEDULE_SECONDS = 10.0


class _NeverRescheduled:
    """Stands for the task instance that a unit test does not give."""

    def get_first_reschedule_date(self, context: Context) -> None:
        """When the task first left its worker: never."""


class Gate:
    """The gate of one sensor, in one process.

    :param sensor: its parameters, rendered.
    """

    def __init__(self, sensor: SensorParameters) -> None:
        self.sensor = sensor
        self._set(time.time())
        self._said = self._known = ""
        self._owner = ""
        # Who calls ``poke`` alone has a loop, and a deadline, of their own.
        self._ends_itself = False
        self._has_ended = False
        self._verdict: Verdict | None = None
        self._live = silent()

    def _set(self, started: float) -> None:
        """Count from then on, and begin anew."""
        self.__dict__.pop("_watch", None)
        self._started = started
        self._limit = limit_of(self.sensor.timeout, self.sensor.execution_timeout)
        self._deadline = Deadline(started + self._limit.seconds, time.time)
        self._turns = Turns(self._deadline)
        self._own = OwnPool(set_at=started)

    @cached_property
    def _hook(self) -> AzureBatchNodeHook:
        # The gate's own rhythm repeats what failed; the SDK's would delay the deadline.
        return AzureBatchNodeHook(self.sensor.azure_batchext_conn_id, retries=0)

    @cached_property
    def _rules(self) -> Rules:
        return gate_rules(self.sensor)

    @cached_property
    def _watch(self) -> Watch | RepairingGate:
        # A rescheduled task remembers nothing of the nodes: it has to read every one at every look.
        notice = 0.0 if self.sensor.reschedule else DEFAULT_NOTICE_SECONDS
        pool_id = check_pool_id(self.sensor.pool_id)
        watch = Watch(pool_id, self._rules, notice_seconds=notice)
        if self._repair is None:
            return watch
        return RepairingGate(
            watch,
            Repair(
                pool_id,
                self._repair,
                owner=self._owner,
                keeps_journal=True,
                lease=lease_for(self.sensor.poke_interval),
            ),
            deadline=self._deadline,
        )

    @cached_property
    def _repair(self) -> RepairPolicy | None:
        return gate_repair(self.sensor, self._rules)

    @contextmanager
    def held(self, context: Context) -> Iterator[Context]:
        """Hold the gate for the length of the block, and say with what its wait has ended.

        :return: the context with what Airflow's own sensor reads of it, also where no Airflow runs the task.
        """
        # Outside Airflow, as in a unit test, the context may have no task instance.
        instance: Any = context.get("ti") or _NeverRescheduled()
        reschedule = self.sensor.reschedule
        first = instance.get_first_reschedule_date(context) if reschedule else None
        self._begin(context, first.timestamp() if isinstance(first, datetime) else time.time())
        try:
            if reschedule:
                self._set_on(self._pool_seen_before(context))
            if not isinstance(first, datetime):
                self.sensor.log.info("%s", how_it_waits(self.sensor, self._rules, self._deadline.at))
            yield context if context.get("ti") else {**context, "ti": instance}
        except AirflowSensorTimeout as error:
            own = error if isinstance(error, GateTimeoutError) else self._timed_out()
            raise self._ending(own) from None
        except AirflowSkipException as skip:
            raise self._told(skip) from None
        except BatchextError as error:
            raise self._ending(error) from None
        except AirflowTaskTimeout:
            raise self._ending(self._alarmed()) from None
        finally:
            self._keep_pool_seen(context)
            self._hook.close()

    def _begin(self, context: Context, started: float, *, goes_on: bool = False) -> None:
        self._ends_itself = True
        self._live = on_worker(
            context.get("ti"),
            lambda: self._about(None if goes_on else started),
            goes_on=goes_on,
            memory=context.get("task_state_store") if self.sensor.reschedule else None,
        )
        self._owner = owner_of(context.get("ti")) or f"{self.sensor.task_id} {uuid4()}"
        self._set(started)

    def _set_on(self, created: str | None) -> None:
        """Know on which pool the gate was set, as far as an earlier process has told."""
        self._own.created = self._watch.pool_created = created

    def _pool_seen_before(self, context: Context) -> str | None:
        """Which pool this try saw at an earlier look, so that one created anew is noticed (Airflow 3.3)."""
        store: Any = context.get("task_state_store")
        kept = None if store is None else store.get(_POOL_SEEN)
        # What is kept outlives the try; another try may be about another pool.
        return kept["pool_created"] if kept and kept["try_number"] == _try_number(context) else None

    def _keep_pool_seen(self, context: Context) -> None:
        store: Any = context.get("task_state_store")
        created = self._own.created
        if store is not None and created and created != self._pool_seen_before(context):
            store.set(_POOL_SEEN, {"try_number": _try_number(context), "pool_created": created})

    def look(self, context: Context) -> PokeReturnValue:
        """Look once; after the last look, end at the deadline.

        :raises GateFailedError: if the gate cannot open any more.
        :raises GateTimeoutError: if it did not open in time.
        """
        is_last, began = self._turns.is_last, time.time()
        limit = self._turns.limit if self._ends_itself else self._deadline.or_late()
        seen = look(self._hook, self._watch, deadline=limit, whole=is_last)
        self._turns.took(time.time() - began, was_whole=is_last)
        verdict = self._verdict = self._own.judge(seen, time.time(), is_last=is_last)
        self._live.sees(verdict, self._watch, self._hook.known_connection)
        if verdict.summary != self._said:
            self._said = verdict.summary
            self.sensor.log.info("Pool %s: %s", self.sensor.pool_id, self._said)
        if verdict.outcome is Outcome.FAIL:
            kind = GateRefusedError if verdict.refused else GateFailedError
            raise self._failed(verdict.listed() + self._causes(self._turns.limit), kind)
        is_open, report = verdict.outcome is Outcome.OPEN, timed(verdict.report(), self._started)
        if is_open:
            opened(self.sensor, context, report)
            self._live.ends("done", verdict.summary)
        # A rescheduled process remembers nothing, so each of its looks is whole, and the next would be late.
        elif self._ends_itself and (
            self._deadline.has_passed or (self._turns.is_last and (is_last or self.sensor.reschedule))
        ):
            why = self._causes(self._deadline)
            time.sleep(self._deadline.left)
            raise self._timed_out(missing_text(verdict, self._known) + why)
        if not verdict.cut:
            self._known = verdict.listed()
        shortest = min(self.sensor.poke_interval, _SHORTEST_RESCHEDULE_SECONDS)
        pause = self._turns.pause(shortest)
        if not is_open and self._ends_itself and self.sensor.reschedule and pause < shortest:
            time.sleep(pause)
            return self.look(context)
        return PokeReturnValue(is_open, report)

    def look_then_defer(self, context: Context) -> Any:
        """Look once here: an open gate costs no trigger, and what is hopeless shows at once."""
        found = self.sensor.poke(context)
        if found:
            return found.xcom_value
        interval = self.sensor.poke_interval
        pause = self._watch.pause(interval, self._verdict) if self._verdict else 0.0
        raise TaskDeferred(
            trigger=AzureBatchExtensionTrigger(
                pool_id=self.sensor.pool_id,
                azure_batchext_conn_id=self.sensor.azure_batchext_conn_id,
                **gate_rhythm(self.sensor),
                deadline=self._deadline.at,
                started=self._started,
                rules=self._rules.to_json(),
                repair=None if self._repair is None else self._repair.to_json(),
                owner="" if self._repair is None else self._owner,
                pool_created=self._own.created,
                not_before=time.time() + pause if pause > interval else None,
                told=self._live.handed_over(max(interval, pause)),
            ),
            method_name="execute_complete",
            timeout=deferral_limit(self._deadline.at, self._limit),
        )

    def on_kill(self) -> None:
        """Put the pool's targets back, if nodes are being replaced."""
        # Airflow calls it as well when ``execution_timeout`` has ended the task.
        if not self._has_ended and isinstance(self._watch, RepairingGate):
            try:
                text = give_back(self._hook, self._watch.repair)
            except BatchextError as error:
                text = str(error)
            self.sensor.log.warning("The repair of pool %s was ended. %s", self.sensor.pool_id, text)

    def pause(self, interval: float) -> float:
        """What the last look, and the deadline, make of the pause that Airflow would make, in seconds."""
        pause = self._watch.pause(interval, self._verdict) if self._verdict else interval
        # Airflow fails tasks that are back too soon.
        pause = self._turns.pause(max(interval, pause) if self.sensor.reschedule else pause)
        self._live.waits(pause, elsewhere=self.sensor.reschedule)
        return pause

    def end(self, context: Context, event: Mapping[str, Any]) -> dict[str, object]:
        """End as the trigger's event says; where a success is too old by now, look again, or wait on."""
        status, text = GateStatus(event["status"]), str(event["text"])
        if status is GateStatus.OPEN:
            self.sensor.log.info("Pool %s: %s", self.sensor.pool_id, text)
            if self._is_too_old(event):
                return self._look_again(context, event)
            report = timed(event["report"], float(event["started"]))
            opened(self.sensor, context, report)
            return report
        if status is GateStatus.TIMEOUT:
            raise self._ending(self._timed_out(text))
        self._begin(context, float(event["started"]))
        self._live = silent()  # the trigger has told it
        with self._ends():
            if status is GateStatus.REFUSED:
                self.on_kill()
                raise self._failed(text, GateRefusedError)
            raise self._failed(text)

    def give_up(self, context: Context, failure: Mapping[str, Any]) -> Any:
        """End as the trigger has failed: leave no repair half done, and say why.

        Where it was Airflow's own limit that came first, look once more: at what is missing, if anything is.

        :raises TriggerFailedError: if it was not.
        """
        if timed_out(failure):
            return self._look_for_the_last_time(context)
        self._begin(context, time.time(), goes_on=True)
        with self._ends():
            self.on_kill()
            why = reason(failure, self.sensor.log)
            raise TriggerFailedError(f"Nobody could wait for pool {self.sensor.pool_id}: {why}")

    @contextmanager
    def _ends(self) -> Iterator[None]:
        """Within, the gate looks, or ends, in a process that has not waited."""
        try:
            with self._hook:
                yield
        except BatchextError as error:
            raise self._ending(error) from None
        except AirflowTaskTimeout:
            raise self._ending(self._alarmed()) from None

    def _is_too_old(self, event: Mapping[str, Any]) -> bool:
        """Whether what the triggerer saw is older by now than the gate lets its readings be."""
        at = event.get("at")  # not in events of triggers of an earlier version
        age = float(event["report"].get("oldest_reading_seconds") or 0.0)
        return at is not None and time.time() - float(at) + age > self._rules.max_age

    def _look_again(self, context: Context, event: Mapping[str, Any]) -> dict[str, object]:
        self._begin(context, float(event["started"]), goes_on=True)
        self._set_on(event["report"].get("pool_created") or None)
        with self._ends():
            report: dict[str, object] = self.look_then_defer(context)
        return report

    def _look_for_the_last_time(self, context: Context) -> Any:
        # Airflow's limit comes after our own deadline.
        self._begin(context, time.time() - self._limit.seconds, goes_on=True)
        self._set_on(self._pool_seen_before(context))
        with self._ends():
            return self.sensor.poke(context).xcom_value

    def _about(self, started: float | None) -> Snapshot:
        """What is known of it before the first look, for the live page."""
        return gate_snapshot(self.sensor, self._rules, started, self._deadline.at)

    def _causes(self, limit: Deadline) -> str:
        """Why it has failed, as far as that is known, and what helps."""
        return causes(self._hook, self.sensor.pool_id, self._rules, limit, verdict=self._verdict)

    def _told(self, skip: AirflowSkipException) -> AirflowSkipException | BatchextError:
        """Airflow's own skip, which does not say for what, with the reason."""
        if skip.__cause__ is None:  # soft_fail, at the deadline
            return self._ending(self._timed_out())
        if isinstance(skip.__cause__, BatchextError):
            return self._ending(skip.__cause__)
        return self._ending(self._alarmed()) if isinstance(skip.__cause__, AirflowTaskTimeout) else skip

    def _failed(self, reasons: str, kind: type[GateFailedError] = GateFailedError) -> GateFailedError:
        return kind(failure_text(self.sensor.pool_id, reasons))

    def _alarmed(self) -> BatchextError:
        """What Airflow's own alarm comes to, which rings when ``execution_timeout`` has passed."""
        self.on_kill()
        if self.sensor.execution_timeout is not None:
            self._limit = limit_of(float("inf"), self.sensor.execution_timeout)
        return self._timed_out()

    def _timed_out(self, missing: str = "") -> BatchextError:
        missing = missing or (missing_text(self._verdict, self._known) if self._verdict else "everything")
        kind = ExecutionTimeoutError if self._limit.is_airflows else GateTimeoutError
        return kind(timeout_text(self.sensor.pool_id, self._limit, missing))

    def _ending(self, error: BatchextError) -> BatchextError | AirflowSkipException:
        self._has_ended = True
        self._live.ends(*outcome_of(error))
        return ended(self.sensor, error)


def _try_number(context: Context) -> int | None:
    return getattr(context.get("ti"), "try_number", None)
