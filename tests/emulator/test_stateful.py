"""Random histories of pools through the real SDKs, and what must be true of both planes at every moment.

What must be true stands in ``both_planes`` and in ``Histories.everything_holds``. By default the same few
histories are run each time; ``BATCHEXT_EMULATOR_HISTORIES=500`` draws that many new ones.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_batchext.emulator import Scenario
from airflow_batchext.emulator.scenario import Answers, PreparationScenario, TaskScenario

from . import both_planes
from .both_planes import View
from .pool_documents import code_of, data_pool, extension, management_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.batch import BatchClient
    from azure.mgmt.batch import BatchManagementClient

    from airflow_batchext.emulator import Emulator

HISTORIES = int(os.environ.get("BATCHEXT_EMULATOR_HISTORIES", "0"))
Json = dict[str, Any]

NAMES = st.sampled_from(["red", "Red", "green"])
COUNTS = st.integers(0, 3)
PLANES = st.sampled_from(["data", "management"])
WHICH = st.integers(0, 5)
"""Which of the pools, or nodes, that there are: counted round."""
PAUSES = st.sampled_from([0.5, 5, 9, 21, 60, 126, 400])
EXTENSIONS = [extension("first"), extension("second", provisionAfterExtensions=["first"])]
WANTED = {"batchNodeExtension", "first", "second"}
VERSION = "api-version=2025-06-01"
NUMBERS = itertools.count()


def has_nodes(histories: Histories) -> bool:
    return any(view.nodes for view in histories.before.values())


class Histories(RuleBasedStateMachine):
    """What can happen to the pools of one account. ``before`` is what was seen after the last step."""

    emulator: ClassVar[Emulator]
    batch: ClassVar[BatchClient]
    management: ClassVar[BatchManagementClient]

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, View] = {}
        self.born: set[str] = set()
        self.modified: set[str] = set()
        """Pools whose ETag must be another after this step."""
        self.touched: set[str] = set()
        """Pools of which anything may be different after this step."""
        self.resized: set[str] = set()
        """Pools that may be resizing after this step though they were steady before it."""
        self.time_passed = False
        self.jobs: dict[str, str] = {}
        """Those that were not deleted, and the pool of each."""
        self.node_ids: dict[str, set[str]] = {}
        """Of the pools that are gone."""

    def teardown(self) -> None:
        account = self.emulator.account
        for job in self.jobs:
            account.jobs.delete(job)
        for pool in account.pools():
            if not pool.deleted:
                account.delete_pool(pool.name, at_once=True)
        self.emulator.clock.advance(3600)

    # --- how things are done -------------------------------------------------------------------------------

    @property
    def place(self) -> tuple[str, str]:
        return self.emulator.info.resource_group, self.emulator.info.account

    def pool(self, which: int) -> View:
        pools = sorted(self.before)
        return self.before[pools[which % len(pools)]]

    def post(self, path: str, body: Json | None = None) -> None:
        """An operation of the data plane whose method in the SDK would wait in a thread for its end."""
        self.batch.send_request(HttpRequest("POST", f"{path}?{VERSION}", json=body))

    def refused(self, call: Callable[[], object]) -> str | None:
        """Do it; return the code of the refusal, or None if it was done."""
        try:
            call()
        except HttpResponseError as problem:
            model = getattr(problem, "model", None)
            code = str(model.code) if model is not None else code_of(problem)
        else:
            code = None
        assert code != "NotImplemented"
        return code

    def note(self, name: str, *, modified: bool = True, resized: bool = False) -> None:
        """Remember that a pool was acted upon."""
        self.touched.add(name.casefold())
        if modified:
            self.modified.add(name.casefold())
        if resized:
            self.resized.add(name.casefold())

    # --- what can happen to pools --------------------------------------------------------------------------

    @initialize(is_there=st.booleans())
    def begin(self, is_there: bool) -> None:
        """With a pool whose nodes are idle, or with nothing."""
        if is_there:
            self.create("red", 2, 0, "data")
            self.pass_time(200)

    @rule(name=NAMES, dedicated=COUNTS, low=COUNTS, plane=PLANES)
    def create(self, name: str, dedicated: int, low: int, plane: str) -> None:
        if plane == "data":
            document = data_pool(name, dedicated, *EXTENSIONS, targetLowPriorityNodes=low)
            code, taken = self.refused(lambda: self.batch.create_pool(document)), "PoolExists"
        else:
            scale = {"fixedScale": {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low}}
            body = management_pool(dedicated, *EXTENSIONS, scaleSettings=scale)
            only_new = {"match_condition": MatchConditions.IfMissing}
            code = self.refused(lambda: self.management.pool.create(*self.place, name, body, **only_new))
            taken = "ConditionNotMet"
        existing = self.before.get(name.casefold())
        if existing is None:
            assert code is None
            self.born.add(name.casefold())
        else:
            assert code == ("PoolBeingDeleted" if existing.is_deleting else taken)

    @precondition(lambda self: self.before)
    @rule(which=WHICH, plane=PLANES)
    def delete(self, which: int, plane: str) -> None:
        pool = self.pool(which)
        name = pool.data["id"]
        if plane == "data":
            request = HttpRequest("DELETE", f"/pools/{name}?{VERSION}")
            code = self.refused(lambda: self.batch.send_request(request))
        else:
            code = self.refused(lambda: self.management.pool.begin_delete(*self.place, name, polling=False))
        assert code == ("PoolBeingDeleted" if pool.is_deleting else None)
        if code is None:
            self.note(name, modified=False, resized=True)

    @precondition(lambda self: self.before)
    @rule(which=WHICH, dedicated=COUNTS)
    def replace(self, which: int, dedicated: int) -> None:
        pool = self.pool(which)
        name = pool.data["id"]
        body = management_pool(dedicated, *EXTENSIONS)
        code = self.refused(lambda: self.management.pool.create(*self.place, name, body))
        if pool.is_deleting:
            assert code == "PoolBeingDeleted"
        elif code is None:
            self.note(name, resized=True)
        else:
            assert code == "PoolBeingResized"

    @precondition(lambda self: self.before)
    @rule(which=WHICH, dedicated=COUNTS, low=COUNTS)
    def resize(self, which: int, dedicated: int, low: int) -> None:
        pool = self.pool(which)
        targets = {"targetDedicatedNodes": dedicated, "targetLowPriorityNodes": low}
        code = self.refused(lambda: self.post(f"/pools/{pool.data['id']}/resize", targets))
        assert (code is None) == (pool.is_steady and not pool.is_deleting and not pool.is_automatic)
        if code is None:
            self.note(pool.data["id"], resized=True)
        elif not pool.is_deleting and not pool.is_automatic:
            assert code == "PoolBeingResized"

    @precondition(lambda self: self.before)
    @rule(which=WHICH, plane=PLANES)
    def stop_resize(self, which: int, plane: str) -> None:
        pool = self.pool(which)
        name = pool.data["id"]
        if plane == "data":
            code = self.refused(lambda: self.post(f"/pools/{name}/stopresize"))
        else:
            code = self.refused(lambda: self.management.pool.stop_resize(*self.place, name))
        if pool.is_deleting:
            assert code == "PoolBeingDeleted"
        elif code is None:
            self.note(name, modified=False, resized=True)

    @precondition(lambda self: self.before)
    @rule(
        which=WHICH, formula=st.sampled_from(["$TargetDedicatedNodes=1", "$TargetDedicatedNodes=min(2,3);"])
    )
    def scale_by_formula(self, which: int, formula: str) -> None:
        pool = self.pool(which)
        path = f"/pools/{pool.data['id']}/enableautoscale"
        code = self.refused(lambda: self.post(path, {"autoScaleFormula": formula}))
        if code is None:
            assert pool.is_steady
            assert not pool.is_deleting
            self.note(pool.data["id"], resized=True)

    @precondition(lambda self: any(view.is_automatic for view in self.before.values()))
    @rule(which=WHICH, plane=PLANES)
    def scale_by_hand_again(self, which: int, plane: str) -> None:
        automatic = [view for _, view in sorted(self.before.items()) if view.is_automatic]
        pool = automatic[which % len(automatic)]
        name = pool.data["id"]
        if plane == "data":
            code = self.refused(lambda: self.batch.disable_pool_auto_scale(name))
        else:
            code = self.refused(lambda: self.management.pool.disable_auto_scale(*self.place, name))
        assert code == ("PoolBeingDeleted" if pool.is_deleting else None)
        if code is None:
            # While the pool is being resized this neither begins another resize nor modifies it.
            self.note(name, modified=pool.is_steady, resized=True)

    @precondition(lambda self: self.before)
    @rule(which=WHICH, value=st.sampled_from("ab"), plane=PLANES)
    def describe(self, which: int, value: str, plane: str) -> None:
        pool = self.pool(which)
        name, metadata = pool.data["id"], [{"name": "what", "value": value}]
        if plane == "data":
            code = self.refused(lambda: self.batch.update_pool(name, {"metadata": metadata}))
        else:
            body = {"properties": {"metadata": metadata}}
            code = self.refused(lambda: self.management.pool.update(*self.place, name, body))
        assert code == ("PoolBeingDeleted" if pool.is_deleting else None)
        if code is None:
            self.note(name)

    @rule(seconds=PAUSES)
    def pass_time(self, seconds: float) -> None:
        self.emulator.clock.advance(seconds)
        self.time_passed = True

    # --- what can happen to nodes --------------------------------------------------------------------------

    @precondition(has_nodes)
    @rule(which=WHICH, other=WHICH, operation=st.sampled_from(["reboot", "deallocate", "start"]))
    def turn_off_or_on(self, which: int, other: int, operation: str) -> None:
        pool, node = self.node(which, other)
        code = self.refused(lambda: self.post(f"/pools/{pool.data['id']}/nodes/{node['id']}/{operation}"))
        allowed = {"deallocated"} if operation == "start" else {"idle", "running"}
        assert (code is None) == (node["state"] in allowed)
        if code is None:
            self.note(pool.data["id"], modified=False)

    @precondition(has_nodes)
    @rule(which=WHICH, other=WHICH, operation=st.sampled_from(["enable", "disable"]))
    def schedule(self, which: int, other: int, operation: str) -> None:
        pool, node = self.node(which, other)
        path = f"/pools/{pool.data['id']}/nodes/{node['id']}/{operation}scheduling"
        code = self.refused(lambda: self.post(path))
        if node["schedulingState"] == f"{operation}d":
            assert code is not None
        if code is None:
            self.note(pool.data["id"], modified=False)

    @precondition(has_nodes)
    @rule(which=WHICH, other=WHICH)
    def remove(self, which: int, other: int) -> None:
        pool, node = self.node(which, other)
        path = f"/pools/{pool.data['id']}/removenodes"
        code = self.refused(lambda: self.post(path, {"nodeList": [node["id"]]}))
        if code is None:
            assert pool.is_steady
            self.note(pool.data["id"], resized=True)
        elif not pool.is_steady and not pool.is_deleting:
            assert code == "PoolBeingResized"

    @precondition(has_nodes)
    @rule(
        which=WHICH,
        tasks=st.integers(1, 4),
        retries=st.sampled_from([None, 0, -1]),
        seconds=st.sampled_from([0, 1, 40]),
    )
    def give_work(self, which: int, tasks: int, retries: int | None, seconds: float) -> None:
        """Of a job that prepares its nodes, and tries that again so often, or of one that does not."""
        pool, _ = self.node(which, 0)
        job, name = f"job-{next(NUMBERS)}", pool.data["id"]
        document: Any = {"id": job, "poolInfo": {"poolId": name}}
        if retries is not None:
            constraints = {"maxTaskRetryCount": retries}
            document["jobPreparationTask"] = {"commandLine": "true", "constraints": constraints}
            document["jobReleaseTask"] = {"commandLine": "true"}
        if self.refused(lambda: self.batch.create_job(document)) is None:
            self.jobs[job] = name
            batch = [{"id": f"task-{number}", "commandLine": "true"} for number in range(tasks)]
            self.batch.create_task_collection(job, {"value": batch})
        self.note(name, modified=False)
        if seconds:
            self.pass_time(seconds)

    @precondition(lambda self: self.jobs)
    @rule(which=WHICH, how=st.sampled_from(["wait", "requeue", "terminate", "enable", "end", "delete"]))
    def handle_work(self, which: int, how: str) -> None:
        job = sorted(self.jobs)[which % len(self.jobs)]
        self.note(self.jobs[job], modified=False)
        match how:
            case "enable":
                self.refused(lambda: self.post(f"/jobs/{job}/enable"))
            case "end":
                self.refused(lambda: self.post(f"/jobs/{job}/terminate", {}))
            case "delete":
                request = HttpRequest("DELETE", f"/jobs/{job}?{VERSION}")
                self.refused(lambda: self.batch.send_request(request))
                del self.jobs[job]
            case _:
                self.refused(lambda: self.post(f"/jobs/{job}/disable", {"disableTasks": how}))

    @precondition(has_nodes)
    @rule(which=WHICH, other=WHICH, back_after=st.sampled_from([None, 30.0]))
    def preempt(self, which: int, other: int, back_after: float | None) -> None:
        pool, node = self.node(which, other)
        if node["state"] != "leavingpool":
            self.emulator.account.preempt_node(pool.data["id"], node["id"], back_after)
            self.note(pool.data["id"], modified=False)

    def node(self, which: int, other: int) -> tuple[View, Json]:
        pools = [view for _, view in sorted(self.before.items()) if view.nodes]
        pool = pools[which % len(pools)]
        return pool, pool.nodes[other % len(pool.nodes)]

    # --- what must be true ---------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        listed = [pool.id for pool in self.batch.list_pools(max_results=2)]
        here = [pool.name for pool in self.management.pool.list_by_batch_account(*self.place)]
        assert sorted(listed) == sorted(here)
        assert len({name.casefold() for name in here}) == len(here)
        views = {name.casefold(): self.look(name) for name in here}
        for name in self.before.keys() - views.keys():
            self.is_gone(name)
        assert views.keys() - self.before.keys() == self.born
        counts = {item.pool_id: item.as_dict() for item in self.batch.list_pool_node_counts()}
        for name, view in views.items():
            both_planes.planes_agree(view)
            both_planes.nodes_are_sound(view)
            both_planes.numbers_add_up(view, counts[view.data["id"]])
            self.one_state_each(view)
            if name in self.before:
                self.goes_on(name, self.before[name], view)
            else:
                assert not {node["id"] for node in view.nodes} & self.node_ids.get(name, set())
        if views:
            self.extensions_hold(views[min(views)])
        for job in self.jobs:
            self.job_holds(job)
        self.before = views
        self.born, self.modified, self.touched, self.resized = set(), set(), set(), set()
        self.time_passed = False

    def look(self, name: str) -> View:
        # One of the planes is asked in capitals: names are compared without regard to case.
        management = self.management.pool.get(*self.place, name.upper()).as_dict()
        nodes = [node.as_dict() for node in self.batch.list_nodes(name, max_results=2)]
        return View(self.batch.get_pool(name).as_dict(), management, nodes)

    def is_gone(self, name: str) -> None:
        """A pool goes only after it was deleted, some time after; and then neither plane knows it."""
        before = self.before[name]
        assert before.is_deleting
        assert self.time_passed
        name_there = before.data["id"]
        assert self.refused(lambda: self.batch.get_pool(name_there)) == "PoolNotFound"
        assert self.refused(lambda: list(self.batch.list_nodes(name_there))) == "PoolNotFound"
        assert self.refused(lambda: self.management.pool.get(*self.place, name_there)) == "PoolNotFound"
        gone = self.node_ids.setdefault(name, set())
        gone |= {node["id"] for node in before.nodes}

    def one_state_each(self, view: View) -> None:
        """A filter and its opposite divide the nodes between them."""
        if not view.nodes:
            return
        name, state = view.data["id"], view.nodes[0]["state"]
        inside, outside = (
            {node.id for node in self.batch.list_nodes(name, filter=f"state {operator} '{state}'")}
            for operator in ("eq", "ne")
        )
        assert not inside & outside
        assert inside | outside == {node["id"] for node in view.nodes}
        assert inside == {node["id"] for node in view.nodes if node["state"] == state}

    def goes_on(self, name: str, before: View, after: View) -> None:
        """What may change in one step, and what must."""
        both_planes.times_go_on(before, after)
        assert after.data["id"] == before.data["id"]
        automatic = before.is_automatic and self.time_passed
        if not after.is_deleting and not automatic:
            assert (after.data["eTag"] != before.data["eTag"]) == (name in self.modified)
        if before.is_deleting:
            assert after.is_deleting
        if before.is_steady and not after.is_steady:
            assert name in self.resized or automatic
        if not before.is_steady and after.is_steady:
            assert self.time_passed or name in self.resized
        if not self.time_passed and name not in self.touched:
            assert after == before

    def job_holds(self, job: str) -> None:
        """Of a job that waits for its tasks there are some; of one that is over or disabled none runs."""
        state = self.batch.get_job(job).state
        if state != "active":
            tasks = {task.state for task in self.batch.list_tasks(job)}
            assert bool(tasks & {"running", "preparing"}) == (state == "disabling")

    def extensions_hold(self, view: View) -> None:
        """Of one node of a pool: a machine that is there shows its extensions, one that is not does not."""
        if not view.nodes:
            return
        name, node, found = view.data["id"], view.nodes[0], []

        def read() -> None:
            items = self.batch.list_node_extensions(name, node["id"], max_results=2)
            found.extend(item.as_dict() for item in items)

        there = node["state"] not in both_planes.WITHOUT_MACHINE
        assert self.refused(read) == (None if there else "OperationInvalidForCurrentState")
        if there:
            both_planes.extensions_are_sound(found, WANTED)


@pytest.mark.long
@pytest.mark.timeout(900)  # a failing history is made shorter for up to five minutes
@pytest.mark.timeout(900)
def test_random_histories(emulator: Emulator, batch: BatchClient, management: BatchManagementClient) -> None:
    Histories.emulator, Histories.batch, Histories.management = emulator, batch, management
    # What is held until a resize is over would change a pool at a moment that this model does not foresee.
    emulator.scenario = Scenario(
        answers=Answers(autoscale_while_resizing="refused"),
        tasks=[TaskScenario(task="task-0", after=60)],
        preparations=[
            PreparationScenario(node=0, exit_code=1, after=0),
            PreparationScenario(node=1, exit_code=1, after=30, attempts="first"),
        ],
    )
    chosen = settings(
        max_examples=HISTORIES or 7,
        stateful_step_count=25,
        derandomize=not HISTORIES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(Histories, settings=chosen)
