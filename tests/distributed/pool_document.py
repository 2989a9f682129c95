"""The pool document of the bed's DAGs. No module of the tests' own fixtures: those are not for DAG files."""

from __future__ import annotations

from typing import Any


def document(nodes: int) -> dict[str, Any]:
    """A pool with one extension, ``agent``."""
    machine = {
        "imageReference": {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
        "nodeAgentSkuId": "batch.node.ubuntu 24.04",
        "extensions": [
            {"name": "agent", "publisher": "Microsoft.Azure.Monitor", "type": "AzureMonitorLinuxAgent"}
        ],
    }
    return {
        "properties": {
            "vmSize": "STANDARD_DS2_V2",
            "deploymentConfiguration": {"virtualMachineConfiguration": machine},
            "scaleSettings": {"fixedScale": {"targetDedicatedNodes": nodes}},
        }
    }
