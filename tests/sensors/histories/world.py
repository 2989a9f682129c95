"""A history as it happens: simulated time, what is done to the pool, and the judgement of every look.

The emulator's clock stands still and is moved by who waits: the sensor's and the trigger's pauses, each
answer that is under way, the scheduler. What is due meanwhile happens at its time. A look in which nothing
failed and nothing moved has to come to the verdict that is true then; of any other look, whatever was true at
some moment of it will do, and to wait is always right.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.faults import read_fault
from airflow_batchext.emulator.wire.errors import RefusedError
from tests.sensors.histories.drawing import HARMLESS, Happening, History
from tests.sensors.histories.truth import Truth, shown_now, truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_batchext.emulator.account.account import Account

#: The longest pause that a gate makes of its own accord, the jitter on it, and what whole seconds cost.
LONGEST_PAUSE, JITTER, _ROUNDING = 300.0, 1.1, 1.5
#: A failed extension is noticed in this time; the last look tells all that is missing of a pool of this size.
NOTICE, SMALL = 300.0, 16
#: Between two looks at pool and node list there are at most so many glances, in so many seconds.
GLANCES, _GLANCING = 3, 120.0
#: The pause after a look in which something moved at the last moment.
_HURRIED = 5.0
_MOST_PAUSES = 3000


class WrongError(AssertionError):
    """The gate did what it must not do."""


class _Told:
    """A text that is made only where somebody is told it: most looks are right."""

    def __init__(self, tell: Callable[[], str]) -> None:
        self._tell = tell

    def __str__(self) -> str:
        return self._tell()


class Pool:
    """The pool of a history in some account, to which things happen as its clock goes on."""

    def __init__(self, account: Account, history: History, pool_id: str) -> None:
        self.account, self.pool_id = account, pool_id
        account.scenario = Scenario.load(history.scenario)
        # On a full hour, so that no fraction of a second depends on what was played before.
        account.clock.advance(3600 - account.clock.now().timestamp() % 3600)
        account.create_pool(pool_id, read_management(history.document))
        self.born = account.clock.now()
        self._to_come = list(history.happenings)

    def now(self) -> float:
        """The service's time, in seconds since the epoch."""
        return self.account.clock.now().timestamp()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due happen at its time."""
        # Never less than was asked for: who waits until a moment has to come there.
        end = self.account.clock.now() + timedelta(microseconds=math.ceil(max(seconds, 0.0) * 1e6))
        while self._to_come and self.born + timedelta(seconds=self._to_come[0].at) <= end:
            happening = self._to_come.pop(0)
            self._advance_to(self.born + timedelta(seconds=happening.at))
            self.let(happening)
        self._advance_to(end)

    def let(self, happening: Happening) -> None:
        """Let it happen now."""
        what = happening.what
        if what == "mend":
            rules = [rule.model_copy(update={"resize_error": None}) for rule in self.account.scenario.pools]
            self.account.scenario = self.account.scenario.model_copy(update={"pools": rules})
            what = "resize_pool"
        with suppress(RefusedError):  # the node or the pool is not there, or busy with something else
            getattr(self.account, what)(self.pool_id, **happening.words)

    def _advance_to(self, moment: datetime) -> None:
        clock = self.account.clock
        clock.advance(max(0.0, (moment - clock.now()).total_seconds()))


class World(Pool):
    """The pool of a history in the emulator, and the judge of the gate that looks at it in some mode."""

    def __init__(self, emulator: Emulator, history: History, mode: str) -> None:
        emulator.faults.clear()
        emulator.faults.fired.clear()
        emulator.requests.clear()
        super().__init__(emulator.account, history, f"h{history.seed}-{mode}")
        self.emulator, self.history, self.mode = emulator, history, mode
        self.gate = history.gate
        self.is_lenient = bool({"soft_fail", "never_fail"} & self.gate.keys())
        self.lock = threading.RLock()
        self.pass_time(history.starts)
        self.set_at = self.started = self.now()
        self.deadline = self.set_at + float(self.gate["timeout"])
        self.is_in_triggerer = False
        self.life: Any = None
        self.known: datetime | None = None
        """When the pool was created that the gate knows for sure; what it perhaps knows is ``_first``."""
        here = self.account.find(self.pool_id)
        self._first = here.created if here else None
        self._failing_since: float | None = None
        self._retry_after, self._has_looked, self._was_still = 0.0, False, True
        self._glances, self._last_whole, self._longest_look = 0, self.now(), 0.25
        self._pauses, self.looks, self.clean_looks = 0, 0, 0
        self._ambush = history.ambush
        emulator.faults.add(*(read_fault(fault) for fault in history.faults))
        self.begin_look()

    def close(self) -> None:
        """Leave nothing behind."""
        self.emulator.faults.clear()
        self.account.scenario = Scenario()
        pool = self.account.find(self.pool_id)
        if pool is not None and pool.deleted is None:
            self.account.delete_pool(self.pool_id, at_once=True)

    # --- the worker's clock --------------------------------------------------------------------------------

    def client_time(self) -> float:
        """The time by the clock of the machine on which the gate runs."""
        return self.now() + self.history.skew

    def utcnow(self) -> datetime:
        """The same as Airflow wants it."""
        return datetime.fromtimestamp(self.client_time(), UTC)

    def answered(self) -> None:
        """An answer has come; time may have passed while it was under way."""
        with self.lock:
            self._answers += 1
            if not self._is_moving:
                return
            self._sample()
            self._served = len(self._samples)
            if self._ambush and self._was_well and self._answers >= self._ambush[0]:
                self.let(self._ambush[1])
                self._ambush = None
            self.pass_time(self.history.answer_seconds)
            self._sample()

    def pause(self, seconds: float) -> None:
        """The look has ended, and the gate waits so many seconds for the next one. Lets no time pass."""
        self.end_look("wait")
        self._pauses += 1
        now, interval = self.now(), float(self.gate["poke_interval"])
        until = now + seconds
        told = f"a pause of {seconds:g} s, {now - self.set_at:g} s after the gate was set: {self.gate}"
        if self._pauses > _MOST_PAUSES:
            raise WrongError("it hangs")
        if now > self.deadline + _ROUNDING and seconds:
            raise WrongError(f"waits on after its deadline: {told}")
        if seconds and until > self.deadline + (_ROUNDING if self.mode == "reschedule" else 0.01):
            raise WrongError(f"its last look comes after the deadline: {told}")
        hurries = not self._was_still and self.mode != "reschedule"
        least = max(min(interval, _HURRIED) if hurries else interval, self._retry_after - _ROUNDING)
        # The last look begins so early that it is over by the deadline; after it, the deadline is waited for.
        is_last = until > self.deadline - self._longest_look - 0.01
        if self._has_looked and seconds < least - 0.01 and not is_last:
            raise WrongError(f"looks sooner than after {least:g} s: {told}")
        self._has_looked = False
        if seconds > JITTER * max(interval, LONGEST_PAUSE, self._retry_after) + 0.01:
            raise WrongError(f"waits too long: {told}")

    # --- looks ---------------------------------------------------------------------------------------------

    def begin_look(self) -> None:
        """What is read from now on is one look."""
        self._is_looking = True
        self._look_began = self.now()
        self._samples: list[list[tuple[Truth, Truth]]] = []
        self._requests, self._fired = len(self.emulator.requests), len(self.emulator.faults.fired)
        self._sample()
        self._was_well = self._samples[0][0][0].outcome == "open"
        self._answers, self._served = 0, 1
        self._is_moving = bool(self.history.answer_seconds or self._ambush)

    def end_look(self, outcome: str, text: str = "", report: dict[str, Any] | None = None) -> None:
        """The look, if there was one, came to this: ``wait``, ``timeout``, ``open`` or ``failed``."""
        if not self._is_looking:
            return  # what was still under way when the triggerer died is no look
        self._sample()
        when = f"{self.now() - self.set_at:g} s after the gate was set"
        told = _Told(lambda: f"{outcome} {when}, {text!r}, {report or ''}")
        self._longest_look = max(self._longest_look, self.now() - self._look_began)
        if len(self.emulator.requests) == self._requests:
            if outcome != "wait" and not (outcome == "timeout" and self.looks):
                raise WrongError(f"without a look: {told}")
            return
        self.looks += 1
        self._has_looked = True
        every = [truth for sample in self._samples for pair in sample for truth in pair]
        told = _Told(lambda: f"{outcome} {when}, {text!r}, {report or ''}; true is {set(map(str, every))}")
        if outcome == "timeout" and self.now() < self.deadline - 0.01:
            raise WrongError(f"gave up early: {told}")
        if outcome == "open":
            # Pool and nodes are read once more at last: they have to be well at the moment of the former.
            last = [pair for sample in self._samples[max(self._served - 3, 0) :] for pair in sample]
            if not any(true.outcome == "open" for pair in last for true in pair):
                raise WrongError(f"opened early: {told}")
            if report is not None and not any(set(report["nodes"]) == true.nodes for true in every):
                raise WrongError(f"reported other nodes: {told}")
        if outcome == "failed" and not any(_names(text, words) for true in every for words in true.failures):
            raise WrongError(f"failed for a reason that is not there: {told}")

        fired = list(self.emulator.faults.fired)[self._fired :]
        troubles = [item.fault for item in fired if getattr(item.fault, "to", "") not in HARMLESS]
        waits = [getattr(trouble, "retry_after", None) or 0.0 for trouble in troubles]
        self._retry_after = max(waits, default=0.0)
        asked = [request.path.partition("?")[0] for request in self.emulator.requests][self._requests :]
        # A whole look that fails may have needed the pool alone.
        is_glance = outcome != "failed" and not any(path.endswith("/nodes") for path in asked)
        self._judge_glance(is_glance and not troubles, outcome, told)
        moments = [[sharp.everything for sharp, _ in sample] for sample in self._samples]
        is_still = all(moment == moments[0] for moment in moments)
        self._was_still = is_still
        is_sharp = all(sharp.outcome == late.outcome for sample in self._samples for sharp, late in sample)
        if not troubles and is_still and is_sharp:
            self.clean_looks += 1
            self._judge_clean(outcome, text, [sharp for sharp, _ in self._samples[0]], told, is_glance)
            if self.mode != "reschedule":  # which does not remember on which pool it was set
                self.known = self.known or self._samples[0][0][0].created
        self._requests = len(self.emulator.requests)

    def forget(self, known: datetime | None) -> None:
        """The gate goes on in another process, which knows only what was handed on to it."""
        self.known = known
        self._failing_since = None
        self._has_looked = self._is_looking = False

    # --- inside --------------------------------------------------------------------------------------------

    def _sample(self) -> None:
        """Note what is true now: sharply, and with grace times that end a little later.

        Where the gate need not know which pool it was set on, there are two truths.
        """
        known = [None, self._first] if self.known is None else [self.known]
        with self.lock, self.account.lock:
            shown = shown_now(self.account, self.pool_id)
            now = [
                tuple(
                    truth(self.account, self.pool_id, self.gate, created, slack, shown)
                    for slack in (0.0, _ROUNDING)
                )
                for created in known
            ]
        self._samples.append(now)

    def _judge_glance(self, is_glance: bool, outcome: str, told: _Told) -> None:
        """A glance can only say that the gate is still closed, and does not do so for long."""
        if not is_glance:
            self._glances, self._last_whole = 0, self.now()
            return
        self._glances += 1
        if self.mode == "reschedule" or outcome != "wait":
            raise WrongError(f"after a mere glance: {told}")
        if self._glances > GLANCES or self.now() > self._last_whole + _GLANCING + _ROUNDING:
            raise WrongError(f"only glances: {told}")

    def _judge_clean(
        self, outcome: str, text: str, truths: list[Truth], told: _Told, is_glance: bool
    ) -> None:
        """Nothing failed and nothing moved: there is nothing to excuse another verdict than the true one.

        But a glance may wait all the same, and extensions that failed on some nodes need not be read at once.
        """
        is_large = max(len(true.nodes) for true in truths) > SMALL and self.mode != "reschedule"
        if outcome in ("open", "failed"):
            outcome = "fail" if outcome == "failed" else outcome
            if outcome not in {true.outcome for true in truths}:
                raise WrongError(f"not what is true: {told}")
            return
        if all(true.outcome == "fail" for true in truths):
            since = self._failing_since = self._failing_since or self.now()
            may_be_unread = all("extension" in words[-1] for true in truths for words in true.failures)
            is_excused = is_glance or (may_be_unread and self.mode != "reschedule" and outcome == "wait")
            if not (is_excused or is_large) or self.now() > since + NOTICE + 2 * LONGEST_PAUSE:
                raise WrongError(f"did not notice the failure: {told}")
            return
        self._failing_since = None
        if is_glance:
            return
        waiting = [true for true in truths if true.outcome == "wait"]
        if not waiting:
            raise WrongError(f"did not open: {told}")
        if outcome == "timeout":
            lacks = [[words for words in true.missing if not _names(text, words)] for true in waiting]
            few = [lack for lack, true in zip(lacks, waiting, strict=True) if len(lack) < len(true.missing)]
            if not few or (min(map(len, few)) and not is_large and " more" not in text):
                raise WrongError(f"does not say what was missing: {told}")


def _names(text: str, words: tuple[str, ...]) -> bool:
    # Azure's ids of nodes are cut after eight digits.
    return all(word in text or (word.startswith("tvmps_") and f"{word[:14]}…" in text) for word in words)
