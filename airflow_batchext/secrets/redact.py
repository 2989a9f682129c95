"""The one redactor: hides what is a secret, or looks like one, before anybody is shown it; and finds it.

Settings and messages of extensions should hold no secrets, and sometimes do: a URL with a shared access
signature in a script's error, a connection string in settings that should have been protected. It errs on
the side of hiding; what it cannot tell from ordinary text it cannot hide. A text is cut before any pattern
sees it, and none takes more than linear time. Pure: data in, data out.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from airflow_batchext.loose_json.documents import Place, is_container, rewritten, walk
from airflow_batchext.secrets.names import is_secret_member, may_hold_secret, sounds_secret
from airflow_batchext.secrets.references import is_secret, is_stand_in

HIDDEN: Final = "***"
LONGEST_TEXT: Final = 65_536
"""So many characters of a text are looked at, and shown at most."""
_LONGEST_WORD: Final = 4096
_LEAST_LETTERS: Final = 4
"""Shorter values of a guess are not looked for elsewhere: ``no`` is in every text."""
_BLANKS: Final = "\ufeff \t\r\n"

# What is a secret by its own look, whatever stands before it.
_SHAPES: Final = re.compile(
    r"""
      ://[^/@:\s"']*:(?P<password>[^/\s"'<>]+)@                     # of a URL
    | ://(?P<user>[^/@:\s"'<>]{20,})@                                # a token in the user's place
    | [?&]code=(?P<code>[\w%=/+-]{20,})                              # the key of an Azure function
    | \b(?:bearer|negotiate|sharedkey(?:lite)?)\s{1,8}(?P<bearer>[A-Za-z0-9._~+/=:-]{8,})
    | \bbasic\s{1,8}(?P<basic>[A-Za-z0-9+/]{6,}={0,2})
    | (?<![A-Za-z0-9_-])(?P<jwt>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)
    | (?P<pem>-----BEGIN\ [A-Z ]*PRIVATE\ KEY(?:\ BLOCK)?-----(?s:.*?)(?:-----END\ [A-Z ]*PRIVATE\ KEY|\Z))
    | (?<![A-Za-z0-9+/])(?P<storage>[A-Za-z0-9+/]{86}==)(?![=A-Za-z0-9+/])     # the key of an account
    | \b(?P<github>gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,})
    | (?<![\w~.-])(?P<entra>[\w~.-]{3}\dQ~[\w~.-]{31,34})(?![\w~.-])           # of an app in Entra ID
    | (?<!\S)(?:-u|--user)[ =]{1,4}["']?[^\s:"']{1,200}:(?P<curl>[^\s"']+)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_IS: Final = r"\s{0,4}(?:={1,3}>?|->|:|%(?:25){0,3}3[AD]|&\#(?:61|x3d);)\s{0,4}"
_QUOTE: Final = r"(?:\\{0,8}[\"'])?"
# A name and what leads from it to its value: "name": …, name=…, \"name\": …, name%3D…, <name>…
_NAMED: Final = re.compile(
    rf"(?<![\w.$-])(?P<name>[\w.$-]+)(?:{_QUOTE}(?P<is>{_IS})|(?P<tag>>))", re.IGNORECASE | re.ASCII
)
# --password VALUE
_OPTION: Final = re.compile(r"(?<![\w-])(?P<name>--?[A-Za-z][\w-]*)(?P<is>\s{1,4})(?![\s-])", re.ASCII)
# {"name": "DB_PASSWORD", "value": "…"}
_PAIR: Final = re.compile(
    rf"\b(?:name|key){_QUOTE}{_IS}{_QUOTE}(?P<name>[\w.$-]{{1,100}}){_QUOTE}(?:\s{{0,4}}[,;]\s{{0,16}}|\s{{1,16}})"
    rf"{_QUOTE}value{_QUOTE}(?P<is>{_IS})",
    re.IGNORECASE | re.ASCII,
)
_ESCAPED: Final = re.compile(r"^(?:25){0,3}[0-9A-F]{2}", re.IGNORECASE)
_OPENING: Final = re.compile(r"\\{0,8}(?:\"\"\"|'''|[\"'])")
_QUOTED: Final = {quote: re.compile(rf"(?:[^{quote}\\\r\n]|\\.)*") for quote in "\"'"}
_BARE: Final = re.compile(r"(?:[^\s\"'<>,;&\\]|\\(?![\"'\\nrtu]))+")
_END_ESCAPED: Final = r"%(?:25){0,3}(?:26|3B|2C|22|27|20)"
_BARE_ESCAPED: Final = re.compile(rf"(?:(?!{_END_ESCAPED}){_BARE.pattern[:-1]})+", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z]+[ \t]+")
_BRACKET: Final = re.compile(r"[{}\[\]()]")
_WORDS_OF_NO: Final = frozenset({"true", "false", "null", "none"})


def redact_text(text: str) -> str:
    """A text in which what looks like a secret reads ``***``: signatures, keys, passwords, tokens.

    The names are kept, so that one sees what was there. A text that is too long is cut, and says so.
    """
    shown = _cut(text)
    end = "" if shown is text else f"… ({len(text):,} characters in all)"
    if not may_hold_secret(shown):
        return f"{shown}{end}"
    parts, done = [], 0
    for start, stop in _spans(shown):
        parts += [shown[done:start], HIDDEN]
        done = stop
    return f"{''.join(parts)}{shown[done:]}{end}"


def secrets_in(text: str) -> list[str]:
    """The parts of a text that look like secrets."""
    text = _cut(text)
    return [text[start:stop] for start, stop in _spans(text)] if may_hold_secret(text) else []


