"""The gate: downstream tasks run only when every extension on every node of a pool has succeeded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    TaskDeferred,
    conf,
)

from airflow_batchext.connection import DEFAULT_CONN_ID
from airflow_batchext.exceptions import BatchextError, GateFailedError, GateTimeoutError, ParameterError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.watching import look
from airflow_batchext.links import AzureBatchPoolLink
from airflow_batchext.parameters import (
    check_count,
    check_extension_names,
    check_node_states,
    check_pool_id,
    check_seconds,
)
from airflow_batchext.sensors._start_from_trigger import start_trigger_args
from airflow_batchext.triggers.extension import (
    AzureBatchExtensionTrigger,
    GateStatus,
    failure_text,
    timed,
    timeout_text,
)
from airflow_batchext.verdict import DEFAULT_NODE_GRACE_SECONDS, Outcome, Rules, Verdict
from airflow_batchext.watch import DEFAULT_NOTICE_SECONDS, Watch

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Compute gives an extension up to 90 minutes; observed pools needed 2 to 8, with outliers of 30.
DEFAULT_TIMEOUT_SECONDS = 60 * 60
# Airflow's own limit on the deferral comes after ours, so that ours can say what was missing.
_DEFERRAL_MARGIN_SECONDS = 600
# The key in Airflow's store for the state of a task.
_POOL_SEEN = "batchext_pool_seen"


class AzureBatchExtensionSensor(BaseSensorOperator):
    """Waits until a pool is steady, has its nodes, and on every node every extension has succeeded.

    It fails, naming node, extension, code and message, when an extension failed (noticed within five
    minutes), the pool is deleted or its resize failed (within two), or Azure refuses the sign-in; everything
    that may pass is waited through until ``timeout``. The rules are in ``airflow_batchext.verdict``. It needs
    the data plane alone, so a connection of Airflow's own type ``azure_batch`` is enough. ``soft_fail`` and
    ``never_fail`` turn a failure into a skip in every mode.

    Its XCom is a report: ``pool_id, pool_created, outcome, extensions``, per node its ``state`` and each
    extension's code, and the ``seconds`` that it took.

    :param pool_id: the pool to wait for (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param extension_names: the extensions to wait for (templated); by default all that the pool asks for.
    :param allow_empty: open for a pool that has no nodes and wants none, instead of waiting.
    :param min_nodes: how many nodes are enough (templated); by default the pool's target as it is then.
    :param node_states: states in which every node has to be, such as ``["idle", "running"]``; by default
        any in which it has a usable machine.
    :param on_failure: "fail" at once when an extension, a node or a resize failed; or "wait", as somebody
        may mend it before the deadline.
    :param max_failed_nodes: how many nodes may fail without closing the gate or holding it up.
    :param node_grace: seconds (or a timedelta) for which a node may be unusable, or have a failed start
        task, before it counts as failed; by default 15 minutes.
    :param resize_grace: seconds (or a timedelta) for which a resize may have failed for a reason that may
        go away (an allocation that failed or timed out); by default none.
    :param poke_interval: seconds (or a timedelta) between two looks; by default the option
        ``[batchext] poll_interval``, 30 seconds.
    :param timeout: seconds (or a timedelta) until it gives up; by default one hour.
    :param start_from_trigger: begin, wait and end in the triggerer, without ever holding a worker. Then
        ``pool_id`` and the connection id may be templates (Airflow 3.3 or later), the rules may not, and
        neither outlets nor ``on_success_callback`` can be had; a mapped task, and ``dag.test()``, wait as
        ``deferrable`` and ``mode`` say.
    :param deferrable: wait in the triggerer. Takes precedence over ``mode``; by default the option
        ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_id", "azure_batchext_conn_id", "extension_names", "min_nodes")
    operator_extra_links = (AzureBatchPoolLink(),)
    ui_color = "#d6e9f8"

    def __init__(
        self,
        *,
        pool_id: str,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        extension_names: Sequence[str] | None = None,
        allow_empty: bool = False,
        min_nodes: int | str | None = None,
        node_states: Sequence[str] | None = None,
        on_failure: Literal["fail", "wait"] = "fail",
        max_failed_nodes: int = 0,
        node_grace: float | timedelta = DEFAULT_NODE_GRACE_SECONDS,
        resize_grace: float | timedelta = 0.0,
        poke_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = conf.getfloat("batchext", "poll_interval", fallback=30.0)
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.extension_names = extension_names
        self.allow_empty = allow_empty
        self.min_nodes = min_nodes
        self.node_states = node_states
        self.on_failure = on_failure
        self.max_failed_nodes = max_failed_nodes
        self.node_grace = node_grace
        self.resize_grace = resize_grace
        self.deferrable = deferrable
        if start_from_trigger:
            # Set on the task alone: a mapped one has none, and goes through a worker with its own values.
            self.start_trigger_args = start_trigger_args(self, self._rules.to_json())
            self.start_from_trigger = True
        self._started = time.time()
        self._said = ""
        self._verdict: Verdict | None = None

    @cached_property
    def _hook(self) -> AzureBatchNodeHook:
        # The gate's own rhythm repeats what failed; the SDK's would delay the deadline.
        return AzureBatchNodeHook(self.azure_batchext_conn_id, retries=0)

    @cached_property
    def _rules(self) -> Rules:
        if self.on_failure not in ("fail", "wait"):
            raise ParameterError(f'on_failure is {str(self.on_failure)[:40]!r}; it is "fail" or "wait".')
        return Rules(
            extension_names=check_extension_names(self.extension_names),
            allow_empty=self.allow_empty,
            min_nodes=None if self.min_nodes is None else check_count("min_nodes", self.min_nodes),
            node_states=check_node_states(self.node_states),
            on_failure=self.on_failure,
            max_failed_nodes=check_count("max_failed_nodes", self.max_failed_nodes),
            node_grace=check_seconds("node_grace", self.node_grace),
            resize_grace=check_seconds("resize_grace", self.resize_grace),
        )

    @cached_property
    def _watch(self) -> Watch:
        # A rescheduled task remembers nothing of the nodes: it has to read every one at every look.
        notice = 0.0 if self.reschedule else DEFAULT_NOTICE_SECONDS
        return Watch(check_pool_id(self.pool_id), self._rules, notice_seconds=notice)

    def execute(self, context: Context) -> Any:
        """Wait in the mode that was asked for; return the report.

        :raises GateFailedError: if the gate cannot open any more.
        :raises GateTimeoutError: if it did not open in time.
        """
        first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        self._started = first.timestamp() if first else time.time()
        if self.reschedule:
            self._watch.pool_created = self._pool_seen_before(context)
        try:
            return self._look_then_defer(context) if self.deferrable else super().execute(context)
        except AirflowSensorTimeout:
            raise self._ending(self._timed_out(self._missing)) from None
        except AirflowSkipException as skip:
            raise self._told(skip) from None
        except BatchextError as error:
            raise self._ending(error) from None
        finally:
            if self.reschedule:
                self._keep_pool_seen(context)
            self._hook.close()

    def _pool_seen_before(self, context: Context) -> str | None:
        """Which pool this try saw at an earlier look, so that one created anew is noticed (Airflow 3.3)."""
        store: Any = context.get("task_state_store")
        kept = None if store is None else store.get(_POOL_SEEN)
        # What is kept outlives the try; another try may be about another pool.
        return kept["pool_created"] if kept and kept["try_number"] == context["ti"].try_number else None

    def _keep_pool_seen(self, context: Context) -> None:
        store: Any = context.get("task_state_store")
        created = self._watch.pool_created
        if store is not None and created and created != self._pool_seen_before(context):
            store.set(_POOL_SEEN, {"try_number": context["ti"].try_number, "pool_created": created})

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; open with the report as XCom.

        :raises GateFailedError: if the gate cannot open any more.
        """
        # The error at the deadline has to say what is missing then, so the last look is a whole one.
        last = time.time() + self.poke_interval - self._started >= self.timeout
        verdict = self._verdict = look(self._hook, self._watch, whole=last)
        if verdict.summary != self._said:
            self._said = verdict.summary
            self.log.info("Pool %s: %s", self.pool_id, self._said)
        if verdict.outcome is Outcome.FAIL:
            raise self._failed(verdict.listed())
        return PokeReturnValue(verdict.outcome is Outcome.OPEN, timed(verdict.report(), self._started))

    def _look_then_defer(self, context: Context) -> Any:
        """Look once here: an open gate costs no trigger, and what is hopeless shows at once."""
        found = self.poke(context)
        if found:
            return found.xcom_value
        deadline = self._started + self.timeout
        pause = self._watch.pause(self.poke_interval, self._verdict) if self._verdict else 0.0
        raise TaskDeferred(
            trigger=AzureBatchExtensionTrigger(
                pool_id=self.pool_id,
                azure_batchext_conn_id=self.azure_batchext_conn_id,
                poll_interval=self.poke_interval,
                deadline=deadline,
                started=self._started,
                rules=self._rules.to_json(),
                pool_created=self._watch.pool_created,
                not_before=time.time() + pause if pause > self.poke_interval else None,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(0.0, deadline - time.time()) + _DEFERRAL_MARGIN_SECONDS),
        )

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Airflow's own pause, or what the last look makes of it."""
        interval = float(super()._get_next_poke_interval(*args, **kwargs))
        if self._verdict is None:
            return interval
        pause = self._watch.pause(interval, self._verdict)
        return (
            max(interval, pause) if self.reschedule else pause
        )  # Airflow fails tasks that are back too soon

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, object]:
        """End as the trigger's event says."""
        status, text = GateStatus(event["status"]), str(event["text"])
        if status is GateStatus.OPEN:
            self.log.info("Pool %s: %s", self.pool_id, text)
            return timed(event["report"], float(event["started"]))
        raise self._ending(self._failed(text) if status is GateStatus.FAILED else self._timed_out(text))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger; if Airflow's own limit came first, look once more for what is missing."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except GateTimeoutError:
            raise
        except AirflowSkipException as skip:
            if isinstance(skip.__cause__, AirflowSkipException):
                raise skip.__cause__ from None
            if not isinstance(skip.__cause__, AirflowSensorTimeout):
                raise
        except AirflowSensorTimeout:
            pass
        try:
            with self._hook:
                found = self.poke(context)
        except BatchextError as error:
            raise self._ending(error) from None
        if found:
            return found.xcom_value
        raise self._ending(self._timed_out(self._missing)) from None

    @property
    def _missing(self) -> str:
        return self._verdict.listed() if self._verdict else "everything"

    def _told(self, skip: AirflowSkipException) -> AirflowSkipException | BatchextError:
        """Airflow's own skip, which does not say for what, with the reason."""
        if skip.__cause__ is None:  # soft_fail, at the deadline
            return self._ending(self._timed_out(self._missing))
        return self._ending(skip.__cause__) if isinstance(skip.__cause__, BatchextError) else skip

    def _failed(self, reasons: str) -> GateFailedError:
        return GateFailedError(failure_text(self.pool_id, reasons))

    def _timed_out(self, missing: str) -> GateTimeoutError:
        return GateTimeoutError(timeout_text(self.pool_id, self.timeout, missing))

    def _ending(self, error: BatchextError) -> BatchextError | AirflowSkipException:
        """The error, or the skip that the user asked for instead; alike in every mode."""
        return AirflowSkipException(str(error)) if self.soft_fail or self.never_fail else error
