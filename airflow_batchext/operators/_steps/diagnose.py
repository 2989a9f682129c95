"""What the diagnosis operator does on the worker, apart from the operator itself: parsing a DAG is hot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from airflow_batchext.batch.data_plane import VOID_STATES
from airflow_batchext.connection import origin_of
from airflow_batchext.diagnosis import Report, diagnose, not_ready
from airflow_batchext.exceptions import AccessRefusedError, ParameterError, ReportError, UnavailableError
from airflow_batchext.hooks.health import read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.node_logs import upload_logs
from airflow_batchext.parameters import check_extension_names, check_pool_id
from airflow_batchext.rules.gate import Rules
from airflow_batchext.secrets.references import references_in

if TYPE_CHECKING:
    from airflow_batchext.diagnosis import Diagnosis, NodeLogs


class DiagnoseParameters(Protocol):
    """What it takes of the operator; its parameters say the same."""

    pool_id: str
    azure_batchext_conn_id: str
    output_uri: str | None
    output_conn_id: str | None
    formats: Sequence[str]
    report_url: str | None
    extension_names: Sequence[str] | None
    logs_container: str | Mapping[str, Any] | None
    written_container: tuple[str, ...]
    logs_identity: str | None
    logs_hours: float
    logs_max_nodes: int
    #: Where people find the report.
    linked_report: str

    @property
    def log(self) -> Any:
        """The task's log."""


def run(operator: DiagnoseParameters) -> dict[str, Any]:
    """Read, diagnose, have logs uploaded, write, and say what it came to."""
    pool_id = check_pool_id(operator.pool_id)
    names = check_extension_names(operator.extension_names)
    report_url = check_report_url(operator.report_url, operator.output_uri)
    with AzureBatchNodeHook(operator.azure_batchext_conn_id) as hook:
        diagnosis = diagnose(read_health(hook, pool_id, rules=Rules(extension_names=names)))
        operator.log.info("%s", diagnosis.short())
        report = Report(diagnosis, _logs(operator, hook, diagnosis))
    for log in report.logs:
        operator.log.info("Logs of node %s", log)
    files = (
        write_report(report, operator.output_uri, tuple(operator.formats), operator.output_conn_id)
        if operator.output_uri
        else {}
    )
    for name, file in files.items():
        operator.log.info("Report (%s): %s", name, file)
    operator.linked_report = _linked(report_url, files)
    health = diagnosis.health
    if health.unread and "pool-missing" not in diagnosis.causes:
        kind = AccessRefusedError if health.refused else UnavailableError
        raise kind(health.unread)
    return short_result(report, files)


def _logs(
    operator: DiagnoseParameters, hook: AzureBatchNodeHook, diagnosis: Diagnosis
) -> tuple[NodeLogs, ...]:
    if operator.logs_container is None:
        return ()
    if tuple(references_in(operator.logs_container)) != operator.written_container:
        raise ParameterError(
            "logs_container: the reference to a secret came out of a template, a mapped value or an XCom, so "
            "it was not looked up. Write it into the DAG itself."
        )
    nodes = [node.id for node in not_ready(diagnosis) if node.id and node.state not in VOID_STATES]
    return tuple(
        upload_logs(
            hook,
            diagnosis.health.id,
            nodes[: operator.logs_max_nodes],
            container=operator.logs_container,
            identity=operator.logs_identity,
            hours=operator.logs_hours,
        )
    )


def check_report_url(url: str | None, output: str | None) -> str | None:
    """Where a browser finds the folder of reports: a link in Airflow's page, which runs no script.

    :param output: the folder as it is written to; its scheme will do, too.
    :raises ParameterError: if it is no URL of http or https, nor of the scheme of ``output``.
    """
    if not url:
        return None
    scheme, _, rest = url.strip().partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    try:
        if scheme.lower() in ("http", "https"):
            origin_of(f"{scheme.lower()}://{host}")
        elif not scheme or scheme != urlsplit(output or "").scheme:
            raise ValueError
        if not rest.isprintable():
            raise ValueError
    except ValueError:
        raise ParameterError(
            "report_url is no plain URL of http or https, nor one with the scheme of output_uri: give the "
            "address of the folder as people type it into a browser."
        ) from None
    return url.strip()


