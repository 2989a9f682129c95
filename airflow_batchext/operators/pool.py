"""Operators that create, update, resize and delete pools, on the management plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_batchext.operators._base import DocumentOperator, PoolOperator
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_flag,
    check_resize_timeout,
    one_of,
    optional,
    pool_id_of,
    settle,
    wrong,
)

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.create_pool import CreatePool, Lifetime, OnExisting, WaitFor
    from airflow_batchext.operators._steps.delete_pool import DeletePool
    from airflow_batchext.operators._steps.resize_pool import Deallocation, ResizePool
    from airflow_batchext.operators._steps.update_pool import UpdatePool

__all__ = [
    "AzureBatchCreatePoolOperator",
    "AzureBatchDeletePoolOperator",
    "AzureBatchResizePoolOperator",
    "AzureBatchUpdatePoolOperator",
]


class AzureBatchCreatePoolOperator(DocumentOperator):
    """Creates a pool, with its extensions and its identity, from a document in the REST API's shape.

    The document is checked first; nothing is sent if it has errors, and warnings go to the log. A pool that
    exists under that name is compared with the document; ``on_existing`` says what becomes of it. A pool of
    that name that is still being deleted is waited for. It is safe to try again at any moment, and two tasks
    that ask for the same pool end with one. Set an ``AzureBatchExtensionSensor`` behind it: that its nodes
    are there does not mean that their extensions are.

    ``protectedSettings`` and other secrets of the document are shown nowhere. Its XCom: ``pool_id``,
    ``action`` ("created", "adopted", "updated", "replaced"), ``created`` (whether by this try),
    ``differences`` (those that were found, each with ``path``, ``existing``, ``asked``, ``remedy``),
    ``pool_created`` (time of creation), ``etag``, ``provisioning_state``, ``allocation_state``,
    ``extensions`` (their names).

    :param pool_document: the body of ``Pool_Create`` (management plane) as a dict, its text, a model of it
        from azure-mgmt-batch, or the path of a ``.json``, ``.yaml`` or ``.yml`` file with it; a relative path
        is looked for where Airflow looks for templates: beside the DAG file and in ``template_searchpath``.
        Of several pools in a list or file the one called ``pool_id`` is taken. The dict's texts and the
        file's whole text are templates.
    :param pool_id: the pool's name; by default the document's ``name`` (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param on_existing: "adopt" takes the pool that exists as it is, and logs how it differs; "fail" does not
        take one that differs; "update" changes what can be changed on a pool that lives (size, start task,
        metadata, application packages), or fails, changing nothing, if more differs; "replace" updates it, or
        deletes it and creates it anew where that is not enough.
    :param replace_busy: let "replace" delete a pool on which tasks run; otherwise that is an error.
    :param wait_for: "created", or "steady": wait until the pool has all its nodes.
    :param delete_on_failure: if this task fails after it has created the pool, delete it.
    :param delete_on_kill: if somebody ends this task before it is done, delete the pool that it created.
    :param lifetime: "run": the pool is this run's own, and is left over if it is there when the run has
        ended: its metadata say who made it, ``batchext orphans`` finds it, and no other run may take it for
        itself. "kept": it is to outlive the run. By default it is the run's own where a teardown comes right
        behind this task (as in ``ephemeral_pool``), and kept elsewhere.
    :param rendered_references: look up references to secrets that came out of a template, an XCom, a mapped
        value or a file with templates, too: whoever writes there then chooses among the worker's secrets.
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) for all that it waits for; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_document", "pool_id", "azure_batchext_conn_id")
    template_fields_renderers = {"pool_document": "json"}
    checks: ClassVar[Mapping[str, Check]] = {
        **DocumentOperator.checks,
        "pool_id": optional(pool_id_of),
        "on_existing": one_of("adopt", "fail", "update", "replace"),
        "wait_for": one_of("created", "steady"),
        "lifetime": optional(one_of("run", "kept")),
        **dict.fromkeys(("replace_busy", "delete_on_failure", "delete_on_kill"), check_flag),
    }

    def __init__(
        self,
        *,
        pool_document: Any,
        pool_id: str | None = None,
        on_existing: OnExisting = "adopt",
        replace_busy: bool = False,
        wait_for: WaitFor = "created",
        delete_on_failure: bool = False,
        delete_on_kill: bool = False,
        lifetime: Lifetime | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, pool_document=pool_document, **kwargs)
        self.on_existing = on_existing
        self.replace_busy = replace_busy
        self.wait_for = wait_for
        self.delete_on_failure = delete_on_failure
        self.delete_on_kill = delete_on_kill
        self.lifetime = lifetime
        self.linked_pool_id = ""
        settle(self, self.checks, templated=self.template_fields)

    def _new_steps(self) -> CreatePool:
        from airflow_batchext.operators._steps.create_pool import CreatePool

        return CreatePool(self)


