"""Reads a document along its schema, and writes it back, in the spelling of either plane.

Secrets are dropped while reading, and members that the service alone writes are passed over; an unknown
member is refused, as the service does. What comes out is in the management plane's spelling.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, Literal

from airflow_batchext.emulator.documents.schema import READ_ONLY, SECRET, Enum, Leaf, Many, Member, Object
from airflow_batchext.emulator.wire.errors import RefusedError, refusal
from airflow_batchext.emulator.wire.http import Json, read_duration, write_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

Plane = Literal["management", "data"]

LONGEST = "P10675199DT2H48M5.4775807S"
"""The longest duration that .NET has, by which the service says that there is no limit."""
_ENTITIES = "Microsoft.Azure.Batch.Protocol.Entities"


class Reader:
    """Walks a document along the schema; what comes out is in the management plane's spelling."""

    def __init__(self, plane: Plane, text: str = "") -> None:
        """Read for a plane. ``text`` is the raw document, for the positions in errors."""
        self._plane = plane
        self._text = text

    def read(self, member: Member, value: Any, path: str) -> Any:
        """Read a value that the schema says to be a ``member``; refused if it is not."""
        if isinstance(member, Leaf):
            return self._leaf(member, value, path)
        if isinstance(member, Enum):
            return self._word(member, value, path)
        if isinstance(member, Many):
            if not isinstance(value, list):
                raise bad(path, "", "An array is expected", self._plane)
            return [self.read(member.of, item, f"{path}[{index}]") for index, item in enumerate(value)]
        return self._object(member, value, path)

    def _object(self, schema: Object, value: Any, path: str) -> Json:
        if not isinstance(value, dict):
            raise bad(path, "", "An object is expected", self._plane)
        read = {}
        names = {self._spelling(schema, name): name for name in schema.members}
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            if name not in names:
                raise self._unknown(schema, name, here)
            member = schema.members[names[name]]
            if item is None or member in (SECRET, READ_ONLY):
                continue
            read[names[name]] = self.read(member, item, here)
        for name in schema.required:
            if name not in read:
                spelling = self._spelling(schema, name)
                raise missing(f"{path}.{spelling}" if path else spelling, self._plane)
        # Answers come in the order of the schema, whatever the order of the request.
        return {name: read[name] for name in schema.members if name in read}

    def _spelling(self, schema: Object, name: str) -> str:
        return name if self._plane == "management" else schema.data_names.get(name, name)

    def _unknown(self, schema: Object, name: str, path: str) -> RefusedError:
        if self._plane == "data":
            reason = (
                f"The property '{name}' does not exist on type '{_ENTITIES}.{schema.name}'. "
                "Make sure to only use property names that are defined by the type."
            )
            return refusal("InvalidRequestBody", Reason=reason)
        line, position = _position(self._text, name)
        return refusal(
            "InvalidRequestBody",
            message=f"Could not find member '{name}' on object of type '{schema.name}'. "
            f"Path '{path}', line {line}, position {position}.",
        )

    def _leaf(self, leaf: Leaf, value: Any, path: str) -> Any:
        kind = leaf.kind
        if kind == "any":
            return copy.deepcopy(value)
        if kind in ("duration", "span"):
            duration = read_duration(value) if isinstance(value, str) else None
            if duration is None:
                raise bad(path, value, "An ISO 8601 duration is expected", self._plane)
            if kind == "duration":
                return duration
            return LONGEST if value == LONGEST else write_duration(duration)
        good = {
            "text": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
        }[kind]
        if not good:
            raise bad(path, value, f"A value of type {kind} is expected", self._plane)
        return value

    def _word(self, enum: Enum, value: Any, path: str) -> str:
        if isinstance(value, str):
            for word in enum.words:
                if word.casefold() == value.casefold():
                    return word
        raise bad(path, value, f"One of {', '.join(enum.words)} is expected", self._plane)


def _position(text: str, member: str) -> tuple[int, int]:
    match = re.search(rf'"{re.escape(member)}"\s*:', text)
    if match is None:
        return 1, 0
    before = text[: match.end()]
    return before.count("\n") + 1, match.end() - (before.rfind("\n") + 1)


def _values(path: str, plane: Plane) -> Iterator[tuple[str, str]]:
    yield "PropertyName", re.sub(r"\[\d+\]$", "", path.rsplit(".", 1)[-1])
    if plane == "management":
        yield "PropertyPath", path


def missing(path: str, plane: Plane) -> RefusedError:
    """Refuse a document that lacks a member."""
    return refusal("MissingRequiredProperty", values=dict(_values(path, plane)))


def bad(path: str, value: object, reason: str, plane: Plane) -> RefusedError:
    """Refuse a value."""
    # Only plain values are shown: anything larger might hold a secret.
    shown = str(value)[:1000] if isinstance(value, (str, int, float)) else ""
    values = {**dict(_values(path, plane)), "PropertyValue": shown, "Reason": reason}
    return refusal("InvalidPropertyValue", values=values)


# --- writing -----------------------------------------------------------------------------------------------


def write(member: Member, value: Any, plane: Plane) -> Any:
    """Write a value that was read, in the spelling of a plane."""
    if isinstance(member, Object):
        names = member.data_names if plane == "data" else {}
        return {
            names.get(name, name): write(of, value[name], plane)
            for name, of in member.members.items()
            if name in value
        }
    if isinstance(member, Many):
        return [write(member.of, item, plane) for item in value]
    if isinstance(member, Enum):
        return member.words[value] if plane == "data" else value
    return copy.deepcopy(value) if isinstance(value, (dict, list)) else value
