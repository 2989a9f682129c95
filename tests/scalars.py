"""Scalars as numpy has them, for where it is not installed: what one sees of them from outside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Scalar:
    """No number of Python's, but it has a kind, no dimensions, and gives one."""

    kind = ""
    shape = ()

    def __init__(self, value: Any) -> None:
        self._value = value
        self.dtype = SimpleNamespace(kind=self.kind)

    def item(self) -> Any:
        return self._value

    def __str__(self) -> str:
        return str(self._value)


class Whole(Scalar):
    kind = "i"

    def __init__(self, value: Any) -> None:
        super().__init__(int(value))


class Real(Scalar):
    kind = "f"

    def __init__(self, value: Any) -> None:
        super().__init__(float(value))


class bool_(Scalar):  # noqa: N801 - as numpy calls it
    kind = "b"

    def __init__(self, value: Any) -> None:
        super().__init__(bool(value))


int8 = int16 = int64 = uint16 = Whole
float32 = float64 = Real
