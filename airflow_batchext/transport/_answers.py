"""What is believed of an answer's body: how large it may be, compressed or not, how deep, and what JSON is.

Pure: bytes in, data out. All work is linear in the bytes that were read, which are bounded.

Sources: RFC 9110 for content codings, RFC 8259 for JSON.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from typing import Any, NoReturn

#: Of a page of a thousand nodes with all their members, several times as much.
MOST_BYTES = 8 * 1024 * 1024
#: Objects, lists and members in one answer: of such a page, several times as many.
MOST_VALUES = 400_000
MOST_DEPTH = 64
_LONGEST_NUMBER = 40

_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class AnswerError(Exception):
    """An answer that is not believed, or a request that was not sent; the text says why, and quotes none."""


def decompressed(content: bytes, coding: str, *, most: int = MOST_BYTES) -> bytes:
    """The body as it was before its content coding.

    :param coding: the header ``Content-Encoding``.
    :raises AnswerError: if it is coded in another way, badly, or is larger than ``most``.
    """
    name = coding.strip().lower()
    if name in ("", "identity") or not content:
        return content
    if name not in _CODINGS:
        raise AnswerError("the answer is compressed in a way that was not asked for")
    for bits in (_CODINGS[name], -15):  # some send deflate without its header
        inflater = zlib.decompressobj(bits)
        try:
            body = inflater.decompress(content, most + 1)
        except zlib.error:
            if name == "deflate" and bits != -15:
                continue
            break
        if len(body) > most:
            raise AnswerError(f"the answer is larger than {most} bytes")
        if not inflater.eof:
            break
        return body
    raise AnswerError("the answer is not compressed as it says")


def check_nesting(content: bytes) -> None:
    """Check that a body, should it be JSON, is neither deep nor of endless parts.

    :raises AnswerError: if it is.
    """
    if _deepest(content) > MOST_DEPTH and _deepest(_STRINGS.sub(b"", content)) > MOST_DEPTH:
        raise AnswerError(f"the answer nests more than {MOST_DEPTH} levels deep")
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if values > MOST_VALUES:
        raise AnswerError(f"the answer has more than {MOST_VALUES} parts")


def parse_json(content: bytes) -> Any:
    """The JSON in a body that has been checked; UTF-8, whatever its header says.

    Texts have no half characters (surrogates), which nothing could write down.

    :raises ValueError: if it is no JSON, or has numbers that no member of these APIs has.
    """
    text = content.decode("utf-8-sig")
    if r"\ud" in text or r"\uD" in text:
        return _whole(_loads(text))
    return _loads(text)


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _deepest(content: bytes) -> int:
    depth = deepest = 0
    for bracket in content.translate(None, _BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > deepest:
            deepest = depth
            if deepest > MOST_DEPTH:
                break
    return deepest


def _int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number that is too long")
    return int(text)


def _float(text: str) -> float:
    number = float(text) if len(text) <= _LONGEST_NUMBER else math.inf
    if not math.isfinite(number):
        raise ValueError("a number that is too large")
    return number


def _refused(word: str) -> NoReturn:
    raise ValueError("a number that JSON does not have")


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