def looks_secret(text: str) -> bool:
    """Whether a text seems to hold a secret itself: not what stands for one, such as ``$PASSWORD``."""
    return any(len(part) >= 2 * _LEAST_LETTERS and not is_stand_in(part) for part in secrets_in(text))


def redact(value: object) -> Any:
    """A copy of a JSON-like value that is fit for showing.

    Of a secret the names below it stay, and nulls; every other value reads ``***``. In all other texts the
    parts that look like secrets are hidden. References to secrets stay as they are.
    """
    return rewritten(value, _redacted, name=_redacted_name)


def find_secrets(document: object) -> Iterator[tuple[str, Any]]:
    """Path and value of each secret (text or number), so that a caller can have them masked.

    A secret that is itself JSON text is yielded whole and in its parts, since either may turn up in a
    log. Empty texts, booleans and nulls are not secrets.
    """
    known: dict[int, object] = {}  # whose leaves have been yielded
    for place, value in walk(document, into=lambda value: id(value) not in known):
        if is_secret(value, place):
            known[id(value)] = value
            yield from _leaves(value, place.path, sure=is_secret_member(place.step))
        elif isinstance(value, str):
            for part in secrets_in(value):
                if len(part) >= _LEAST_LETTERS:
                    yield place.path, part


def _redacted(value: Any, place: Place) -> Any:
    if is_secret(value, place):
        return rewritten(value, _hidden, name=_redacted_name)
    return redact_text(value) if isinstance(value, str) else value


def _hidden(value: Any, place: Place) -> Any:
    return value if value is None or is_container(value) else HIDDEN


def _redacted_name(name: object) -> str:
    return redact_text(str(name))


def _leaves(value: object, path: str, *, sure: bool) -> Iterator[tuple[str, Any]]:
    least = 1 if sure else _LEAST_LETTERS
    for place, item in walk(value, path=path):
        if isinstance(item, bool) or not isinstance(item, (str, int, float)) or len(str(item)) < least:
            continue
        yield place.path, item
        if isinstance(item, str) and item.lstrip(_BLANKS).startswith(("{", "[", '"')):
            with suppress(ValueError, RecursionError):  # no JSON after all, or a bottomless one
                yield from _leaves(json.loads(item.lstrip(_BLANKS)), place.path, sure=sure)


def _cut(text: str) -> str:
    """The text, or so much of it that no secret is cut in two: without the word that would be."""
    if len(text) <= LONGEST_TEXT:
        return text
    end = max(text.rfind(blank, LONGEST_TEXT - _LONGEST_WORD, LONGEST_TEXT) for blank in " \n\t")
    return text[: end if end > 0 else LONGEST_TEXT - _LONGEST_WORD]


def _spans(text: str) -> list[tuple[int, int]]:
    """Where in a text secrets stand, in order, none within another."""
    found = [
        match.span(match.lastgroup or 0)
        for match in _SHAPES.finditer(text)
        if match.lastgroup != "basic" or _is_basic(match["basic"])
    ]
    for pattern in (_NAMED, _OPTION, _PAIR):
        done = 0  # what is hidden already is not looked at again: that keeps the time linear
        for match in pattern.finditer(text):
            if match.start() < done:
                continue
            name = match["name"]
            if text[match.start("name") - 1 : match.start("name")] == "%":
                name = _ESCAPED.sub("", name)
            if not sounds_secret(name):
                continue
            if pattern is _NAMED and match["tag"] and text[match.start() - 1 : match.start()] != "<":
                continue
            start, stop = _value_span(text, match.end(), name, str(match["is"] or ">"))
            done = stop
            if stop > start and text[start:stop].lower() not in _WORDS_OF_NO:
                found.append((start, stop))
    return list(_merged(sorted(found)))


def _value_span(text: str, start: int, name: str, way: str) -> tuple[int, int]:
    """From where to where a value reaches that begins there."""
    if text.startswith(HIDDEN, start):
        return start, start
    opening = _OPENING.match(text, start)
    if opening and way != ">":
        start, mark = opening.end(), opening[0]
        if len(mark) == 1:
            quoted = _QUOTED[mark].match(text, start)
            return start, quoted.end() if quoted else start
        end = text.find(mark, start)
        line = text.find("\n", start)
        ends = [place for place in (end, line) if place >= 0]
        return start, min(ends, default=len(text))
    if way == ">":
        end = text.find("<", start)
        return start, end if end >= 0 else len(text)
    if text[start : start + 1] in ("{", "[", "("):
        depth = 0
        for bracket in _BRACKET.finditer(text, start):
            depth += 1 if bracket[0] in "{[(" else -1
            if depth == 0:
                return start, bracket.end()
        return start, len(text)
    if name.lower().endswith("authorization") and (scheme := _SCHEME.match(text, start)):
        start = scheme.end()
    bare = (_BARE_ESCAPED if "%" in way else _BARE).match(text, start)
    end = bare.end() if bare else start
    # "password: is wrong" is a sentence.
    return start, end if "=" in way or "%" in way or end - start >= _LEAST_LETTERS else start


def _is_basic(text: str) -> bool:
    """Whether it is what HTTP's basic sign-in sends: user and password in base64."""
    try:
        return b":" in base64.b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return False


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start, stop = -1, -1
    for begins, ends in spans:
        if begins >= stop:
            if stop > start:
                yield start, stop
            start, stop = begins, ends
        else:
            stop = max(stop, ends)
    if stop > start:
        yield start, stop
