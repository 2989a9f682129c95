"""What Azure refuses, as the gate and a repair are told of it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks._drivers.gate import adrive, alook, drive, problem_of, read_extensions
from airflow_batchext.hooks._requests import AtOnce
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.rules.deadline import Deadline
from airflow_batchext.rules.gate import Outcome
from airflow_batchext.rules.reads import (
    TOO_LATE,
    Problem,
    ProblemKind,
    ReadExtensions,
    ReadNodes,
    ReadPool,
)
from airflow_batchext.rules.watch import Watch
from airflow_batchext.transport import aside, flows, within
from tests.hostile.meeting import LONGEST_HOLD_SECONDS, longest_hold, slowness
from tests.waiting import until


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AccessRefusedError, ProblemKind.REFUSED),
        (NotFoundError, ProblemKind.MISSING),
        (ConflictError, ProblemKind.CONFLICT),
        (UnavailableError, ProblemKind.PASSING),
        (ServiceError, ProblemKind.REJECTED),
    ],
)
def test_one_translator_tells_every_kind_of_refusal_apart(error, kind):
    refused = error("Could not do it", status=400, code="SomeCode", retry_after=7.0)
    assert problem_of(refused) == Problem(kind, "Could not do it", 7.0, "SomeCode")


def test_an_etag_that_is_no_longer_right_reads_the_same_whatever_the_service_calls_it():
    for code in ("", "ConditionNotMet", "UpdateConditionNotSatisfied"):
        assert problem_of(ConflictError("x", status=412, code=code)).code == "ConditionNotMet"


class Crowd(AzureBatchNodeHook):
    """A hook of a pool of so many nodes, whose extension says so much; nothing is sent."""

    def __init__(self, count, code, message):
        super().__init__("official")
        statuses = [{"code": f"ProvisioningState/{code}", "message": message}]
        self.extensions = [
            {"vmExtension": {"name": "e"}, "instanceView": {"name": "e", "statuses": statuses}}
        ]
        since = dict.fromkeys(
            ("stateTransitionTime", "lastBootTime", "allocationTime"), "2026-01-01T00:00:00Z"
        )
        self.nodes = [{"id": f"n{number}", "state": "idle", **since} for number in range(count)]
        counts = {"targetDedicatedNodes": count, "currentDedicatedNodes": count}
        machine = {"extensions": [{"name": "e"}]}
        self.pool = {"id": "p", "state": "active", "allocationState": "steady", "creationTime": "x", **counts}
        self.pool |= {"virtualMachineConfiguration": machine}

    async def aget_conn(self):
        return None

    async def _asend(self, request):
        await asyncio.sleep(0)
        if request.url.endswith("/extensions"):
            return {"value": self.extensions}
        if not request.url.endswith("/nodes"):
            return self.pool
        start = int(request.query.get("skip", 0))
        link = (
            {"odata.nextLink": f"{request.url}?skip={start + 1000}"} if start + 1000 < len(self.nodes) else {}
        )
        return {"value": self.nodes[start : start + 1000], **link}


@pytest.mark.parametrize(
    ("count", "code", "message", "outcome"),
    [
        (12_000, "succeeded", "", Outcome.OPEN),
        (60, "failed/1", "key vault said no: exit code=1; " * 2000, Outcome.FAIL),
    ],
    ids=["ready", "loud"],
)
def test_a_look_at_many_nodes_holds_no_event_loop(count, code, message, outcome):
    """What they say is read, and judged, beside it."""
    hook, watch = Crowd(count, code, message), Watch("p")
    with longest_hold() as held:
        verdict = asyncio.run(alook(hook, watch))
        longest = held()
    assert (verdict.outcome, len(verdict.nodes)) == (outcome, count)
    assert longest < LONGEST_HOLD_SECONDS * slowness()


def test_who_is_cancelled_leaves_no_rules_at_work():
    """Who looks next goes on with what they remember."""
    begun, done = threading.Event(), []

    async def work():
        working = asyncio.create_task(aside(lambda: (begun.set(), time.sleep(0.2), done.append(1))))
        await until(begun.is_set)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert done

    asyncio.run(work())


def test_no_node_is_asked_once_the_time_is_over():
    """Whoever set the deadline: thousands of requests that cannot leave would hold an event loop."""
    asked = []

    def answer(wanted):
        if isinstance(wanted, AtOnce):
            return [flows.drive(call, answer) for call in wanted.calls]
        asked.append(wanted)
        return []

    nodes = [f"n{number}" for number in range(50)]
    with within(0):
        found = flows.drive(read_extensions("p", nodes, at_once=8), answer)
    assert found == dict.fromkeys(nodes, TOO_LATE)
    assert asked == []


@pytest.mark.parametrize("driven", [drive, lambda *given: asyncio.run(adrive(*given))], ids=["sync", "async"])
@pytest.mark.parametrize("wanted", [ReadPool(), ReadNodes(), ReadExtensions(("n",))])
def test_nothing_is_asked_once_the_rules_have_no_time_left(azure, driven, wanted):
    def rules():
        return (yield wanted)

    over = Deadline(100.0, lambda: 100.0)
    assert driven(AzureBatchNodeHook(), azure.pool_id, rules(), over) is TOO_LATE
    assert list(azure.emulator.requests) == []