class AzureBatchUpdatePoolOperator(DocumentOperator):
    """Changes members of a pool that exists (``Pool_Update``); what is not given stays as it is.

    A pool that lives can be given another size or formula, start task, metadata and application packages;
    most other members only while it has no nodes, and extensions never. If anything that is given differs and
    cannot be changed, nothing is. A pool that is being resized is waited for if Azure wants that. A new start
    task and new packages reach a node when it next starts.

    Its XCom: ``pool_id, updated`` (False if nothing differed), ``differences`` and ``etag``.

    :param pool_document: the part of a pool document to change, as a dict, or the path of a file with it, as
        for the operator that creates pools: ``{"properties": {"metadata": [...]}}``.
    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param wait_for_nodes: wait until the pool is steady and has all its nodes.
    :param rendered_references: look up references to secrets that came out of a template, an XCom, a mapped
        value or a file with templates, too: whoever writes there then chooses among the worker's secrets.
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_document", "pool_id", "azure_batchext_conn_id")
    template_fields_renderers = {"pool_document": "json"}
    checks: ClassVar[Mapping[str, Check]] = {**DocumentOperator.checks, "wait_for_nodes": check_flag}

    def __init__(
        self,
        *,
        pool_id: str,
        pool_document: dict[str, Any] | str,
        wait_for_nodes: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, pool_document=pool_document, **kwargs)
        self.wait_for_nodes = wait_for_nodes
        settle(self, self.checks, templated=self.template_fields)

    def _new_steps(self) -> UpdatePool:
        from airflow_batchext.operators._steps.update_pool import UpdatePool

        return UpdatePool(self)


class AzureBatchResizePoolOperator(PoolOperator):
    """Gives a pool of fixed size other targets (``Pool_Update``), and waits until it has its nodes.

    It needs the management plane alone. A resize that is under way is waited for first if Azure wants that.
    A pool that scales itself by a formula is refused: the formula would undo it.

    Its XCom: ``pool_id, resized`` (False if the targets were these already), ``target_dedicated_nodes,
    target_low_priority_nodes, current_dedicated_nodes, current_low_priority_nodes``.

    :param pool_id: the pool (templated).
    :param target_dedicated_nodes: how many dedicated nodes it is to have; by default as many as before
        (templated).
    :param target_low_priority_nodes: the same for low-priority (Spot) nodes (templated).
    :param resize_timeout: seconds (or a timedelta) for which Azure tries to find machines, at least five
        minutes; by default as before.
    :param node_deallocation_option: what becomes of tasks on nodes that go: "Requeue" (Azure's default),
        "Terminate", "TaskCompletion" or "RetainedData".
    :param wait_for_nodes: wait until the pool is steady and has all its nodes.
    :param stop_resize_on_kill: if somebody ends this task while it waits, stop the resize.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = (
        "pool_id",
        "target_dedicated_nodes",
        "target_low_priority_nodes",
        "azure_batchext_conn_id",
    )
    checks: ClassVar[Mapping[str, Check]] = {
        **PoolOperator.checks,
        **dict.fromkeys(("target_dedicated_nodes", "target_low_priority_nodes"), optional(check_count)),
        "node_deallocation_option": optional(
            one_of("Requeue", "Terminate", "TaskCompletion", "RetainedData")
        ),
        **dict.fromkeys(("wait_for_nodes", "stop_resize_on_kill"), check_flag),
    }

    def __init__(
        self,
        *,
        pool_id: str,
        target_dedicated_nodes: int | str | None = None,
        target_low_priority_nodes: int | str | None = None,
        resize_timeout: float | timedelta | None = None,
        node_deallocation_option: Deallocation | None = None,
        wait_for_nodes: bool = True,
        stop_resize_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        self.target_dedicated_nodes = target_dedicated_nodes
        self.target_low_priority_nodes = target_low_priority_nodes
        self.resize_timeout: float | None = optional(check_resize_timeout)("resize_timeout", resize_timeout)
        self.node_deallocation_option = node_deallocation_option
        self.wait_for_nodes = wait_for_nodes
        self.stop_resize_on_kill = stop_resize_on_kill
        settle(self, self.checks, templated=self.template_fields)
        if target_dedicated_nodes is None and target_low_priority_nodes is None:
            raise wrong("Give target_dedicated_nodes, target_low_priority_nodes, or both.")

    def _new_steps(self) -> ResizePool:
        from airflow_batchext.operators._steps.resize_pool import ResizePool

        return ResizePool(self)


class AzureBatchDeletePoolOperator(PoolOperator):
    """Deletes a pool and waits until it is gone; a pool that is not there is a success.

    Its XCom: ``pool_id`` and ``deleted`` (False if there was nothing to delete).

    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param wait_for_deletion: whether to wait; the name is free only when the pool is gone.
    :param poll_interval: seconds (or a timedelta) between looks; by default ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    lineage_change = "DROP"
    checks: ClassVar[Mapping[str, Check]] = {**PoolOperator.checks, "wait_for_deletion": check_flag}

    def __init__(self, *, pool_id: str, wait_for_deletion: bool = True, **kwargs: Any) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        self.wait_for_deletion = wait_for_deletion
        settle(self, self.checks, templated=self.template_fields)

    def _new_steps(self) -> DeletePool:
        from airflow_batchext.operators._steps.delete_pool import DeletePool

        return DeletePool(self)
