"""Extensions of which not a node tells but the provider of the machines, in the error of a resize.

They are handed on as what an extension on a node without an id reports, so that its own causes are found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from airflow_batchext.batch.data_plane import Phase

if TYPE_CHECKING:
    from airflow_batchext.health import ExtensionHealth, NodeHealth, PoolHealth

_CODES: Final = re.compile(
    r"VMExtension(?:Provisioning(?:Error|Timeout)|HandlerNonTransientError)", re.IGNORECASE
)
_NAMED: Final = re.compile(
    r"extension '(?P<quoted>[\w.-]+)'|VM extension (?P<bare>[\w.-]+) has timed out", re.IGNORECASE
)
_PAIR: Final = re.compile(r"publisher '(?P<publisher>[^']*)' and type '(?P<type>[^']*)'", re.IGNORECASE)
_DEEPEST: Final = 5


def reported(health: PoolHealth) -> Iterator[tuple[NodeHealth, ExtensionHealth]]:
    """The extensions that the last resize failed for, each on a node without an id."""
    from airflow_batchext.health import ExtensionHealth, NodeHealth

    node = NodeHealth("", "", "", "", "", None, "", None)
    for error in health.resize_errors:
        for name, value in error.details:
            for code, message in _errors(value) if "json" in name.lower() else ():
                named = _NAMED.search(message)
                if named is None or not _CODES.fullmatch(code):
                    continue
                pair = _PAIR.search(message)
                yield (
                    node,
                    ExtensionHealth(
                        name=named["quoted"] or named["bare"],
                        phase=Phase.FAILED,
                        code=code,
                        message=message,
                        publisher=pair["publisher"] if pair else "",
                        type=pair["type"] if pair else "",
                        version="",
                        expected=True,
                    ),
                )


def _errors(text: str) -> Iterator[tuple[str, str]]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return
    error = found.get("error", found) if isinstance(found, Mapping) else None
    for _ in range(_DEEPEST):
        if not isinstance(error, Mapping):
            return
        yield str(error.get("code") or ""), str(error.get("message") or "")
        inner = error.get("details")
        error = inner[0] if isinstance(inner, list) and inner else error.get("innererror")
