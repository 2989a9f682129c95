"""What the extensions of a node show, as a pure function of time and of the node's boots.

An extension starts with its machine, or when all that it comes after have succeeded; it ends as its run
says, unless a test or a user has said otherwise meanwhile. An automatic upgrade sends one that has succeeded
back to ``updating`` for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_batchext.emulator.scenario import ExtensionRun, Outcome, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from airflow_batchext.emulator.account.lifecycle import NodeNow


@dataclass(frozen=True, slots=True)
class ExtensionNow:
    """An extension as it is at one time. ``outcome`` None: it is not done yet."""

    outcome: Outcome | None
    since: datetime
    waits_for: tuple[str, ...] = ()
    is_updating: bool = False
    """It had succeeded, and an upgrade is on its way."""
    code: str | None = None
    message: str | None = None
    is_untold: bool = False
    """The machine is so new that it says nothing of it yet."""


@dataclass(frozen=True, slots=True)
class Override:
    """A test's or a user's word about one extension of a living node, from now until its next boot."""

    at: datetime
    run: ExtensionRun
    is_upgrade: bool = False
    """It is upgraded: ``updating`` for the run's seconds, then succeeded again."""


def extensions_at(
    node: NodeNow,
    wanted: Sequence[tuple[str, Sequence[str]]],
    run_of: Callable[[str], ExtensionRun],
    overrides: Mapping[str, Override],
) -> dict[str, ExtensionNow]:
    """Every extension of a node, in the order of ``wanted``: pairs of a name and what it comes after.

    An extension starts when the machine does, or when all that it comes after have succeeded. Behind one that
    failed, hangs, does not exist or waits for it in turn, it waits in ``transitioning`` for ever.
    """
    boot = _Boot(node, {name.casefold(): (name, after) for name, after in wanted}, run_of, overrides)
    shown = {name: boot.now(name) for name, _ in wanted}
    return {name: now for name, now in shown.items() if now is not None}


class _Boot:
    """The extensions of one boot of one node."""

    def __init__(
        self,
        node: NodeNow,
        wanted: dict[str, tuple[str, Sequence[str]]],
        run_of: Callable[[str], ExtensionRun],
        overrides: Mapping[str, Override],
    ) -> None:
        self._node = node
        self._wanted = wanted
        self._run_of = run_of
        self._overrides = {
            name: override
            for name, override in overrides.items()
            if node.booted <= override.at <= node.extensions_as_of
        }
        self._successes: dict[str, datetime | None] = {}

    def now(self, name: str) -> ExtensionNow | None:
        """What it shows now, or None if the node does not list it any more."""
        as_of = self._node.extensions_as_of
        override = self._overrides.get(name)
        if override is not None:
            run, end = override.run, override.at
            if override.is_upgrade:
                return self._upgraded(end, run.seconds)
            outcome = None if run.outcome == "hang" else run.outcome
            return ExtensionNow(outcome, end, code=run.code, message=run.message)
        boot = self._node.boot
        if boot.is_new and as_of < self._node.booted + seconds(boot.scenario.timings.reporting):
            return ExtensionNow(None, self._node.booted, is_untold=True)
        _, after = self._wanted[name.casefold()]
        waits_for = tuple(other for other in after if not self._has_succeeded(other, as_of))
        start = self._start(name)
        if waits_for or start is None:
            return ExtensionNow(None, self._node.booted, waits_for=waits_for)
        run = self._run_of(name)
        end = start + seconds(run.seconds)
        if run.gone_after is not None and start + seconds(run.gone_after) <= as_of:
            return None
        if run.outcome == "hang":
            return ExtensionNow(None, start, message=run.message)
        if end > as_of:
            return ExtensionNow(None, start)
        if run.upgrade_after is not None:
            upgrade = end + seconds(run.upgrade_after)
            if upgrade <= as_of:
                return self._upgraded(upgrade, run.upgrade_seconds)
        if run.flap_every is not None:
            turns = (as_of - end) // seconds(run.flap_every)
            end += turns * seconds(run.flap_every)
            if turns % 2:
                return ExtensionNow(None, end)
        return ExtensionNow(run.outcome, end, code=run.code, message=run.message)

    def _upgraded(self, at: datetime, length: float) -> ExtensionNow:
        end = at + seconds(length)
        if end > self._node.extensions_as_of:
            return ExtensionNow(None, at, is_updating=True)
        return ExtensionNow("succeed", end)

    def _has_succeeded(self, name: str, as_of: datetime) -> bool:
        success = self._success(name)
        return success is not None and success <= as_of

    def _start(self, name: str) -> datetime | None:
        _, after = self._wanted[name.casefold()]
        times = [self._success(other) for other in after]
        if None in times:
            return None
        return max((time for time in times if time is not None), default=self._node.booted)

    def _success(self, name: str) -> datetime | None:
        """When it succeeds in this boot, or None if it never does."""
        key = name.casefold()
        if key not in self._wanted:
            return None
        if key not in self._successes:
            # For the time being: whoever waits for itself in a circle never starts.
            self._successes[key] = None
            self._successes[key] = self._compute_success(self._wanted[key][0])
        return self._successes[key]

    def _compute_success(self, name: str) -> datetime | None:
        start, run = self._start(name), self._run_of(name)
        natural = start + seconds(run.seconds) if start and run.outcome == "succeed" else None
        override = self._overrides.get(name)
        if override is None or (natural is not None and natural <= override.at):
            return natural
        return override.at if override.run.outcome == "succeed" else None
