"""What the real service said in 2025 and 2026, before every reader of the package.

The bodies are restated from recordings of the SDKs' own tests; what is trimmed is what no reader reads. Times
are near ``NOW``.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from airflow_batchext.batch.data_plane import read_extension, read_node, read_pool
from airflow_batchext.batch.whole_pool import read_whole_pool
from airflow_batchext.cli.table import pool_table
from airflow_batchext.diagnosis import Report, diagnose
from airflow_batchext.health import from_json, pool_health, to_json
from airflow_batchext.repair.controller import Repair
from airflow_batchext.repair.policy import RepairPolicy
from airflow_batchext.repair.requests import ReadWholePool
from airflow_batchext.rules.gate import Rules
from airflow_batchext.rules.reads import ReadExtensions, ReadNodes, ReadPool
from airflow_batchext.rules.watch import Watch
from airflow_batchext.transport.flows import drive
from tests.shapes import agent, fresh, recorded

Body = dict[str, Any]
NOW = 1_770_120_600.0  # 2026-02-03T12:10:00Z
NODE = "tvmps_" + "0a" * 32 + "_d"
AGENT = {"lastUpdateTime": "2026-02-03T12:05:20.1Z", "version": "1.12.16"}
BOOTED = {"lastBootTime": "2026-02-03T12:05:14.1Z", "nodeAgentInfo": AGENT}
STARTED = {
    "state": "completed",
    "result": "success",
    "exitCode": 0,
    "startTime": "2026-02-03T12:05:21Z",
    "endTime": "2026-02-03T12:05:22Z",
}
POOL: Body = {
    "id": "p",
    "eTag": "0x8DE631C3B0A5A3F",
    "creationTime": "2026-02-03T12:00:00.1Z",
    "lastModified": "2026-02-03T12:00:00.1Z",
    "state": "active",
    "stateTransitionTime": "2026-02-03T12:00:00.1Z",
    "allocationState": "steady",
    "allocationStateTransitionTime": "2026-02-03T12:04:40.9Z",
    "vmSize": "standard_d2_v3",
    "resizeTimeout": "PT15M",
    "currentDedicatedNodes": 1,
    "currentLowPriorityNodes": 0,
    "targetDedicatedNodes": 1,
    "targetLowPriorityNodes": 0,
    "enableAutoScale": False,
    "enableInterNodeCommunication": False,
    "taskSlotsPerNode": 1,
    "taskSchedulingPolicy": {"nodeFillType": "Spread", "jobDefaultOrder": "none"},
    "networkConfiguration": {"dynamicVNetAssignmentScope": "none", "enableAcceleratedNetworking": False},
    "virtualMachineConfiguration": {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
        "extensions": [fresh()["vmExtension"]],
    },
}
COMING = {"allocationState": "resizing", "currentDedicatedNodes": 0}
SHORT = {
    "currentDedicatedNodes": 0,
    "resizeErrors": [
        {
            "code": "AccountVMSeriesCoreQuotaReached",
            "message": "The specified account has reached VM series core quota for standardDFamily",
        }
    ],
}
SCALED = {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes=2", "targetDedicatedNodes": 0}
GOING = {"state": "deleting", "targetDedicatedNodes": 0, "resizeTimeout": "PT7M9.497S"}


def node(state: str, **change: Any) -> Body:
    return {
        "id": NODE,
        "state": state,
        "schedulingState": "enabled",
        "stateTransitionTime": "2026-02-03T12:05:00.1Z",
        "allocationTime": "2026-02-03T12:04:40.1Z",
        "ipAddress": "10.0.0.4",
        "vmSize": "standard_d2_v3",
        "totalTasksRun": 0,
        "isDedicated": True,
        "virtualMachineInfo": {"imageReference": {"exactVersion": "latest"}},
        **change,
    }


OFF = {"schedulingState": "disabled", **BOOTED}
DONE = [recorded("secretext"), agent()]
#: Pool, node, extensions, and what a gate makes of them.
SITUATIONS: dict[str, tuple[Body, Body | None, list[Body], str]] = {
    "nothing yet": (COMING, None, [], "wait"),
    "just visible": (COMING, node("creating"), [fresh(), agent("")], "wait"),
    "four seconds later, in the other order": ({}, node("creating"), [agent(""), fresh()], "wait"),
    "starting": ({}, node("starting", **BOOTED), [fresh(), agent("")], "wait"),
    "idle, and silent": ({}, node("idle", **BOOTED, startTaskInfo=STARTED), [fresh(), agent()], "wait"),
    "ready": ({}, node("idle", **BOOTED, startTaskInfo=STARTED), DONE, "open"),
    "rebooting": ({}, node("rebooting", **BOOTED), DONE, "wait"),
    "reimaging": ({}, node("reimaging", **BOOTED, startTaskInfo=STARTED), DONE, "wait"),
    "starting again after it, with the old boot and start task": (
        {},
        node("starting", **BOOTED, startTaskInfo=STARTED, stateTransitionTime="2026-02-03T12:09:50Z"),
        DONE,
        "wait",
    ),
    "deallocating": ({}, node("deallocating", **OFF), DONE, "wait"),
    "deallocated": ({}, node("deallocated", **OFF), DONE, "wait"),
    "no quota": (SHORT, None, [], "fail"),
    "a formula that nobody evaluated": ({**SCALED, "currentDedicatedNodes": 0}, None, [], "wait"),
    "deleting": (GOING, node("idle", **BOOTED), DONE, "fail"),
}


@pytest.fixture(params=SITUATIONS)
def situation(request):
    change, shown, extensions, outcome = SITUATIONS[request.param]
    return {**POOL, **change}, [shown] if shown else [], extensions, outcome


def answer(situation, read):
    pool, nodes, extensions, _ = situation
    match read:
        case ReadPool():
            return read_pool(pool)
        case ReadWholePool():
            return read_whole_pool(pool)
        case ReadNodes():
            return [read_node(body) for body in nodes]
        case ReadExtensions(node_ids):
            return {node_id: tuple(map(read_extension, extensions)) for node_id in node_ids}
        case _:
            raise AssertionError(f"a repair does {read}")


def test_the_gate_is_right(situation):
    watch = Watch("p", Rules(node_grace=0.0))
    verdict = drive(watch.look(lambda: NOW), lambda read: answer(situation, read))
    assert verdict.outcome.value == situation[-1]
    assert verdict.outcome.value == "open" or verdict.reasons


def test_a_repair_begins_nothing(situation):
    """Nothing of this is an illness: what is fresh, away or coming back helps itself."""
    repair = Repair("p", RepairPolicy(broken_after=0.0), owner="me", dry_run=True)
    progress = drive(repair.look(lambda: NOW), lambda read: answer(situation, read))
    assert progress.acts == ()


def test_status_diagnosis_and_report_say_the_same(situation):
    pool, nodes, extensions, outcome = situation
    health = pool_health(
        "p", pool, nodes, {NODE: extensions} if nodes else {}, now=NOW, rules=Rules(node_grace=0.0)
    )
    assert health.outcome == outcome
    assert from_json(to_json(health)) == health
    console = Console(file=io.StringIO(), width=160)
    console.print(pool_table(health, 10))
    report = Report(diagnose(health))
    assert report.to_html().startswith("<!doctype html>")
    assert report.to_markdown()
    if outcome == "wait" and nodes:
        assert report.diagnosis.health.totals.failed.nodes == 0
