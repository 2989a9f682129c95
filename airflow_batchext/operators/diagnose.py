"""Say why a pool is not ready, and keep the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.exceptions import without_insides
from airflow_batchext.links import AzureBatchPoolLink, AzureBatchReportLink
from airflow_batchext.parameters import (
    Check,
    check_count,
    check_hours,
    check_names,
    check_text,
    optional,
    path_text,
    pool_id_of,
    settle,
    some_of,
    wrong,
)
from airflow_batchext.secrets.references import references_in
from airflow_batchext.templating import TemplatedTexts

if TYPE_CHECKING:
    from airflow.sdk import Context


def check_container(name: str, value: object) -> object:
    """The URL of a container, or a reference to it; one with a signature has to be a reference.

    :raises ParameterError: if it is anything else.
    """
    if isinstance(value, Mapping):
        return value
    if "sig=" in check_text(name, value).lower():
        raise wrong(
            f"{name} has a signature in the open. Keep the URL in an Airflow Variable or connection, and "
            "give a reference: secret_references.from_variable(NAME)."
        )
    return value


class AzureBatchDiagnosePoolOperator(TemplatedTexts, BaseOperator):
    """Reads how a pool is, finds known causes of what is wrong, and writes a report of it.

    It reads the pool once, its nodes, and the extensions of each, and changes nothing. Set it behind a gate
    with ``trigger_rule="one_failed"``, before what deletes the pool. It succeeds whatever it finds, and fails
    where the pool could not be read for another reason than that there is none.

    Its XCom: ``pool_id``, ``outcome`` ("open", "wait" or "fail", as of a gate), ``summary``, ``verdict``,
    ``text`` (the short diagnosis), ``causes`` (their ids, the likeliest first), ``unexplained`` (how many
    facts), ``nodes`` (how many are wanted, ready, pending, failed, unread), ``reports`` (the files, by
    format), ``node_logs``.

    :param pool_id: the pool (templated).
    :param azure_batchext_conn_id: Airflow connection to the Batch account; the data plane is enough
        (templated).
    :param output_uri: the folder for the reports, as Airflow's object storage takes it: ``file:///reports/{{
        run_id }}``, ``abfs://container@account.dfs.core.windows.net/reports``, … (templated). None writes no
        files: the diagnosis is in the log and in the XCom.
    :param output_conn_id: Airflow connection to that storage, where it needs one (templated).
    :param formats: which files: "json", "md", "html".
    :param report_url: where people find that folder in a browser, for the link "Pool report" (templated); by
        default it is derived from ``output_uri`` where that can be done.
    :param extension_names: the extensions that count, as for the gate; by default those that the pool itself
        asks for (templated).
    :param logs_container: URL of a container to which nodes that are not ready upload their Batch service
        logs. With a signature it is a secret: give a reference to it,
        ``secret_references.from_variable(…)``. None uploads nothing (templated).
    :param logs_identity: resource id of the pool's managed identity that may write to ``logs_container``,
        if that has no signature (templated).
    :param logs_hours: how far back the logs go, in hours (or as a timedelta).
    :param logs_max_nodes: how many nodes upload their logs, the failed ones first.
    """

    template_fields: Sequence[str] = (
        "pool_id",
        "azure_batchext_conn_id",
        "output_uri",
        "output_conn_id",
        "report_url",
        "extension_names",
        "logs_container",
        "logs_identity",
    )
    operator_extra_links = (AzureBatchPoolLink(), AzureBatchReportLink())
    ui_color = "#d6e9f8"
    checks: ClassVar[Mapping[str, Check]] = {
        "pool_id": pool_id_of,
        "azure_batchext_conn_id": check_text,
        **dict.fromkeys(
            ("output_uri", "output_conn_id", "report_url", "logs_identity"), optional(check_text)
        ),
        "formats": some_of("json", "md", "html"),
        "extension_names": optional(check_names),
        "logs_container": optional(check_container),
        "logs_max_nodes": check_count,
    }

    def __init__(
        self,
        *,
        pool_id: str,
        azure_batchext_conn_id: str = DEFAULT_CONN_ID,
        output_uri: str | PathLike[str] | None = None,
        output_conn_id: str | None = None,
        formats: Sequence[str] = ("json", "md", "html"),
        report_url: str | None = None,
        extension_names: Sequence[str] | None = None,
        logs_container: str | Mapping[str, Any] | None = None,
        logs_identity: str | None = None,
        logs_hours: float | timedelta = 2.0,
        logs_max_nodes: int = 5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # What is given here is serialized and shown, so this cannot wait until the task runs.
        if isinstance(logs_container, str) and "sig=" in logs_container.lower():
            check_container("logs_container", logs_container)
        self.pool_id = pool_id
        self.azure_batchext_conn_id = azure_batchext_conn_id
        self.output_uri: str | None = path_text(output_uri)
        self.output_conn_id = output_conn_id
        self.formats = formats
        self.report_url = report_url
        self.extension_names = extension_names
        self.logs_container = logs_container
        #: The reference that the author wrote, to be told from one that rendering made.
        self.written_container = tuple(references_in(logs_container))
        self.logs_identity = logs_identity
        self.logs_hours = check_hours("logs_hours", logs_hours)
        self.logs_max_nodes = logs_max_nodes
        #: Where people find the report, for the link.
        self.linked_report = ""
        settle(self, self.checks, templated=self.template_fields)

    @without_insides
    def execute(self, context: Context) -> dict[str, Any]:
        """Read, diagnose, write.

        :raises ParameterError: if a parameter cannot be used.
        :raises AccessRefusedError: if the pool may not be read; the report says what to check.
        :raises UnavailableError: if it could not be read now.
        :raises ReportError: if a report could not be written; the short diagnosis is in the log then.
        """
        from airflow_batchext.operators._steps.diagnose import run

        settle(self, self.checks)
        return run(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """The pool that it reads, for OpenLineage."""
        from airflow_batchext.assets import pool_lineage

        return pool_lineage(self)
