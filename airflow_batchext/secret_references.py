"""Secrets of a pool document by reference: where one lies is written down, not what it is.

``{"$secret": {"connection": "vault", "field": "password"}}`` stands for the value, which is looked up on the
worker, when the document is about to be sent; so it is in no DAG file, no serialized DAG and no rendered
template. Airflow asks its secrets backend (Azure Key Vault, for one) for connections and variables first.
Pools have no ``protectedSettingsFromKeyVault``, as virtual machines do: Azure fetches no secret itself.
"""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.sdk.log import mask_secret

from airflow_batchext.exceptions import ParameterError
from airflow_batchext.loose_json.documents import Place, rewritten
from airflow_batchext.parameters import check_text
from airflow_batchext.secrets.references import (
    EXTRA,
    FIELDS,
    REFERENCE_MEMBER,
    is_reference,
    malformed_reference,
)


def from_connection(conn_id: str, field: str = "password") -> dict[str, Any]:
    """A reference to a field of an Airflow connection.

    :param conn_id: the connection.
    :param field: ``password``, ``login``, ``host``, or ``extra.NAME`` for a field of its extra.
    :raises ParameterError: if there is no such field.
    """
    check_text("conn_id", conn_id)
    return _reference({"connection": conn_id, "field": check_text("field", field)})


def from_variable(name: str) -> dict[str, Any]:
    """A reference to an Airflow Variable.

    :param name: the Variable's key.
    """
    return _reference({"variable": check_text("name", name)})


def from_environment(name: str) -> dict[str, Any]:
    """A reference to a variable of the worker's environment.

    :param name: the variable's name.
    """
    return _reference({"environment": check_text("name", name)})


def _reference(parts: dict[str, Any]) -> dict[str, Any]:
    reference = {REFERENCE_MEMBER: parts}
    if problem := malformed_reference(reference):
        raise ParameterError(f"{problem}.")
    return reference


def look_up_secrets(document: Any, path: str = "") -> Any:
    """A copy of a document with the values in place of the references; each is masked in the log at once.

    :param path: where the document stands, for texts.
    :raises ParameterError: if a reference is malformed, or leads to nothing.
    """
    return rewritten(document, _looked_up, path=path)


def _looked_up(value: Any, place: Place) -> Any:
    path = place.path or "the document"
    if problem := malformed_reference(value):
        raise ParameterError(f"{path}: {problem}.")
    if not is_reference(value):
        return value
    found = _look_up(value[REFERENCE_MEMBER], path)
    for part in (found, *found.splitlines()):
        mask_secret(part)
    return found


def _look_up(reference: dict[str, str], path: str) -> str:
    if "connection" in reference:
        conn_id, field = reference["connection"], reference.get("field", "password")
        value, what = _of_connection(conn_id, field, path), f"field {field!r} of connection {conn_id!r}"
    elif "variable" in reference:
        name = reference["variable"]
        value, what = _of_variable(name, path), f"Airflow Variable {name!r}"
    else:
        name = reference["environment"]
        value, what = os.environ.get(name), f"environment variable {name!r} of the worker"
    if not value:
        raise ParameterError(f"{path}: the {what} is not there or empty; the secret is referred to there.")
    return value


def _of_connection(conn_id: str, field: str, path: str) -> str | None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        connection = BaseHook.get_connection(conn_id)
        if field in FIELDS:
            value = getattr(connection, field)
        else:
            value = connection.extra_dejson.get(field.removeprefix(EXTRA))
    except AirflowNotFoundException:
        return None
    except Exception as error:  # its text may hold what was found
        raise _unreadable(path, f"connection {conn_id!r}", error) from None
    # What is no text in the extra is passed on as the JSON that it was there.
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _of_variable(name: str, path: str) -> str | None:
    from airflow.sdk import Variable

    try:
        value = Variable.get(name, default=None)
    except Exception as error:  # its text may hold what was found
        raise _unreadable(path, f"Airflow Variable {name!r}", error) from None
    return None if value is None else str(value)


def _unreadable(path: str, what: str, error: Exception) -> ParameterError:
    return ParameterError(
        f"{path}: {what}, to which the secret is referred, could not be read ({type(error).__name__}): "
        "look whether the secrets backend answers."
    )
