"""The gate in each of its modes, run in this process as Airflow runs it, by the clock of a ``World``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import AirflowSkipException, TaskDeferred

from airflow_batchext.exceptions import BatchextError, GateFailedError, GateTimeoutError
from airflow_batchext.hooks._async_clients import ServiceClock
from airflow_batchext.hooks._drivers import gate as driver
from airflow_batchext.rules.reads import TOO_LATE
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from airflow_batchext.transport.loops import AsyncGuardedTransport
from airflow_batchext.transport.threads import GuardedTransport
from tests.airflow_names import AirflowRescheduleException
from tests.sensors.histories.world import World, WrongError

#: Modules whose ``time`` is that of the world.
_TIMED = (
    "airflow.sdk.bases.sensor",
    "airflow_batchext.hooks._async_clients",
    "airflow_batchext.hooks._drivers.gate",
    "airflow_batchext.sensors._gate",
    "airflow_batchext.triggers._sharing",
    "airflow_batchext.triggers.extension",
)
#: Seconds of the wall clock after which something really hangs.
_HANGS = 60


class Ending(NamedTuple):
    """How the gate ended: ``open``, ``failed`` or ``timeout``."""

    outcome: str
    text: str
    looks: int
    clean_looks: int


class Life:
    """One triggerer's life: when it dies, and when Airflow's own limit on the deferral comes."""

    def __init__(self, dies_at: tuple[str, int] | None, limit: float) -> None:
        self.over = asyncio.Event()
        self._counts = {"pause": 0, "answer": 0}
        self._dies_at, self.limit = dies_at, limit

    def dies(self, what: str) -> bool:
        """Count a pause or an answer, and say whether the triggerer dies at it."""
        self._counts[what] += 1
        if (what, self._counts[what]) == self._dies_at:
            self.over.set()
        return self.over.is_set()


@contextmanager
def worlds_time(world: World) -> Iterator[None]:
    """Let sensor, trigger and hooks live by the world's clock, and tell it of every pause and answer."""
    with pytest.MonkeyPatch.context() as patch:

        def sleep(seconds: float) -> None:
            world.pause(seconds)
            world.pass_time(seconds)
            world.begin_look()

        clock = SimpleNamespace(time=world.client_time, monotonic=world.now, sleep=sleep)
        for module in _TIMED:
            patch.setattr(f"{module}.time", clock)
        zone = import_module("airflow.sdk.timezone")
        utc = SimpleNamespace(**{**vars(zone), "utcnow": world.utcnow})
        patch.setattr("airflow.sdk.bases.sensor.timezone", utc)
        patch.setattr("airflow_batchext.triggers._sharing.random", Random(world.history.seed))
        patch.setattr("airflow_batchext.hooks._drivers.gate.CONCURRENT_READS", world.history.at_once)
        note = ServiceClock.note

        def note_and_tell(service_clock: ServiceClock, headers: Any, **where: Any) -> None:
            note(service_clock, headers, **where)
            world.answered()
            if world.life is not None:
                world.life.dies("answer")

        patch.setattr(ServiceClock, "note", note_and_tell)

        # Time passes between answers alone, so none is cut off while it is under way.
        async def in_time(hook: Any, pool_id: str, wanted: Any, deadline: Any) -> Any:
            if deadline.has_passed:
                return TOO_LATE
            return await hook.arun(driver.answer_of(pool_id, wanted, deadline))

        patch.setattr(driver, "_in_time", in_time)
        patch.setattr(driver, "within", lambda seconds: nullcontext())

        async def asleep(seconds: float) -> None:
            await _pause_in_triggerer(world, seconds)

        patch.setattr("airflow_batchext.triggers.extension.asyncio", SimpleNamespace(sleep=asleep))

        # What azure-identity waits between its own tries passes in the world, too.
        async def awaited(_: Any, seconds: float) -> None:
            world.pass_time(seconds)

        patch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda _, s: world.pass_time(s))
        patch.setattr(GuardedTransport, "sleep", lambda _, s: world.pass_time(s))
        patch.setattr("azure.core.pipeline.transport.AsyncHttpTransport.sleep", awaited)
        patch.setattr(AsyncGuardedTransport, "sleep", awaited)
        yield


