"""The pool document that an operator was given: found, rendered and read, its secrets kept out of sight."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_batchext.concealment import conceal, reveal
from airflow_batchext.exceptions import ParameterError
from airflow_batchext.pool_spec import DocumentSyntaxError, parse_document

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator
    from airflow.sdk import Context

_SUFFIXES = (".json", ".yaml", ".yml")


def resolve_document(operator: BaseOperator, context: Context, given: Any) -> tuple[str, Any]:
    """Where the document came from, for texts, and the document with its secrets.

    :param operator: whose DAG knows where templates are.
    :param context: what the file's text is rendered with.
    :param given: a (concealed) document, or the path of a file with one.
    :raises ParameterError: if there is no such file, or it cannot be read.
    """
    if isinstance(given, str):
        document = _load(operator, context, given)
        conceal(document)  # only now are the file's secrets known: mask them in the log
        return given, document
    return "pool_document", reveal(given)


def _load(operator: BaseOperator, context: Context, path: str) -> dict[str, Any]:
    """Read, render and parse a document file.

    Airflow's own way (``template_ext``) would put the file's text, secrets included, into the serialized
    DAG and on the page of rendered templates.
    """
    if not path.endswith(_SUFFIXES):
        raise ParameterError(
            f"pool_document is the text {path[:80]!r}; give a dict, or the path of a file that ends in "
            f"{', '.join(_SUFFIXES)}."
        )
    from jinja2 import TemplateError, TemplateNotFound

    dag = operator.get_dag()
    environment = dag.get_template_env(force_sandboxed=True) if dag else operator.get_template_env()
    try:
        if Path(path).is_absolute():
            template = environment.from_string(Path(path).read_text(encoding="utf-8"))
        else:
            template = environment.get_template(path)
        return parse_document(template.render(context), source=path)
    except (TemplateNotFound, OSError, UnicodeDecodeError) as error:
        raise ParameterError(
            f"pool_document {path!r} cannot be read ({type(error).__name__}); a relative path is looked "
            "for beside the DAG file and in the DAG's template_searchpath."
        ) from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else path
        raise ParameterError(f"pool_document {where}: {error.message}") from None
    except DocumentSyntaxError as error:
        raise ParameterError(f"pool_document {error}") from None
