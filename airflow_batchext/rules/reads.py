"""What the rules ask somebody else to read, and how that is answered.

Pure: data only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from airflow_batchext.batch.data_plane import Extension, Node, Pool


@dataclass(frozen=True, slots=True)
class ReadPool:
    """Asks for the pool; answered by a ``Pool`` or a ``Problem``."""


@dataclass(frozen=True, slots=True)
class ReadNodes:
    """Asks for the pool's whole node list; answered by a sequence of ``Node`` or a ``Problem``."""


@dataclass(frozen=True, slots=True)
class ReadExtensions:
    """Asks for the extensions of these nodes; answered by a mapping from node id to what was found.

    Each value is a sequence of ``Extension`` or a ``Problem``.
    """

    node_ids: tuple[str, ...]


class ProblemKind(str, Enum):
    """Why something was not read or done, as far as the gate or a repair tells the cases apart."""

    REFUSED = "refused"
    """Sign-in or permission."""
    MISSING = "missing"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    PASSING = "passing"
    """What was to be done may have been done all the same."""
    LATE = "late"
    """The deadline has passed: it was not asked for any more, or the answer was not waited for."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was not read or not done. ``retry_after`` is what the service asked for, in seconds."""

    kind: ProblemKind
    text: str
    retry_after: float | None = None
    code: str = ""

    @property
    def may_pass(self) -> bool:
        """Whether the same may be read or done later."""
        return self.kind not in (ProblemKind.REFUSED, ProblemKind.MISSING)

    @property
    def says_nothing(self) -> bool:
        """Whether it says nothing of the thing itself: what was known of that still holds."""
        return self.kind in (ProblemKind.PASSING, ProblemKind.LATE)


TOO_LATE = Problem(ProblemKind.LATE, "the deadline has passed")
"""The answer to whatever is asked for after the deadline."""

Read = ReadPool | ReadNodes | ReadExtensions
NodeAnswer = Sequence[Extension] | Problem
Answer = Pool | Sequence[Node] | Mapping[str, NodeAnswer] | Problem
