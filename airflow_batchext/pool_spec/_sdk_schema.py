"""The whole check of a pool document, as the operator and ``batchext validate`` make it.

`pool_spec` holds the rules and knows nothing of Azure's SDK. Here the members that a pool may have are read
from the models of the installed azure-mgmt-batch, so that nobody keeps a second list of them, and both are
put together. The SDK is imported at the first check only.
"""

from __future__ import annotations

import datetime
import enum
import functools
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow_batchext.pool_spec import (
    Finding,
    Member,
    Schema,
    Shape,
    check_document,
    check_references,
    check_reserved,
)
from airflow_batchext.secrets.references import with_stand_ins

_PLAIN: Mapping[object, Shape] = {
    str: Shape("text"),
    bool: Shape("boolean"),
    int: Shape("integer"),
    float: Shape("number"),
    datetime.timedelta: Shape("duration"),
    datetime.datetime: Shape("text"),
}


def check_pool(
    document: object, *, pool_id: str | None = None, today: datetime.date | None = None
) -> list[Finding]:
    """Everything that is wrong with a pool document, errors first.

    A reference to a secret counts as the text that will be there, if it stands where Azure hides that.

    :param document: the body of ``Pool_Create`` as plain data, or anything else: nothing makes this raise.
    :param pool_id: the name the pool is going to have; without it the document's ``name`` counts.
    :param today: the date against which ends of support are held; by default that of the clock.
    """
    today = today or datetime.datetime.now(datetime.UTC).date()
    schema = pool_schema()
    misplaced = check_references(document)
    with suppress(RecursionError):  # a document without a bottom is told of by the check
        document = with_stand_ins(document)
    findings = check_document(document, pool_id=pool_id, schema=schema, today=today)
    findings[:0] = [*misplaced, *check_reserved(document)]
    if schema is None:
        what = "its members were not compared with those that Azure knows: the SDK is built in a new way"
        findings.append(Finding("warning", "", what, "Install a version of azure-mgmt-batch that is older"))
    return findings


@functools.cache
def pool_schema() -> Schema | None:
    """The members of a pool as the installed SDK's models have them.

    None if the models are built in a way that is not known here (they were the same from azure-mgmt-batch 19
    on); the check then says that it could not look at the members.
    """
    from azure.mgmt import batch
    from azure.mgmt.batch import models

    return _schema(models.Pool, models, batch.__version__)


@functools.cache
def data_plane_schema() -> Schema | None:
    """The members of a pool as the installed SDK of the data plane has them.

    None as for `pool_schema`.
    """
    from azure import batch
    from azure.batch import models

    return _schema(models.BatchPoolCreateOptions, models, batch.__version__)


def _schema(root: type[Any], models: types.ModuleType, version: str) -> Schema | None:
    found: dict[str, Mapping[str, Member]] = {}
    waiting = [root]
    try:
        for model in waiting:
            if model.__name__ not in found:
                found[model.__name__] = _members(model, models, waiting)
    except (AttributeError, KeyError, NameError, TypeError):
        return None
    return Schema(types=found, root=root.__name__, version=version)


def _members(model: type[Any], models: types.ModuleType, waiting: list[type[Any]]) -> dict[str, Member]:
    """Read the members of one model, and note the models that they lead to.

    A model learns its fields when its first object is made. The annotations name other models as
    ``_models.X``, which exists for type checkers only.
    """
    maker: Any = model
    fields = maker.__new__(model)._attr_to_rest_field
    hints = typing.get_type_hints(model, localns={"_models": models})
    members = {}
    for attribute, field in fields.items():
        hint = hints[attribute]
        members[field._rest_name] = Member(
            _shape(hint, waiting),
            required=type(None) not in typing.get_args(hint),
            read_only=field._visibility == ["read"],
        )
    return members


def _shape(hint: Any, waiting: list[type[Any]]) -> Shape:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in arguments if kind is not type(None)]
        words = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, enum.Enum)]
        if words:  # an enumeration is annotated as `str | Words`
            return Shape("text", values=tuple(str(word.value) for kind in words for word in kind))
        return _shape(kinds[0], waiting) if len(kinds) == 1 else Shape("any")
    if origin is list:
        return Shape("list", of=_shape(arguments[0], waiting))
    if origin is dict:
        return Shape("map", of=_shape(arguments[1], waiting))
    if isinstance(hint, type) and hasattr(hint, "_calculated"):
        waiting.append(hint)
        return Shape("object", type_name=hint.__name__)
    return Shape("any")
