"""Snapshots of a waiting gate, a failed one, and an operator that waits for a pool."""

from __future__ import annotations

from dataclasses import replace

from airflow_batchext.live.form import (
    Change,
    Counts,
    ExtensionSaid,
    Field,
    Link,
    NodeSaid,
    Picture,
    Point,
    RepairSaid,
    RepairStep,
    Snapshot,
    WorkSaid,
)

NOW = 1_795_936_000.0
PORTAL = (
    "https://portal.azure.com/#@11111111-2222-3333-4444-555555555555/resource/subscriptions/s/resourceGroups/g"
    "/providers/Microsoft.Batch/batchAccounts/contoso/pools/render-42"
)

WAITING = Snapshot(
    kind="gate",
    pool="render-42",
    connection="azure_batchext_default",
    account="contoso",
    mode="deferrable",
    rules="every extension on every node of pool render-42 to succeed",
    started=NOW - 190,
    deadline=NOW + 3410,
    interval=30.0,
    looked=NOW - 4,
    next_look=NOW + 26,
    stale_at=NOW + 146,
    summary="3 of 6 nodes ready; node …7f_1 (starting): extension nginx reports transitioning",
    reasons=(
        "node tvmps_7f_1 (starting): extension nginx reports ProvisioningState/transitioning: Enabling",
        "node tvmps_7f_2 (starting) does not list extension nginx yet",
        "node tvmps_7f_3 is rebooting",
    ),
    extensions=("nginx", "monitor"),
    picture=Picture(
        Counts(wanted=6, ready=3, pending=3, failed=0, unread=1),
        fields=(Field("", "puvrrr"), Field("nginx", "puvrrr"), Field("monitor", "ruvrrr")),
        ages=(2, None, None, 34, 34, 64),
        nodes=(
            NodeSaid(
                id="tvmps_7f_1",
                kind="pending",
                state="starting",
                since=NOW - 100,
                read=NOW - 6,
                says=(
                    (
                        "node tvmps_7f_1 (starting): extension nginx reports "
                        "ProvisioningState/transitioning: Enabling"
                    ),
                ),
                extensions=(
                    ExtensionSaid("nginx", "pending", "ProvisioningState/transitioning", "Enabling"),
                    ExtensionSaid("monitor", "ready", "ProvisioningState/succeeded", "Enabled <b>'&\u00e9"),
                ),
            ),
            NodeSaid(
                id="tvmps_7f_2",
                kind="unread",
                state="starting",
                since=NOW - 80,
                is_dedicated=False,
                says=("extensions of node tvmps_7f_2 have not been read yet",),
                extensions=(ExtensionSaid("nginx", "unread"), ExtensionSaid("monitor", "unread")),
            ),
            NodeSaid(
                id="tvmps_7f_3",
                kind="void",
                state="rebooting",
                since=NOW - 20,
                says=("node tvmps_7f_3 is rebooting",),
                extensions=(ExtensionSaid("nginx", "void"), ExtensionSaid("monitor", "void")),
            ),
        ),
    ),
    history=(
        Change(NOW - 190, "pool render-42 is resizing; 6 of 6 nodes are not there yet"),
        Change(NOW - 94, "1 of 6 nodes ready; 5 nodes are starting"),
        Change(NOW - 34, "3 of 6 nodes ready; node tvmps_7f_3 is rebooting"),
    ),
    points=(Point(NOW - 190, 0), Point(NOW - 94, 1), Point(NOW - 34, 3)),
    links=(Link("Pool in the Azure portal", PORTAL),),
)

FAILED = replace(
    WAITING,
    mode="start_from_trigger",
    outcome="failed",
    next_look=None,
    stale_at=None,
    summary="a repair does not help: node tvmps_7f_1 failed again after a reimage",
    reasons=(
        (
            "a repair does not help: node tvmps_7f_1 failed again after a reimage: extension nginx reports "
            "ProvisioningState/failed/100: apt-get: Unable to locate package nginx-extras"
        ),
    ),
    picture=Picture(
        Counts(wanted=6, ready=5, pending=0, failed=1),
        fields=(Field("", "frrrrr"), Field("nginx", "frrrrr"), Field("monitor", "rrrrrr")),
        ages=(1, 1, 120, 90, 60, 31),
        nodes=(
            NodeSaid(
                id="tvmps_7f_1",
                kind="failed",
                state="idle",
                since=NOW - 60,
                read=NOW - 5,
                says=(
                    (
                        "node tvmps_7f_1 (idle): extension nginx reports ProvisioningState/failed/100: "
                        "apt-get: Unable to locate package nginx-extras"
                    ),
                ),
                extensions=(
                    ExtensionSaid(
                        "nginx",
                        "failed",
                        "ProvisioningState/failed/100",
                        "apt-get: Unable to locate package nginx-extras",
                    ),
                    ExtensionSaid("monitor", "ready", "ProvisioningState/succeeded"),
                ),
            ),
        ),
    ),
    repair=RepairSaid(
        "node tvmps_7f_1 failed again after a reimage",
        steps=(
            RepairStep("tvmps_7f_1", "reboot", "nginx ProvisioningState/failed/100", "failed"),
            RepairStep("tvmps_7f_1", "reimage", "nginx ProvisioningState/failed/100", "failed"),
        ),
        notes=("the targets of pool render-42 are as before",),
    ),
    causes=(
        "A package is not in the index (extension nginx, 1 of 6 nodes). Name one that is there.",
        "The nodes cannot reach the package server (extension nginx, 1 of 6 nodes). Allow outbound HTTPS.",
    ),
    more="batchext diagnose --conn-id=azure_batchext_default render-42",
    links=(
        Link("Pool in the Azure portal", PORTAL),
        Link("Pool report", "https://reports.example/render-42.html"),
    ),
    capped=("reasons: 20 of 31",),
)

RESIZING = Snapshot(
    kind="resize",
    pool="render-43",
    connection="azure_batchext_default",
    account="contoso",
    mode="worker",
    rules="pool render-43 to have the nodes that it is to have",
    started=NOW - 65,
    deadline=NOW + 1735,
    interval=15.0,
    looked=NOW - 5,
    next_look=NOW + 10,
    stale_at=NOW + 130,
    summary="pool render-43 is resizing: 4 of 10 dedicated nodes",
    reasons=("pool render-43 is resizing: 4 of 10 dedicated nodes",),
    history=(
        Change(NOW - 65, "pool render-43 is resizing: 0 of 10 dedicated nodes"),
        Change(NOW - 5, "pool render-43 is resizing: 4 of 10 dedicated nodes"),
    ),
    links=(Link("Pool in the Azure portal", PORTAL.replace("-42", "-43")),),
)

WORKING = Snapshot(
    kind="work",
    pool="render-42",
    connection="azure_batchext_default",
    account="contoso",
    rules="pool render-42 to run the Batch tasks of this task",
    started=NOW - 600,
    deadline=NOW + 85_800,
    interval=30.0,
    looked=NOW - 12,
    next_look=NOW + 18,
    stale_at=NOW + 258,
    summary="of 40 tasks 12 succeeded, 1 failed, 4 running, 23 waiting for a node",
    reasons=("of 40 tasks 12 succeeded, 1 failed, 4 running, 23 waiting for a node",),
    points=(Point(NOW - 600, 0), Point(NOW - 12, 12, 1)),
    work=WorkSaid(("dag-render-0123-1", "dag-render-0123-2"), 23, 4, 12, 1),
)

SNAPSHOTS = {"gate-waiting": WAITING, "gate-failed": FAILED, "resize-waiting": RESIZING, "work": WORKING}
