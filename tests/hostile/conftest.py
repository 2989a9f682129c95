"""A hostile service, and the listener that nothing may reach."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.hostile.service import Answer, Hostile, Trap, bad_answers


@pytest.fixture(scope="session")
def hostile() -> Iterator[Hostile]:
    server = Hostile()
    yield server
    server.close()


@pytest.fixture(scope="session")
def trap() -> Iterator[Trap]:
    listener = Trap()
    yield listener
    listener.close()


@pytest.fixture(scope="session")
def family(hostile: Hostile, trap: Trap) -> list[Answer]:
    return bad_answers(trap.url, hostile.https)


@pytest.fixture
def conn_id(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> str:
    """An Airflow connection to the hostile service."""
    from airflow_batchext.credentials import forget_keys, forget_tokens

    forget_tokens()
    forget_keys()
    monkeypatch.setenv("AIRFLOW_CONN_HOSTILE", json.dumps(hostile.connection()))
    return "hostile"
