"""What is to be done with each of many tasks, and how all of them stand.

Pure: no I/O, no clock, no Airflow, no Azure SDK.

For each the table of ``rules.work`` holds. Beyond it: a failure of this very try is its end, and one that
this try had submitted and that is not there any more is lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_batchext.batch.data_plane import epoch_seconds
from airflow_batchext.rules.work import Attempt, Stage, Standing, has_started, has_succeeded, standing
from airflow_batchext.rules.work_ids import AttemptId, read_attempt_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airflow_batchext.batch.work import JobSeen, TaskSeen

#: The clocks of the service's machines differ, and lists come late.
_OVERLAP_SECONDS = 120.0
_STATES = ("running", "preparing", "active")
_OVER = frozenset({"succeeded", "failed", "stranded"})


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do with many tasks; by their ids.

    :param to_end: what is live and is none of them: of another life, or not asked for any more.
    :param ended: those that have ended for this try, and how.
    :param live: those that run or wait for a node.
    :param to_submit: those that have to be submitted.
    :param missing: those that this try had submitted, and that are not to be seen.
    """

    to_end: tuple[Attempt, ...] = ()
    ended: Mapping[str, tuple[Attempt, Standing]] = field(default_factory=dict)
    live: Mapping[str, Attempt] = field(default_factory=dict)
    to_submit: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def choose_items(
    key: str, life: str, number: int, items: Iterable[str], attempts: Iterable[Attempt], *, submitted: bool
) -> Choice:
    """What to do with each.

    :param key: what the keys of all of them begin with.
    :param life: of this try.
    :param number: of this try.
    :param items: the ids of all of them.
    :param attempts: all that there are under the key.
    :param submitted: whether this try has submitted them.
    """
    of_item: defaultdict[str, list[Attempt]] = defaultdict(list)
    to_end: list[Attempt] = []
    names = dict.fromkeys(items)
    for attempt in attempts:
        item = attempt.told.key[len(key) + 1 :]
        if attempt.told.life == life and item in names:
            of_item[item].append(attempt)
        elif _is_live(attempt):
            to_end.append(attempt)
    ended: dict[str, tuple[Attempt, Standing]] = {}
    live: dict[str, Attempt] = {}
    to_submit, missing = [], []
    for item in names:
        ours = sorted(of_item[item], key=lambda one: one.told.number)
        running = [one for one in ours if _is_live(one)]
        to_end += running[:-1]
        if running:
            live[item] = running[-1]
        elif (over := _end(ours, number)) is not None:
            ended[item] = over
        elif submitted and not ours:
            missing.append(item)
        else:
            to_submit.append(item)
    return Choice(tuple(to_end), ended, live, tuple(to_submit), tuple(missing))


def _is_live(attempt: Attempt) -> bool:
    return not (attempt.task.is_completed or attempt.will_never_run)


def _end(attempts: Sequence[Attempt], number: int) -> tuple[Attempt, Standing] | None:
    """The attempt with which it has ended, and how; None if it has not."""
    for attempt in reversed(attempts):
        if has_succeeded(attempt.task) or attempt.told.number == number:
            how = standing(attempt.task, attempt.job)
            if how.stage in (Stage.SUCCEEDED, Stage.FAILED):
                return attempt, how
    return None


class Tally:
    """How many of many tasks are how far; it is told what each look has seen.

    :param key: what the keys of all of them begin with.
    :param life: the one that counts.
    :param count: how many there are.
    """

    def __init__(self, key: str, life: str, count: int) -> None:
        self._key, self._life, self._count = f"{key}-", life, count
        self._tasks: dict[str, dict[str, tuple[AttemptId, str, bool]]] = {}
        self._closed: set[str] = set()
        self._newest = 0.0
        self._has_news = True

    def take(self, job_id: str, tasks: Iterable[TaskSeen], *, are_all: bool, job: JobSeen | None) -> None:
        """Take note of the tasks of a job.

        :param are_all: whether these are all of them, or those alone that have changed.
        :param job: where it was read, too.
        """
        kept = self._tasks.setdefault(job_id, {})
        if are_all:
            kept.clear()
        if job is not None and not job.takes_tasks:
            self._closed.add(job_id)
        for task in tasks:
            told = read_attempt_id(task.id)
            if told is not None and told.life == self._life and told.key.startswith(self._key):
                state = task.state
                if task.is_completed:
                    state = "succeeded" if has_succeeded(task) else "failed"
                self._has_news |= task.id not in kept or kept[task.id][1] != state
                kept[task.id] = told, state, has_started(task)
                self._newest = max(self._newest, epoch_seconds(task.since) or 0.0)

    def since(self) -> str:
        """From when on a change is news, as a time of the service; "" for ever.

        Asked once for each look: where the last one has brought nothing new, nothing is asked for twice.
        """
        overlap = _OVERLAP_SECONDS if self._has_news else 0.0
        self._has_news = False
        if not self._newest:
            return ""
        return datetime.fromtimestamp(self._newest - overlap, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def states(self) -> Counter[str]:
        """How many are in each state; ``succeeded`` and ``failed`` where they have ended, else ``unseen``."""
        newest = self._latest()
        counted = Counter(state for *_, state, _ in newest)
        if len(newest) < self._count:
            counted["unseen"] = self._count - len(newest)
        return counted

    def started(self) -> int:
        """How many run, have ended, or are known to have run before they were given back."""
        return sum(is_begun for *_, is_begun in self._latest())

    def _latest(self) -> Collection[tuple[int, bool, str, bool]]:
        """Of each the newest attempt: its number, that it is not stranded, its state, that it has started."""
        newest: dict[str, tuple[int, bool, str, bool]] = {}
        for job_id, tasks in self._tasks.items():
            is_closed = job_id in self._closed
            for told, state, is_begun in tasks.values():
                shown = "stranded" if is_closed and state == "active" else state
                known = (told.number, shown != "stranded", shown, is_begun)
                newest[told.key] = max(newest.get(told.key, known), known, key=lambda one: one[:2])
        return newest.values()


def is_settled(states: Mapping[str, int]) -> bool:
    """Whether none of them goes on."""
    return not sum(count for state, count in states.items() if state not in _OVER)


def counted_text(states: Mapping[str, int]) -> str:
    """How many are in each state, in words."""
    order = ("succeeded", "failed", *_STATES)
    known = [name for name in order if states.get(name)]
    others = sorted(name for name in states if name not in order and states[name])
    told = [f"{states[name]:,} {_WORDS.get(name, name or 'in no known state')}" for name in known + others]
    return f"of {sum(states.values()):,} tasks {', '.join(told)}"


_WORDS = {"active": "waiting for a node", "preparing": "being prepared", "stranded": "to be submitted again"}
