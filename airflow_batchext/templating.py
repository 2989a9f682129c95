"""How the template fields of operators, sensors and notifiers are rendered.

As Airflow does it, but that a text without a template arrives as it was written, also in a DAG with
``render_template_as_native_obj`` (where Airflow takes "1.10" for a number, and "None" for nothing), and that
names stay texts there, whatever they are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

#: Fields that are texts, or lists of texts, as an id of digits is one.
_TEXTS = frozenset(
    {
        *("pool_id", "azure_batchext_conn_id", "compute_node_id", "extension_name", "output_uri"),
        *("output_conn_id", "report_url", "logs_identity", "logs_container", "extension_names", "node_ids"),
    }
)


class TemplatedTexts:
    """Mix this in before Airflow's class."""

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Environment,
        seen_oids: set[int],
    ) -> None:
        texts = _TEXTS if parent is self else getattr(parent, "text_fields", ())
        others = []
        for name in template_fields:
            value = getattr(parent, name, None)
            # What came out of an XCom is no template, whatever stands in it.
            if name in texts and _is_of_texts(value) and id(value) not in seen_oids:
                setattr(parent, name, _render(value, context, jinja_env))
            else:
                others.append(name)
        super()._do_render_template_fields(parent, others, context, jinja_env, seen_oids)  # type: ignore[misc]

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a value, and what is in it."""
        if isinstance(content, str):
            jinja_env = jinja_env or self.get_template_env()  # type: ignore[attr-defined]
            marks = set(_marks_in(content, jinja_env))
            if marks <= {jinja_env.comment_start_string}:
                return _render(content, context, jinja_env) if marks else content
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]


def _is_of_texts(value: Any) -> bool:
    """Whether it is a text, or a list of texts."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def _render(value: Any, context: Context, jinja_env: Environment) -> Any:
    """Render to a text, whichever environment it is; a list, or nothing, is that."""
    if isinstance(value, (list, tuple)):
        return [_render(item, context, jinja_env) for item in value]
    if not any(_marks_in(value, jinja_env)):
        return value
    template = jinja_env.from_string(value)
    parts = list(template.root_render_func(template.new_context(dict(context))))
    if len(parts) == 1 and (parts[0] is None or isinstance(parts[0], (list, tuple, Mapping))):
        return parts[0]
    return "".join(map(str, parts))


def _marks_in(text: str, jinja_env: Environment) -> Iterator[str]:
    """With what templates begin, as far as it is in a text; a DAG may have marks of its own."""
    for mark in (
        jinja_env.variable_start_string,
        jinja_env.block_start_string,
        jinja_env.comment_start_string,
        jinja_env.line_statement_prefix,
        jinja_env.line_comment_prefix,
    ):
        if mark and mark in text:
            yield mark
