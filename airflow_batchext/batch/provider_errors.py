"""What the provider of the machines, behind Azure Batch, says in the details of an error: JSON in a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_batchext.loose_json.values import as_mapping, read_json

_DEEPEST = 5


def provider_errors(text: str) -> Iterator[tuple[str, str]]:
    """Code and message of each error in it, the last word at the end; nothing of one that is cut off."""
    found = read_json(text)
    error = as_mapping(found).get("error", found)
    for _ in range(_DEEPEST):
        if not isinstance(error, Mapping):
            return
        if error.get("code") or error.get("message"):
            yield str(error.get("code") or ""), str(error.get("message") or "")
        inner = error.get("details")
        error = inner[0] if isinstance(inner, list) and inner else error.get("innererror")
