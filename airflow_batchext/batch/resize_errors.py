"""Why a resize brought no nodes, in words: what the code means, what is behind it, what helps.

Pure: no I/O, no clock, no Airflow, no Azure SDK. The management plane puts the errors of a resize into
``resizeOperationStatus.errors`` and their details into pairs of ``code`` and ``message``; one of them may be
the whole error of Azure Compute, as JSON in a text.

Source: https://learn.microsoft.com/azure/batch/batch-pool-node-error-checking
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_batchext.batch.data_plane import ResizeError, one_line, told_by_provider
from airflow_batchext.batch.resize_codes import ADVICE
from airflow_batchext.loose_json.values import as_mapping, as_sequence, below


def resize_errors(body: object) -> tuple[ResizeError, ...]:
    """The errors of a pool's last resize, each in a line with advice.

    :param body: the pool as ``Pool_Get`` of the management plane returns it.
    """
    found = as_sequence(below(body, "properties", "resizeOperationStatus", "errors"))
    return tuple(read_resize_error(as_mapping(error)) for error in found)


def read_resize_error(error: Mapping[str, Any]) -> ResizeError:
    """One error of a resize, as either plane has it, in a line with advice."""
    details = error.get("details")
    if details is None:  # the data plane calls them so
        details = [
            {"code": value.get("name"), "message": value.get("value")}
            for value in map(as_mapping, as_sequence(error.get("values")))
        ]
    code = one_line(str(error.get("code") or "")) or "no code"
    said = one_line(str(error.get("message") or "")) or "no message"
    told = "; ".join(_details(details))
    advice = ADVICE.get(code.lower(), "")
    text = f"{code}: {said.rstrip('.')}" + (f" ({told})" if told else "")
    return ResizeError(code, f"{text}. {advice}".rstrip() if advice else text)


def _details(details: Any) -> Iterator[str]:
    """Each detail as text; the provider's own error is unfolded down to what it says last."""
    for detail in map(as_mapping, as_sequence(details)):
        name, value = str(detail.get("code") or ""), str(detail.get("message") or "")
        if name.endswith("Truncated"):
            continue
        told = told_by_provider(value) if "json" in name.lower() else []
        yield from told or [f"{one_line(name)}: {one_line(value)}"]