def write_report(
    report: Report, output: str, formats: tuple[str, ...], conn_id: str | None = None
) -> dict[str, str]:
    """Write a report into a folder of Airflow's object storage.

    :param output: the folder, as a URI or a path.
    :return: the files, by format.
    :raises ReportError: if it could not be written.
    :raises ParameterError: if the pool's id is none, and so no name of a file.
    """
    texts = {"json": report.to_text, "md": report.to_markdown, "html": report.to_html}
    files: dict[str, str] = {}
    pool_id = check_pool_id(report.diagnosis.health.id)  # of a snapshot it may be anything
    where, is_uri = output, "://" in output
    try:
        folder = _folder(output, conn_id)
        folder.mkdir(parents=True, exist_ok=True)
        for name in formats:
            file = folder / f"{pool_id}-diagnosis.{name}"
            where = file.as_uri() if is_uri and isinstance(file, Path) else str(file)
            _write(file, texts[name]().encode())
            files[name] = where
    except Exception as error:  # whatever the storage's library raises; its text may hold a credential
        raise ReportError(
            f"The report could not be written to {where}: {type(error).__name__}. Check output_uri and "
            "output_conn_id; the diagnosis itself is in the log above."
        ) from None
    return files


def _write(file: Any, content: bytes) -> None:
    """Write a file; on this machine beside it first, so that an earlier one stays whole if that fails."""
    if not isinstance(file, Path):
        with file.open("wb") as stream:
            stream.write(content)
        return
    beside = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _folder(output: str, conn_id: str | None) -> Any:
    """The folder: of this machine, or of object storage."""
    parts = urlsplit(output)
    if parts.scheme in ("", "file"):  # which object storage refuses with some releases of its library
        if parts.netloc:
            raise ValueError("a host in a URI of this machine")
        return Path(unquote(parts.path) if parts.scheme else output)
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(output, conn_id=conn_id)


def short_result(report: Report, files: dict[str, str]) -> dict[str, Any]:
    """What others work on with: plain JSON, small whatever the size of the pool."""
    diagnosis, health = report.diagnosis, report.diagnosis.health
    totals = health.totals
    return {
        "pool_id": health.id,
        "outcome": health.outcome,
        "summary": health.summary,
        "verdict": diagnosis.verdict,
        "text": diagnosis.short(),
        "causes": list(diagnosis.causes),
        "unexplained": len(diagnosis.unexplained),
        "nodes": {
            "wanted": totals.wanted,
            "ready": totals.ready.nodes,
            "pending": totals.pending.nodes,
            "failed": totals.failed.nodes,
            "unread": totals.unread,
        },
        "reports": files,
        "node_logs": [log.to_json() for log in report.logs],
    }


def _linked(report_url: str | None, files: dict[str, str]) -> str:
    """Where a browser finds the report: the page, else the first file."""
    file = files.get("html") or next(iter(files.values()), "")
    if not file:
        return ""
    if report_url:
        return f"{report_url.rstrip('/')}/{file.rpartition('/')[2]}"
    return browser_url(file)


def browser_url(uri: str) -> str:
    """The address of a file of object storage for a browser; the URI itself where none is known."""
    parts = urlsplit(uri)
    container, at, host = parts.netloc.partition("@")
    if parts.scheme in ("abfs", "abfss") and at and ".dfs." in host:
        return f"https://{host.replace('.dfs.', '.blob.', 1)}/{container}{quote(parts.path)}"
    if parts.scheme == "gs":
        return f"https://storage.cloud.google.com/{parts.netloc}{quote(parts.path)}"
    return uri
