"""The pool document that an operator was given: found, rendered and read, its secrets kept out of sight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk.definitions.mappedoperator import MappedOperator

from airflow_batchext.concealment import conceal, is_inline, literal_secrets, reveal, written
from airflow_batchext.documentation import see
from airflow_batchext.exceptions import ParameterError, PoolDocumentError
from airflow_batchext.operators._steps.rendered_secrets import ReadSecrets
from airflow_batchext.pool_spec import (
    DocumentChoiceError,
    DocumentSyntaxError,
    PoolDocument,
    check_references,
    check_reserved,
    choose_pool,
    parse_pools,
    pools_in,
)
from airflow_batchext.secret_references import look_up_secrets
from airflow_batchext.secrets.redact import redact_text
from airflow_batchext.secrets.references import references_in

if TYPE_CHECKING:
    from airflow.sdk import Context

_SUFFIXES = (".json", ".yaml", ".yml")
_PARAMETER = "pool_document"


class DocumentParameters(Protocol):
    """What it takes of an operator to find and render its document."""

    pool_id: str | None
    task_id: str
    rendered_references: bool
    written_document: frozenset[str]

    @property
    def pool_document(self) -> Any:
        """The document as given or rendered, concealed."""

    @property
    def log(self) -> Any:
        """The task's log."""

    def get_dag(self) -> Any:
        """The task's DAG, which knows where templates are; None if it has none."""

    def get_template_env(self) -> Any:
        """What templates are rendered with where there is no DAG."""


def resolve_document(operator: DocumentParameters, context: Context) -> tuple[str, Any]:
    """Where the document came from, for texts, and the document (the body of one pool) with its secrets.

    Of several pools the one that is called like the operator's ``pool_id`` is taken.

    :param operator: with the (concealed) body of a pool, a model of it from azure-mgmt-batch, a list of
        those, the text of a document, or the path of a file with one. Texts but the file's have been
        rendered.
    :param context: what the file's text is rendered with.
    :raises ParameterError: if there is no such file, or it cannot be read, or it is unclear which of its
        pools is meant; if a secret that it refers to is not there, or somebody else than the DAG's author may
        have chosen it.
    :raises PoolDocumentError: if secrets would come to stand where Azure shows them, or a repair's journal is
        among the metadata.
    """
    given = operator.pool_document
    literal = ", ".join(literal_secrets(given))
    if literal:
        operator.log.warning(
            "pool_document: secrets stand in the DAG itself (%s). They are masked from here on, but Airflow "
            'stores the source of DAGs: give them by reference, {"$secret": {"connection": …}}, as '
            "the page on connections says (%s)",
            literal,
            see("connection"),
        )
    given, authors, read = reveal(given), _written(operator), ReadSecrets()
    is_authors = isinstance(given, str) and written(given) <= authors
    if not isinstance(given, str):
        source, pools = _PARAMETER, pools_in(given)
    elif is_inline(given):
        source, pools = _PARAMETER, _parse(given, _PARAMETER)
    else:
        source = given
        text, is_rendered = _load(operator, context, given, read)
        pools, is_authors = _parse(text, given), is_authors and not is_rendered
    try:
        document = choose_pool(pools, operator.pool_id, source=source).body
    except DocumentChoiceError as error:
        raise ParameterError(f"{error} (pool_id of the operator).") from None
    if isinstance(given, str):
        conceal(document)  # only now are the text's secrets known: mask them in the log
    refused = [*check_references(document), *check_reserved(document)]
    if refused:
        raise PoolDocumentError(source, refused)
    read.refuse_shown(document, source)
    if not (is_authors or operator.rendered_references or set(references_in(document)) <= authors):
        raise ParameterError(
            f"{source}: a reference to a secret ($secret) came out of a template, a mapped value or an XCom, "
            "so it was not looked up: whoever writes there would choose among the worker's secrets. Write it "
            "into the DAG itself, or into a file without templates; or give rendered_references=True, if "
            "nobody else can write there."
        )
    return source, look_up_secrets(document)


def _written(operator: DocumentParameters) -> frozenset[str]:
    """What the author wrote of the document; of a mapped task, what stands in ``partial`` and ``expand``."""
    dag = operator.get_dag()
    task = dag.task_dict.get(operator.task_id) if dag else None
    if not isinstance(task, MappedOperator):
        return operator.written_document
    expanded = getattr(task.expand_input, "value", None)
    kwargs = [task.partial_kwargs, *(expanded if isinstance(expanded, (list, tuple)) else [expanded])]
    found = [given[_PARAMETER] for given in kwargs if isinstance(given, Mapping) and _PARAMETER in given]
    return frozenset().union(*(map(written, _each(found))))


def _each(found: list[Any]) -> Iterator[Any]:
    for given in found:
        yield given
        if isinstance(given, (list, tuple)):
            yield from given


def _parse(text: str, source: str) -> list[PoolDocument]:
    try:
        return parse_pools(text, source=source)
    except DocumentSyntaxError as error:
        prefix = "" if source == _PARAMETER else f"{_PARAMETER} "
        raise ParameterError(f"{prefix}{error}") from None


def _load(operator: DocumentParameters, context: Context, path: str, read: ReadSecrets) -> tuple[str, bool]:
    """Read and render a document file; its text, and whether rendering made another of it.

    Airflow's own way (``template_ext``) would put the file's text, secrets included, into the serialized
    DAG and on the page of rendered templates.
    """
    if not path.endswith(_SUFFIXES):
        raise ParameterError(
            f"pool_document is the text {redact_text(path[:80])!r}; give a dict, the path of a file that "
            f"ends in {', '.join(_SUFFIXES)}, or a whole document in JSON or YAML."
        )
    from jinja2 import TemplateError, TemplateNotFound

    dag = operator.get_dag()
    environment = dag.get_template_env(force_sandboxed=True) if dag else operator.get_template_env()
    try:
        if Path(path).is_absolute():
            source = Path(path).read_text(encoding="utf-8")
        elif environment.loader is None:
            raise TemplateNotFound(path)
        else:
            source, _, _ = environment.loader.get_source(environment, path)
        text = environment.from_string(source).render(read.context(context))
    except (TemplateNotFound, OSError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"pool_document {path!r} cannot be read ({type(error).__name__}); a relative path is looked "
            "for beside the DAG file and in the DAG's template_searchpath."
        ) from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else path
        raise ParameterError(f"pool_document {where}: {error.message}") from None
    except (ArithmeticError, TypeError, RecursionError, MemoryError) as error:
        kind = type(error).__name__
        raise ParameterError(f"pool_document {path}: the template cannot be rendered ({kind})") from None
    return text, any(mark in source for mark in ("{{", "{%", "{#"))
