"""What is believed of an answer's body: how large it may be, compressed or not, how deep, and what JSON is.

Pure: bytes in, data out. All work is linear in the bytes that were read, which are bounded.

Sources: RFC 9110 for content codings, RFC 8259 for JSON.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, NoReturn

#: Of a page of a thousand nodes with all their members, several times as much.
MOST_BYTES = 8 * 1024 * 1024
#: Objects, lists and members in one answer: of such a page, several times as many.
MOST_VALUES = 150_000
MOST_DEPTH = 64
_MOST_MEMBERS, _MOST_PER_OBJECT = 20_000, 200
# No member of these APIs is so long, or so large, a number.
_ODD_NUMBERS = (b"0" * 25, b"0e000")
_ALL_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_MOST_HALVES, _MOST_ESCAPES, _LONGEST_ESCAPE = 20_000, 1_000_000, 64

_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Two patterns, each with a beginning that is quickly found.
_HALVES = (re.compile(r"\\ud[89a-fA-F][0-9a-fA-F]{2}"), re.compile(r"\\uD[89a-fA-F][0-9a-fA-F]{2}"))
_SECOND_HALF = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
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


def check_bounds(content: bytes) -> None:
    """Check that a body, should it be JSON, is neither deep nor of endless parts or numbers.

    :raises AnswerError: if it is.
    """
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if values > MOST_VALUES:
        raise AnswerError(f"the answer has more than {MOST_VALUES} parts")
    if content.count(b'":') > _MOST_MEMBERS + _MOST_PER_OBJECT * content.count(b"{"):
        raise AnswerError("the answer has objects without an end")
    if content.count(b"\\") > _MOST_ESCAPES:
        raise AnswerError(f"the answer has more than {_MOST_ESCAPES} backslashes")
    if not (_is_deep(content) or _has_odd_number(content)):
        return
    bare = _without_texts(content, most=2 * values + 1)
    if _is_deep(bare):
        raise AnswerError(f"the answer nests more than {MOST_DEPTH} levels deep")
    if _has_odd_number(bare):
        raise AnswerError("the answer has a number that is too large or too long")


def parse_json(content: bytes) -> Any:
    """The JSON in a body that has been checked; UTF-8, whatever its header says.

    Texts have no half characters (surrogates), which nothing could write down.

    :raises ValueError: if it is no JSON.
    """
    text = content.decode("utf-8-sig")
    try:
        return json.loads(_whole(text), parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _without_texts(content: bytes, *, most: int) -> bytes:
    """A body without the texts in it, of which JSON of so many parts has no more than ``most``.

    No pattern: where texts do not end, or nothing but quotes is sent, those take quadratic time.
    """
    if b"\\" in content:
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")
    if content.count(b'"') > 2 * most:
        raise AnswerError(f"the answer has more than {MOST_VALUES} parts")
    return b"".join(content.split(b'"')[::2])


def _has_odd_number(content: bytes) -> bool:
    digits = content.translate(_ALL_DIGITS, b"+")
    return any(odd in digits for odd in _ODD_NUMBERS)


def _is_deep(content: bytes) -> bool:
    brackets = content.translate(None, _BRACKETS)
    if len(brackets) > 2 * MOST_VALUES:
        return True  # in texts, or not closed by what opens: nothing of these APIs is so
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MOST_DEPTH:
            return True
    return False


def _refused(word: str) -> NoReturn:
    raise ValueError("a number that JSON does not have")


def _whole(text: str) -> str:
    """JSON in which an escaped half of a character (a surrogate) that has no other half stands for none."""
    if "\\" not in text:
        return text
    if text.count(r"\ud") + text.count(r"\uD") > _MOST_HALVES:
        raise ValueError("too many characters in two halves")
    parts, done = [], 0
    for start, end in sorted(found.span() for pattern in _HALVES for found in pattern.finditer(text)):
        before = text[max(start - _LONGEST_ESCAPE, done) : start]
        escapes = len(before) - len(before.rstrip("\\"))
        if escapes == _LONGEST_ESCAPE:
            raise ValueError("more backslashes than anything has")
        if start < done or escapes % 2:
            continue  # the second half, or no escape: a backslash, and letters
        second = _SECOND_HALF.match(text, end) if text[start + 3] in "89abAB" else None
        parts += [text[done : second.end()]] if second else [text[done:start], r"\ufffd"]
        done = second.end() if second else end
    return "".join([*parts, text[done:]])
