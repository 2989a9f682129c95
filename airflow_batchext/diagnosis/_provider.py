"""Extensions of which not a node tells but the provider of the machines, in the error of a resize.

They are handed on as what an extension on a node without an id reports, so that its own causes are found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from airflow_batchext.batch.data_plane import Phase
from airflow_batchext.batch.provider_errors import provider_errors

if TYPE_CHECKING:
    from airflow_batchext.health import ExtensionHealth, NodeHealth, PoolHealth

_CODES: Final = re.compile(
    r"VMExtension(?:Provisioning(?:Error|Timeout)|HandlerNonTransientError)", re.IGNORECASE
)
_NAMED: Final = re.compile(
    r"extension '(?P<quoted>[\w.-]+)'|VM extension (?P<bare>[\w.-]+) has timed out", re.IGNORECASE
)
_PAIR: Final = re.compile(r"publisher '(?P<publisher>[^']*)' and type '(?P<type>[^']*)'", re.IGNORECASE)


def reported(health: PoolHealth) -> Iterator[tuple[NodeHealth, ExtensionHealth]]:
    """The extensions that the last resize failed for, each on a node without an id."""
    from airflow_batchext.health import ExtensionHealth, NodeHealth

    node = NodeHealth("", "", "", "", "", None, "", None)
    for error in health.resize_errors:
        for name, value in error.details:
            for code, message in provider_errors(value) if "json" in name.lower() else ():
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
