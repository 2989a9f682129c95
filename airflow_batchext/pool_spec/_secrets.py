"""What is secret in a pool document: nobody may see it, and logs must be able to mask it.

Whatever shows a document, or part of it, passes it through `without_secrets` first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from airflow_batchext.pool_spec._paths import at
from airflow_batchext.secrets.names import is_secret_member

_SIGNATURE = re.compile(r"(?<=[?&]sig=)[^&\s\"']+", re.IGNORECASE)


def without_secrets(document: object) -> Any:
    """Return a deep copy fit for showing: ``"***"`` for every value below a secret member.

    Names of members stay, and so do nulls and empty objects. Of a URL with a shared access signature
    only the signature is hidden. Takes any JSON-like value, also a list of documents.
    """
    return _veiled(document, hidden=False)


def find_secrets(document: object) -> Iterator[tuple[str, Any]]:
    """Yield path and value of each secret (text or number), so that a caller can have them masked.

    A secret that is itself JSON text is yielded whole and in its parts, since either may turn up in a
    log. Empty texts, booleans and nulls are not secrets.
    """
    yield from _secrets(document, "", hidden=False)


def _veiled(value: object, *, hidden: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _veiled(item, hidden=hidden or is_secret_member(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_veiled(item, hidden=hidden) for item in value]
    if hidden:
        return None if value is None else "***"
    return _SIGNATURE.sub("***", value) if isinstance(value, str) else value


def _secrets(value: object, path: str, *, hidden: bool) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets(item, at(path, key), hidden=hidden or is_secret_member(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _secrets(item, at(path, index), hidden=hidden)
    elif hidden and value not in (None, "") and not isinstance(value, bool):
        yield path, value
        if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
            with suppress(ValueError, RecursionError):  # no JSON after all, or a bottomless one
                yield from _secrets(json.loads(value), path, hidden=True)
    elif isinstance(value, str):
        for signature in _SIGNATURE.findall(value):
            yield path, signature
