"""Whatever the service sends, a snapshot, a diagnosis and every report of it can be made, and are safe."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.diagnosis import Report, diagnose
from airflow_batchext.health import from_json, pool_health, to_json
from airflow_batchext.rules.reads import Problem, ProblemKind
from tests.diagnosis.pools import HOSTILE, NOW
from tests.diagnosis.test_report import Elements
from tests.examples import examples

TEXTS = st.sampled_from(
    [
        *HOSTILE,
        *("idle", "unusable", "preempted", "leavingpool", "steady", "resizing", "deleting", "active"),
        *("AllocationFailed", "DiskFull", "ProvisioningState/failed/1", "ProvisioningState/transitioning"),
        *(
            "secretext",
            "KeyVaultForLinux",
            "Microsoft.Azure.KeyVault",
            "2026-01-01T00:00:00.0000000Z",
            "\ud800",
        ),
        '{"error": {"code": "x", "message": "y", "details": [{"code": "z"}]}}',
    ]
) | st.text(max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-3, 5) | st.floats(allow_nan=False) | TEXTS
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def bodies(**members: Any) -> st.SearchStrategy[Any]:
    """Bodies in which each member is as it should be, or anything, or not there."""
    return st.fixed_dictionaries({}, optional={name: value | ANYTHING for name, value in members.items()})


STATUSES = st.lists(bodies(code=TEXTS, message=TEXTS, level=LEAVES, time=TEXTS), max_size=2)
EXTENSIONS = bodies(
    provisioningState=TEXTS,
    instanceView=bodies(name=TEXTS, statuses=STATUSES, subStatuses=STATUSES),
    vmExtension=bodies(name=TEXTS, publisher=TEXTS, type=TEXTS, settings=ANYTHING),
)
FAULTS = st.lists(
    bodies(code=TEXTS, message=TEXTS, values=st.lists(bodies(name=TEXTS, value=TEXTS))), max_size=2
)
NODES = bodies(
    id=TEXTS,
    state=TEXTS,
    stateTransitionTime=TEXTS,
    lastBootTime=TEXTS,
    errors=FAULTS,
    isDedicated=LEAVES,
    startTaskInfo=bodies(state=TEXTS, result=TEXTS, exitCode=LEAVES, failureInfo=ANYTHING),
)
ASKED = bodies(
    name=TEXTS,
    type=TEXTS,
    publisher=TEXTS,
    settings=ANYTHING,
    provisionAfterExtensions=st.lists(TEXTS, max_size=2),
)
POOLS = bodies(
    state=TEXTS,
    allocationState=TEXTS,
    currentDedicatedNodes=st.integers(0, 3),
    targetDedicatedNodes=st.integers(0, 3),
    resizeErrors=FAULTS,
    vmSize=TEXTS,
    identity=bodies(userAssignedIdentities=ANYTHING),
    enableAutoScale=st.booleans(),
    autoScaleRun=bodies(error=ANYTHING),
    virtualMachineConfiguration=bodies(
        extensions=st.lists(ASKED, max_size=3), nodeAgentSKUId=TEXTS, imageReference=bodies(sku=TEXTS)
    ),
)
UNREAD = st.builds(Problem, st.sampled_from(ProblemKind), TEXTS)


@settings(max_examples=examples(150), deadline=None)
@given(
    POOLS | UNREAD, st.lists(NODES, max_size=4) | UNREAD, st.lists(st.lists(EXTENSIONS, max_size=3) | UNREAD)
)
def test_whatever_is_sent_can_be_reported_safely(pool: Any, nodes: Any, answers: Any):
    names = [] if isinstance(nodes, Problem) else [body.get("id") for body in nodes]
    texts = [name if isinstance(name, str) else "" for name in names]
    health = pool_health("p", pool, nodes, dict(zip(texts, answers, strict=False)), now=NOW)
    diagnosis = diagnose(health)
    if diagnosis.healthy:
        assert health.outcome == "open"
    report = Report(diagnosis)
    html = report.to_html()
    assert not {"script", "img", "iframe", "object", "form"} & Elements(html).tags
    html.encode()
    report.to_markdown().encode()
    diagnosis.short().encode()
    assert from_json(json.loads(report.to_text())["health"]) is not None
    assert to_json(health)["id"] == "p"
