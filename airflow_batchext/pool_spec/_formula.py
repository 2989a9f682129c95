"""Reads an autoscale formula, and says where it breaks off. What it comes to only the service knows.

The emulator has a reader of its own, so that one misreading cannot hide the other; a test with generated
formulas holds that both take the same.

Source: https://learn.microsoft.com/azure/batch/batch-automatic-scaling
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"(?P<blank>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
    r"|(?P<name>\$?[A-Za-z_]\w*)"
    r'|(?P<text>"[^"\n]*")'
    r"|(?P<sign>&&|\|\||[=!<>]=|[-+*/<>=!?:;,.()])",
    re.DOTALL | re.ASCII,
)
_OPERATORS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a formula, from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        """The place in words."""
        return f"line {self.line}, column {self.column}"


class FormulaError(ValueError):
    """The formula breaks off. ``problem`` says how, ``place`` where."""

    def __init__(self, problem: str, place: Place) -> None:
        super().__init__(problem, place)
        self.problem, self.place = problem, place


@dataclass(slots=True)
class Formula:
    """The names in a formula, in the order in which they stand there.

    :param reads: variables that are read, each with whether it was assigned before.
    :param assigns: variables that are assigned.
    :param calls: functions, each with the number of its arguments.
    :param methods: methods, each with the variable that it is called on ("" for anything else).
    :param members: parts that are read of a value, such as ``time().weekday``.
    :param statements: how many statements there are.
    """

    reads: list[tuple[str, bool, Place]] = field(default_factory=list)
    assigns: list[tuple[str, Place]] = field(default_factory=list)
    calls: list[tuple[str, int, Place]] = field(default_factory=list)
    methods: list[tuple[str, str, Place]] = field(default_factory=list)
    members: list[tuple[str, Place]] = field(default_factory=list)
    statements: int = 0


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def read_formula(text: str) -> Formula:
    """Read a formula.

    :raises FormulaError: if it is none.
    """
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._next = 0
        self._depth = 0
        self._found = Formula()

    def read(self) -> Formula:
        while self._here.kind != "end":
            if self._skip(";"):
                continue
            self._statement()
            self._found.statements += 1
            if self._here.kind != "end" and not self._skip(";"):
                raise self._break("a semicolon is missing before it", self._here)
        return self._found

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise FormulaError(f"{self._text[at]!r} has no meaning in a formula", self._place(at))
            if match.lastgroup != "blank":
                yield _Token(match.lastgroup or "", match[0], at)
            at = match.end()
        yield _Token("end", "", at)

    def _statement(self) -> None:
        target = self._here
        if target.kind == "name" and self._tokens[self._next + 1].text == "=":
            self._next += 2
            self._expression()
            self._found.assigns.append((target.text, self._place(target.at)))
        else:
            self._expression()

    def _expression(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._break("it is nested too deeply", self._here)
        self._binary(0)
        if self._skip("?"):
            self._expression()
            self._close(":")
            self._expression()
        self._depth -= 1

    def _binary(self, level: int) -> None:
        below: Callable[[], None] = (
            self._unary if level + 1 == len(_OPERATORS) else lambda: self._binary(level + 1)
        )
        below()
        while self._here.kind == "sign" and self._here.text in _OPERATORS[level]:
            self._next += 1
            below()

    def _unary(self) -> None:
        while self._here.kind == "sign" and self._here.text in ("-", "!"):
            self._next += 1
        subject = self._primary()
        while self._skip("."):
            member = self._take()
            if member.kind != "name":
                raise self._break("the name of a method is missing", member)
            if self._skip("("):
                self._found.methods.append((member.text, subject, self._place(member.at)))
                self._arguments()
            else:
                self._found.members.append((member.text, self._place(member.at)))
            subject = ""

    def _primary(self) -> str:
        """Read one value; return the name of a variable, "" for anything else."""
        token = self._take()
        if token.kind in ("number", "text"):
            return ""
        if token.kind == "name":
            if self._skip("("):
                count = self._arguments()
                self._found.calls.append((token.text, count, self._place(token.at)))
                return ""
            assigned = any(token.text == name for name, _ in self._found.assigns)
            self._found.reads.append((token.text, assigned, self._place(token.at)))
            return token.text
        if token.text == "(":
            self._expression()
            self._close(")")
            return ""
        raise self._break("a value is missing", token)

    def _arguments(self) -> int:
        if self._skip(")"):
            return 0
        count = 1
        self._expression()
        while self._skip(","):
            self._expression()
            count += 1
        self._close(")")
        return count

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._here
        if token.kind != "end":
            self._next += 1
        return token

    def _skip(self, sign: str) -> bool:
        if self._here.kind == "sign" and self._here.text == sign:
            self._next += 1
            return True
        return False

    def _close(self, sign: str) -> None:
        if not self._skip(sign):
            raise self._break(f"{sign!r} is missing", self._here)

    def _break(self, problem: str, token: _Token) -> FormulaError:
        where = f"at {token.text[:32]!r}" if token.text else "at its end"
        return FormulaError(f"{problem} {where}", self._place(token.at))

    def _place(self, at: int) -> Place:
        return Place(self._text.count("\n", 0, at) + 1, at - self._text.rfind("\n", 0, at))
