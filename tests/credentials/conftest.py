"""Hooks that are driven sync or async, and an emulated account that counts who signs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook

if TYPE_CHECKING:
    from tests.conftest import Azure

PLANES = {
    "data": (AzureBatchNodeHook, "list_nodes"),
    "management": (AzureBatchPoolHook, "get_pool"),
}


@pytest.fixture(autouse=True)
def _signed_out(monkeypatch: pytest.MonkeyPatch, azure: Azure) -> None:
    """No token is left from before, and the machine has no identity."""
    azure.emulator.faults.clear()
    for name in ("CLIENT_ID", "TENANT_ID", "CLIENT_SECRET", "FEDERATED_TOKEN_FILE", "AUTHORITY_HOST"):
        monkeypatch.delenv(f"AZURE_{name}", raising=False)


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``read(plane, conn_id, pool)``: read a pool's nodes, or the pool, on a new hook."""

    def sync(plane: str, conn_id: str, pool: str, **options: Any) -> Any:
        kind, method = PLANES[plane]
        with kind(conn_id, retries=0, **options) as hook:
            return getattr(hook, method)(pool)

    def asynchronous(plane: str, conn_id: str, pool: str, **options: Any) -> Any:
        async def run() -> Any:
            kind, method = PLANES[plane]
            async with kind(conn_id, retries=0, **options) as hook:
                return await getattr(hook, f"a{method}")(pool)

        return asyncio.run(run())

    return sync if request.param == "sync" else asynchronous


def sign_ins(azure: Azure) -> int:
    """How often a token was asked for."""
    parts = ("/oauth2/v2.0/token", "/msi/token")
    return sum(len(azure.reads(part)) for part in parts)
