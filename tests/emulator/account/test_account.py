"""The control surface: what tests and demos do to an account, and invariants of any sequence of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_batchext.emulator import Clock, ExtensionScenario, PoolScenario, Scenario, Timings
from airflow_batchext.emulator.account.account import Account
from airflow_batchext.emulator.account.lifecycle import NodeState
from airflow_batchext.emulator.documents.job import read_job, read_task
from airflow_batchext.emulator.documents.pool import read_management
from airflow_batchext.emulator.scenario import (
    PreparationScenario,
    ResizeError,
    StartTaskScenario,
    TaskScenario,
)
from airflow_batchext.emulator.wire.errors import RefusedError
from tests.emulator.pool_documents import extension, management_pool

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 1, 1, tzinfo=UTC)


def account(scenario: Scenario | None = None, seed: int = 0) -> Account:
    return Account(Clock(0, START), scenario or Scenario(), seed)


def with_pool(nodes: int = 2, scenario: Scenario | None = None, **fixed: Any) -> Account:
    made = account(scenario)
    document = management_pool(nodes, extension())
    document["properties"]["scaleSettings"]["fixedScale"].update(fixed)
    made.create_pool("p", read_management(document))
    made.clock.advance(200)
    return made


def states(made: Account) -> list[str]:
    return [visible.now.state.value for visible in made.nodes("p")]


def test_a_preempted_node_keeps_its_id_and_runs_its_extensions_again() -> None:
    made = with_pool(1, Scenario(extensions=[ExtensionScenario(boots="later", outcome="hang")]))
    before = made.node("p", 0)
    made.preempt_node("p", 0, back_after=60)
    assert (states(made), made.counts("p")) == (["preempted"], (1, 0))
    made.clock.advance(100)
    after = made.node("p", before.node.id)
    assert after.now.state is NodeState.IDLE
    assert after.now.last_boot != before.now.last_boot
    assert after.now.allocated == before.now.allocated
    assert made.extensions("p", 0)["secretext"].outcome is None


def test_the_scenario_of_the_day_counts_for_a_new_boot() -> None:
    made = with_pool(1)
    made.scenario = Scenario(extensions=[ExtensionScenario(outcome="fail")])
    assert made.extensions("p", 0)["secretext"].outcome == "succeed"
    made.reboot_node("p", 0)
    made.clock.advance(60)
    assert made.extensions("p", 0)["secretext"].outcome == "fail"


def test_changing_a_scenario_in_place_changes_only_what_comes_after() -> None:
    made = with_pool(1)
    made.scenario.extensions.append(ExtensionScenario(outcome="fail"))
    assert made.extensions("p", 0)["secretext"].outcome == "succeed"


def test_an_extension_of_a_living_node_can_be_changed_until_the_next_boot() -> None:
    made = with_pool(2)
    made.set_extension("p", 1, "SecretExt", outcome="fail", code="X", message="m")
    assert made.extensions("p", 0)["secretext"].outcome == "succeed"
    shown = made.extensions("p", 1)["secretext"]
    assert (shown.outcome, shown.code, shown.message) == ("fail", "X", "m")
    made.set_extension("p", 1, "secretext", outcome="hang")
    assert made.extensions("p", 1)["secretext"].outcome is None
    made.reboot_node("p", 1)
    made.clock.advance(60)
    assert made.extensions("p", 1)["secretext"].outcome == "succeed"


def test_a_node_can_be_marked_with_an_error() -> None:
    made = with_pool(1)
    made.mark_node("p", 0, "unusable", code="DiskFull", message="no room")
    assert states(made) == ["unusable"]
    assert made.node("p", 0).node.errors == (("DiskFull", "no room"),)


def test_a_removed_node_leaves_and_the_target_is_one_less() -> None:
    made = with_pool(3, targetLowPriorityNodes=1)
    made.remove_node("p", 0)
    made.remove_node("p", 3)
    assert sorted(states(made)) == ["idle", "idle", "leavingpool", "leavingpool"]
    pool = made.pool("p")
    assert (pool.definition.scale.dedicated, pool.definition.scale.low_priority) == (2, 0)
    assert pool.resize.is_running(made.clock.now())
    with pytest.raises(RefusedError, match="leaving its pool"):
        made.preempt_node("p", 0)
    made.clock.advance(10)
    assert made.counts("p") == (2, 0)


def test_a_recreated_pool_is_another_pool() -> None:
    made = with_pool(2)
    before, nodes = made.pool("p"), {visible.node.id for visible in made.nodes("p")}
    made.recreate_pool("p")
    after = made.pool("p")
    assert after.created > before.created
    assert after.etag != before.etag
    assert made.nodes("p") == []
    made.clock.advance(200)
    assert nodes.isdisjoint(visible.node.id for visible in made.nodes("p"))


def test_the_same_seed_gives_the_same_nodes() -> None:
    def ids(seed: int) -> list[str]:
        made = Account(Clock(), Scenario(timings=Timings(allocation=0, settling=0)), seed)
        made.create_pool("p", read_management(management_pool(2)))
        return [visible.node.id for visible in made.nodes("p")]

    assert ids(1) == ids(1)
    assert set(ids(1)).isdisjoint(ids(2))


def test_a_pool_that_is_being_deleted_is_left_alone() -> None:
    made = with_pool(1)
    made.delete_pool("p")
    attempts: list[Callable[[], object]] = [
        lambda: made.delete_pool("p"),
        lambda: made.resize_pool("p", 3),
        lambda: made.remove_node("p", 0),
    ]
    for attempt in attempts:
        with pytest.raises(RefusedError, match="PoolBeingDeleted"):
            attempt()
    with pytest.raises(RefusedError, match="leaving its pool"):
        made.reboot_node("p", 0)


def test_what_does_not_exist_is_refused_by_name() -> None:
    made = with_pool(1)
    attempts: list[tuple[Callable[[], object], str]] = [
        (lambda: made.nodes("q"), "PoolNotFound"),
        (lambda: made.preempt_node("p", 7), "NodeNotFound"),
        (lambda: made.node("p", "tvmps_x_d"), "NodeNotFound"),
        (lambda: made.set_extension("p", 0, "nope", outcome="fail"), "The pool has no extension 'nope'"),
    ]
    for attempt, says in attempts:
        with pytest.raises(RefusedError, match=says):
            attempt()
    with pytest.raises(ValueError, match="sleepy"):
        made.mark_node("p", 0, "sleepy")


@pytest.mark.parametrize(("come", "counts"), [(0, (0, 0)), (1, (1, 0)), (3, (2, 1)), (99, (2, 2))])
def test_nodes_that_come_in_spite_of_an_error_are_dedicated_first(come: int, counts: tuple[int, int]) -> None:
    rule = PoolScenario(resize_error=ResizeError(), nodes_allocated=come)
    assert with_pool(2, Scenario(pools=[rule]), targetLowPriorityNodes=2).counts("p") == counts


def test_nodes_are_never_visible_long_before_the_pool_is_steady() -> None:
    made = account(Scenario(pools=[PoolScenario(steady_after=10)]))
    made.create_pool("p", read_management(management_pool(1)))
    made.clock.advance(8.9)
    assert states(made) == []
    made.clock.advance(0.2)
    assert states(made) == ["creating"]


def test_a_resize_during_a_resize_replaces_it() -> None:
    made = account()
    made.create_pool("p", read_management(management_pool(2)))
    made.clock.advance(60)
    made.resize_pool("p", 5)
    made.clock.advance(100)
    assert states(made) == []
    made.clock.advance(60)
    assert made.counts("p") == (5, 0)


WITHOUT_TIME = Timings(scheduling=0, task=0, preparation=0, start_task=0)


@pytest.mark.timeout(60)  # one that fails hangs
@pytest.mark.parametrize("retries", [-1, 2**31 - 1])
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(preparations=[PreparationScenario(exit_code=1, after=0)]),
        Scenario(timings=Timings(preparation=0), preparations=[PreparationScenario(exit_code=2)]),
        Scenario(timings=WITHOUT_TIME, tasks=[TaskScenario(exit_code=1)]),
        Scenario(timings=Timings(scheduling=0), tasks=[TaskScenario(exit_code=-1, after=0)]),
        Scenario(timings=Timings(scheduling=1e-6), tasks=[TaskScenario(exit_code=1, after=1e-6)]),
        Scenario(timings=WITHOUT_TIME, start_tasks=[StartTaskScenario(exit_code=1)]),
        Scenario(start_tasks=[StartTaskScenario(exit_code=1, after=10 * 365 * 86400)]),
    ],
)
def test_what_fails_without_taking_time_is_tried_again_in_time(scenario: Scenario, retries: int) -> None:
    made, again = account(scenario), {"maxTaskRetryCount": retries}
    document = management_pool(1)
    document["properties"]["startTask"] = {"commandLine": "s", "maxTaskRetryCount": retries}
    made.create_pool("p", read_management(document))
    job = {"id": "j", "poolInfo": {"poolId": "p"}, "constraints": again}
    found = made.jobs.create(*read_job({**job, "jobPreparationTask": {"commandLine": "x"}}))
    task = made.jobs.add(
        "j", *read_task({"id": "t", "commandLine": "x", "constraints": again}, found.document)
    )
    made.clock.advance(200)
    made.pools()
    tried = sum(one.retries for one in (task, *found.preparations.values()))
    made.clock.advance(50)
    made.pools()
    later = sum(one.retries for one in (task, *found.preparations.values()))
    assert not task.is_completed
    if not scenario.start_tasks:
        assert 0 < later - tried <= 50


@pytest.mark.parametrize("of", ["task", "preparation"])
def test_as_many_retries_as_anybody_wants_take_no_time_where_nothing_does(of: str) -> None:
    made = account(Scenario(timings=WITHOUT_TIME, **{f"{of}s": [{"exit_code": 1}]}))  # type: ignore[arg-type]
    made.create_pool("p", read_management(management_pool(1)))
    job: dict[str, Any] = {"id": "j", "poolInfo": {"poolId": "p"}, "constraints": {"maxTaskRetryCount": 100}}
    if of == "preparation":
        job["jobPreparationTask"] = {"commandLine": "x"}
    found = made.jobs.create(*read_job(job))
    made.clock.advance(200)
    task = made.jobs.add("j", *read_task({"id": "t", "commandLine": "x"}, found.document))
    made.pools()
    one = task if of == "task" else next(iter(found.preparations.values()))
    assert (one.retries, one.is_completed) == (100, True)


@pytest.mark.timeout(60)  # one that fails hangs
@pytest.mark.parametrize("days", [1, 3650])
def test_however_far_one_jumps_what_fails_without_end_is_not_tried_all_the_time(days: int) -> None:
    made, again = account(Scenario(tasks=[TaskScenario(exit_code=1)])), {"maxTaskRetryCount": -1}
    made.create_pool("p", read_management(management_pool(1)))
    found = made.jobs.create(*read_job({"id": "j", "poolInfo": {"poolId": "p"}, "constraints": again}))
    task = made.jobs.add("j", *read_task({"id": "t", "commandLine": "x"}, found.document))
    made.clock.advance(days * 86400)
    made.pools()
    assert 500 < task.retries < 2000


# --- any sequence of actions -------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("resize", "remove", "preempt", "reboot", "mark", "fail", "delete", "recreate", "wait"),
                *("stop", "spare", "deallocate", "start", "autoscale", "fix", "task", "upgrade"),
            ]
        ),
        st.integers(0, 5),
        st.floats(0, 150),
    ),
    max_size=12,
)


def add_task(made: Account) -> None:
    if not made.jobs.all():
        made.jobs.create(*read_job({"id": "j", "poolInfo": {"poolId": "p"}}))
    job = made.jobs.job("j")
    made.jobs.add("j", *read_task({"id": f"t{len(job.tasks)}", "commandLine": "x"}, job.document))


@given(steps)
@example([("task", 0, 0.0), ("start", 0, 1.0)])
@example([("resize", 2, 0.0), ("stop", 0, 0.0), ("remove", 0, 8.0)])
def test_whatever_happens_the_books_balance(todo: list[tuple[str, int, float]]) -> None:
    made = with_pool(2, Scenario(timings=Timings(extension=30), tasks=[TaskScenario(after=70)]))
    etags = {made.pool("p").etag}
    for what, number, pause in todo:
        actions: dict[str, Callable[[], object]] = {
            "resize": lambda number=number: made.resize_pool("p", number, number // 2),  # type: ignore[misc]
            "remove": lambda number=number: made.remove_node("p", number),  # type: ignore[misc]
            "preempt": lambda number=number, pause=pause: made.preempt_node("p", number, pause),  # type: ignore[misc]
            "reboot": lambda number=number: made.reboot_node("p", number),  # type: ignore[misc]
            "mark": lambda number=number: made.mark_node("p", number, "unusable"),  # type: ignore[misc]
            "fail": lambda number=number: made.set_extension("p", number, "secretext", outcome="fail"),  # type: ignore[misc]
            "delete": lambda: made.delete_pool("p"),
            "recreate": lambda: made.recreate_pool("p"),
            "wait": lambda: None,
            "stop": lambda: made.stop_resize("p"),
            "spare": lambda number=number: made.set_scheduling("p", number, enabled=False),  # type: ignore[misc]
            "deallocate": lambda number=number: made.deallocate_node("p", number, "taskcompletion"),  # type: ignore[misc]
            "start": lambda number=number: made.start_node("p", number),  # type: ignore[misc]
            "autoscale": lambda number=number: made.enable_autoscale("p", f"$TargetDedicatedNodes={number}"),  # type: ignore[misc]
            "fix": lambda: made.disable_autoscale("p"),
            "task": lambda: add_task(made),
            "upgrade": lambda number=number: made.upgrade_extension("p", number, "secretext"),  # type: ignore[misc]
        }
        known = made.find("p")
        etag = known.etag if known else ""
        try:
            actions[what]()
        except RefusedError as problem:
            assert problem.status in (404, 409)  # noqa: PT017
            what = "refused"
        pool = made.find("p")
        if pool is not None and what in ("recreate", "remove"):
            assert pool.etag not in etags
        if pool is not None and what not in (
            *("resize", "remove", "delete", "recreate", "autoscale", "fix"),
        ):
            assert pool.etag == etag
        if pool is not None:
            etags.add(pool.etag)
        made.clock.advance(pause)
        pool = made.find("p")
        if pool is None:
            continue
        nodes = made.nodes("p")
        assert sum(made.counts("p")) == len(nodes)
        assert len({visible.node.id for visible in nodes}) == len(nodes)
        staying = [visible for visible in nodes if visible.now.state is not NodeState.LEAVING_POOL]
        assert len(staying) <= pool.resize.dedicated + pool.resize.low_priority
        is_steady = not pool.deleted and not pool.resize.is_running(made.clock.now())
        if is_steady and pool.resize.stopped is None:
            assert len(nodes) == pool.resize.dedicated + pool.resize.low_priority
        for visible in nodes:
            assert set(made.extensions("p", visible.node.id)) == {"batchNodeExtension", "secretext"}
            running = visible.node.work.running(made.clock.now())
            assert bool(running) is (visible.now.state is NodeState.RUNNING)
            assert visible.node.work.slots(made.clock.now()) <= 1
    if made.find("p") is not None and not made.pool("p").deleted:
        made.delete_pool("p")
    made.clock.advance(60)
    assert made.find("p") is None
