"""A snapshot made of bodies: what it says, in whose words, and that nothing gets lost on the way to JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from airflow_batchext.batch.data_plane import Phase, epoch_seconds
from airflow_batchext.health import from_json, json_schema, pool_health, to_json
from airflow_batchext.rules.reads import Problem, ProblemKind, ReadExtensions, ReadNodes, ReadPool
from airflow_batchext.rules.watch import Watch
from tests import shapes

if TYPE_CHECKING:
    from airflow_batchext.rules.gate import Rules

NOW = epoch_seconds("2026-01-01T01:00:00.0000000Z") or 0.0
SIGNED = "https://acct.blob.core.windows.net/c/f?sv=2022&sig=S3NTINEL%2Fsig%3D&se=2027"


def node(name: str, state: str = "idle", **change: Any) -> dict[str, Any]:
    since = {"stateTransitionTime": "2026-01-01T00:03:00.0000000Z", **change}
    return shapes.node(name, state, "2026-01-01T00:02:50.0000000Z", **since)


def taken(
    nodes: Any = (), extensions: Any = None, *, pool: Any = None, rules: Rules | None = None, now: float = NOW
) -> Any:
    return pool_health("p1", shapes.pool() if pool is None else pool, nodes, extensions, now=now, rules=rules)


def gate(pool: Any, nodes: Any, extensions: Any, rules: Rules | None = None) -> Any:
    """The verdict of the gate itself on the same bodies."""
    from airflow_batchext.batch.data_plane import read_extension, read_node, read_pool

    flow = Watch("p1", rules).look(lambda: NOW, whole=True)
    wanted = next(flow)
    try:
        while True:
            answer: Any
            match wanted:
                case ReadPool():
                    answer = pool if isinstance(pool, Problem) else read_pool(pool)
                case ReadNodes():
                    answer = nodes if isinstance(nodes, Problem) else [read_node(body) for body in nodes]
                case ReadExtensions(node_ids):
                    found = {i: extensions.get(i, ()) for i in node_ids}
                    answer = {
                        i: got if isinstance(got, Problem) else [read_extension(body) for body in got]
                        for i, got in found.items()
                    }
            wanted = flow.send(answer)
    except StopIteration as end:
        return end.value


FAILED = shapes.recorded(code="ProvisioningState/failed/5")
PENDING = shapes.recorded(code="ProvisioningState/transitioning")
UNREAD = Problem(ProblemKind.PASSING, "Could not list extensions: 503 ServerBusy", 3.0)
REFUSED = Problem(ProblemKind.REFUSED, "Could not read pool p1: 403 AuthorizationFailure")
GONE = Problem(ProblemKind.MISSING, "Could not read pool p1: 404 PoolNotFound")
STORIES: dict[str, tuple[Any, Any, Any]] = {
    "ready": (
        shapes.pool(),
        [node("n1"), node("n2")],
        {"n1": [shapes.recorded()], "n2": [shapes.recorded()]},
    ),
    "failed and pending": (
        shapes.pool(),
        [node("n1"), node("n2")],
        {"n1": [FAILED], "n2": [PENDING]},
    ),
    "a node is not listed, another unread": (shapes.pool(), [node("n1")], {"n1": UNREAD}),
    "an extension is not listed": (
        shapes.pool(),
        [node("n1"), node("n2")],
        {"n1": [], "n2": [shapes.recorded()]},
    ),
    "unusable for long": (
        shapes.pool(),
        [node("n1"), node("n2", "unusable", errors=[{"code": "DiskFull", "message": "no space"}])],
        {"n1": [shapes.recorded()], "n2": []},
    ),
    "preempted": (shapes.pool(), [node("n1"), node("n2", "preempted")], {"n1": [shapes.recorded()]}),
    "the resize failed": (
        shapes.pool(
            currentDedicatedNodes=0,
            resizeErrors=[{"code": "AccountCoreQuotaReached", "message": "The account has reached it"}],
        ),
        [],
        {},
    ),
    "being deleted": (shapes.pool(state="deleting"), [node("n1")], {"n1": [shapes.recorded()]}),
    "no pool": (GONE, [], {}),
    "refused": (REFUSED, [], {}),
    "unread node list": (shapes.pool(), UNREAD, {}),
}


@pytest.mark.parametrize("story", STORIES)
def test_the_snapshot_says_the_sentences_of_the_gate(story):
    pool, nodes, extensions = STORIES[story]
    health, verdict = taken(nodes, extensions, pool=pool), gate(pool, nodes, extensions)
    assert health.outcome == verdict.outcome.value
    assert health.reasons == verdict.reasons
    if verdict.nodes or verdict.unread:  # where the pool is reason enough, the gate does not count nodes
        assert health.summary == verdict.summary
    assert (health.outcome == "open") == (story == "ready")


@pytest.mark.parametrize("story", STORIES)
def test_json_comes_back_as_it_went_and_fits_its_schema(story):
    pool, nodes, extensions = STORIES[story]
    health = taken(nodes, extensions, pool=pool)
    written = json.loads(json.dumps(to_json(health)))
    assert from_json(written) == health
    jsonschema.validate(written, json_schema())
    with pytest.raises(ValueError, match="outcome"):
        from_json({**written, "outcome": "perhaps"})


def test_nodes_are_counted_by_the_gates_rules_and_since_when():
    early = "2026-01-01T00:01:00.0000000Z"
    health = taken(
        [
            node("n1"),
            node("n2"),
            node("n3", stateTransitionTime=early),
            node("n4", "leavingpool"),
            node("n5"),
        ],
        {
            "n1": [shapes.recorded()],
            "n2": [FAILED],
            "n3": [PENDING],
            "n4": [FAILED],
            "n5": UNREAD,
        },
        pool=shapes.pool(targetDedicatedNodes=6),
    )
    totals = health.totals
    assert (totals.wanted, totals.ready.nodes, totals.pending.nodes, totals.failed.nodes) == (6, 1, 2, 1)
    assert (totals.pending.since, totals.unread) == (early, 1)
    assert [n.id for n in health.failing_first()] == ["n2", "n3", "n5", "n1", "n4"]
    assert health.node("n5").unread == UNREAD.text
    assert health.node("n4").phase is Phase.SUCCEEDED
    assert "n4" not in " ".join(health.reasons)


def test_a_node_that_was_broken_a_moment_ago_is_pending_and_later_failed():
    broken = [node("n1", "starttaskfailed")]
    since = epoch_seconds("2026-01-01T00:03:00.0000000Z") or 0.0
    pool = shapes.pool(targetDedicatedNodes=1)
    assert taken(broken, {"n1": []}, pool=pool, now=since + 60).nodes[0].phase is Phase.PENDING
    assert taken(broken, {"n1": []}, pool=pool, now=since + 1000).nodes[0].phase is Phase.FAILED


def test_start_task_errors_and_resize_errors_are_unfolded():
    inner = json.dumps({"error": {"code": "BadRequest", "message": "cannot boot Hypervisor Generation '2'"}})
    health = taken(
        [
            node(
                "n1",
                errors=[
                    {
                        "code": "DiskFull",
                        "message": "m",
                        "errorDetails": [{"name": "Message", "value": "/mnt"}],
                    }
                ],
                startTaskInfo={
                    "state": "completed",
                    "result": "failure",
                    "exitCode": 3,
                    "retryCount": 1,
                    "startTime": "a",
                    "endTime": "b",
                    "failureInfo": {
                        "category": "UserError",
                        "code": "FailureExitCode",
                        "message": "it failed",
                    },
                },
                isDedicated=False,
                schedulingState="Disabled",
                runningTasksCount=2,
            )
        ],
        {"n1": []},
        pool=shapes.pool(
            resizeErrors=[
                {
                    "code": "AllocationFailed",
                    "message": "no nodes",
                    "values": [
                        {"name": "Provider Error Json", "value": inner},
                        {"name": "Provider Error Json Truncated", "value": "False"},
                    ],
                }
            ]
        ),
    )
    (one,) = health.nodes
    assert one.errors[0].details == (("Message", "/mnt"),)
    assert one.start_task
    assert (one.start_task.exit_code, one.start_task.result, one.start_task.ended) == (3, "failure", "b")
    assert one.start_task.failure
    assert one.start_task.failure.code == "FailureExitCode"
    assert (one.dedicated, one.scheduling, one.running_tasks) == (False, "disabled", 2)
    unfolded = health.resize_errors[0].unfolded
    assert "BadRequest: cannot boot Hypervisor Generation '2'" in unfolded
    assert "Azure Compute refused the machines" in unfolded
    assert "Truncated" not in unfolded


@pytest.mark.parametrize("as_text", [False, True])
def test_settings_are_shown_and_their_secrets_are_not(as_text):
    settings: Any = {
        "commandToExecute": "curl https://user:S3NTINEL@host/",
        "storageAccountKey": "S3NTINEL",
        "protected_setings": {"deep": ["S3NTINEL"]},
        "connectionString": "S3NTINEL",
        "url": SIGNED,
        "requireInitialSync": True,
        "workspaceId": "12345678",
    }
    body = shapes.recorded(code="ProvisioningState/failed/1")
    body["instanceView"]["statuses"][0]["message"] = (
        f"Failed to download {SIGNED}: AccountKey=S3NTINEL; password: 'S3NTINEL', "
        "Authorization: Bearer S3NTINEL.token"
    )
    body["instanceView"]["subStatuses"] = [{"code": "ComponentStatus/StdErr/x", "message": f"GET {SIGNED}"}]
    body["vmExtension"]["settings"] = json.dumps(settings) if as_text else settings
    machine = {"extensions": [{"name": "secretext", "settings": body["vmExtension"]["settings"]}]}
    health = taken([node("n1")], {"n1": [body]}, pool=shapes.pool(virtualMachineConfiguration=machine))
    written = json.dumps(to_json(health))
    assert "S3NTINEL" not in written
    assert "S3NTINEL" not in health.summary
    shown = health.nodes[0].extensions[0].settings
    assert shown["workspaceId"] == "12345678"
    assert shown["requireInitialSync"] is True
    assert shown["storageAccountKey"] == "***"
    assert shown["protected_setings"] == {"deep": ["***"]}
    assert health.extensions[0].settings == shown
    assert health.extensions[0].settings_as_text is as_text


@pytest.mark.parametrize("body", [shapes.recorded(), shapes.how_to(), shapes.specified("secretext")])
def test_every_shape_on_record_is_understood(body):
    health = taken([node("n1")], {"n1": [body]}, pool=shapes.pool(targetDedicatedNodes=1))
    (extension,) = health.nodes[0].extensions
    assert (extension.phase, extension.expected) == (Phase.SUCCEEDED, True)
    assert health.outcome == "open"


@pytest.mark.parametrize(
    "nonsense", [{}, {"id": 7, "virtualMachineConfiguration": [1]}, {"resizeErrors": "x"}]
)
def test_nonsense_is_taken_for_nothing(nonsense):
    health = pool_health("p1", nonsense, [nonsense, {}], {"": [nonsense]}, now=NOW)
    assert health.outcome == "wait"
    assert from_json(json.loads(json.dumps(to_json(health)))) == health


def test_long_messages_are_bounded():
    body = shapes.recorded(code="ProvisioningState/failed/1")
    body["instanceView"]["statuses"][0]["message"] = "x" * 100_000
    health = taken([node("n1")], {"n1": [body]})
    assert len(health.nodes[0].extensions[0].message) < 17_000
