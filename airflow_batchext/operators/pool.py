"""Create and delete pools, on the management plane."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, TaskDeferred, conf

from airflow_batchext.concealment import conceal
from airflow_batchext.connection import DEFAULT_CONN_ID
from airflow_batchext.exceptions import (
    DeletionTimeoutError,
    NotFoundError,
    PoolDocumentError,
)
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.operators._document import resolve_document
from airflow_batchext.parameters import check_pool_id
from airflow_batchext.pool_spec import (
    expected_extensions,
    find_secrets,
    request_body,
)
from airflow_batchext.preflight import check_pool
from airflow_batchext.triggers.pool import AzureBatchPoolDeletedTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

DEFAULT_DELETION_TIMEOUT_SECONDS = 30 * 60
# Airflow's own limit on the deferral comes after ours, so that ours can say what was seen last.
_DEFERRAL_MARGIN_SECONDS = 600


class AzureBatchCreatePoolOperator(BaseOperator):
    """Creates a pool, with its extensions and its identity, from a document in the REST API's shape.

    The document is checked first; nothing is sent if it has errors, and warnings go to the log. A pool
    that exists under that name is left untouched and adopted, so a retry after a lost worker is safe.
    It does not wait: set an ``AzureBatchExtensionSensor`` behind it.

    ``protectedSettings`` and other secrets of the document are shown nowhere. Its XCom: ``pool_id,
    created`` (False if adopted)``, pool_created`` (time of creation)``, etag, provisioning_state,
    allocation_state, extensions`` (their names).

    :param pool_document: the body of ``Pool_Create`` (management plane) as a dict, its text, a model of it
        from azure-mgmt-batch, or the path of a ``.json``, ``.yaml`` or ``.yml`` file with it; a relative path
        is looked for where Airflow looks for templates: beside the DAG file and in ``template_searchpath``.
        Of several pools in a list or file the one called ``pool_id`` is taken. The dict's texts and the
        file's whole text are templates.
    :param pool_id: the pool's name; by default the document's ``name`` (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    """

    template_fields: Sequence[str] = ("pool_document", "pool_id", "azure_batchext_conn_id")
    template_fields_renderers = {"pool_document": "json"}
    ui_color = "#d6e9f8"

    def __init__(
        self,
        *,
        pool_document: Any,
        pool_id: str | None = None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_document = pool_document
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id

    @property
    def pool_document(self) -> Any:
        """The document as given or rendered, with its secrets concealed from everybody who looks."""
        return self._pool_document

    @pool_document.setter
    def pool_document(self, document: Any) -> None:
        self._pool_document = conceal(document)

    def execute(self, context: Context) -> dict[str, Any]:
        """Check the document, create or adopt the pool, and say what is there now.

        :raises PoolDocumentError: if the document has errors; nothing was sent then.
        :raises ServiceError: if Azure refuses.
        """
        source, document = resolve_document(self, context, self.pool_document)
        findings = check_pool(document, pool_id=self.pool_id)
        errors = [finding for finding in findings if finding.severity == "error"]
        if errors:
            raise PoolDocumentError(source, errors)
        for finding in findings:
            self.log.warning("%s: %s", source, finding)
        pool_id = check_pool_id(self.pool_id or document["name"])
        secrets = [str(value) for _, value in find_secrets(document)]
        wanted = expected_extensions(document)
        with AzureBatchPoolHook(self.azure_batchext_conn_id) as hook:
            put = hook.create_pool(pool_id, request_body(document), secrets=secrets)
        found = expected_extensions(put.body)
        if put.created:
            self.log.info("Created pool %s with extensions: %s", pool_id, ", ".join(found) or "none")
        else:
            self.log.info("Pool %s exists already; it was left as it is and adopted", pool_id)
            if {name.lower() for name in found} != {name.lower() for name in wanted}:
                self.log.warning(
                    "Pool %s has the extensions %s, the document asks for %s. Extensions of a pool that "
                    "exists cannot be changed: delete it first to get the others",
                    pool_id,
                    ", ".join(found) or "(none)",
                    ", ".join(wanted) or "(none)",
                )
        properties = put.body.get("properties") or {}
        return {
            "pool_id": pool_id,
            "created": put.created,
            "pool_created": properties.get("creationTime"),
            "etag": put.body.get("etag"),
            "provisioning_state": properties.get("provisioningState"),
            "allocation_state": properties.get("allocationState"),
            "extensions": list(found),
        }


class AzureBatchDeletePoolOperator(BaseOperator):
    """Deletes a pool and waits until it is gone; a pool that is not there is a success.

    Its XCom: ``pool_id`` and ``deleted`` (False if there was nothing to delete).

    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param wait_for_deletion: whether to wait; the name is free only when the pool is gone.
    :param poll_interval: seconds between two looks; by default the option ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) until it gives up waiting; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_id", "azure_batchext_conn_id")
    ui_color = "#d6e9f8"

    def __init__(
        self,
        *,
        pool_id: str,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        wait_for_deletion: bool = True,
        poll_interval: float | None = None,
        timeout: float | timedelta = DEFAULT_DELETION_TIMEOUT_SECONDS,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if poll_interval is None:
            poll_interval = conf.getfloat("batchext", "poll_interval", fallback=30.0)
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.wait_for_deletion = wait_for_deletion
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask for the deletion, and wait for it if that was wanted.

        :raises DeletionTimeoutError: if the pool was still there at the deadline.
        :raises ServiceError: if Azure refuses.
        """
        pool_id = check_pool_id(self.pool_id)
        with AzureBatchPoolHook(self.azure_batchext_conn_id) as hook:
            try:
                body = hook.get_pool(pool_id)
            except NotFoundError:
                self.log.info("There is no pool %s; nothing to delete", pool_id)
                return self._result(deleted=False)
            created = str((body.get("properties") or {}).get("creationTime") or "")
            if not _is_deleting(body):
                hook.delete_pool(pool_id)
            self.log.info("Asked for the deletion of pool %s", pool_id)
            if not self.wait_for_deletion:
                return self._result(deleted=True)
            deadline = time.time() + self._timeout_seconds
            if self.deferrable:
                raise TaskDeferred(
                    trigger=AzureBatchPoolDeletedTrigger(
                        pool_id=pool_id,
                        azure_batchext_conn_id=self.azure_batchext_conn_id,
                        poll_interval=self.poll_interval,
                        deadline=deadline,
                        pool_created=created,
                    ),
                    method_name="execute_complete",
                    timeout=timedelta(seconds=self._timeout_seconds + _DEFERRAL_MARGIN_SECONDS),
                )
            return self._wait(hook, created, deadline)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """End as the trigger's event says."""
        if not event["gone"]:
            raise self._still_there(str(event["text"]))
        self.log.info("Pool %s is gone", self.pool_id)
        return self._result(deleted=True)

    def _wait(self, hook: AzureBatchPoolHook, created: str, deadline: float) -> dict[str, Any]:
        while True:
            seen = hook.deletion_progress(self.pool_id, created)
            if not seen:
                self.log.info("Pool %s is gone", self.pool_id)
                return self._result(deleted=True)
            if time.time() >= deadline:
                raise self._still_there(seen)
            time.sleep(max(0.0, min(self.poll_interval, deadline - time.time())))

    @property
    def _timeout_seconds(self) -> float:
        return self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else float(self.timeout)

    def _still_there(self, seen: str) -> DeletionTimeoutError:
        return DeletionTimeoutError(
            f"Pool {self.pool_id} was still there {self._timeout_seconds:g} seconds after its deletion was "
            f"asked for: {seen}"
        )

    def _result(self, *, deleted: bool) -> dict[str, Any]:
        return {"pool_id": self.pool_id, "deleted": deleted}


def _is_deleting(body: Mapping[str, Any]) -> bool:
    return str((body.get("properties") or {}).get("provisioningState", "")).lower() == "deleting"
