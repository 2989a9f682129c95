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
from airflow_batchext.secrets._commands import command_secrets
from airflow_batchext.secrets._plain import seen
from airflow_batchext.secrets.names import is_secret_member, may_hold_secret, sounds_secret
from airflow_batchext.secrets.references import is_secret, is_stand_in

HIDDEN: Final = "***"
LONGEST_TEXT: Final = 65_536
"""So many characters of a text are looked at, and shown at most."""
_LONGEST_WORD: Final = 4096
_LONGEST_URL, _SURELY_KEY = 2048, 20
_OPTIONS: Final = ("pass", "pw")
_LEAST_LETTERS: Final = 4
"""Shorter values of a guess are not looked for elsewhere: ``no`` is in every text."""
_BLANKS: Final = "\ufeff \t\r\n"

# What is a secret by its own look, whatever stands before it.
_SHAPES: Final = re.compile(
    r"""
      ://[^/@:\s"']*:(?P<password>[^/\s"'<>]+)@                     # of a URL
    | ://(?P<user>[^/@:\s"'<>]{20,})@                                # a token in the user's place
    | (?:[?&]|&amp;|%3F|%26)code(?:=|%3D)(?P<code>[\w%=/+.~-]+)       # the key of an Azure function
    | \b(?:bearer|negotiate|sharedkey(?:lite)?)\s{1,8}(?P<bearer>[A-Za-z0-9._~+/=:-]{8,})
    | \bbasic\s{1,8}(?P<basic>[A-Za-z0-9+/]{6,}={0,2})
    | (?<![A-Za-z0-9_-])(?P<jwt>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)
    | (?P<pem>-----BEGIN\ [A-Z ]*PRIVATE\ KEY(?:\ BLOCK)?-----(?s:.*?)(?:-----END\ [A-Z ]*PRIVATE\ KEY|\Z))
    | (?<![A-Za-z0-9+/])(?P<storage>[A-Za-z0-9+/]{86}==)(?![=A-Za-z0-9+/])     # the key of an account
    | \b(?P<github>gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,})
    | \b(?P<aws>(?-i:(?:AKIA|ASIA)[A-Z0-9]{16}))\b                             # an access key's id
    | \b(?P<vendor>AIza[\w-]{35}|[rs]k_(?:live|test)_\w{16,}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{20,}
        |SG\.[\w-]{16,100}\.[\w-]{16,})
    | (?<![\w~.-])(?P<entra>[\w~.-]{3}\dQ~[\w~.-]{31,34})(?![\w~.-])           # of an app in Entra ID
    | (?<![\w-])(?:-u|--(?:proxy-)?user)(?:[ =]{1,4}|\\{0,8}["'],\s{0,4})\\{0,8}["']?[^\s:"']{0,200}:
        (?P<curl>[^\s"'\\]+)
    | (?<!\S)-u\w{1,64}\s{1,4}-p(?P<short>[^\s"']+)                        # of mysql's client and its like
    | (?<!\S)-p["'](?![/.$}{]|[\d,:-]+["'])(?P<quoted>[^\s"']{4,})
    | -pass(?:in|out|wd)?[ =]{1,4}["']?pass:(?P<openssl>[^\s"']+)
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_IS: Final = r"\s{0,4}(?:[:?+]?={1,3}>?|->|:|%(?:25){0,3}3[AD]|&\#(?:61|x3d);)\s{0,4}"
_QUOTE: Final = r"(?:\\{0,8}[\"'])?"
# A name and what leads from it to its value: "name": …, name=…, \"name\": …, name%3D…
_NAMED: Final = re.compile(rf"(?<![\w.$-])(?P<name>[\w.$-]+){_QUOTE}(?P<is>{_IS})", re.IGNORECASE | re.ASCII)
# <name>…, <ns:name type="…">…, &lt;name&gt;…
_TAG: Final = re.compile(
    r"(?:<|&lt;)(?:[\w.-]{1,60}:)?(?P<name>[\w.-]{1,100})(?:\s[^<>]{0,500}(?<!/))?(?P<is>>|&gt;)", re.ASCII
)
# <name>password</name><value>…
_TAGS: Final = re.compile(
    r"<(?:key|name)>\s{0,8}(?P<name>[\w.-]{1,100})\s{0,8}</(?:key|name)>\s{0,16}<\w{1,30}(?P<is>>)",
    re.IGNORECASE | re.ASCII,
)
# --password VALUE, "--password", "VALUE"
_OPTION: Final = re.compile(
    r"(?<![\w-])(?P<name>--?[A-Za-z][\w-]*)(?P<is>\s{1,4}(?![\s-])|\\{0,8}[\"'],\s{0,4}(?=\\{0,8}[\"']))",
    re.ASCII,
)
# ("name", "VALUE")
_TUPLE: Final = re.compile(
    rf"(?P<opens>[(\[])\s{{0,4}}b?{_QUOTE[:-1]}(?P<name>[\w.$-]{{1,100}}){_QUOTE[:-1]}"
    r"(?P<is>\s{0,4},\s{0,4})(?=b?\\{0,8}[\"'])",
    re.ASCII,
)
_TUPLE_ENDS: Final = re.compile(r"\\{0,8}[\"']\s{0,4}[)\]]")
# name<TAB>VALUE
_TAB: Final = re.compile(
    r"(?:(?<=\\[tnr])|(?<![\w.$\\-]))(?P<name>[\w.$-]+)(?P<is>(?:\t|\\t){1,8})(?=\S)", re.ASCII
)
# {"name": "DB_PASSWORD", "value": "…"}
_PAIR: Final = re.compile(
    rf"\b(?:name|key){_QUOTE}{_IS}{_QUOTE}(?P<name>[\w.$-]{{1,100}}){_QUOTE}(?:\s{{0,4}}[,;]\s{{0,16}}|\s{{1,16}})"
    rf"{_QUOTE}value{_QUOTE}(?P<is>{_IS})",
    re.IGNORECASE | re.ASCII,
)
_SAY_WHAT_IS: Final = ("=", ":", "->", "%", "&#")
#: With what a text has to have where one of them is in it: to look for that takes a fraction of the time.
_BEHIND_A_NAME: Final = (
    (_NAMED, _SAY_WHAT_IS),
    (_TAG, ("<", "&lt;")),
    (_TAGS, ("<",)),
    (_OPTION, ("-",)),
    (_TUPLE, ("(", "[")),
    (_TAB, ("\t", "\\t")),
    (_PAIR, _SAY_WHAT_IS),
)
_ESCAPED: Final = re.compile(r"^(?:25){0,3}[0-9A-F]{2}", re.IGNORECASE)
_OPENING: Final = re.compile(r"(?:[bru]{1,2}|[@$])?(?P<mark>\\{0,8}(?:\"\"\"|'''|[\"']))", re.IGNORECASE)
_CALLED: Final = re.compile(r"[\w.]{1,60}(?=\(\s{0,4}b?\\{0,8}[\"'])", re.ASCII)
_BLOCK: Final = re.compile(r"[|>][-+\d]{0,2}[ \t]*\r?\n(?P<lines>(?:[ \t]+[^\n]*(?:\n|\Z))+)")
_WITHIN: Final = re.compile(r"(?:\s{0,16}<(?:!\[CDATA\[|(?![/!])[^<>]{0,300}>)){0,5}\s*")
_QUOTED: Final = {quote: re.compile(rf"(?:[^{quote}\\\r\n]|\\.)*") for quote in "\"'"}
_BARE: Final = re.compile(r"(?:[^\s\"'<>,;&\\]|\\(?![\"'\\nrtu]))+")
_END_ESCAPED: Final = r"%(?:25){0,3}(?:26|3B|2C|22|27|20)"
_BARE_ESCAPED: Final = re.compile(rf"(?:(?!{_END_ESCAPED}){_BARE.pattern[:-1]})+", re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z]+[ \t]+")
_ERROR_CODE: Final = re.compile(r"[A-Za-z._/-]*\d{0,8}")
_FUNCTIONS: Final = re.compile(r"azurewebsites\.|azure-api\.|(?:/|%2F)api(?:/|%2F)", re.IGNORECASE)
_HEADS: Final = re.compile(r"[A-Z][A-Z ]*|[A-Z][a-z ]*")
_BRACKET: Final = re.compile(r"[{}\[\]()]")
_WORDS_OF_NO: Final = frozenset({"true", "false", "null", "none"})


def redact_text(text: str, most: int | None = None) -> str:
    """A text in which what looks like a secret reads ``***``: signatures, keys, passwords, tokens.

    The names are kept, so that one sees what was there. A text of more than ``most`` characters is cut, and
    says so.
    """
    shown = _cut(text, most or LONGEST_TEXT)
    end = "" if shown is text else f"… ({len(text):,} characters in all)"
    parts, done = [], 0
    for start, stop in _spans(shown):
        parts += [shown[done:start], HIDDEN]
        done = stop
    return f"{''.join(parts)}{shown[done:]}{end}"


def secrets_in(text: str) -> list[str]:
    """The parts of a text that look like secrets."""
    text = _cut(text, LONGEST_TEXT)
    return [text[start:stop] for start, stop in _spans(text)]


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


def _cut(text: str, most: int) -> str:
    """The text, or so much of it that no secret is cut in two: without the word that would be."""
    if len(text) <= most:
        return text
    end = max(text.rfind(blank, most - _LONGEST_WORD, most) for blank in " \n\t")
    return text[: end if end > 0 else most - _LONGEST_WORD]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text secrets stand, in order, none within another."""
    shown, places = seen(text)
    if may_hold_secret(shown):
        for start, stop in _merged(sorted([*_shaped(shown), *command_secrets(shown), *_named(shown)])):
            yield places[start], places[stop - 1] + 1


def _shaped(text: str) -> Iterator[tuple[int, int]]:
    for match in _SHAPES.finditer(text):
        kind = match.lastgroup or ""
        value = match[kind]
        if kind == "basic" and not _is_basic(value):
            continue
        if kind == "curl" and value.isdecimal():
            continue  # of a user and a group
        if kind == "code" and not _is_function_key(text, match):
            continue
        yield match.span(kind)


def _named(text: str) -> Iterator[tuple[int, int]]:
    """What stands behind a name that sounds secret."""
    for pattern, marks in _BEHIND_A_NAME:
        if not any(mark in text for mark in marks):
            continue
        done = 0  # what is hidden already is not looked at again: that keeps the time linear
        for match in pattern.finditer(text):
            if match.start() < done:
                continue
            name = match["name"]
            before = text[match.start("name") - 1 : match.start("name")]
            is_option = pattern is _OPTION and name.lstrip("-") in _OPTIONS
            is_variable = pattern is _NAMED and name.endswith("PASS") and match["is"] == "="
            if not (is_option or is_variable or _sounds_secret(name, before=before)):
                continue
            start, stop = _value_span(text, match.end(), name, match["is"])
            done = stop
            if stop > start and not _is_harmless(pattern, match, text, start, stop):
                yield start, stop


def _sounds_secret(name: str, *, before: str) -> bool:
    """``sounds_secret`` of a name that may begin with the end of an escape: ``%26``, a line's end in JSON."""
    if before == "%":
        name = _ESCAPED.sub("", name)
    return sounds_secret(name) or (before == "\\" and sounds_secret(name[1:]))


def _is_harmless(pattern: re.Pattern[str], match: re.Match[str], text: str, start: int, stop: int) -> bool:
    """Whether what seems to be a name's value is none."""
    value = text[start:stop]
    if pattern is _TUPLE:  # or of several names
        is_pair = match["opens"] == "(" or _TUPLE_ENDS.match(text, stop)
        return not is_pair or (value.isidentifier() and sounds_secret(value))
    if pattern is _TAB:  # the heads of a table
        heads = match["name"], value
        return all(map(_HEADS.fullmatch, heads)) and heads[0].isupper() == heads[1].isupper()
    return value.lower() in _WORDS_OF_NO or (match["name"].endswith("PASS") and value.isdecimal())


def _is_function_key(text: str, match: re.Match[str]) -> bool:
    """Whether the ``code`` of a URL is no error's."""
    if len(match["code"]) >= _SURELY_KEY or not _ERROR_CODE.fullmatch(match["code"]):
        return True
    url = text[max(0, match.start() - _LONGEST_URL) : match.start()].split()
    return bool(url) and not text[match.start() - 1].isspace() and _FUNCTIONS.search(url[-1]) is not None


def _value_span(text: str, start: int, name: str, way: str) -> tuple[int, int]:
    """From where to where a value reaches that begins there."""
    if way in (">", "&gt;"):
        start = _WITHIN.match(text, start).end()  # type: ignore[union-attr]
        mark = "&lt;" if way == "&gt;" else "]]>" if text.endswith("<![CDATA[", 0, start) else "<"
        end = text.find(mark, start)
        return start, end if end >= 0 else len(text)
    if text.startswith(HIDDEN, start):
        return start, start
    if opening := _OPENING.match(text, start):
        return _quoted_span(text, opening.end(), opening["mark"])
    if block := _BLOCK.match(text, start):
        return block.span("lines")
    called = _CALLED.match(text, start)
    if called or text[start : start + 1] in ("{", "[", "("):
        depth = 0
        for bracket in _BRACKET.finditer(text, called.end() if called else start):
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


def _quoted_span(text: str, start: int, mark: str) -> tuple[int, int]:
    if len(mark) > 1:
        ends = [place for place in (text.find(mark, start), text.find("\n", start)) if place >= 0]
        return start, min(ends, default=len(text))
    end = start
    while quoted := _QUOTED[mark].match(text, end):
        end = quoted.end()
        if text[end : end + 2] != mark * 2:  # a quote within, as SQL and shells write it
            break
        end += 2
    return start, end


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
