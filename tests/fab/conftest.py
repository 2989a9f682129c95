"""Airflow's API server with FAB's auth manager. Only with ``-m fab`` (``make test-fab``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastapi import FastAPI

#: The name of one begins with the other's.
DAGS = ("rendering", "rendering_night")
PAGE, XCOMS = ("can_read", "Website"), ("can_read", "XComs")
ONE, ANOTHER = ("can_read", "DAG:rendering"), ("can_read", "DAG:rendering_night")
ASSETS = ("can_read", "Assets")
#: The ids of those that are watched.
WATCHED = (71, 75)
#: What a role needs that is to see everything, as the docs say it.
RECIPE = ("Website", "XComs", "DAGs", "Assets")
#: Roles as an administrator makes them, beside those that FAB brings along.
MADE_ROLES = {
    "one DAG": (PAGE, XCOMS, ONE),
    "another DAG": (PAGE, XCOMS, ANOTHER),
    "one DAG, no XComs": (PAGE, ONE),
    "one DAG, no page": (XCOMS, ONE),
    "one DAG, to edit": (PAGE, XCOMS, ("can_edit", "DAG:rendering")),
    "all DAGs, no XComs": (PAGE, ("can_read", "DAGs")),
    "no DAG": (PAGE, XCOMS),
    "assets": (PAGE, ASSETS),
    "assets, to edit": (PAGE, ("can_edit", "Assets"), ("can_create", "Assets"), ("menu_access", "Assets")),
    "other assets": (PAGE, ("can_read", "Asset Aliases"), ("can_read", "Asset:71")),
    "everything": tuple(("can_read", each) for each in RECIPE),
    **{f"no {each}": tuple(("can_read", other) for other in RECIPE if other != each) for each in RECIPE},
}
#: Who has which roles.
USERS = {
    **{name: (name,) for name in ("Admin", "Op", "User", "Viewer", "Public", *MADE_ROLES)},
    "both DAGs": ("one DAG", "another DAG"),
    "no role": (),
}
PASSWORD = "only-for-tests"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = str(config.getoption("markexpr"))
    return True if collection_path.name.startswith("test_") and wanted != "fab" else None


class Server:
    """Airflow's API server under FAB, and who asks it."""

    def __init__(self, app: FastAPI, manager: Any) -> None:
        from fastapi.testclient import TestClient

        self.manager = manager
        self._client = TestClient(app, raise_server_exceptions=False)
        (self._mounted,) = (each.app for each in app.routes if getattr(each, "path", "") == "/batchext")
        self._tokens: dict[str, str] = {}

    def forget(self) -> None:
        """Read the database anew."""
        from airflow_batchext.live.stored import Stored

        self._mounted.state.stored = Stored()

    def token(self, user: str) -> str:
        """What FAB gives a user for the password."""
        if user not in self._tokens:
            answer = self._client.post("/auth/token", json={"username": user, "password": PASSWORD})
            assert answer.status_code == 201, answer.text
            self._tokens[user] = answer.json()["access_token"]
        return self._tokens[user]

    def get(self, path: str, user: str | None) -> Any:
        """The answer below Airflow's address to a user; None is nobody."""
        return self.send("GET", path, self.token(user) if user else None)

    def send(self, method: str, path: str, token: str | None, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._client.request(method, f"/{path}", headers=headers, **options)


def serve(**settings: str) -> Iterator[Server]:
    """An API server under FAB, with the users, a gate of each of two DAGs, and two watched assets.

    :param settings: those of the section ``[fab]``.
    """
    from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from airflow_batchext.live.watched import CLASSPATH
    from tests.live.planting import add_gates, add_trigger, add_triggerer, add_watcher, clear

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "AIRFLOW__CORE__AUTH_MANAGER",
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        )
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
        for name, value in settings.items():
            patch.setenv(f"AIRFLOW__FAB__{name.upper()}", value)
        purge_cached_app()
        initdb()
        with create_session(scoped=False) as session:
            clear(session)
            add_gates(session, *DAGS)
            add_trigger(session, add_triggerer(session), classpath=CLASSPATH, number=70)
            for asset_id in WATCHED:
                add_watcher(session, asset_id, f"azbatch://a/pool-of-asset-{asset_id}", 70)
        app = create_app(apps="core")
        manager: Any = get_auth_manager()
        with manager.flask_app.app_context():
            _people(manager.security_manager)
        yield Server(app, manager)
        purge_cached_app()


def _people(security: Any) -> None:
    for name, rights in MADE_ROLES.items():
        role = security.add_role(name)
        for action, resource in rights:
            security.add_permission_to_role(role, security.create_permission(action, resource))
    for name, roles in USERS.items():
        if security.find_user(name) is None:
            mail = f"{name.replace(' ', '.').replace(',', '')}@example.org"
            held = [security.find_role(role) for role in roles]
            assert security.add_user(name, "A", "B", mail, held, PASSWORD), name


@pytest.fixture(scope="module")
def under_fab() -> Iterator[Server]:
    """As FAB is by default: who is not signed in is nobody."""
    yield from serve()
