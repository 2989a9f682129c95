"""The gate: downstream tasks run only when every extension on every node of a pool has succeeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import (
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_batchext.defaults import (
    DEFAULT_CONN_ID,
    DEFAULT_MAX_AGE_SECONDS,
    DEFAULT_NODE_GRACE_SECONDS,
    TRIGGER_FAILED,
)
from airflow_batchext.exceptions import without_insides
from airflow_batchext.links import AzureBatchLiveLink, AzureBatchPoolLink
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_flag,
    check_names,
    check_node_states_of,
    check_pause,
    check_seconds,
    check_text,
    check_timeout_of_repair,
    is_template,
    one_of,
    optional,
    pool_id_of,
    settle,
    wrong,
)
from airflow_batchext.repair.policy import check_repair_policy
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_batchext.repair import RepairPolicy
    from airflow_batchext.sensors._gate import Gate

#: Compute gives an extension up to 90 minutes; observed pools needed 2 to 8, with outliers of 30.
DEFAULT_TIMEOUT_SECONDS = 60 * 60
_MOST_DOUBLINGS = 30


class AzureBatchExtensionSensor(TemplatedTexts, BaseSensorOperator):
    """Waits until a pool is steady, has its nodes, and on every node every extension has succeeded.

    It fails, naming node, extension, code and message, when an extension failed (noticed within five
    minutes), the pool is deleted or its resize failed (within two), or Azure refuses the sign-in; everything
    that may pass is waited through until ``timeout``. The rules are in ``airflow_batchext.rules.gate``. It
    needs the data plane alone, so a connection of Airflow's own type ``azure_batch`` is enough.
    ``soft_fail`` and ``never_fail`` turn a failure into a skip in every mode; but ``soft_fail`` hides neither
    a wrong parameter, nor a connection that is missing or wrong, nor a refused sign-in.

    Its XCom is a report: ``pool_id, pool_created, outcome, extensions``, per node its ``state`` and each
    extension's code, ``oldest_reading_seconds``, which is how old the oldest reading was on which the opening
    rests, and the ``seconds`` that it took.

    :param pool_id: the pool to wait for (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param extension_names: the extensions to wait for (templated); by default all that the pool asks for.
    :param allow_empty: open for a pool that has no nodes and wants none, instead of waiting.
    :param min_nodes: how many ready nodes are enough (templated); by default the pool's target as it is then.
    :param node_states: states in which every node has to be, such as ``["idle", "running"]``, of those in
        which it has a machine; by default any in which that is usable.
    :param on_failure: "fail" at once when an extension, a node or a resize failed; or "wait", as somebody
        may fix it before the deadline.
    :param max_failed_nodes: how many nodes may fail without closing the gate or holding it up (templated).
    :param node_grace: seconds (or a timedelta) for which a node may be unusable, have a failed start
        task, or be without Batch's agent, before it counts as failed; by default 15 minutes.
    :param resize_grace: seconds (or a timedelta) for which a resize may have failed for a reason that may
        go away (an allocation that failed or timed out); by default none.
    :param max_age: how many seconds (or a timedelta) old, at most, what is known of any node's extensions may
        be when the gate opens: what is older is read once more before. By default five minutes, as long as a
        failure may go unnoticed; 0 reads everything in the look that opens it.
    :param repair: have nodes repaired before the gate fails: a ``RepairPolicy`` or a dict with its members,
        ``{}`` for the default (templated). The gate is closed meanwhile, and fails with what was tried if
        nothing helps.
    :param poke_interval: seconds (or a timedelta) between two looks; by default the option
        ``[batchext] poll_interval``, 30 seconds. With Airflow's ``exponential_backoff`` each pause is twice
        the one before, and no longer than ``max_wait``, in every mode.
    :param timeout: seconds (or a timedelta) until it gives up; by default one hour. ``execution_timeout``,
        where it is shorter, ends the wait as well: both count from the start of the try, over deferrals and
        reschedules, in every mode.
    :param start_from_trigger: begin, wait and end in the triggerer, without ever holding a worker (Airflow
        3.3 or later). Then ``pool_id`` and the connection id may be templates, the rules may not, and what
        the triggerer cannot carry is refused when the DAG is parsed, naming it: ``outlets``, callbacks other
        than of failures and retries, mails, a retry policy. Where that cannot be done, in a mapped task,
        in ``dag.test()`` and in older Airflows, it is as with ``deferrable``.
    :param deferrable: wait in the triggerer. Takes precedence over ``mode``; by default the option
        ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = (
        *("pool_id", "azure_batchext_conn_id", "extension_names", "min_nodes", "max_failed_nodes", "repair"),
    )
    operator_extra_links = (AzureBatchLiveLink(), AzureBatchPoolLink())
    ui_color = "#d6e9f8"
    #: How its parameters are checked: when it is constructed, and where they are templates, when it runs.
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": pool_id_of,
        "azure_batchext_conn_id": check_text,
        "extension_names": optional(check_names),
        "min_nodes": optional(check_count),
        "node_states": check_node_states_of,
        "on_failure": one_of("fail", "wait"),
        "max_failed_nodes": check_count,
        **dict.fromkeys(("node_grace", "resize_grace", "max_age"), check_seconds),
        **dict.fromkeys(("allow_empty", "deferrable", "exponential_backoff"), check_flag),
        "repair": optional(check_repair_policy),
    }

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
        max_age: float | timedelta = DEFAULT_MAX_AGE_SECONDS,
        repair: RepairPolicy | Mapping[str, Any] | None = None,
        poke_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        if poke_interval is None:
            poke_interval = conf.getfloat("batchext", "poll_interval", fallback=30.0)
        poke_interval = check_seconds("poke_interval", poke_interval)
        timeout = check_seconds("timeout", timeout)
        if kwargs.get("max_wait") is not None:
            kwargs["max_wait"] = check_pause("max_wait", kwargs["max_wait"])
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
        self.max_age = max_age
        self.repair = repair
        self.deferrable = deferrable
        if check_flag("start_from_trigger", start_from_trigger):
            # Set on the task alone: a mapped one has none, and goes through a worker with its own values.
            if not getattr(self, "_BaseOperator__from_mapped", False):
                from airflow_batchext.sensors._start_from_trigger import start_trigger_args

                self.start_trigger_args = start_trigger_args(self)
            self.start_from_trigger = True
        settle(self, self.checks, templated=self.template_fields)
        if self.repair is not None:
            if self.on_failure == "wait":
                raise wrong(
                    'repair does not go with on_failure="wait": nodes are repaired where the gate would fail.'
                )
            if self.exponential_backoff:
                raise wrong(
                    "repair does not go with exponential_backoff: nodes that are being repaired are looked "
                    "at every poke_interval."
                )
            if not is_template(self.repair):
                order = check_repair_policy("repair", self.repair).order
                # A gate may open in less: it is refused where it could do nothing at all.
                check_timeout_of_repair(timeout, order if len(order) == 1 else ())

    @cached_property
    def _gate(self) -> Gate:
        """What it does on the worker; imported only here, as parsing a DAG is hot."""
        from airflow_batchext.sensors._gate import Gate

        return Gate(self)

    @without_insides
    def execute(self, context: Context) -> Any:
        """Wait in the mode that was asked for; return the report.

        :raises GateFailedError: if the gate cannot open any more.
        :raises GateTimeoutError: if it did not open in time.
        """
        with self._gate.held(context or {}) as context:
            # Who asked for the triggerer and came to a worker all the same is not to hold it.
            if self.deferrable or self.start_from_trigger:
                return self._gate.look_then_defer(context)
            return super().execute(context)

    @without_insides
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; open with the report as XCom.

        :raises GateFailedError: if the gate cannot open any more.
        """
        return self._gate.look(context or {})

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The pool that it waits for, for OpenLineage."""
        from airflow_batchext.assets import pool_lineage

        return pool_lineage(self)

    def on_kill(self) -> None:
        """Leave no repair half done, as a user has ended the task."""
        if self.repair is not None:
            self._gate.on_kill()

    def _get_next_poke_interval(self, *args: Any) -> float:
        """Airflow's own pause, or what the last look makes of it."""
        started_at, run_duration, looks = args
        # Airflow's formula has no number any more for the hundreds of looks of a short ``max_wait``.
        looks = min(looks, _MOST_DOUBLINGS)
        return self._gate.pause(float(super()._get_next_poke_interval(started_at, run_duration, looks)))

    @without_insides
    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, object]:
        """End as the trigger's event says."""
        return self._gate.end(context or {}, event)

    @without_insides
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger; where that has failed, say why, and leave no repair half done.

        :raises TriggerFailedError: if the triggerer could not wait.
        """
        if next_method == TRIGGER_FAILED:
            return self._gate.give_up(context or {}, next_kwargs or {})
        # Not that of Airflow's sensors: what ``soft_fail`` makes a skip of is decided already.
        return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
