"""Random histories of a task instance, of one task or several: workers and triggerers die at any request.

Whatever happens, the account's own books say: never are two attempts of it live at once, no success without a
success of Azure Batch in the same life, each try ends in time, and in the end nothing of it is left running,
nor any job of it active.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.operators.task_world import play

COUNT = int(os.environ.get("BATCHEXT_WORK_HISTORIES", "15"))

FAULTS = st.fixed_dictionaries(
    {
        "skip": st.integers(0, 8),
        "count": st.integers(1, 3),
        "method": st.sampled_from(["GET", "POST", "PATCH", "*"]),
        "path": st.just("/jobs*"),
    }
).flatmap(
    lambda place: st.sampled_from(
        [
            {"action": "throttle", "retry_after": 1},
            {"action": "error", "status": 503},
            {"action": "error", "status": 500, "performed": True},
            {"action": "drop"},
            {"action": "drop", "performed": True},
        ]
    ).map(lambda kind: {**place, **kind})
)
#: How a worker is struck, at which of its requests, and whether that one is performed.
BLOWS = st.none() | st.tuples(
    st.sampled_from(["killed", "ended", "alarm"]), st.integers(0, 12), st.booleans()
)
#: A triggerer too; at a pause of it; or what it says is lost with it.
ENDS = st.tuples(
    st.sampled_from(["killed", "cancelled", "pause", "event"]), st.integers(0, 12), st.booleans()
)
TRIES = st.fixed_dictionaries(
    {
        "worker": BLOWS,
        #: The worker that goes on after a triggerer.
        "resumed": BLOWS,
        "triggerers": st.lists(ENDS, max_size=2),
        #: What a user does to the task while it waits, when the first of the triggerers has ended.
        "user": st.sampled_from(["", "", "", "clear", "mark", "mark and lose"]),
        "exit_code": st.sampled_from([0, 0, 3]),
        #: None: it runs for ever.
        "seconds": st.sampled_from([1, 40, 200, None]),
        #: Seconds until the next try.
        "delay": st.sampled_from([0, 0, 300]),
        "happenings": st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from(
                    [
                        *("end task", "end job", "delete job", "delete task", "disable job", "strand"),
                        *("reboot", "preempt", "preempt all"),
                        # So that the gate fails, or does not open.
                        *("fail", "hang"),
                    ]
                ),
            ),
            max_size=2,
        ),
    }
)
HISTORIES = st.fixed_dictionaries(
    {
        "tries": st.lists(TRIES, min_size=1, max_size=4),
        "faults": st.lists(FAULTS, max_size=2),
        "ends_by_itself": st.sampled_from(["at once", "late", "never"]),
        "deferrable": st.booleans(),
        "ends_there": st.booleans(),
        "on_kill": st.sampled_from(["terminate", "terminate", "leave"]),
        "retries": st.sampled_from([0, 2, 9]),
        "timeout": st.sampled_from([300.0, 3600.0]),
        #: The exit codes of the check of each node, where there is one.
        "checks": st.sampled_from([[0, 0], [0, 0], [0, 1], [1, 1]]),
    }
)
ONE, SEVERAL = {"command_line": "/bin/true"}, {"tasks": ["/bin/true", "/bin/true 1", "/bin/true 2"]}
CHECKED: dict[str, Any] = {"node_check": "/bin/true"}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "start_timeout": st.just(200),
        "requires_ready": st.just(True),
        "soft_fail": st.just(True),
        "on_finish": st.sampled_from(["delete_succeeded", "delete"]),
    },
)
WORK = st.builds(
    lambda work, options: {**work, **options},
    st.sampled_from([ONE, SEVERAL, {**ONE, **CHECKED}, {**SEVERAL, **CHECKED}]),
    OPTIONS,
)


@settings(
    max_examples=COUNT,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=HISTORIES, work=WORK)
def test_it_runs_once_and_its_result_is_true(azure: Any, signed_in: None, history: Any, work: Any) -> None:
    for outcome in play(azure, history, work).outcomes:
        event(f"a try ended with {outcome}")


def history(*, deferrable: bool, **one: Any) -> dict[str, Any]:
    """A history of one try to which something happens, and of others to which nothing does."""
    quiet = {"worker": None, "resumed": None, "triggerers": [], "user": "", "happenings": [], "delay": 300}
    return {
        "tries": [{**quiet, "exit_code": 0, "seconds": 100, **one}],
        "faults": [],
        "ends_by_itself": "at once",
        "deferrable": deferrable,
        "ends_there": False,
        "on_kill": "terminate",
        "retries": 2,
        "timeout": 3600.0,
        "checks": [0, 0],
    }


KINDS = pytest.mark.parametrize("work", [ONE, SEVERAL], ids=["one", "several"])
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
pytestmark = pytest.mark.usefixtures("signed_in")


@KINDS
@MODES
def test_whoever_is_at_work_may_end_at_any_request(azure: Any, deferrable: bool, work: Any) -> None:
    """One way after the other, at one request after the other."""
    ways = itertools.cycle(["killed", "ended", "alarm", "cancelled", "pause", "event"])
    whose = {"cancelled": "triggerers", "pause": "triggerers", "event": "triggerers"}
    for number, way in zip(range(12), ways, strict=False):
        blow = (way, number if way != "event" else 0, number % 4 in (1, 2))
        who = whose.get(way, "worker")
        if who == "triggerers" and not deferrable:
            continue
        one = history(deferrable=deferrable, **{who: blow if who == "worker" else [blow, blow]})
        assert play(azure, one, work).outcomes[-1] == "success", blow


@pytest.mark.slow
@KINDS
@MODES
@pytest.mark.parametrize("how", ["killed", "ended", "alarm"])
def test_a_worker_may_end_at_any_request(azure: Any, deferrable: bool, work: Any, how: str) -> None:
    for blow in ("worker", "resumed") if deferrable else ("worker",):
        for number in itertools.count():
            performed = [
                history(deferrable=deferrable, **{blow: (how, number, done)}) for done in (False, True)
            ]
            played = [play(azure, one, work) for one in performed]
            assert [one.outcomes[-1] for one in played] == ["success"] * 2, (number, blow, played)
            if not any(one.strikes for one in played):
                break
        assert number > 1


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("how", ["killed", "cancelled", "pause", "event"])
@pytest.mark.parametrize("user", ["", "clear", "mark"])
def test_a_triggerer_may_end_at_any_step(azure: Any, work: Any, how: str, user: str) -> None:
    for number in range(1) if how == "event" else itertools.count():
        ways = (False, True) if how in ("killed", "cancelled") else (False,)
        ends = [[(how, number, done), (how, 0, False)] for done in ways]
        played = [play(azure, history(deferrable=True, triggerers=each, user=user), work) for each in ends]
        wanted = {"marked" if user == "mark" else "success"}
        assert {one.outcomes[-1] for one in played} == wanted, (number, played)
        if not any(one.strikes > 1 for one in played) and number:
            break
