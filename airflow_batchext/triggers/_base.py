"""What the triggers share: they are declared, field by field, and serialize as they are declared."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from airflow_batchext.rules.deadline import Limit

_MARGIN_SECONDS = 600
#: Who says ``execution_timeout`` counts on Airflow's own clocks.
_SHORT_MARGIN_SECONDS = 60


def deferral_limit(deadline: float, limit: Limit) -> timedelta:
    """Airflow's own limit on a deferral: it comes after ours, so that ours can say what was seen last.

    :param deadline: ours, in seconds since the epoch.
    :param limit: what it comes from.
    """
    margin = _SHORT_MARGIN_SECONDS if limit.is_airflows else _MARGIN_SECONDS
    return timedelta(seconds=max(0.0, deadline - time.time()) + margin)


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
