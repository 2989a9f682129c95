"""The reads of a gate and of the naive loop, counted at the emulator that the real SDK asks.

The simulation of ``gate`` counts for four sizes and many phases; this shows, for one of them, that the same
number of requests goes over the wire. The emulator's clock stands still while something is read, and moves on
by the pause between two looks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from airflow_batchext.emulator import Emulator, ExtensionScenario, Scenario
from airflow_batchext.emulator.scenarios.answers import AccountSettings
from airflow_batchext.rules.gate import Outcome
from airflow_batchext.rules.watch import Watch
from airflow_batchext.testing import airflow_connection
from benchmarks.gate import INTERVAL, done_times
from benchmarks.machine import markdown

NODES = 100
CONN_ID = "bench"
POOL = {
    "properties": {
        "vmSize": "STANDARD_D2S_V5",
        "deploymentConfiguration": {
            "virtualMachineConfiguration": {
                "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
                "nodeAgentSkuId": "batch.node.ubuntu 24.04",
                "extensions": [
                    {"name": "keyvault", "publisher": "Microsoft.Azure.KeyVault", "type": "KeyVaultForLinux"}
                ],
            }
        },
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": NODES}},
    }
}


def counted(history: str, wait: Callable[[Any, Callable[[float], None]], None]) -> int:
    """How many requests of the data plane a wait took, from the creation of the pool."""
    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.hooks.pool import AzureBatchPoolHook

    rules = [
        ExtensionScenario(node=index, extension="keyvault", after=after)
        for index, after in enumerate(done_times(history, NODES))
    ]
    scenario = Scenario(extensions=rules, account=AccountSettings(dedicated_core_quota=100_000))
    with Emulator(scenario=scenario, time_scale=0) as emulator:
        os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(airflow_connection(emulator.info))
        with AzureBatchPoolHook(CONN_ID) as management:
            management.create_pool("p", POOL)
        with AzureBatchNodeHook(CONN_ID) as hook:
            hook.get_conn()
            before = len(emulator.requests)
            wait(hook, emulator.clock.advance)
            asked = list(emulator.requests)[before:]
    return sum(request.path.startswith("/pools/") for request in asked)


def gate(hook: Any, advance: Callable[[float], None]) -> None:
    """Our gate."""
    from airflow_batchext.hooks._drivers.gate import look

    watch = Watch("p")
    while (verdict := look(hook, watch)).outcome is not Outcome.OPEN:
        advance(watch.pause(INTERVAL, verdict))


def naive(hook: Any, advance: Callable[[float], None]) -> None:
    """The loop that everybody writes."""
    while True:
        pool = hook.get_pool("p")
        nodes = hook.list_nodes("p")
        extensions = [item for node in nodes for item in hook.list_node_extensions("p", node["id"])]
        codes = [status["code"] for item in extensions for status in item["instanceView"]["statuses"]]
        ready = all(code == "ProvisioningState/succeeded" for code in codes)
        if pool["allocationState"] == "steady" and len(nodes) >= NODES and ready:
            return
        advance(INTERVAL)


def report() -> str:
    """Measure and tell."""
    rows = []
    for history in ("ready", "staggered", "tail"):
        ours, loop = (counted(history, wait) for wait in (gate, naive))
        rows.append((history, NODES, f"{ours:,}", f"{loop:,}", f"{loop / ours:.1f}"))
    return markdown(("history, over the wire", "nodes", "reads", "naive", "naive/reads"), rows)
