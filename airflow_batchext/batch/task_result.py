"""The result that a task has written, from bytes to a value that an XCom may hold; nothing is judged here.

Pure. What is not trusted is bounded: in bytes before it comes here, and in how deep it nests.
"""

from __future__ import annotations

import json
from typing import Any

from airflow_batchext.secrets.redact import find_secrets

#: Bytes of a result.
MOST_BYTES = 64 * 1024
_DEEPEST = 32
LAST_LINE, AS_JSON = "last_line", "json"


def read_result(kind: str, data: bytes, *, is_cut: bool) -> Any:
    """The value.

    :param kind: "last_line" of the output, that line as "json", or else the path of a file, which is read as
        JSON where its name ends in ``.json``.
    :param data: the end of the output, or the file.
    :param is_cut: whether something stands before or behind it.
    :raises ValueError: if it is none: in words that may be shown.
    """
    is_line = kind in (LAST_LINE, AS_JSON)
    if is_line:
        before, end, line = data.strip(b"\r\n").rpartition(b"\n")
        if is_cut and not end:
            raise ValueError(f"its last line has more than {MOST_BYTES} bytes")
        data = line.rpartition(b"\r")[2]
        if not data.strip() and not before:
            raise ValueError("it has written nothing")
    elif is_cut:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    value = _json(data) if kind == AS_JSON or kind.lower().endswith(".json") else _text(data)
    if any(isinstance(found, str) for _, found in find_secrets({"value": value})):
        raise ValueError("there is what looks like a secret in it")
    return value


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    if "\0" in text:
        raise ValueError("it is no text")
    return text


def _json(data: bytes) -> Any:
    try:
        value = json.loads(_text(data), parse_constant=_refused)
        # Half characters, which nothing could write down.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for one in level
            if isinstance(one, (dict, list))
            for item in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise ValueError(f"it nests deeper than {_DEEPEST} levels")
    return value


def _refused(constant: str) -> Any:
    raise ValueError(constant)
