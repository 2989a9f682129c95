"""What stands for Airflow's XComs, for tests of their writer; Airflow's API server, for those of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.live import _triggerer, _worker
from airflow_batchext.live.snapshot import read_snapshot
from tests.live.access import USERS
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from fastapi import FastAPI

    from airflow_batchext.live.form import Snapshot

INSTANCE = SimpleNamespace(
    dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, get_first_reschedule_date=lambda _: None
)


class XComs:
    """What tasks have written."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.links: list[str] = []

    def push(self, value: str) -> None:
        json.loads(value, parse_constant=pytest.fail)
        self.values.append(value)

    @property
    def snapshots(self) -> list[Snapshot]:
        found = [read_snapshot(value) for value in self.values]
        return [snapshot for snapshot in found if snapshot is not None]

    @property
    def last(self) -> Snapshot:
        return self.snapshots[-1]


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> XComs:
    """Airflow's XComs, in whatever way they are written; without pauses between writes."""
    kept = XComs()

    async def store(instance: Any, value: str) -> None:
        kept.push(value)

    async def stored(instance: Any) -> object:
        return kept.values[-1] if kept.values else None

    monkeypatch.setattr(_triggerer, "store", store)
    monkeypatch.setattr(_triggerer, "stored", stored)

    async def leave_link(instance: Any) -> None:
        kept.links.append(instance.task_id)

    monkeypatch.setattr(_triggerer, "leave_link", leave_link)
    monkeypatch.setattr(_worker, "store", lambda instance, value: kept.push(value))
    monkeypatch.setattr(_worker, "stored", lambda instance: kept.values[-1] if kept.values else None)
    monkeypatch.setattr(_worker, "LAST_SECONDS", PATIENCE)
    monkeypatch.setattr(_worker, "takes_threads", lambda: True)
    monkeypatch.setattr("airflow_batchext.live.writer.takes_threads", lambda: True)
    monkeypatch.setattr("airflow_batchext.live.pace.SHORTEST_SECONDS", 0.0)
    monkeypatch.setattr(_triggerer, "PER_SECOND", 10_000)
    return kept


@pytest.fixture(scope="session")
def database() -> None:
    """The tables in the AIRFLOW_HOME of the tests."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def session(database: None) -> Iterator[Any]:
    """A session on an empty database."""
    from airflow.utils.session import create_session

    from tests.live.planting import clear

    with create_session(scoped=False) as session:
        clear(session)
        session.commit()
        yield session
        session.rollback()
        clear(session)


class Server:
    """Airflow's API server, and who asks it."""

    def __init__(self, app: FastAPI, mounted: FastAPI) -> None:
        from fastapi.testclient import TestClient

        self.mounted = mounted
        self._client = TestClient(app, raise_server_exceptions=False)

    def token(self, name: str, role: str | None) -> str:
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role)))

    def get(self, path: str, user: str | None = "ann", role: str | None = "viewer", **options: Any) -> Any:
        """The answer to a GET below the page's address, by a user; None is nobody."""
        return self.ask("GET", path, user, role, **options)

    def ask(
        self, method: str, path: str, user: str | None, role: str | None = "viewer", **options: Any
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.token(user, role)}"} if user else {}
        headers |= options.pop("headers", {})
        return self._client.request(method, f"/batchext/{path}", headers=headers, **options)


@pytest.fixture(scope="session")
def running(database: None) -> Iterator[Server]:
    from airflow.api_fastapi.app import create_app, purge_cached_app

    settings = {
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.live.access.AccessManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS,
        "AIRFLOW__API_AUTH__JWT_SECRET": "s" * 64,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        purge_cached_app()
        app = create_app(apps="core")
        (mounted,) = (each.app for each in app.routes if getattr(each, "path", "") == "/batchext")
        yield Server(app, mounted)
        purge_cached_app()


@pytest.fixture
def server(running: Server) -> Server:
    """The server, which has not read anything yet."""
    from airflow_batchext.live.stored import Stored

    running.mounted.state.stored = Stored()
    return running
