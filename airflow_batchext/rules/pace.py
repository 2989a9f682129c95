"""How long to wait between two looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_batchext.rules.gate import Verdict

_STILL_AFTER = 20
# When all was well but something moved meanwhile, so many looks follow one another as quickly as this.
_MOST_HURRIED = 3
_HURRIED_PAUSE = 5.0
_LONGEST_PAUSE = 300


class Pace:
    """What is remembered of the looks before, as far as it says how long to wait."""

    def __init__(self) -> None:
        self._last_summary = ""
        self._unread_looks = 0
        self._still_looks = 0
        self._moved_looks = 0

    def pause(self, interval: float, verdict: Verdict) -> float:
        """How long to wait for the next look, in seconds; never less than the service asks for.

        Shorter when the end is near, as all was well but for something that moved meanwhile; longer while
        nothing can be read, and while nothing moves and the end is far.

        :param interval: what the user asked for.
        :param verdict: what the last look came to.
        """
        self._unread_looks = self._unread_looks + 1 if verdict.unread else 0
        self._still_looks = self._still_looks + 1 if verdict.summary == self._last_summary else 0
        self._moved_looks = self._moved_looks + 1 if verdict.moved else 0
        self._last_summary = verdict.summary
        if 0 < self._moved_looks <= _MOST_HURRIED:
            return max(min(interval, _HURRIED_PAUSE), verdict.retry_after or 0.0)
        factor = 1
        if self._unread_looks > 1:
            factor = min(2 ** (self._unread_looks - 1), _LONGEST_PAUSE)
        elif self._still_looks >= _STILL_AFTER and verdict.far_from_ready:
            factor = 2
        return max(interval, min(interval * factor, _LONGEST_PAUSE), verdict.retry_after or 0.0)
