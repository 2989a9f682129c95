"""What is told of one wait, kept from look to look: how it is now, and what has changed.

Pure: no I/O, no clock, no Airflow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_batchext.live.bounds import MOST_CHANGES, MOST_POINTS, thinned
from airflow_batchext.live.form import Change, Link, Picture, Point, RepairSaid, RepairStep
from airflow_batchext.live.pace import stale_at
from airflow_batchext.rules.told import causes_in, without_causes

if TYPE_CHECKING:
    from airflow_batchext.live.form import Outcome, Snapshot, WorkSaid
    from airflow_batchext.repair.status import Progress

# What two processes say of the beginning of one wait differs by what rounding makes of it.
_SAME_SECONDS = 1.0
# So far the clocks of two machines may be apart.
_CLOCKS_DIFFER_SECONDS = 60.0


class Story:
    """One wait.

    :param about: what is known of it before the first look.
    """

    def __init__(self, about: Snapshot) -> None:
        self._now = about
        # What each look tells anew; it is put in when somebody asks, as most looks are never written.
        self._latest: dict[str, Any] = {}
        self._draw: Callable[[], Picture] = Picture
        self._drawn_at = 0.0
        self._has_changed = True

    def sees(
        self,
        summary: str,
        reasons: tuple[str, ...],
        *,
        at: float,
        draw: Callable[[], Picture] | None = None,
        extensions: tuple[str, ...] = (),
        counts: tuple[int, int] | None = None,
    ) -> None:
        """Note what a look has come to.

        :param at: when it ended.
        :param draw: makes the picture when it is needed; None where nothing is known of nodes: then the
            last one holds, and grows older.
        :param counts: how many nodes are ready, and how many have failed; None where that is not known.
        """
        self._note(at, summary)
        points = self._now.points
        if counts is not None and (not points or (points[-1].ready, points[-1].failed) != counts):
            points = tuple(thinned([*points, Point(float(round(at)), *counts)], MOST_POINTS))
            self._now = replace(self._now, points=points)
            self._has_changed = True
        if draw is not None:
            self._draw, self._drawn_at = draw, at
        self._latest |= {"looked": at, "summary": summary, "reasons": reasons}
        if extensions:
            self._latest["extensions"] = extensions

    def sees_repair(self, progress: Progress | None) -> None:
        """Note how far a repair is; None where nothing is, or was, repaired."""
        if progress is not None:
            steps = tuple(
                RepairStep(action["node"], action["step"], action["for"], action["result"])
                for action in progress.actions
            )
            self._now = replace(self._now, repair=RepairSaid(progress.text, steps, progress.notes))

    def sees_work(self, work: WorkSaid) -> None:
        """Note how far the Batch tasks of an operator are."""
        self._has_changed |= work != self._now.work
        self._now = replace(self._now, work=work)

    def knows(self, *, account: str, portal: str) -> None:
        """Note what the connection tells."""
        links = (Link("Pool in the Azure portal", portal),) if portal else ()
        self._now = replace(self._now, account=account, links=links)

    def waits(self, at: float, pause: float) -> bool:
        """Note when the next look is; say whether anything has changed since this was asked last.

        :param at: now.
        :param pause: seconds until then.
        """
        changed, self._has_changed = self._has_changed, False
        self._latest |= {"next_look": at + pause, "stale_at": stale_at(at, pause)}
        return changed

    def ends(self, outcome: Outcome, text: str, at: float) -> None:
        """Note how it has ended.

        :param text: why, with the causes that are known.
        """
        reason = without_causes(text)
        causes, more = causes_in(text)
        self._note(at, reason)
        now = self._known()
        self._now = replace(
            now,
            outcome=outcome,
            summary=reason or now.summary,
            reasons=() if outcome == "done" else now.reasons or (reason,),
            causes=causes,
            more=more,
            next_look=None,
            stale_at=None,
        )

    def snapshot(self) -> Snapshot:
        """What is known now."""
        now = self._known()
        picture, late = self._draw(), round((now.looked or 0.0) - self._drawn_at)
        if late > 0 and picture.ages:
            picture = replace(picture, ages=tuple(age if age is None else age + late for age in picture.ages))
        return replace(now, picture=picture)

    def _known(self) -> Snapshot:
        """It but for the picture."""
        if self._latest:
            self._now, self._latest = replace(self._now, **self._latest), {}
        return self._now

    def _note(self, at: float, text: str) -> None:
        history = self._now.history
        if text and (not history or history[-1].text != text):
            self._now = replace(self._now, history=(*history, Change(round(at, 3), text))[-MOST_CHANGES:])
            self._has_changed = True


def continued(now: Snapshot, earlier: Snapshot | None, *, at: float, is_same: bool = False) -> Snapshot:
    """What is known now, with what an earlier process has told of the same wait.

    :param now: without ``started``, what kind of wait it is is known to the earlier process alone.
    :param at: when that is.
    :param is_same: whether it is known to be the same wait; else that is told by its beginning.
    """
    if earlier is None or earlier.pool != now.pool:
        return now
    earlier = _until(at, earlier)
    # A triggerer that takes over begins with what the worker had handed over.
    is_older = now.outcome == "waiting" and (now.looked or 0.0) < (earlier.looked or 0.0)
    if now.started is None or is_same:
        started = earlier.started or now.started
        now = replace(now, kind=earlier.kind, rules=earlier.rules, started=started)
    # The work behind a gate has the gate's beginning, and is another wait.
    elif earlier.kind != now.kind or abs((earlier.started or 0.0) - now.started) > _SAME_SECONDS:
        return now
    if is_older:
        return earlier
    return replace(
        _after(earlier, now),
        deadline=earlier.deadline if now.deadline is None else now.deadline,
        looked=earlier.looked if now.looked is None else now.looked,
        picture=now.picture if now.picture.fields else earlier.picture,
        reasons=now.reasons or earlier.reasons if now.outcome != "done" else (),
        extensions=now.extensions or earlier.extensions,
        repair=now.repair or earlier.repair,
        work=now.work or earlier.work,
        account=now.account or earlier.account,
        links=now.links or earlier.links,
    )


def remembered(now: Snapshot, earlier: Snapshot | None, *, at: float) -> Snapshot:
    """What a watcher knows now, with the past that an earlier process has told.

    Nothing else of it: a watcher never ends, so what somebody has edited would stay for ever.

    :param at: when that is.
    """
    if earlier is None or earlier.pool != now.pool:
        return now
    begun = [each for each in (earlier.started, now.started) if each is not None]
    return replace(_after(_until(at, earlier), now), started=min(begun, default=None))


def _until(at: float, told: Snapshot) -> Snapshot:
    """What was told, without what is of a later time: somebody has edited it, or a clock is wrong."""
    latest = at + _CLOCKS_DIFFER_SECONDS
    return replace(
        told,
        looked=None if (told.looked or 0.0) > latest else told.looked,
        history=tuple(change for change in told.history if change.at <= latest),
        points=tuple(point for point in told.points if point.at <= latest),
    )


def _after(earlier: Snapshot, now: Snapshot) -> Snapshot:
    """What is known now, with what was before."""
    # What this process has found as the earlier one had left it is no change.
    changes = [change for change in now.history if change not in earlier.history]
    points = [point for point in now.points if point not in earlier.points]
    if changes and earlier.history and changes[0].text == earlier.history[-1].text:
        del changes[0]
    if points and earlier.points and replace(points[0], at=earlier.points[-1].at) == earlier.points[-1]:
        del points[0]
    return replace(
        now,
        history=(*earlier.history, *changes)[-MOST_CHANGES:],
        points=tuple(thinned([*earlier.points, *points], MOST_POINTS)),
    )
