"""Keeps the secrets of a pool document out of everything that Airflow shows or stores of a task.

Airflow writes an operator's template fields into the serialized DAG, and shows them on the "Rendered
Template" page, both before the operator itself runs. So secrets in a document are wrapped as soon as the
operator is given one, and unwrapped when the request is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from airflow.sdk.log import mask_secret

from airflow_batchext.loose_json.documents import Place, rewritten, walk
from airflow_batchext.loose_json.sdk_models import plain
from airflow_batchext.secrets.names import may_hold_secret
from airflow_batchext.secrets.references import is_secret, leaves, literal_leaves, references_in

_SHOWN = "***"
_TEMPLATE = ("{{", "{%", "{#")
_BLANKS = "\ufeff \t\r\n"
_FILES = (".json", ".yaml", ".yml")


class Concealed:
    """A value that Airflow carries and renders (templates in it work), but shows as ``***``.

    Use it in documents that are given to a mapped task: what stands in ``expand`` or ``partial`` is
    serialized before the operator exists. ::

        AzureBatchCreatePoolOperator.partial(...).expand(pool_document=[conceal(document), ...])

    :param value: the secret, or a template or a reference that gives it.
    :param shown: what is shown instead: of a text that is secret in parts, all but those.
    :param is_document: whether it is the text of a document, and stays one when it is rendered.
    """

    template_fields = ("value",)

    def __init__(self, value: object, *, shown: str = _SHOWN, is_document: bool = False) -> None:
        self.text_fields = self.template_fields if is_document else ()
        #: Whether the secret itself was given, not a template or a reference; rendering does not change it.
        self.is_literal = any(literal_leaves(value))
        self._shown = shown
        self.value = value

    @property
    def value(self) -> object:
        """What is concealed. Setting it masks every text and number in it in the logs."""
        return self._value

    @value.setter
    def value(self, value: object) -> None:
        self._value = value
        for secret in leaves(value) if self._shown == _SHOWN else _secrets_in(value):
            mask_secret(secret)

    def serialize(self) -> str:
        """What Airflow shows and stores instead."""
        return self._shown

    def __repr__(self) -> str:
        return self._shown


def conceal(document: Any) -> Any:
    """A copy of a document in which everything that is secret, or looks like it, is ``Concealed``.

    A model of the SDK becomes its body. A text that is itself a document (it begins with ``{`` or ``[``, or
    has several lines) is concealed as a whole: what is secret in it shows only once it is rendered. Anything
    else (a template, an XComArg, a path) is returned as it is.

    :param document: of a pool, or anything else that a template field may hold.
    """
    document = plain(document)
    return Concealed(document, is_document=True) if is_inline(document) else rewritten(document, _concealed)


def is_inline(document: object) -> bool:
    """Whether a text is itself a document, not the path of one, nor a template that gives one."""
    text = document.strip(_BLANKS) if isinstance(document, str) else ""
    if text.startswith(_TEMPLATE) and "\n" not in text:
        return False
    return text.startswith(("{", "[", '"')) or "\n" in text or (": " in text and not text.endswith(_FILES))


def _concealed(value: Any, place: Place) -> Any:
    is_empty = value is None or (isinstance(value, (str, Mapping, list, tuple)) and not value)
    if is_empty or isinstance(value, Concealed):
        return value
    if is_secret(value, place):
        return Concealed(value)
    if isinstance(value, str) and may_hold_secret(value):
        from airflow_batchext.secrets.redact import redact_text  # many DAG files need it not

        shown = redact_text(value)
        return value if shown == value else Concealed(value, shown=shown)
    return value


def written(document: Any) -> frozenset[str]:
    """What an author has written that may decide on secrets: each reference, and of a text its digest.

    Compared with what rendering made of it, it says who wrote that; it holds no secret itself.
    """
    document = reveal(plain(document))
    if isinstance(document, str):
        # A text that comes again unchanged has no templates, or none that did anything.
        return frozenset({sha256(document.encode("utf-8", "surrogatepass")).hexdigest()})
    return frozenset(references_in(document))


def literal_secrets(document: Any) -> Iterator[str]:
    """The paths of the secrets in a concealed document that were given themselves."""
    for place, value in walk(document):
        if isinstance(value, Concealed) and value.is_literal and place.path:
            yield place.path


def reveal(document: Any) -> Any:
    """The reverse of ``conceal``, for the request."""
    return rewritten(
        document, lambda value, _: reveal(value.value) if isinstance(value, Concealed) else value
    )


def _secrets_in(value: object) -> list[str]:
    from airflow_batchext.secrets.redact import secrets_in

    return secrets_in(value) if isinstance(value, str) else list(leaves(value))
