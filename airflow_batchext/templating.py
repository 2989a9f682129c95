"""How the template fields of operators, sensors and notifiers are rendered.

As Airflow does it, but that a text without a template arrives as it was written, also in a DAG with
``render_template_as_native_obj`` (where Airflow takes "1.10" for a number, and "None" for nothing), and that
names stay texts there, whatever they are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.parameters import listed, read_literal

if TYPE_CHECKING:
    from airflow.sdk import Context
    from jinja2 import Environment

#: Fields that are texts, or lists of texts, as an id of digits is one.
_TEXTS = frozenset(
    {
        *("pool_id", "azure_batchext_conn_id", "compute_node_id", "extension_name", "output_uri"),
        *("output_conn_id", "report_url", "logs_identity", "logs_container", "extension_names", "node_ids"),
        *("command_line", "job_id", "prefix"),
    }
)


#: Fields that are lists of texts, which a user may write in one.
_LISTS = frozenset({"extension_names", "node_ids"})
#: Fields that are dicts of numbers, flags and words; a template in one may become any of them.
_DICTS = frozenset({"policy", "repair"})


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
        others: list[str] = []
        #: Lists in one text that has no template: of these the check says what is wrong.
        as_written = {
            name
            for name in _LISTS.intersection(template_fields)
            if isinstance(value := getattr(parent, name, None), str) and not any(_marks_in(value, jinja_env))
        }
        for name in template_fields:
            value = getattr(parent, name, None)
            if parent is self and name in _DICTS and isinstance(value, (str, Mapping)):
                setattr(parent, name, self._render_dict(value, context, jinja_env, seen_oids))
                continue
            # What came out of an XCom is no template, whatever stands in it.
            if name in texts and _is_of_texts(value) and id(value) not in seen_oids:
                setattr(parent, name, _render(value, context, jinja_env))
            else:
                others.append(name)
        super()._do_render_template_fields(parent, others, context, jinja_env, seen_oids)  # type: ignore[misc]
        for name in _LISTS.intersection(template_fields) if parent is self else ():
            rendered = getattr(parent, name, None)
            if isinstance(rendered, str) and rendered.strip() and name not in as_written:
                names = listed(rendered)
                setattr(parent, name, [names] if isinstance(names, str) else names)

    def _render_dict(self, value: Any, context: Context, jinja_env: Environment, seen_oids: set[int]) -> Any:
        if isinstance(value, str) and any(_marks_in(value, jinja_env)) and id(value) not in seen_oids:
            rendered = _render(value, context, jinja_env)
            return read_literal(rendered) if isinstance(rendered, str) else rendered
        if isinstance(value, Mapping):
            return {k: self._render_dict(item, context, jinja_env, seen_oids) for k, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._render_dict(item, context, jinja_env, seen_oids) for item in value]
        return self.render_template(value, context, jinja_env, seen_oids)

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
        rendered = super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]
        if isinstance(content, dict) and rendered is not content:
            # Airflow leaves the names of members alone; of identities they are all there is.
            jinja_env = jinja_env or self.get_template_env()  # type: ignore[attr-defined]
            names = [
                str(_render(key, context, jinja_env)) if isinstance(key, str) else key for key in content
            ]
            return dict(zip(names, rendered.values(), strict=True))
        return rendered


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
