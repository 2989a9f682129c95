"""The pool document that an operator was given: found, rendered and read, its secrets kept out of sight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_batchext.concealment import conceal, is_inline, literal_secrets, reveal
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.pool_spec import (
    DocumentChoiceError,
    DocumentSyntaxError,
    PoolDocument,
    choose_pool,
    parse_pools,
    pools_in,
)
from airflow_batchext.secret_references import look_up_secrets
from airflow_batchext.secrets.redact import redact_text

if TYPE_CHECKING:
    from airflow.sdk import Context

_SUFFIXES = (".json", ".yaml", ".yml")
_PARAMETER = "pool_document"


class DocumentParameters(Protocol):
    """What it takes of an operator to find and render its document."""

    pool_id: str | None

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
        pools is meant; or if a secret that it refers to is not there.
    """
    given = operator.pool_document
    literal = ", ".join(literal_secrets(given))
    if literal:
        operator.log.warning(
            "pool_document: secrets stand in the DAG itself (%s). They are masked from here on, but Airflow "
            'stores the source of DAGs: give them by reference, {"$secret": {"connection": …}}, as '
            "docs/connection.md says",
            literal,
        )
    given = reveal(given)
    if not isinstance(given, str):
        source, pools = _PARAMETER, pools_in(given)
    elif is_inline(given):
        source, pools = _PARAMETER, _parse(given, _PARAMETER)
    else:
        source, pools = given, _load(operator, context, given)
    try:
        document = choose_pool(pools, operator.pool_id, source=source).body
    except DocumentChoiceError as error:
        raise ParameterError(f"{error} (pool_id of the operator).") from None
    if isinstance(given, str):
        conceal(document)  # only now are the text's secrets known: mask them in the log
    return source, look_up_secrets(document)


def _parse(text: str, source: str) -> list[PoolDocument]:
    try:
        return parse_pools(text, source=source)
    except DocumentSyntaxError as error:
        prefix = "" if source == _PARAMETER else f"{_PARAMETER} "
        raise ParameterError(f"{prefix}{error}") from None


def _load(operator: DocumentParameters, context: Context, path: str) -> list[PoolDocument]:
    """Read, render and parse a document file.

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
            template = environment.from_string(Path(path).read_text(encoding="utf-8"))
        else:
            template = environment.get_template(path)
        text = template.render(context)
    except (TemplateNotFound, OSError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"pool_document {path!r} cannot be read ({type(error).__name__}); a relative path is looked "
            "for beside the DAG file and in the DAG's template_searchpath."
        ) from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else path
        raise ParameterError(f"pool_document {where}: {error.message}") from None
    return _parse(text, path)
