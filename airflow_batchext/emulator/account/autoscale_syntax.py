"""Reads an autoscale formula into a tree. What the formula means is none of its business.

The language is a small one: statements that end in semicolons, assignments, arithmetic, comparisons, ``&&``,
``||``, ``!``, the conditional ``a ? b : c``, calls of functions and of methods, and comments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<name>\$?[A-Za-z_][A-Za-z0-9_]*)
    |(?P<text>"[^"\n]*")
    |(?P<sign>&&|\|\||==|!=|<=|>=|[-+*/<>=!?:;,.()])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_DEEPEST = 30


class FormulaSyntaxError(Exception):
    """The formula cannot be read. Its text names the place."""


@dataclass(frozen=True)
class Place:
    """Where something stands in a formula."""

    line: int
    column: int

    def __str__(self) -> str:
        """Write it as the service does in its messages."""
        return f"Line {self.line}, Col {self.column}"


@dataclass(frozen=True)
class Node:
    """A part of a formula: ``kind`` says which, ``name`` what it is called, ``parts`` what it is made of."""

    kind: str
    place: Place
    name: str = ""
    parts: tuple[Node, ...] = ()
    number: float = 0.0


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    place: Place


def parse(formula: str) -> tuple[Node, ...]:
    """The statements of a formula; FormulaSyntaxError if it is none."""
    return _Parser(_tokens(formula)).statements()


def _tokens(formula: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(formula):
        match = _TOKEN.match(formula, at)
        place = _place(formula, at)
        if match is None:
            raise FormulaSyntaxError(f"{place}: Unexpected character: {formula[at]}")
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, match[0], place))
        at = match.end()
    tokens.append(_Token("end", "the end of the formula", _place(formula, at)))
    return tokens


def _place(formula: str, at: int) -> Place:
    before = formula[:at]
    return Place(before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def statements(self) -> tuple[Node, ...]:
        found = []
        while self._here.kind != "end":
            if not self._skip(";"):
                found.append(self._statement())
                if self._here.kind != "end":
                    self._expect(";")
        return tuple(found)

    def _statement(self) -> Node:
        here = self._here
        if here.kind == "name" and self._tokens[self._at + 1].text == "=":
            self._at += 2
            return Node("assign", here.place, here.text, (self._expression(),))
        return self._expression()

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FormulaSyntaxError(f"{self._here.place}: The formula is nested too deeply")
        condition = self._binary(0)
        if self._skip("?"):
            yes = self._expression()
            self._expect(":")
            condition = Node("choose", condition.place, parts=(condition, yes, self._expression()))
        self._depth -= 1
        return condition

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._here.kind == "sign" and self._here.text in _LEVELS[level]:
            sign = self._next()
            left = Node("binary", sign.place, sign.text, (left, self._binary(level + 1)))
        return left

    def _unary(self) -> Node:
        signs = []
        while self._here.kind == "sign" and self._here.text in ("-", "!"):
            signs.append(self._next())
        found = self._postfix()
        for sign in reversed(signs):
            found = Node("unary", sign.place, sign.text, (found,))
        return found

    def _postfix(self) -> Node:
        found = self._primary()
        while self._skip("."):
            member = self._next()
            if member.kind != "name":
                raise self._unexpected(member)
            if self._skip("("):
                found = Node("method", member.place, member.text, (found, *self._arguments()))
            else:
                found = Node("member", member.place, member.text, (found,))
        return found

    def _primary(self) -> Node:
        token = self._next()
        if token.kind == "number":
            return Node("number", token.place, number=float(token.text))
        if token.kind == "text":
            return Node("text", token.place, token.text[1:-1])
        if token.kind == "name":
            if self._skip("("):
                return Node("call", token.place, token.text, self._arguments())
            return Node("name", token.place, token.text)
        if token.text == "(":
            found = self._expression()
            self._expect(")")
            return found
        raise self._unexpected(token)

    def _arguments(self) -> tuple[Node, ...]:
        if self._skip(")"):
            return ()
        found = [self._expression()]
        while self._skip(","):
            found.append(self._expression())
        self._expect(")")
        return tuple(found)

    @property
    def _here(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._here
        if token.kind != "end":
            self._at += 1
        return token

    def _skip(self, sign: str) -> bool:
        if self._here.kind == "sign" and self._here.text == sign:
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._unexpected(self._here, f", '{sign}' is expected")

    def _unexpected(self, token: _Token, hint: str = "") -> FormulaSyntaxError:
        return FormulaSyntaxError(f"{token.place}: Unexpected: {token.text}{hint}")
