"""Operators that handle the nodes of a pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_batchext.defaults import DEFAULT_REPAIR_TIMEOUT_SECONDS
from airflow_batchext.operators._base import PoolOperator
from airflow_batchext.parameters import (
    Check,
    check_flag,
    check_names,
    check_timeout_of_repair,
    is_template,
    optional,
    settle,
)
from airflow_batchext.repair.policy import check_repair_policy

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.repair import RepairNodes
    from airflow_batchext.repair import RepairPolicy


class AzureBatchRepairNodesOperator(PoolOperator):
    """Repairs nodes whose extension failed or that are broken: reboots, reimages, or replaces them.

    It succeeds when every node that it was asked for is ready: those that the policy picks, or those of
    ``node_ids``, and those that came for them. Otherwise it fails and says why: nothing is left to try, a
    named node is not there, or time is up.

    A node that is ready is never touched, nor is one that runs tasks, unless that is asked for. Each step is
    tried on few nodes until it has helped one; one that helps nobody is given up. A node is replaced by
    taking it out of the pool and putting the pool's targets back as they were. What is done is written down
    in the pool's metadata first, so that a try, a clear or another worker goes on from there, and two repairs
    of one pool do not meet. The rules are in ``airflow_batchext.repair``. It needs the data plane alone.

    Its XCom: ``pool_id, outcome, actions`` (what this run did to which node, each with ``node, step, for,
    result``) and ``notes``.

    :param pool_id: the pool (templated).
    :param policy: what may be done, as a ``RepairPolicy`` or a dict with its members (templated).
    :param node_ids: repair exactly these nodes, whatever they are like, once in a run (templated); by default
        those that the policy picks.
    :param dry_run: only return, and log, what would be done now.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up; by default three hours. Each step may take the
        policy's ``step_timeout``, half an hour by default; no node is replaced in the last five minutes, so
        less than these is refused.
    :param deferrable: repair in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_id", "policy", "node_ids", "azure_batchext_conn_id")
    checks: ClassVar[Mapping[str, Check]] = {
        **PoolOperator.checks,
        "policy": check_repair_policy,
        "node_ids": optional(partial(check_names, least=0)),
    }

    def __init__(
        self,
        *,
        pool_id: str,
        policy: RepairPolicy | Mapping[str, Any] | None = None,
        node_ids: Sequence[str] | str | None = None,
        dry_run: bool = False,
        timeout: float | timedelta = DEFAULT_REPAIR_TIMEOUT_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, timeout=timeout, **kwargs)
        self.policy = policy
        self.node_ids = node_ids
        self.is_dry_run = check_flag("dry_run", dry_run)
        settle(self, self.checks, templated=self.template_fields)
        if not is_template(self.policy):
            self._check_time()

    def _check_time(self) -> None:
        if not self.is_dry_run:
            check_timeout_of_repair(self.timeout, check_repair_policy("policy", self.policy).order)

    def _new_steps(self) -> RepairNodes:
        from airflow_batchext.operators._steps.repair import RepairNodes

        self._check_time()
        return RepairNodes(self)
