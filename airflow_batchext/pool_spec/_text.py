"""Turns the text of a pool document, JSON or YAML, into data, or says where the text is wrong.

A text may hold secrets, so an error says where and what, and never quotes it. What the parsers let pass
and a pool document must not have is found here: keys given twice, aliases that grow without end,
bottomless nesting, numbers that JSON cannot carry.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from airflow_batchext.loose_json.documents import kind_of, quote
from airflow_batchext.secrets.names import is_secret_member

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 64
_MAX_YAML_NODES = 20_000  # half a second of PyYAML; a pool document has a few hundred
_MAX_PARTS = 1_000
_LONGEST_NUMBER = 400
_TOO_DEEP = f"nests more than {_MAX_DEPTH} levels deep"
_NO_NUMBER = "a number that JSON cannot carry"


class DocumentSyntaxError(ValueError):
    """The text is no document in JSON or YAML. The message says where, and never quotes the text."""

    def __init__(self, source: str, problem: str, line: int, column: int) -> None:
        super().__init__(source, problem, line, column)
        self.source, self.problem, self.line, self.column = source, problem, line, column

    def __str__(self) -> str:
        """Which text, where in it, and what is wrong."""
        return f"{self.source}, line {self.line}, column {self.column}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Part:
    """What a text holds, or one of the YAML documents in it.

    :param value: the document, as plain data.
    :param place: the line and column where it begins, from 1.
    """

    value: Any
    place: tuple[int, int] = (1, 1)


class _Flaw(Exception):  # noqa: N818 - never leaves this module
    """What is wrong with a text, and where."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem, line, column)
        self.problem, self.line, self.column = problem, line, column


class _NotJSON(_Flaw):
    """Not JSON, so perhaps YAML."""


def parse_document(text: str, *, source: str) -> dict[str, Any]:
    """Read one pool document from JSON or YAML.

    :param text: the text; at most 1 MiB.
    :param source: what to call it in an error, such as the file's name. Only ``….json`` must be JSON.
    :raises DocumentSyntaxError: when it is neither, or not a mapping, gives a key twice, or says what
        JSON cannot (aliases, tags, NaN).
    """
    first, *others = parse_texts(text, source=source)
    if others:
        raise DocumentSyntaxError(source, "holds more than one YAML document", *others[0].place)
    if isinstance(first.value, dict):
        return first.value
    problem = "is empty" if first.value is None else f"is {kind_of(first.value)}, not a mapping"
    raise DocumentSyntaxError(source, problem, *first.place)


