"""Keeps the secrets of a pool document out of everything that Airflow shows or stores of a task.

Airflow writes an operator's template fields into the serialized DAG, and shows them on the "Rendered
Template" page, both before the operator itself runs. So secrets in a document are wrapped as soon as the
operator is given one, and unwrapped when the request is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow.sdk.log import mask_secret

from airflow_batchext.batch.sdk_models import plain
from airflow_batchext.secrets.names import is_secret_member
from airflow_batchext.secrets.references import literal_leaves, only_references

_SHOWN = "***"
_TEMPLATE = ("{{", "{%", "{#")


class Concealed:
    """A value that Airflow carries and renders (templates in it work), but shows as ``***``.

    Use it in documents that are given to a mapped task: what stands in ``expand`` or ``partial`` is
    serialized before the operator exists. ::

        AzureBatchCreatePoolOperator.partial(...).expand(pool_document=[conceal(document), ...])
    """

    template_fields = ("value",)

    def __init__(self, value: object) -> None:
        #: Whether the secret itself was given, not a template or a reference; rendering does not change it.
        self.is_literal = any(literal_leaves(value))
        self.value = value

    @property
    def value(self) -> object:
        """What is concealed. Setting it masks every text and number in it in the logs."""
        return self._value

    @value.setter
    def value(self, value: object) -> None:
        self._value = value
        for leaf in _leaves(value):
            mask_secret(leaf)

    def serialize(self) -> str:
        """What Airflow shows and stores instead."""
        return _SHOWN

    def __repr__(self) -> str:
        return _SHOWN


def conceal(document: Any) -> Any:
    """A copy of a document in which every secret member's value is ``Concealed``.

    A model of the SDK becomes its body. A text that is itself a document (it begins with ``{`` or ``[``, or
    has several lines) is concealed as a whole: what is secret in it shows only once it is rendered. Anything
    else (a template, an XComArg, a path) is returned as it is.
    """
    document = plain(document)
    if is_inline(document):
        return Concealed(document)
    return _conceal(document)


def is_inline(document: object) -> bool:
    """Whether a text is itself a document, not the path of one, nor a template that gives one."""
    text = document.strip() if isinstance(document, str) else ""
    return (text.startswith(("{", "[")) and not text.startswith(_TEMPLATE)) or "\n" in text


def _conceal(document: Any) -> Any:
    document = plain(document)
    if isinstance(document, Mapping):
        return {
            key: Concealed(value)
            if is_secret_member(key)
            and value
            and not isinstance(value, Concealed)
            and not only_references(value)
            else _conceal(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [_conceal(item) for item in document]
    return document


def literal_secrets(document: Any, path: str = "") -> Iterator[str]:
    """The paths of the secrets in a concealed document that were given themselves."""
    if isinstance(document, Concealed):
        if document.is_literal and path:
            yield path
    elif isinstance(document, Mapping):
        for key, value in document.items():
            yield from literal_secrets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from literal_secrets(item, f"{path}[{index}]")


def reveal(document: Any) -> Any:
    """The reverse of ``conceal``, for the request."""
    if isinstance(document, Concealed):
        return reveal(document.value)
    if isinstance(document, Mapping):
        return {key: reveal(value) for key, value in document.items()}
    if isinstance(document, list):
        return [reveal(item) for item in document]
    return document


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        yield str(value)