async def _pause_in_triggerer(world: World, seconds: float) -> None:
    world.pause(seconds)
    life = world.life
    assert life is not None
    rest = life.limit - world.now()
    if seconds >= rest:
        world.pass_time(rest)
        life.over.set()
    elif life.dies("pause"):
        world.pass_time(seconds / 2)
    if life.over.is_set():
        await asyncio.Event().wait()  # until the triggerer's end cancels it
    world.pass_time(seconds)
    world.begin_look()
    await asyncio.sleep(0)


# --- the modes ---------------------------------------------------------------------------------------------


def play(world: World) -> Ending:
    """Set the gate in the world's mode, and see it through to its end."""
    with worlds_time(world):
        ending: Ending = _MODES[world.mode](world)
    return ending


def _sensor(world: World, **more: Any) -> AzureBatchExtensionSensor:
    return AzureBatchExtensionSensor(
        task_id="gate",
        pool_id=world.pool_id,
        azure_batchext_conn_id=world.history.conn_id,
        **{**world.gate, **more},
    )


def _context(first: datetime | None = None) -> Any:
    return {"ti": SimpleNamespace(get_first_reschedule_date=lambda context: first)}


def _see(world: World, run: Callable[[], Any]) -> Ending:
    """Run the last part of a task that makes a look, and note how it ended."""
    ending, report = _ending(world, run)
    world.end_look(ending.outcome, ending.text, report)
    return ending._replace(looks=world.looks, clean_looks=world.clean_looks)


def _ending(world: World, run: Callable[[], Any]) -> tuple[Ending, dict[str, Any] | None]:
    try:
        report = run()
    except GateFailedError as error:
        ended = ("failed", str(error))
    except GateTimeoutError as error:
        ended = ("timeout", str(error))
    except AirflowSkipException as error:
        if not world.is_lenient:
            raise
        return Ending("timeout" if "did not open within" in str(error) else "failed", str(error), 0, 0), None
    except BatchextError as error:
        raise WrongError(f"ended with {error!r}") from error
    else:
        json.dumps(report)
        if report["outcome"] != "open" or abs(report["seconds"] - (world.now() - world.started)) > 1:
            raise WrongError(f"reported {report} after {world.now() - world.started} s")
        return Ending("open", "", 0, 0), report
    if world.is_lenient:
        raise WrongError(f"to be skipped, but: {ended}")
    return Ending(*ended, 0, 0), None


def _poke(world: World) -> Ending:
    return _see(world, lambda: _sensor(world).execute(_context()))


def _reschedule(world: World) -> Ending:
    first: datetime | None = None
    while True:
        started, late = world.utcnow(), Random(world.history.seed).uniform(0, 4)
        try:
            sensor = _sensor(world, mode="reschedule")
            return _see(world, lambda: sensor.execute(_context(first)))  # noqa: B023 - it is run here
        except AirflowRescheduleException as again:
            world.pause((again.reschedule_date - world.utcnow()).total_seconds())
            world.pass_time((again.reschedule_date - world.utcnow()).total_seconds() + late)
            first = first or started
            world.begin_look()


def _deferrable(world: World) -> Ending:
    try:
        return _see(world, lambda: _sensor(world, deferrable=True).execute(_context()))
    except TaskDeferred as deferred:
        deferral = deferred
    assert deferral.timeout is not None
    limit = world.now() + deferral.timeout.total_seconds()
    row = Trigger.from_object(deferral.trigger)
    return asyncio.run(_in_triggerer(world, row, limit, deferral.method_name, {"deferrable": True}))


def _start_from_trigger(world: World) -> Ending:
    args: Any = _sensor(world, start_from_trigger=True).start_trigger_args
    kwargs = json.loads(json.dumps(args.trigger_kwargs))
    row = Trigger(classpath=args.trigger_cls, kwargs=kwargs)
    limit = world.now() + args.timeout.total_seconds()
    return asyncio.run(_in_triggerer(world, row, limit, args.next_method, {"start_from_trigger": True}))


