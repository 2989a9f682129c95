"""Create a pool, or make the one that exists be the one that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.operators._base import DocumentOperator

if TYPE_CHECKING:
    from airflow_batchext.operators._steps.create_pool import CreatePool

OnExisting = Literal["adopt", "fail", "update", "replace"]


class AzureBatchCreatePoolOperator(DocumentOperator):
    """Creates a pool, with its extensions and its identity, from a document in the REST API's shape.

    The document is checked first; nothing is sent if it has errors, and warnings go to the log. A pool that
    exists under that name is compared with the document; ``on_existing`` says what becomes of it. A pool of
    that name that is still being deleted is waited for. It is safe to try again at any moment, and two tasks
    that ask for the same pool end with one. Set an ``AzureBatchExtensionSensor`` behind it: that its nodes
    are there does not mean that their extensions are.

    ``protectedSettings`` and other secrets of the document are shown nowhere. Its XCom: ``pool_id, action``
    ("created", "adopted", "updated", "replaced")``, created`` (whether by this try), ``differences`` (those
    that were found, each with ``path, existing, asked, remedy``)``, pool_created`` (time of creation)``,
    etag, provisioning_state, allocation_state, extensions`` (their names).

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
    :param delete_on_failure: if the pool that this task created does not become steady, delete it.
    :param delete_on_kill: if somebody ends this task before it is done, delete the pool that it created.
    :param poll_interval: seconds between two looks; by default the option ``[batchext] poll_interval``.
    :param timeout: seconds (or a timedelta) for all that it waits for; by default half an hour.
    :param deferrable: wait in the triggerer; by default the option ``[operators] default_deferrable``.
    """

    template_fields: Sequence[str] = ("pool_document", "pool_id", "azure_batchext_conn_id")
    template_fields_renderers = {"pool_document": "json"}

    def __init__(
        self,
        *,
        pool_document: Any,
        pool_id: str | None = None,
        on_existing: OnExisting = "adopt",
        replace_busy: bool = False,
        wait_for: Literal["created", "steady"] = "created",
        delete_on_failure: bool = False,
        delete_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_id=pool_id, **kwargs)
        self.pool_document = pool_document
        self.on_existing = on_existing
        self.replace_busy = replace_busy
        self.wait_for = wait_for
        self.delete_on_failure = delete_on_failure
        self.delete_on_kill = delete_on_kill
        self.linked_pool_id = ""

    def _new_steps(self) -> CreatePool:
        from airflow_batchext.operators._steps.create_pool import CreatePool

        return CreatePool(self)
