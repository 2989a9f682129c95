"""Whether an Airflow on this machine is well, as its API server says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException

COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def healthy(port: int, components: Sequence[str] = COMPONENTS) -> bool:
    """Whether the page answers and says that these components are healthy."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/v2/monitor/health")
        health = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return all((health.get(name) or {}).get("status") == "healthy" for name in components)
