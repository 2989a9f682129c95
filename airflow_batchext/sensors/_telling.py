"""What the sensor tells on the worker: for what it waits, that it has opened, and how else it ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConnectionFieldsError,
    GateRefusedError,
    ParameterError,
    TriggerFailedError,
)
from airflow_batchext.live.form import Snapshot
from airflow_batchext.metrics import gate_ended, gate_opened
from airflow_batchext.rules.events import EventKind, summary
from airflow_batchext.rules.told import waiting_text, wanted_text
from airflow_batchext.sensors._rules import GateParameters

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import PokeReturnValue
    from airflow.sdk import Context

    from airflow_batchext.live.form import Mode
    from airflow_batchext.rules.gate import Rules

_ASSETS = "azbatch://"
# What is not the pool's fault is no reason to skip: ``soft_fail`` would hide it for good.
_NEVER_SKIPPED = (
    AccessRefusedError,
    ConnectionFieldsError,
    GateRefusedError,
    ParameterError,
    TriggerFailedError,
)


class SensorParameters(GateParameters, Protocol):
    """What the gate needs of its sensor on a worker."""

    @property
    def outlets(self) -> Sequence[Any]:
        """The assets that the task makes ready."""

    @property
    def reschedule(self) -> bool:
        """Whether the task leaves its worker between two looks."""

    @property
    def deferrable(self) -> bool:
        """Whether it waits in the triggerer."""

    @property
    def start_from_trigger(self) -> bool:
        """Whether it was to wait there alone."""

    @property
    def log(self) -> Any:
        """The task's log."""

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, as Airflow does."""


def how_it_waits(sensor: SensorParameters, rules: Rules, until: float) -> str:
    """For what it waits, how often it looks, until when, and where.

    :param until: its deadline, in seconds since the epoch.
    """
    if sensor.deferrable or sensor.start_from_trigger:
        how = "after the first one in the triggerer (deferrable)"
    elif sensor.reschedule:
        how = "leaving the worker between them (mode reschedule)"
    else:
        how = "holding the worker (mode poke)"
    return waiting_text(
        sensor.pool_id,
        rules,
        interval=sensor.poke_interval,
        until=until,
        how=how,
        repairs=sensor.repair is not None,
    )


def gate_snapshot(sensor: SensorParameters, rules: Rules, started: float | None, until: float) -> Snapshot:
    """What is known of a gate before its first look, for the live page."""
    mode: Mode = "reschedule" if sensor.reschedule else "poke"
    return Snapshot(
        kind="gate",
        pool=sensor.pool_id,
        connection=sensor.azure_batchext_conn_id,
        mode="deferrable" if sensor.deferrable or sensor.start_from_trigger else mode,
        rules=wanted_text(sensor.pool_id, rules, repairs=sensor.repair is not None),
        started=started,
        deadline=until,
        interval=sensor.poke_interval,
    )


def opened(sensor: SensorParameters, context: Context, report: dict[str, Any]) -> None:
    """Count it, and let the asset events of the task say of which pool they are."""
    gate_opened(sensor.pool_id, report["seconds"])
    emitted = [a for a in sensor.outlets if str(getattr(a, "uri", "")).startswith(_ASSETS)]
    events: Any = context.get("outlet_events")
    if not emitted or events is None:
        return
    at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    payload = {**summary(EventKind.READY, report, at), "nodes_ready": len(report["nodes"])}
    for asset in emitted:
        events[asset].extra["payload"] = payload


def ended(sensor: SensorParameters, error: BatchextError) -> BatchextError | AirflowSkipException:
    """Count it; the error, or the skip that the user asked for instead: alike in every mode."""
    gate_ended(sensor.pool_id, error)
    softly = sensor.soft_fail and not isinstance(error, _NEVER_SKIPPED)
    return AirflowSkipException(str(error)) if softly or sensor.never_fail else error
