"""The live page under FAB's auth manager: to whom each of its routes shows which gates and watchers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_batchext.live.routes import _ASSETS
from tests.fab.conftest import DAGS, RECIPE, USERS, WATCHED, Server, serve

pytestmark = pytest.mark.fab

#: Which gates a user sees; None has no right to Airflow's web page.
SEES: dict[str, tuple[str, ...] | None] = {
    "Admin": DAGS,
    "Op": DAGS,
    "User": DAGS,
    "Viewer": DAGS,
    "Public": None,
    "no role": None,
    "one DAG": DAGS[:1],
    "another DAG": DAGS[1:],
    "both DAGs": DAGS,
    "one DAG, no XComs": (),
    "one DAG, no page": None,
    "one DAG, to edit": (),
    "all DAGs, no XComs": (),
    "no DAG": (),
    "assets": (),
    "assets, to edit": (),
    "other assets": (),
    "everything": DAGS,
    "no Website": None,
    "no XComs": (),
    "no DAGs": (),
    "no Assets": DAGS,
}
#: Who sees watchers: FAB gives the right to all assets, or to none.
SEE_WATCHERS = ("Admin", "Op", "User", "Viewer", "assets", "everything", "no XComs", "no DAGs")


def single(dag_id: str) -> str:
    return f"gate?dag_id={dag_id}&run_id=r&task_id=gate"


def watcher(asset_id: int) -> str:
    return f"watch?asset_id={asset_id}&trigger_id=70"


ROUTES = ("", *_ASSETS, "gates", single(DAGS[0]), watcher(WATCHED[0]))


def shows(server: Server, token: str | None) -> set[str]:
    """The DAGs whose gates somebody sees who may see the page: the same on each route."""
    server.forget()
    answer = server.send("GET", "batchext/gates", token)
    assert answer.status_code == 200
    listed = {gate["dag_id"] for gate in answer.json()["gates"]}
    for dag_id in DAGS:
        found = server.send("GET", f"batchext/{single(dag_id)}", token)
        assert found.status_code == (200 if dag_id in listed else 404)
        assert (f"pool-of-{dag_id}:" in found.text) == (dag_id in listed)
        assert (f"pool-of-{dag_id}:" in answer.text) == (dag_id in listed)
    return listed


def shows_watchers(server: Server, token: str | None) -> set[int]:
    """The assets whose watchers somebody sees who may see the page: the same on each route."""
    server.forget()
    answer = server.send("GET", "batchext/gates", token)
    assert answer.status_code == 200
    listed = {one["asset_id"] for one in answer.json()["watched"]}
    for asset_id in WATCHED:
        found = server.send("GET", f"batchext/{watcher(asset_id)}", token)
        assert found.status_code == (200 if asset_id in listed else 404)
        for text in (found.text, answer.text):
            assert (f"pool-of-asset-{asset_id}" in text) == (asset_id in listed)
    return listed


def test_each_user_is_in_the_matrix():
    assert SEES.keys() == USERS.keys()
    assert {user for user in SEE_WATCHERS if SEES[user] is not None} == set(SEE_WATCHERS)


def test_the_docs_say_which_rights_a_role_needs():
    page = Path(__file__).parents[2].joinpath("docs", "live-page.md").read_text("utf-8")
    (recipe,) = re.findall(r"a role of your own needs(.*?); Public,", page, re.DOTALL)
    named = re.findall(r"\*([^*]+)\*", recipe)
    assert [each for each in named if each != "DAG:…"] == ["can read", *RECIPE]


@pytest.mark.parametrize("user", SEES)
def test_a_user_sees_the_gates_of_those_dags_whose_xcoms_they_may_read(under_fab: Server, user: str):
    dags = SEES[user]
    if dags is not None:
        assert shows(under_fab, under_fab.token(user)) == set(dags)
    for route in ("", *_ASSETS):
        assert under_fab.get(f"batchext/{route}", user).status_code == (403 if dags is None else 200)


@pytest.mark.parametrize("user", [user for user, dags in SEES.items() if dags is not None])
def test_a_user_sees_the_watchers_of_those_assets_that_they_may_read(under_fab: Server, user: str):
    assert shows_watchers(under_fab, under_fab.token(user)) == set(WATCHED if user in SEE_WATCHERS else ())


@pytest.mark.parametrize("user", [user for user, dags in SEES.items() if dags is not None])
def test_that_there_is_more_is_told_to_those_who_may_read_some_of_it(
    under_fab: Server, user: str, monkeypatch: pytest.MonkeyPatch
):
    def is_capped(gates: int, watchers: int) -> bool:
        monkeypatch.setattr("airflow_batchext.live.stored.MOST_GATES", gates)
        monkeypatch.setattr("airflow_batchext.live.watched.MOST_WATCHED", watchers)
        under_fab.forget()
        return bool(under_fab.get("batchext/gates", user).json()["is_capped"])

    # Of gates there is room for that which was written last.
    assert is_capped(1, 9) == (DAGS[0] in (SEES[user] or ()))
    assert is_capped(9, 1) == (user in SEE_WATCHERS)
    assert is_capped(2, 2) is False


def nothing_of_ours(answer: Any, *statuses: int) -> None:
    assert answer.status_code in statuses
    assert "rendering" not in answer.text
    assert "pool-of-" not in answer.text
    assert "function" not in answer.text


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("user", [user for user, dags in SEES.items() if dags is None])
def test_who_has_no_right_to_the_web_page_gets_nothing(under_fab: Server, user: str, route: str):
    nothing_of_ours(under_fab.get(f"batchext/{route}", user), 403)


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_and_bad_tokens_get_nothing(under_fab: Server, route: str):
    good = under_fab.token("Admin")
    forged = f"{good[:-9]}{'A' if good[-9] != 'A' else 'B'}{good[-8:]}"
    nothing_of_ours(under_fab.send("GET", f"batchext/{route}", None), 401)
    for bad in ("junk", forged):
        nothing_of_ours(under_fab.send("GET", f"batchext/{route}", bad), 403)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("route", ROUTES)
def test_an_admin_can_change_nothing(under_fab: Server, method: str, route: str):
    answer = under_fab.send(method, f"batchext/{route}", under_fab.token("Admin"))
    assert answer.status_code == 405


@pytest.mark.parametrize("user", SEES)
def test_the_entry_in_the_menu_is_for_those_who_may_read_plugins(under_fab: Server, user: str):
    """The page says so, and that it is good by itself: docs/live-page.md."""
    answer = under_fab.get("api/v2/plugins", user)
    assert answer.status_code == (200 if user in ("Admin", "Op") else 403)
    assert ("/batchext/" in answer.text) == (answer.status_code == 200)


def test_a_user_who_is_not_active_any_more_gets_nothing(under_fab: Server):
    token, manager = under_fab.token("Viewer"), under_fab.manager
    assert shows(under_fab, token)
    with manager.flask_app.app_context():
        security = manager.security_manager
        user = security.find_user("Viewer")
        try:
            user.active = False
            security.update_user(user)
            manager.cache.clear()  # FAB keeps whom it knows for half a minute
            for route in ROUTES:
                assert under_fab.send("GET", f"batchext/{route}", token).status_code >= 400
        finally:
            user.active = True
            security.update_user(user)
            manager.cache.clear()
    assert shows(under_fab, token)


@pytest.fixture(scope="module", params=["Viewer", "one DAG", "all DAGs, no XComs", "Public"])
def public(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    """A server that gives everybody a role who is not signed in."""
    for server in serve(auth_role_public=request.param):
        yield request.param, server


def test_where_everybody_has_a_role_they_see_what_it_may_see_at_most(public: tuple[str, Server]):
    role, server = public
    if role == "Public":
        for route in ROUTES:
            nothing_of_ours(server.send("GET", f"batchext/{route}", None), 401, 403)
    else:
        assert server.send("GET", "batchext/", None).status_code == 200
        # FAB gives nobody single DAGs who is not signed in.
        assert shows(server, None) == (set(DAGS) if role == "Viewer" else set())
        assert shows_watchers(server, None) == (set(WATCHED) if role == "Viewer" else set())
    for route in ROUTES:
        nothing_of_ours(server.send("GET", f"batchext/{route}", "junk"), 403)
    assert shows(server, server.token("one DAG")) == {"rendering"}
