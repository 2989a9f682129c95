"""Create a pool, or make the one that exists be the one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_batchext.batch.management_plane import read_managed_pool
from airflow_batchext.batch.node_names import short_id
from airflow_batchext.exceptions import (
    AccessRefusedError,
    BatchextError,
    ConflictError,
    NotFoundError,
    PoolConflictError,
    PoolDocumentError,
)
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._steps.document import DocumentParameters, resolve_document
from airflow_batchext.operators._steps.ownership import Creator, maker, settle_owner
from airflow_batchext.operators._steps.pool import (
    OnKilled,
    PoolParameters,
    PoolSteps,
    busy_nodes,
    find_pool,
    lost_race,
)
from airflow_batchext.origin.mark import marked
from airflow_batchext.origin.orphans import read_marked_pool
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.pool_spec import (
    Difference,
    expected_extensions,
    find_differences,
    find_secrets,
    request_body,
    updates,
)
from airflow_batchext.pool_spec._sdk_schema import check_pool
from airflow_batchext.repair.journal import keeping_journal
from airflow_batchext.rules.pool_wait import Goal, Wait

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import TaskDeferred
    from airflow.sdk import Context

OnExisting = Literal["adopt", "fail", "update", "replace"]
Lifetime = Literal["run", "kept"]
WaitFor = Literal["created", "steady"]

_STATE_KEY = "batchext_pool_created"
_CHANGES: Mapping[str, Literal["CREATE", "OVERWRITE"]] = {"created": "CREATE", "replaced": "OVERWRITE"}
#: The XCom of a deferred task that says which pool goes if it fails.
_WAITED_FOR = "batchext_pool_waited_for"
_BUSY_NODES_SHOWN = 5


class CreatePoolParameters(PoolParameters, DocumentParameters, Creator, Protocol):
    """What the steps need of the operator; its parameters say the same."""

    on_existing: OnExisting
    replace_busy: bool
    wait_for: WaitFor
    delete_on_failure: bool
    delete_on_kill: bool
    lifetime: Lifetime | None
    #: The pool that the task's link leads to.
    linked_pool_id: str
    #: What has become of it, for OpenLineage.
    lineage_change: Literal["", "CREATE", "OVERWRITE", "DROP"]


class CreatePool(PoolSteps[CreatePoolParameters]):
    """The steps of ``AzureBatchCreatePoolOperator``."""

    kind = "create"

    def begin(self, context: Context) -> dict[str, Any]:
        """Check the document, then create the pool or deal with the one that exists."""
        self._read_document(context, warn=True)
        return super().begin(context)

    def _prepare(self, context: Context) -> None:
        self.operator.linked_pool_id = self._memo.get("pool_id", "")
        self._read_document(context, warn=False)

    def on_kill(self) -> None:
        """Delete the pool that was created, if that was wanted."""
        if self.operator.delete_on_kill:
            self._delete_own("the task was ended")

    def _recall(self, context: Context) -> None:
        # What an earlier try of this task has created is its own too.
        store = context.get("task_state_store")
        if store is not None and (own := store.get(_STATE_KEY)):
            self._memo["own"] = own

    def _recall_deferred(self, context: Context) -> None:
        instance: Any = context.get("ti")
        if not hasattr(instance, "xcom_pull"):
            return
        place = {"task_ids": instance.task_id, "map_indexes": instance.map_index}
        waited_for = instance.xcom_pull(key=_WAITED_FOR, **place)
        if isinstance(waited_for, Mapping):
            self.operator.linked_pool_id = waited_for["pool_id"]
            self._memo |= {"own": waited_for["created"], "action": "created"}

    def _read_document(self, context: Context, *, warn: bool) -> None:
        source, document = resolve_document(self.operator, context)
        findings = check_pool(document, pool_id=self.operator.pool_id)
        errors = [finding for finding in findings if finding.severity == "error"]
        if errors:
            raise PoolDocumentError(source, errors)
        for finding in findings if warn else ():
            self.log.warning("%s: %s", source, finding)
        self.operator.linked_pool_id = check_pool_id(self.operator.pool_id or document["name"])
        self._secrets = [str(value) for _, value in find_secrets(document)]
        self._body = request_body(document)
        self._maker = maker(self.operator, context)

    @property
    def _target(self) -> str:
        return self.operator.linked_pool_id or check_pool_id(self.operator.pool_id)

    def _step(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any]:
        pool_id = self._target
        while True:
            existing = find_pool(hook, pool_id)
            if "action" in self._memo:
                if existing is None:
                    raise PoolConflictError(f"Pool {pool_id} was deleted as soon as it was steady")
                return self._finish(existing)
            pool = None if existing is None else read_managed_pool(existing)
            if pool is not None and pool.is_deleting:
                self.log.info("Pool %s is still being deleted; waiting for its name to be free", pool_id)
                return Wait(Goal.GONE, pool.created)
            try:
                if existing is None:
                    step = self._create(context, hook)
                else:
                    step = self._settle_owner(existing, context, hook)
                    step = self._deal_with(existing, hook) if step is existing else step
                if step is not None:
                    return step
            except ConflictError as refusal:
                self._memo.pop("asked", None)
                if not lost_race(refusal) or self._left <= 0:
                    raise
                self.log.info("%s; looking again", refusal.reason)
                self._pause(min(self.operator.poll_interval, 5.0))

    def _settle_owner(self, existing: dict[str, Any], context: Context, hook: AzureBatchPoolHook) -> Any:
        """The pool itself, if it may be dealt with; else what to wait for, or None for another look."""
        change = settle_owner(existing, self._maker, context, self.log)
        if change is None:
            return existing
        after = self._update(hook, read_managed_pool(existing), change)
        return after if isinstance(after, Wait) else None

    def _create(self, context: Context, hook: AzureBatchPoolHook) -> Wait | dict[str, Any] | None:
        body = self._body if self._maker is None else marked(self._body, self._maker)
        self._memo["asked"] = True
        put = hook.create_pool(self._target, body, secrets=self._secrets)
        del self._memo["asked"]
        if not put.created:
            return None  # a racer's: dealt with like any that exists
        created = read_managed_pool(put.body).created
        self._memo["own"] = created
        self._memo["action"] = "replaced" if self._memo.get("deleted") else "created"
        store = context.get("task_state_store")
        if store is not None:
            store.set(_STATE_KEY, created)
        names = ", ".join(expected_extensions(put.body)) or "none"
        self.log.info("Created pool %s with extensions: %s", self._target, names)
        odd = [d for d in find_differences(put.body, body) if d.counts]
        if odd:
            self.log.warning(
                "Azure made of the document a pool that reads differently; the next run would find that it "
                'differs, and on_existing="replace" would replace it:\n%s',
                _listed(odd),
            )
        return self._finish(put.body)

    def _deal_with(self, existing: dict[str, Any], hook: AzureBatchPoolHook) -> Wait | dict[str, Any] | None:
        """Adopt, update or delete the pool that exists; None asks for another look."""
        pool_id, pool = self._target, read_managed_pool(existing)
        asked = keeping_journal(self._body, existing)
        differences = find_differences(existing, asked)
        counting = [difference for difference in differences if difference.counts]
        self._memo["differences"] = [difference.to_json() for difference in differences]
        if not counting or self.operator.on_existing == "adopt":
            self._say_adopted(differences)
            self._memo["action"] = "adopted"
            return self._finish(existing)
        if self.operator.on_existing == "fail":
            raise PoolConflictError(
                f"Pool {pool_id} exists and is not what the document asks for:\n{_listed(counting)}", counting
            )
        patch, left = updates(asked, counting, empty=pool.is_empty)
        if left and self.operator.on_existing == "update":
            raise PoolConflictError(
                f"Pool {pool_id} exists and cannot be updated to what the document asks for; nothing was "
                f'changed. on_existing="replace" would delete it and create it anew:\n{_listed(left)}',
                left,
            )
        if left:
            return self._delete_for_replacement(existing, left, hook)
        self.log.info("Updating pool %s:\n%s", pool_id, _listed(counting))
        try:
            body = hook.update_pool(pool_id, patch, etag=pool.etag, secrets=self._secrets)
        except ConflictError as refusal:
            if refusal.code == "PoolBeingResized":
                return Wait(Goal.SETTLED, pool.created)
            raise
        self._memo["action"] = "updated"
        return self._finish(body)

    def _delete_for_replacement(
        self, existing: dict[str, Any], why: Sequence[Difference], hook: AzureBatchPoolHook
    ) -> Wait | None:
        pool_id, created = self._target, read_managed_pool(existing).created
        self.log.info("Pool %s has to be replaced:\n%s", pool_id, _listed(why))
        if not self.operator.replace_busy:
            self._refuse_if_busy(why)
        # Pool_Delete knows no condition, so this is as near to one as it gets.
        found = find_pool(hook, pool_id)
        now = None if found is None else read_managed_pool(found)
        if now is None or now.created != created or now.is_deleting:
            return None
        hook.delete_pool(pool_id)
        self._memo["deleted"] = True
        return Wait(Goal.GONE, created)

    def _refuse_if_busy(self, why: Sequence[Difference]) -> None:
        """Check that no task runs on the pool.

        :raises PoolConflictError: if one does, or that cannot be seen.
        """
        pool_id = self._target
        with AzureBatchNodeHook(self.operator.azure_batchext_conn_id) as nodes:
            try:
                busy = busy_nodes(nodes, pool_id)
            except NotFoundError:
                return  # gone meanwhile: the next look shows it
            except AccessRefusedError as refusal:
                raise PoolConflictError(
                    f"Pool {pool_id} has to be replaced, but the data plane does not say whether tasks run "
                    f"on it; replace_busy=True replaces it all the same. {refusal}",
                    why,
                ) from None
        if busy:
            shown = ", ".join(short_id(node_id, busy) for node_id in busy[:_BUSY_NODES_SHOWN])
            shown += ", …" if len(busy) > _BUSY_NODES_SHOWN else ""
            raise PoolConflictError(
                f"Pool {pool_id} has to be replaced, but tasks run on {len(busy)} of its nodes ({shown}); it "
                "was left as it is. Try again when they have ended, or give replace_busy=True:\n"
                f"{_listed(why)}",
                why,
            )

    def _say_adopted(self, differences: Sequence[Difference]) -> None:
        counting = [difference for difference in differences if difference.counts]
        if not counting:
            self.log.info("Pool %s exists already, as the document asks for; it was adopted", self._target)
        else:
            self.log.warning(
                "Pool %s exists already; it was left as it is and adopted, though it is not what the "
                "document asks for:\n%s",
                self._target,
                _listed(counting),
            )
        for difference in differences:
            if not difference.counts:
                self.log.info("%s %s", difference.path, difference.remedy.value)

    def _finish(self, body: dict[str, Any]) -> Wait | dict[str, Any]:
        pool = read_managed_pool(body)
        if self.operator.wait_for == "steady" and self._memo.get("reached") != Goal.COMPLETE.value:
            return Wait(Goal.COMPLETE, pool.created)
        self.operator.lineage_change = _CHANGES.get(self._memo["action"], "")
        return {
            "pool_id": self._target,
            "action": self._memo["action"],
            "created": self._memo["action"] in ("created", "replaced"),
            "differences": self._memo.get("differences", []),
            "pool_created": pool.created,
            "etag": pool.etag,
            "provisioning_state": pool.provisioning_state,
            "allocation_state": pool.allocation_state,
            "extensions": list(expected_extensions(body)),
        }

    def _on_killed_while(self, wait: Wait) -> OnKilled:
        own = wait.goal is Goal.COMPLETE and wait.created == self._memo.get("own")
        return "delete" if self.operator.delete_on_kill and own else "nothing"

    def _deferral(self, context: Context, wait: Wait, told: dict[str, Any] | None) -> TaskDeferred:
        self._memo["pool_id"] = self._target
        push = getattr(context.get("ti"), "xcom_push", None)
        if push and self._deletes_on_failure:
            # A trigger that fails takes the memo along, and what is in a store outlives the try.
            push(key=_WAITED_FOR, value={"pool_id": self._target, "created": self._memo["own"]})
        return super()._deferral(context, wait, told)

    @property
    def _deletes_on_failure(self) -> bool:
        """Whether there is a pool to delete if the task fails: it was created, and is to be waited for."""
        created = "own" in self._memo and "action" in self._memo
        return self.operator.delete_on_failure and created

    def _clean_up(self) -> None:
        if self.operator.delete_on_failure and self._memo.pop("asked", False):
            self._look_for_unanswered()
        if self._deletes_on_failure:
            self._delete_own("the task failed")

    def _look_for_unanswered(self) -> None:
        """Take the pool for our own if it carries our mark, as no answer came that would have said so."""
        with AzureBatchPoolHook(self.operator.azure_batchext_conn_id) as hook, suppress(BatchextError):
            found = find_pool(hook, self._target)
            mark = None if found is None else read_marked_pool(found)
            if found is not None and mark is not None and mark.maker and mark.maker == self._maker:
                self._memo |= {"own": read_managed_pool(found).created, "action": "created"}
            elif found is not None:
                self.log.warning(
                    "No answer came to the request that creates pool %s, and it is there: it stays, as "
                    "somebody else may have made it. Delete it if nobody has",
                    self._target,
                )

    def _delete_own(self, why: str) -> None:
        """Delete the pool, if it is still the one that this task created."""
        own = self._memo.get("own")
        if not own:
            return
        try:
            if self._end_own(own, AzureBatchPoolHook.delete_pool):
                self.log.warning("Asked for the deletion of pool %s, as %s", self._target, why)
        except BatchextError as error:
            self.log.warning(
                "Pool %s, which this task created, was to be deleted, as %s, but it stays: %s",
                self._target,
                why,
                error,
            )


def _listed(differences: Sequence[Difference]) -> str:
    return "\n".join(f"  {difference}" for difference in differences)
