"""Reads the ``$filter`` of a list into a test of its items: the part of OData that Azure Batch documents.

``path eq 'value'`` and its kin, ``startswith``, ``and``, ``or``, ``not`` and parentheses. Text is compared
without regard to case, as the names and words of the service are; times are compared as times.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from airflow_batchext.emulator.wire.errors import RefusedError, bad_parameter, not_modelled

Kind = Literal["text", "time", "number", "boolean", "object"]
Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<time>datetime'[^']*')|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)(?![\w:-])"
    r"|(?P<word>[A-Za-z_][\w/.]*)|(?P<mark>[(),]))",
    re.IGNORECASE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_DEEPEST = 64
_DECIMALS = re.compile(r"\.(\d+)")


class _Token(NamedTuple):
    kind: str
    text: str


def read_filter(text: str, fields: Mapping[str, Kind]) -> Test:
    """The test that a filter describes; refused if the service would not understand it."""
    return _Parser(text, fields).whole()


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, Kind]) -> None:
        self._text = text
        self._fields = {name.casefold(): (name, kind) for name, kind in fields.items()}
        self._tokens = self._split()
        self._depth = 0

    def whole(self) -> Test:
        test = self._either()
        if self._tokens:
            raise self._bad(f"'{self._tokens[0].text}' is not expected")
        return test

    def _split(self) -> list[_Token]:
        tokens, position = [], 0
        rest = self._text.rstrip()
        while position < len(rest):
            match = _TOKEN.match(rest, position)
            if match is None or match.lastgroup is None:
                raise self._bad(f"it cannot be read from '{rest[position : position + 40]}' on")
            tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return tokens

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._bad("it nests too deep")
        test = self._below()
        self._depth -= 1
        return test

    def _below(self) -> Test:
        if self._take("not"):
            test = self._one()
            return lambda item: not test(item)
        if self._take("("):
            test = self._either()
            self._expect(")")
            return test
        token = self._next()
        if token.kind != "word":
            raise self._bad(f"a property is expected instead of '{token.text}'")
        if self._tokens and self._tokens[0].text == "(":
            return self._function(token.text)
        return self._comparison(token.text)

    def _function(self, name: str) -> Test:
        if name.casefold() != "startswith":
            raise not_modelled(f"the function '{name[:50]}' in a $filter")
        self._expect("(")
        path, kind = self._field(self._next().text)
        self._expect(",")
        start = self._value(kind)
        self._expect(")")
        if kind != "text" or not isinstance(start, str):
            raise self._bad("startswith is for text")
        return lambda item: str(_look_up(item, path) or "").casefold().startswith(start)

    def _comparison(self, name: str) -> Test:
        path, kind = self._field(name)
        word = self._next().text.lower()
        compare = _COMPARE.get(word)
        if compare is None:
            raise self._bad(f"'{word}' is not an operator")
        wanted = self._value(kind)
        if wanted is None and word not in ("eq", "ne"):
            raise self._bad("null has no order")

        def test(item: Mapping[str, Any]) -> bool:
            found = _comparable(_look_up(item, path), kind)
            if found is None or wanted is None:
                # Nothing is before or after what is not there.
                return word in ("eq", "ne") and compare(found is None, wanted is None)
            return compare(found, wanted)

        return test

    def _field(self, name: str) -> tuple[str, Kind]:
        if name.casefold() not in self._fields:
            raise self._bad(f"'{name[:100]}' is not a property that can be filtered by")
        return self._fields[name.casefold()]

    def _value(self, kind: Kind) -> Any:
        token = self._next()
        if token.kind == "word":
            constants = {"null": None, "true": True, "false": False}
            word = token.text.lower()
            if word in constants and (word == "null" or kind == "boolean"):
                return constants[word]
            raise self._bad(f"a value is expected instead of '{token.text[:50]}'")
        if kind == "number" and token.kind == "number":
            return float(token.text)
        if kind in ("text", "time") and token.kind in ("text", "time"):
            text = token.text[token.text.index("'") + 1 : -1].replace("''", "'")
            value = _comparable(text, kind)
            if value is not None:
                return value
        raise self._bad(f"{token.text[:50]} is not a value of the type {kind}")

    def _take(self, text: str) -> bool:
        if self._tokens and self._tokens[0].text.lower() == text and self._tokens[0].kind in ("word", "mark"):
            del self._tokens[0]
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._bad(f"'{text}' is missing")

    def _next(self) -> _Token:
        if not self._tokens:
            raise self._bad("it ends too early")
        return self._tokens.pop(0)

    def _bad(self, reason: str) -> RefusedError:
        return bad_parameter("$filter", self._text, f"The filter is not valid: {reason}")


def _look_up(item: Mapping[str, Any], path: str) -> Any:
    value: Any = item
    for step in path.split("/"):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _comparable(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind == "text":
        return str(value).casefold()
    if kind == "time":
        text = _DECIMALS.sub(lambda match: f".{match[1][:6]:0<6}", str(value)).replace("Z", "+00:00")
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            return None
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    return float(value) if kind == "number" else value