def parse_texts(text: str, *, source: str) -> list[Part]:
    """Read a text of JSON, or of one or several YAML documents, each of which may be any value.

    :param text: the text; at most 1 MiB.
    :param source: what to call it in an error, such as the file's name. Only ``….json`` must be JSON.
    :return: at least one part; of an empty text one without a value.
    :raises DocumentSyntaxError: as `parse_document` does.
    """
    body = text.removeprefix("\ufeff")
    try:
        if len(body.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
            raise _Flaw("is larger than 1 MiB", 1, 1)
        return _read(body, json_only=source.lower().endswith(".json"))
    except _Flaw as caught:
        flaw = caught
    # Raised out here, so that it drags no parser's error along: those hold the text.
    raise DocumentSyntaxError(source, flaw.problem, flaw.line, flaw.column)


def _read(body: str, *, json_only: bool) -> list[Part]:
    if not json_only and not body.lstrip().startswith(("{", "[")):
        return _read_yaml(body)
    try:
        return [Part(_read_json(body))]
    except _NotJSON as not_json:
        if json_only:
            raise
        try:
            return _read_yaml(body)
        except _Flaw:
            raise not_json from None


def _read_json(body: str) -> object:
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        # Of the parser's message only the fixed part; what follows a colon may quote the text.
        problem = f"not valid JSON ({error.msg.partition(':')[0]})"
        raise _NotJSON(problem, error.lineno, error.colno) from None
    except (ValueError, RecursionError):  # thousands of digits, or of brackets: the scan knows where
        with suppress(ValueError, IndexError):
            _scan_json(body)
        raise _Flaw("not valid JSON", 1, 1) from None
    _scan_json(body)
    return document


JSON_TOKEN = re.compile(
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>\s*:)?|(?P<open>[{\[])|(?P<close>[}\]])|(?P<other>[^\s,:{}\[\]"]+)',
    re.DOTALL,
)
"""The tokens of valid JSON that say something; ``colon`` makes a text the key of a member."""
_LITERALS = ("true", "false", "null")


def _scan_json(body: str) -> None:
    """Find in valid JSON what ``json.loads`` lets pass: keys given twice, depth, numbers beyond JSON."""
    levels: list[tuple[set[str], bool]] = []
    hidden = False  # whether the value that comes next lies below a secret member
    for token in JSON_TOKEN.finditer(body):
        if token["open"]:
            levels.append((set(), hidden))
            if len(levels) > _MAX_DEPTH:
                raise _Flaw(_TOO_DEEP, *_place(body, token.start()))
        elif token["close"]:
            levels.pop()
            hidden = bool(levels) and levels[-1][1]
        elif token["colon"]:
            key, (keys, below) = json.loads(token["string"]), levels[-1]
            if key in keys:
                raise _Flaw(_twice(key, hidden=below), *_place(body, token.start()))
            keys.add(key)
            hidden = below or is_secret_member(key)
        elif token["other"] and token[0] not in _LITERALS and not _is_number(token[0]):
            raise _Flaw(_NO_NUMBER, *_place(body, token.start()))


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST_NUMBER and math.isfinite(float(text))


def _place(body: str, offset: int) -> tuple[int, int]:
    return body.count("\n", 0, offset) + 1, offset - body.rfind("\n", 0, offset)


def _twice(key: str, *, hidden: bool) -> str:
    return "a key below a secret member is given twice" if hidden else f"the key {quote(key)} is given twice"


_TAG = "tag:yaml.org,2002:"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float")
_SCALARS = tuple(_TAG + name for name in ("str", "int", "float", "bool", "null"))


class _Loader(yaml.SafeLoader):
    """YAML that can say no more than JSON: no aliases (hence no bombs), no dates, no bottomless nesting."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _SCALARS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    depth = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse("YAML anchors and aliases are not taken; write the value out", event.start_mark)
        self.depth += 1
        self.nodes += 1
        if self.depth > _MAX_DEPTH:
            _refuse(_TOO_DEEP, event.start_mark)
        if self.nodes > _MAX_YAML_NODES:
            _refuse(f"holds more than {_MAX_YAML_NODES} keys and values", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _read_yaml(body: str) -> list[Part]:
    return [
        Part(None if node is None else _plain(loader, node, hidden=False), place)
        for loader, node, place in yaml_nodes(body)
    ]


def yaml_nodes(body: str) -> list[tuple[yaml.SafeLoader, yaml.Node | None, tuple[int, int]]]:
    """Compose the documents of a YAML text, each with the place where it begins; at least one."""
    loader: _Loader | None = None
    found: list[tuple[yaml.SafeLoader, yaml.Node | None, tuple[int, int]]] = []
    try:
        loader = _Loader(body)
        while loader.check_node():
            start: Any = loader.peek_event()  # type: ignore[no-untyped-call]
            if len(found) == _MAX_PARTS:
                _refuse(f"holds more than {_MAX_PARTS} YAML documents", start.start_mark)
            place = (start.start_mark.line + 1, start.start_mark.column + 1)
            found.append((loader, loader.get_node(), place))
    except yaml.MarkedYAMLError as error:
        _refuse("not valid YAML", error.problem_mark or error.context_mark)
    except yaml.reader.ReaderError as error:
        raise _Flaw("a character that YAML does not allow", *_place(body, error.position)) from None
    except (ValueError, RecursionError):
        _refuse("not valid YAML", loader.get_mark() if loader else None)
    return found or [(yaml.SafeLoader(""), None, (1, 1))]


def _plain(loader: yaml.SafeLoader, node: yaml.Node, *, hidden: bool) -> Any:
    """Turn a node into JSON-like data."""
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
        result: dict[str, Any] = {}
        for key_node, value in node.value:
            if key_node.tag != f"{_TAG}str" or not isinstance(key_node, yaml.ScalarNode):
                _refuse("a key that is no text (a template outside quotes looks so too)", key_node.start_mark)
            key = key_node.value
            if key in result:
                _refuse(_twice(key, hidden=hidden), key_node.start_mark)
            result[key] = _plain(loader, value, hidden=hidden or is_secret_member(key))
        return result
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
        return [_plain(loader, item, hidden=hidden) for item in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _SCALARS:
        _refuse("YAML tags are not taken", node.start_mark)
    if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:  # 1:1:1:… takes PyYAML quadratic time
        _refuse(_NO_NUMBER, node.start_mark)
    try:
        value = loader.construct_object(node)
    except (ValueError, KeyError):
        _refuse(_NO_NUMBER, node.start_mark)
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(_NO_NUMBER, node.start_mark)
    return value


def _refuse(problem: str, mark: Any) -> NoReturn:
    raise _Flaw(problem, *((mark.line + 1, mark.column + 1) if mark else (1, 1))) from None
