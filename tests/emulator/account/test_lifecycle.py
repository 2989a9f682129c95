"""The pure life cycle: examples, and invariants that hold for every history that can be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.emulator import ExtensionScenario, Scenario, Timings
from airflow_batchext.emulator.account.account import lifecycle as life
from airflow_batchext.emulator.account.extensions import ExtensionNow, Override, extensions_at
from airflow_batchext.emulator.account.lifecycle import NodeState, Resize, StartTask
from airflow_batchext.emulator.scenario import ExtensionRun

START = datetime(2026, 1, 1, tzinfo=UTC)
SCENARIO = Scenario(timings=Timings(creating=20, starting=8, agent=3, rebooting=30, leaving=8))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def state(history: life.History, seconds: float) -> str | None:
    node = life.node_at(history, at(seconds))
    return None if node is None else node.state.value


def test_a_first_boot() -> None:
    history = life.first_boot(at(124), SCENARIO)
    assert [state(history, s) for s in (123.9, 124, 143.9, 144, 151.9, 152, 9999)] == [
        None, "creating", "creating", "starting", "starting", "idle", "idle",
    ]  # fmt: skip
    creating, idle = life.node_at(history, at(130)), life.node_at(history, at(200))
    assert creating is not None
    assert creating.last_boot is None
    assert idle is not None
    assert (idle.allocated, idle.last_boot, idle.since, idle.boot.number) == (at(124), at(149), at(152), 0)


def test_a_reboot_gives_a_new_boot_time_and_a_new_boot() -> None:
    history = life.restart(life.first_boot(at(0), SCENARIO), at(100), SCENARIO)
    assert [state(history, s) for s in (99, 100, 129, 130, 138)] == [
        "idle", "rebooting", "rebooting", "starting", "idle",
    ]  # fmt: skip
    down, up = life.node_at(history, at(110)), life.node_at(history, at(200))
    assert down is not None
    assert (down.boot.number, down.last_boot, down.extensions_as_of) == (0, at(25), at(100))
    assert up is not None
    assert (up.boot.number, up.last_boot, up.booted, up.allocated) == (1, at(135), at(130), at(0))


def test_a_preempted_node_stays_listed_and_comes_back_as_another_machine() -> None:
    history = life.preempt(life.first_boot(at(0), SCENARIO), at(100), 60, SCENARIO)
    assert [state(history, s) for s in (100, 159, 160, 180, 188)] == [
        "preempted", "preempted", "creating", "starting", "idle",
    ]  # fmt: skip
    again = life.node_at(history, at(170))
    assert again is not None
    assert (again.last_boot, again.boot.number, again.allocated) == (None, 1, at(0))
    never = life.preempt(life.first_boot(at(0), SCENARIO), at(100), None, SCENARIO)
    assert state(never, 10**6) == "preempted"


def test_a_node_leaves_and_is_gone() -> None:
    history = life.leave(life.first_boot(at(0), SCENARIO), at(100), SCENARIO.timings)
    assert [state(history, s) for s in (99, 100, 107, 108)] == ["idle", "leavingpool", "leavingpool", None]


def test_a_node_that_never_was_visible_just_vanishes() -> None:
    history = life.leave(life.first_boot(at(50), SCENARIO), at(10), SCENARIO.timings)
    assert all(state(history, s) is None for s in (0, 10, 50, 100))


def test_a_mark_stays_and_cancels_what_was_to_come() -> None:
    history = life.mark(life.first_boot(at(0), SCENARIO), at(5), NodeState.UNUSABLE)
    assert [state(history, s) for s in (4, 5, 1000)] == ["creating", "unusable", "unusable"]
    ready = life.node_at(life.mark(history, at(50), NodeState.IDLE), at(60))
    assert ready is not None
    assert ready.last_boot == at(50)


def test_a_node_is_deallocated_and_started_again() -> None:
    timings = SCENARIO.timings
    history = life.deallocate(life.first_boot(at(0), SCENARIO), at(100), timings)
    assert [state(history, s) for s in (99, 100, 130, 9999)] == [
        "idle", "deallocating", "deallocated", "deallocated",
    ]  # fmt: skip
    history = life.start(history, at(200), SCENARIO)
    assert [state(history, s) for s in (199, 200, 237, 238)] == [
        "deallocated", "starting", "starting", "idle",
    ]  # fmt: skip
    before, after = life.node_at(history, at(210)), life.node_at(history, at(300))
    assert before is not None
    assert after is not None
    assert (before.last_boot, after.last_boot, after.boot.number) == (at(25), at(235), 1)


def test_what_is_to_happen_later_leaves_the_node_as_it_is_until_then() -> None:
    idle = life.first_boot(at(0), SCENARIO)
    rebooted = life.restart(idle, at(100), SCENARIO, at=at(150))
    assert [state(rebooted, s) for s in (100, 149, 150)] == ["idle", "idle", "rebooting"]
    leaving = life.leave(idle, at(100), SCENARIO.timings, at=at(150))
    assert [state(leaving, s) for s in (149, 150, 158)] == ["idle", "leavingpool", None]
    freed = life.deallocate(idle, at(100), SCENARIO.timings, at=at(150))
    assert [state(freed, s) for s in (149, 150)] == ["idle", "deallocating"]


@pytest.mark.parametrize(
    ("task", "states"),
    [
        (StartTask(10, 0), ["waitingforstarttask", "idle", "idle"]),
        (StartTask(10, 1), ["waitingforstarttask", "starttaskfailed", "starttaskfailed"]),
        (StartTask(10, 1, 1), ["waitingforstarttask", "waitingforstarttask", "starttaskfailed"]),
        (StartTask(10, 1, -1), ["waitingforstarttask"] * 3),
        (StartTask(10, None), ["waitingforstarttask"] * 3),
        (StartTask(10, 1, waits=False), ["idle"] * 3),
    ],
)
def test_a_start_task_comes_between_starting_and_idle(task: StartTask, states: list[str]) -> None:
    history = life.first_boot(at(0), SCENARIO, task)
    assert state(history, 27.9) == "starting"
    assert [state(history, s) for s in (28, 38, 48)] == states


def test_what_a_start_task_shows() -> None:
    def shown(task: StartTask, seconds: float) -> life.StartTaskNow | None:
        node = life.node_at(life.first_boot(at(0), SCENARIO, task), at(seconds))
        assert node is not None
        return life.start_task_at(node, at(seconds))

    twice = StartTask(10, 7, 1)
    assert shown(twice, 27) is None
    assert shown(twice, 30) == life.StartTaskNow(at(28), None, None, 0, None)
    assert shown(twice, 40) == life.StartTaskNow(at(38), None, None, 1, at(38))
    assert shown(twice, 99) == life.StartTaskNow(at(38), at(48), 7, 1, at(38))
    assert shown(StartTask(10, 0), 99) == life.StartTaskNow(at(28), at(38), 0, 0, None)
    assert shown(StartTask(0, 0), 28) == life.StartTaskNow(at(28), at(28), 0, 0, None)
    assert shown(StartTask(10, None), 9999) == life.StartTaskNow(at(28), None, None, 0, None)


def test_a_resize_that_is_stopped_is_stopping_until_it_is_steady() -> None:
    fault = life.ResizeFault("ResizeStopped", "no")
    resize = Resize(at(0), at(125), 2, 0).stop(at(10), 5, (fault,))
    assert [resize.state(at(s)) for s in (10, 14.9, 15)] == ["stopping", "stopping", "steady"]
    assert (resize.changed(at(12)), resize.changed(at(20))) == (at(10), at(15))
    assert (resize.errors_at(at(14)), resize.errors_at(at(15))) == ((), (fault,))


def test_a_resize_runs_until_it_is_steady_and_only_then_has_errors() -> None:
    fault = life.ResizeFault("AllocationFailed", "no")
    resize = Resize(at(0), at(125), 2, 0, (fault,))
    assert [resize.is_running(at(s)) for s in (0, 124.9, 125)] == [True, True, False]
    assert (resize.errors_at(at(124)), resize.errors_at(at(125))) == ((), (fault,))
    assert (resize.changed(at(1)), resize.changed(at(500))) == (at(0), at(125))


# --- extensions --------------------------------------------------------------------------------------------


def shown_after(
    seconds: float,
    wanted: list[tuple[str, list[str]]],
    runs: dict[str, ExtensionRun],
    overrides: dict[str, Override] | None = None,
) -> dict[str, ExtensionNow]:
    node = life.node_at(life.first_boot(at(0), SCENARIO), at(seconds))
    assert node is not None
    return extensions_at(node, wanted, lambda name: runs.get(name, ExtensionRun()), overrides or {})


def test_an_extension_is_transitioning_until_its_outcome() -> None:
    runs = {
        "good": ExtensionRun(seconds=10),
        "bad": ExtensionRun(outcome="fail", seconds=5, code="X", message="m"),
    }
    wanted: list[tuple[str, list[str]]] = [("good", []), ("bad", []), ("stuck", [])]
    runs["stuck"] = ExtensionRun(outcome="hang", message="waiting")
    early, late = shown_after(4, wanted, runs), shown_after(10, wanted, runs)
    assert [item.outcome for item in early.values()] == [None, None, None]
    assert [item.outcome for item in late.values()] == ["succeed", "fail", None]
    assert (late["bad"].code, late["bad"].message, late["bad"].since) == ("X", "m", at(5))
    assert late["stuck"].message == "waiting"


def test_an_extension_starts_when_those_before_it_have_succeeded() -> None:
    wanted = [("second", ["FIRST"]), ("first", [])]
    runs = {"first": ExtensionRun(seconds=10), "second": ExtensionRun(seconds=5)}
    assert shown_after(9, wanted, runs)["second"].waits_for == ("FIRST",)
    assert shown_after(12, wanted, runs)["second"].waits_for == ()
    assert [shown_after(s, wanted, runs)["second"].outcome for s in (12, 14.9, 15)] == [None, None, "succeed"]


@pytest.mark.parametrize(
    "runs",
    [{"first": ExtensionRun(outcome="fail")}, {"first": ExtensionRun(outcome="hang")}],
    ids=["behind a failure", "behind a hang"],
)
def test_an_extension_waits_for_ever(runs: dict[str, ExtensionRun]) -> None:
    second = shown_after(10**6, [("first", []), ("second", ["first"])], runs)["second"]
    assert (second.outcome, second.waits_for) == (None, ("first",))


def test_circles_and_missing_names_wait_for_ever() -> None:
    wanted = [("a", ["b"]), ("b", ["a"]), ("c", ["a"]), ("d", ["nobody"]), ("e", ["e"])]
    assert [item.outcome for item in shown_after(10**6, wanted, {}).values()] == [None] * 5


def test_an_override_counts_from_its_time_until_the_next_boot() -> None:
    failed = {"e": Override(at(50), ExtensionRun(outcome="fail", code="X"))}
    assert shown_after(60, [("e", [])], {}, failed)["e"].outcome == "fail"
    history = life.restart(life.first_boot(at(0), SCENARIO), at(100), SCENARIO)
    rebooted = life.node_at(history, at(200))
    assert rebooted is not None
    assert extensions_at(rebooted, [("e", [])], lambda name: ExtensionRun(), failed)["e"].outcome == "succeed"


def test_an_override_unblocks_what_waits_behind_it() -> None:
    wanted: list[tuple[str, list[str]]] = [("first", []), ("second", ["first"])]
    runs = {"first": ExtensionRun(outcome="hang"), "second": ExtensionRun(seconds=5)}
    mended = {"first": Override(at(50), ExtensionRun())}
    assert [shown_after(s, wanted, runs, mended)["second"].outcome for s in (54, 55)] == [None, "succeed"]


def test_an_upgrade_comes_after_the_success_and_passes() -> None:
    run = ExtensionRun(seconds=10, upgrade_after=50, upgrade_seconds=20)
    shown = [shown_after(s, [("e", [])], {"e": run})["e"] for s in (5, 10, 59, 60, 79, 80)]
    assert [(item.outcome, item.is_updating) for item in shown] == [
        (None, False), ("succeed", False), ("succeed", False), (None, True), (None, True), ("succeed", False),
    ]  # fmt: skip
    assert (shown[3].since, shown[5].since) == (at(60), at(80))
    upgrade = {"e": Override(at(50), ExtensionRun(seconds=5), is_upgrade=True)}
    assert [shown_after(s, [("e", [])], {}, upgrade)["e"].is_updating for s in (49, 50, 54, 55)] == [
        False, True, True, False,
    ]  # fmt: skip


# --- for all histories -------------------------------------------------------------------------------------

ARROWS = {
    None: {"creating"},
    "creating": {"starting", "preempted", "rebooting", "leavingpool", "unusable"},
    "starting": {"idle", "preempted", "rebooting", "leavingpool", "unusable"},
    "idle": {"preempted", "rebooting", "leavingpool", "unusable"},
    "rebooting": {"starting", "preempted", "rebooting", "leavingpool", "unusable"},
    "preempted": {"creating", "preempted", "rebooting", "leavingpool", "unusable"},
    "unusable": {"preempted", "rebooting", "leavingpool", "unusable"},
    "leavingpool": {None},
}
Action = tuple[str, float]
actions = st.lists(
    st.tuples(st.sampled_from(["reboot", "preempt", "preempt for good", "unusable"]), st.floats(0.01, 200)),
    max_size=6,
)
scenarios = st.builds(
    lambda creating, starting, rebooting, extension, outcome, boots: Scenario(
        timings=Timings(creating=creating, starting=starting, rebooting=rebooting, extension=extension),
        extensions=[ExtensionScenario(extension="a", outcome=outcome, boots=boots)],
    ),
    *[st.floats(0, 50)] * 4,
    st.sampled_from(["succeed", "fail", "hang"]),
    st.sampled_from(["all", "first", "later"]),
)


def story(scenario: Scenario, todo: list[Action], leaves: bool) -> tuple[life.History, float]:
    history, now = life.first_boot(at(10), scenario), 10.0
    for what, pause in todo:
        now += pause
        if what == "reboot":
            history = life.restart(history, at(now), scenario)
        elif what == "preempt":
            history = life.preempt(history, at(now), 30, scenario)
        elif what == "preempt for good":
            history = life.preempt(history, at(now), None, scenario)
        else:
            history = life.mark(history, at(now), NodeState.UNUSABLE)
    if leaves:
        now += 1
        history = life.leave(history, at(now), scenario.timings)
    return history, now


@given(scenarios, actions, st.booleans())
def test_states_only_move_along_the_documented_arrows(
    scenario: Scenario, todo: list[Action], leaves: bool
) -> None:
    history, end = story(scenario, todo, leaves)
    moments = sorted({moment.at for moment in history} | {at(end + 500)})
    before: str | None = None
    for moment in moments:
        node = life.node_at(history, moment)
        now = None if node is None else node.state.value
        # Moments at the same instant are passed through unseen, so a step may skip states.
        assert now == before or _reachable(before, now)
        before = now
    if leaves:
        assert before is None


def _reachable(start: str | None, goal: str | None) -> bool:
    seen, todo = set(), [start]
    while todo:
        here = todo.pop()
        for there in ARROWS[here]:
            if there == goal:
                return True
            if there not in seen:
                seen.add(there)
                todo.append(there)
    return False


@given(scenarios, actions)
def test_boot_numbers_and_boot_times_never_go_back(scenario: Scenario, todo: list[Action]) -> None:
    history, end = story(scenario, todo, leaves=False)
    number, last_boot = -1, START
    for step in range(60):
        node = life.node_at(history, at(10 + step * (end + 100) / 60))
        assert node is not None
        assert node.boot.number >= number
        assert node.allocated == at(10)
        assert node.booted <= node.extensions_as_of
        number = node.boot.number
        if node.last_boot is not None:
            assert node.last_boot >= last_boot
            last_boot = node.last_boot


@given(scenarios, actions)
def test_a_finished_extension_changes_only_by_a_boot(scenario: Scenario, todo: list[Action]) -> None:
    history, end = story(scenario, todo, leaves=False)
    finished: dict[str, tuple[int, str]] = {}
    for step in range(60):
        node = life.node_at(history, at(10 + step * (end + 100) / 60))
        assert node is not None
        boot = node.boot

        def run_of(name: str, boot: life.Boot = boot) -> ExtensionRun:
            return boot.scenario.extension_run("p", 0, "n", name, boot.number)

        for name, shown in extensions_at(node, [("a", []), ("b", ["a"])], run_of, {}).items():
            if name in finished and finished[name][0] == boot.number:
                assert shown.outcome == finished[name][1]
            if shown.outcome is not None:
                finished[name] = (boot.number, shown.outcome)
                assert node.booted <= shown.since <= node.extensions_as_of


@given(st.floats(0, 500), st.floats(0, 500), st.lists(st.floats(0, 2000), max_size=20))
def test_a_pool_is_resizing_exactly_until_it_is_steady(
    start: float, length: float, when: list[float]
) -> None:
    resize = Resize(at(start), at(start + length), 1, 0)
    for seconds in when:
        assert resize.is_running(at(seconds)) is (at(seconds) < at(start + length))
