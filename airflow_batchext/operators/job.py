"""Operators on jobs: make one for several operators, and end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_batchext.concealment import conceal
from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import without_insides
from airflow_batchext.parameters import (
    Check,
    check_mapping,
    check_pool_id,
    check_text,
    optional,
    pool_id_of,
    settle,
    wrong,
)
from airflow_batchext.parameters.work import check_job_prefix
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import Context


class AzureBatchCreateJobOperator(TemplatedTexts, BaseOperator):
    """Makes a job on a pool, for the tasks of several operators; ``batch_job`` does so, and ends it, too.

    Its id is the prefix with a number behind it, as Azure Batch takes no tasks into a job that has ended:
    where there is one of the prefix that takes tasks, that one is used, so that another try, or a clear while
    tasks run, makes no second one; else it is the next number. Nothing but ``AzureBatchEndJobOperator`` ends
    it; unless ``job_document`` says otherwise, Azure Batch does after seven days (``maxWallClockTime``).

    Its XCom: ``pool_id, job_id``; give ``output["job_id"]`` to ``AzureBatchTaskOperator``.

    :param pool_id: the pool (templated).
    :param prefix: how its id begins (templated): 1 to 57 letters, digits, hyphens and underscores, and
        another one in each run of the DAG, as ``run_pool_id`` makes them.
    :param job_document: more members of the job, in the spelling of the REST API (templated): ``priority``,
        ``constraints``, ``jobPreparationTask``, ``commonEnvironmentSettings``, …. A secret is refused: Azure
        shows them to every reader of the account.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    """

    template_fields: Sequence[str] = ("pool_id", "prefix", "job_document", "azure_batchext_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"job_document": "json"}
    ui_color = "#d6e9f8"
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": pool_id_of,
        "prefix": check_job_prefix,
        "job_document": optional(check_mapping),
        "azure_batchext_conn_id": check_text,
    }

    def __init__(
        self,
        *,
        pool_id: str,
        prefix: str,
        job_document: Mapping[str, Any] | None = None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.prefix = prefix
        self.job_document = job_document
        self.azure_batchext_conn_id = azure_batchext_conn_id
        settle(self, self.checks, templated=self.template_fields)

    @property
    def job_document(self) -> Any:
        """The members as given or rendered, with what looks like a secret concealed."""
        return self._job_document

    @job_document.setter
    def job_document(self, document: Any) -> None:
        self._job_document = conceal(document) if isinstance(document, Mapping) else document

    @without_insides
    def execute(self, context: Context) -> dict[str, Any]:
        """Make it, or find it.

        :raises ParameterError: if a template was rendered to what cannot be used.
        :raises ConflictError: if the account has too many active jobs, or the job of the prefix is on
            another pool.
        :raises ServiceError: if Azure refuses.
        """
        from airflow_batchext.operators._steps.job import create

        settle(self, self.checks)
        told = create(self)
        ti: Any = (context or {}).get("ti")
        if hasattr(ti, "xcom_push"):
            ti.xcom_push(key="job_id", value=told["job_id"])
        return told

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The pool on which the job is, for OpenLineage."""
        from airflow_batchext.assets import pool_lineage

        return pool_lineage(self)


class AzureBatchEndJobOperator(TemplatedTexts, BaseOperator):
    """Ends jobs of Azure Batch, with what runs in them.

    Their tasks that run are ended, those that wait are given no node, and none can be added. That is asked
    for, and not waited for. A job that has ended, or is not there, is a success.

    Its XCom: ``job_ids``, those that it has ended.

    :param job_id: the job (templated).
    :param prefix: or all jobs of that prefix that have not ended, as ``AzureBatchCreateJobOperator`` makes
        them (templated). One of both has to be given; both may be.
    :param azure_batchext_conn_id: Airflow connection to the Batch account (templated).
    """

    template_fields: Sequence[str] = ("job_id", "prefix", "azure_batchext_conn_id")
    ui_color = "#d6e9f8"
    checks: ClassVar[Mapping[str, Check]] = {
        "job_id": optional(lambda name, value: check_pool_id(value, name, "job")),
        "prefix": optional(check_job_prefix),
        "azure_batchext_conn_id": check_text,
    }

    def __init__(
        self,
        *,
        job_id: str | None = None,
        prefix: str | None = None,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id
        self.prefix = prefix
        if job_id is None and prefix is None:
            raise wrong("Give job_id or prefix: which job is to be ended.")
        self.azure_batchext_conn_id = azure_batchext_conn_id
        settle(self, self.checks, templated=self.template_fields)

    @without_insides
    def execute(self, context: Context) -> dict[str, Any]:
        """End them.

        :raises ParameterError: if a template was rendered to what cannot be used.
        :raises ServiceError: if Azure refuses.
        """
        from airflow_batchext.operators._steps.job import end

        settle(self, self.checks)
        return end(self)