_MODES: dict[str, Callable[[World], Ending]] = {
    "poke": _poke,
    "reschedule": _reschedule,
    "deferrable": _deferrable,
    "start_from_trigger": _start_from_trigger,
}
MODES = tuple(_MODES)


# --- the triggerer -----------------------------------------------------------------------------------------


async def _in_triggerer(
    world: World, row: Trigger, limit: float, next_method: str, how: dict[str, bool]
) -> Ending:
    """Run the trigger as triggerers do, one after the other as they die, and end the task as Airflow does."""
    world.end_look("wait")
    handed_on = world.known
    world.is_in_triggerer = True
    deaths = list(world.history.deaths)
    while True:
        module, _, name = row.classpath.rpartition(".")
        trigger = getattr(import_module(module), name)(**row.kwargs)
        trigger._log = log = _Log()
        if row.kwargs.get("deadline") is None:
            world.started = world.now()
            world.deadline = world.started + float(world.gate["timeout"])
        life = world.life = Life(deaths.pop(0) if deaths else None, limit)
        event = await asyncio.wait_for(_live(trigger, life), _HANGS)
        if event is not None:
            world.life = None
            return _ended(world, event, log, next_method, how)
        # The look that was cut off came to nothing.
        if world.now() < limit - 0.01:
            world.pass_time(world.history.dead_seconds)
        if world.now() >= limit - 0.01:
            return _past_airflows_limit(world, _sensor(world, **how))
        world.forget(handed_on)


def _past_airflows_limit(world: World, sensor: AzureBatchExtensionSensor) -> Ending:
    """The triggerer has died so late that Airflow itself ends the deferral, on a worker."""
    world.life, world.is_in_triggerer = None, False
    world.started, world.deadline = world.set_at, world.set_at + float(world.gate["timeout"])
    world.forget(None)
    world.begin_look()
    failure = {"error": "Trigger timeout"}
    return _see(world, lambda: sensor.resume_execution("__fail__", failure, _context()))


async def _live(trigger: Any, life: Life) -> Any:
    """Run the trigger until its event, or until the triggerer's end: then return None."""
    events = trigger.run()
    first = asyncio.ensure_future(anext(events))
    over = asyncio.ensure_future(life.over.wait())
    try:
        await asyncio.wait({first, over}, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            return await first
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        return None
    finally:
        over.cancel()
        await events.aclose()


def _ended(world: World, event: Any, log: _Log, next_method: str, how: dict[str, bool]) -> Ending:
    if how.get("start_from_trigger"):
        return _ended_in_triggerer(world, event, log)
    payload = json.loads(json.dumps(event.payload))
    outcome = {"open": "open", "failed": "failed", "timeout": "timeout"}[payload["status"]]
    world.end_look(outcome, payload["text"], payload["report"] if outcome == "open" else None)
    resumed = _sensor(world, **how)
    ending, report = _ending(
        world, lambda: resumed.resume_execution(next_method, {"event": payload}, _context())
    )
    if ending.outcome != outcome or (report is not None and report["nodes"] != payload["report"]["nodes"]):
        raise WrongError(f"the event says {payload}, the task {ending}, {report}")
    return ending._replace(looks=world.looks, clean_looks=world.clean_looks)


def _ended_in_triggerer(world: World, event: Any, log: _Log) -> Ending:
    kind, text = type(event).__name__, log.errors[-1] if log.errors else ""
    if kind == "TaskSuccessEvent":
        report = json.loads(json.dumps(event.xcoms))["return_value"]
        return _see(world, lambda: report)
    if kind != ("TaskSkippedEvent" if world.is_lenient else "TaskFailedEvent"):
        raise WrongError(f"ended with {kind}: {text}")
    if len(log.errors) != 1:
        raise WrongError(f"the log has {log.errors}")
    outcome = "timeout" if "did not open within" in text else "failed"
    world.end_look(outcome, text)
    return Ending(outcome, text, world.looks, world.clean_looks)


class _Log:
    """What the trigger logs: its only way to give a reason where it ends the task itself."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def info(self, text: str, *args: object) -> None:
        text % args

    warning = info

    def error(self, text: str, *args: object) -> None:
        self.errors.append(text % args)
