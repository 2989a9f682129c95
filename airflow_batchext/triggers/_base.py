"""What the triggers share: they are declared, field by field, and serialize as they are declared."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from airflow.triggers.base import BaseTrigger


@dataclass(kw_only=True, eq=False)
class DeclaredTrigger(BaseTrigger):
    """A trigger whose arguments are dataclass fields.

    All that a subclass needs to go on in another triggerer is in these fields; deadlines are moments, not
    durations.
    """

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments from which a triggerer makes this trigger again.

        What has its default is left out.
        """
        kind = type(self)
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        defaults = {field.name: field.default for field in fields(self)}
        return (
            f"{kind.__module__}.{kind.__qualname__}",
            {name: value for name, value in given.items() if value != defaults[name]},
        )
