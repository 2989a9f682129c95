"""Delete the pools that ended runs have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import without_insides
from airflow_batchext.parameters import Check, check_flag, check_text, settle
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import Context


class AzureBatchDeleteOrphansOperator(TemplatedTexts, BaseOperator):
    """Deletes the pools that runs of this Airflow made for themselves, and left when they ended.

    Airflow runs no teardown for a run that took longer than its ``dagrun_timeout``, was deleted, or whose
    setup failed; the pool of that run stays then, and costs. Such a pool carries in its metadata which task
    of which run made it (those of ``ephemeral_pool``, and all that were created with ``lifetime="run"``). It
    is left over when Airflow says that this run has ended, or that there is no such run any more. Never
    touched are pools without that mark, of another Airflow, of a run that goes on, and, unless asked for,
    those on which tasks run. The deletion is asked for, and not waited for.

    Its XCom: ``deployment`` (the name of this Airflow), ``orphans`` (each with ``pool_id, made_by, why,
    vm_size, dedicated_nodes, low_priority_nodes, hours, node_hours, busy_nodes, deleted, problem``) and
    ``others`` (marked pools that are no orphans, with the reason).

    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    :param delete_busy: also delete pools on which tasks run, or may run.
    :param dry_run: delete nothing; only return, and log, what would be deleted.
    """

    template_fields: Sequence[str] = ("azure_batchext_conn_id",)
    ui_color = "#d6e9f8"
    checks: ClassVar[Mapping[str, Check]] = {
        "azure_batchext_conn_id": check_text,
        "delete_busy": check_flag,
        "is_dry_run": check_flag,
    }

    def __init__(
        self,
        *,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        delete_busy: bool = False,
        dry_run: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.delete_busy = delete_busy
        self.is_dry_run = check_flag("dry_run", dry_run)
        settle(self, self.checks, templated=self.template_fields)

    @without_insides
    def execute(self, context: Context) -> dict[str, Any]:
        """Find them, and delete them.

        :raises ParameterError: if this Airflow has no name by which its pools could be told.
        :raises ServiceError: if the pools cannot be listed, or one of them not be deleted.
        """
        from airflow_batchext.operators._steps.orphans import run

        settle(self, self.checks)
        return run(self)
