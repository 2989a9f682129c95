"""What Airflow's API server serves: to whom, with which headers, and whatever the XComs hold."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.live import stored, watched
from airflow_batchext.live.bounds import LONGEST
from airflow_batchext.live.routes import _ASSETS, app
from airflow_batchext.live.snapshot import to_json
from airflow_batchext.live.watched import CLASSPATH, AssetWatcherModel
from tests.examples import examples
from tests.live.planting import (
    add_dag,
    add_gate,
    add_gates,
    add_run,
    add_trigger,
    add_triggerer,
    add_watcher,
    failed,
    storable,
    waiting,
)

GATE = "gate?dag_id=rendering&run_id=r&task_id=gate"
WATCH = "watch?asset_id={}&trigger_id=71"
ROUTES = ("", *_ASSETS, "gates", GATE, WATCH.format(71))
#: Name, role: ``tests.live.access`` has their rights.
NOBODY, BAD = (None, None), ("bad token", None)
NO_ROLE, OTHER, NO_XCOMS = ("rolf", None), ("otto", "viewer"), ("nox", "viewer")
READER, VIEWER, ADMIN = ("vera", "viewer"), ("vic", "viewer"), ("ann", "admin")


@pytest.fixture
def gates(session: Any) -> None:
    """One gate of each of two DAGs, and the watcher of two assets."""
    add_gates(session, "rendering", "otto_reports")
    if AssetWatcherModel is not None:
        add_trigger(session, add_triggerer(session), classpath=CLASSPATH, number=71)
        for asset_id in (71, 75):
            add_watcher(session, asset_id, f"azbatch://a/rendering-{asset_id}", 71)
    session.commit()


def ask(server: Any, route: str, who: tuple[str | None, str | None]) -> Any:
    if who == BAD:
        return server.get(route, None, headers={"Authorization": "Bearer junk"})
    return server.get(route, *who)


def test_the_matrix_names_every_route():
    paths = {route.path for route in app().routes}
    assert paths == {"/", "/gates", "/gate", "/watch", "/{name}"}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("who", "status"), [(NOBODY, 401), (BAD, 403), (NO_ROLE, 403)], ids=str)
def test_strangers_get_nothing(server, gates, route, who, status):
    answer = ask(server, route, who)
    assert answer.status_code == status
    assert "rendering" not in answer.text
    assert "function" not in answer.text


@pytest.mark.parametrize("who", [OTHER, NO_XCOMS, READER, VIEWER, ADMIN], ids=str)
@pytest.mark.parametrize("route", ["", *_ASSETS])
def test_who_is_signed_in_gets_the_page(server, gates, route, who):
    assert ask(server, route, who).status_code == 200


@pytest.mark.parametrize(
    ("who", "dags"),
    [
        (OTHER, ["otto_reports"]),
        (NO_XCOMS, []),
        (READER, ["rendering"]),
        (VIEWER, ["otto_reports", "rendering"]),
        (ADMIN, ["otto_reports", "rendering"]),
    ],
    ids=str,
)
def test_everybody_sees_the_gates_of_those_dags_whose_xcoms_they_may_read(server, gates, who, dags):
    answer = ask(server, "gates", who)
    assert {gate["dag_id"] for gate in answer.json()["gates"]} == set(dags)
    for dag_id in ("rendering", "otto_reports"):
        assert (dag_id in answer.text) == (dag_id in dags)
        single = ask(server, f"gate?dag_id={dag_id}&run_id=r&task_id=gate", who)
        assert single.status_code == (200 if dag_id in dags else 404)
        assert (f"pool-of-{dag_id}" in single.text) == (dag_id in dags)


@pytest.mark.skipif(AssetWatcherModel is None, reason="Airflow has a table of watchers from 3.2 on")
@pytest.mark.parametrize(
    ("who", "assets"),
    [(OTHER, []), (NO_XCOMS, []), (READER, [71]), (VIEWER, [71, 75]), (ADMIN, [71, 75])],
    ids=str,
)
def test_everybody_sees_the_watchers_of_those_assets_that_they_may_read(server, gates, who, assets):
    answer = ask(server, "gates", who)
    assert [one["asset_id"] for one in answer.json()["watched"]] == assets
    for asset_id in (71, 75):
        assert (f"rendering-{asset_id}" in answer.text) == (asset_id in assets)
        single = ask(server, WATCH.format(asset_id), who)
        assert single.status_code == (200 if asset_id in assets else 404)
        assert (f"rendering-{asset_id}" in single.text) == (asset_id in assets)


def test_a_watcher_that_is_not_there_and_one_that_one_may_not_see_are_answered_alike(server, gates):
    hidden, gone = (ask(server, WATCH.format(asset_id), READER) for asset_id in (75, 72))
    assert (hidden.status_code, hidden.content) == (gone.status_code, gone.content)


def test_what_is_not_there_and_what_one_may_not_see_are_answered_alike(server, gates):
    hidden = ask(server, GATE, OTHER)
    gone = ask(server, GATE.replace("rendering", "otto_nothing"), OTHER)
    assert (hidden.status_code, hidden.content) == (gone.status_code, gone.content)


def test_one_reading_for_all_does_not_mix_up_what_they_may_see(server, gates):
    for who, count in ((ADMIN, 2), (OTHER, 1), (NO_XCOMS, 0), (VIEWER, 2)):
        assert len(ask(server, "gates", who).json()["gates"]) == count


@pytest.mark.parametrize(
    ("waits", "readers"),
    [("otto_reports", [READER, VIEWER, ADMIN]), ("rendering", [OTHER, VIEWER, ADMIN])],
)
def test_that_there_are_more_gates_is_told_to_those_who_may_read_one_of_them(
    server, session, monkeypatch, waits, readers
):
    """Of two there is room for the one that waits."""
    for dag_id in ("otto_reports", "rendering"):
        add_dag(session, dag_id)
        state = "deferred" if dag_id == waits else "failed"
        add_gate(session, dag_id, "r", run=add_run(session, dag_id, "r"), state=state, value={})
    session.commit()
    assert who_hears_of_more(server) == []
    monkeypatch.setattr(stored, "MOST_GATES", 1)
    assert who_hears_of_more(server) == readers


@pytest.mark.skipif(AssetWatcherModel is None, reason="Airflow has a table of watchers from 3.2 on")
def test_that_there_are_more_watchers_is_told_to_those_who_may_read_one_of_them(server, gates, monkeypatch):
    assert who_hears_of_more(server) == []
    monkeypatch.setattr(watched, "MOST_WATCHED", 1)
    assert who_hears_of_more(server) == [VIEWER, ADMIN]
    monkeypatch.setattr(watched, "MOST_WATCHED", 0)
    assert who_hears_of_more(server) == [READER, VIEWER, ADMIN]


def who_hears_of_more(server: Any) -> list[Any]:
    """Whom the page says that there is more than it shows."""
    server.mounted.state.stored = stored.Stored()
    everybody = (OTHER, NO_XCOMS, READER, VIEWER, ADMIN)
    return [who for who in everybody if ask(server, "gates", who).json()["is_capped"]]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("route", ROUTES)
def test_nothing_can_be_changed(server, gates, method, route):
    assert server.ask(method, route, *ADMIN).status_code == 405


@pytest.mark.parametrize(
    "path", ["nothing", "page.html", "..%2froutes.py", "static/page.js", "docs", "openapi.json"]
)
def test_there_is_nothing_else(server, path):
    assert server.get(path, *ADMIN).status_code == 404


@pytest.mark.parametrize("route", [*ROUTES, "nothing", "gate"])
@pytest.mark.parametrize("who", [NOBODY, ADMIN], ids=str)
def test_every_answer_is_kept_nowhere_and_framed_by_airflow_alone(server, gates, route, who):
    headers = ask(server, route, who).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    policy = headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    )
    assert "unsafe" not in policy
    assert "*" not in policy


def test_only_the_pages_own_script_runs_and_each_answer_has_a_nonce_of_its_own(server):
    nonces = set()
    for _ in range(3):
        page = server.get("", *ADMIN)
        (nonce,) = set(re.findall(r'nonce="([^"]+)"', page.text))
        assert (
            f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'"
            in page.headers["content-security-policy"]
        )
        assert "trusted-types 'none'" in page.headers["content-security-policy"]
        assert len(re.findall("<script|<link|<style", page.text)) == page.text.count("nonce=")
        nonces.add(nonce)
    assert len(nonces) == 3


def test_who_comes_to_the_page_without_being_signed_in_is_shown_where(server):
    answer = server.get("?dag_id=%22%3E%3Cscript%3E", None)
    assert answer.status_code == 401
    assert 'href="../api/v2/auth/login?next=' in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "gate",
        "gate?dag_id=rendering",
        f"gate?dag_id={'x' * 300}&run_id=r&task_id=gate",
        f"{GATE}&map_index=9999999999999999999999",
        f"{GATE}&map_index=one",
        "gate?dag_id=rendering%00&run_id=r&task_id=gate",
        "gate?dag_id=rendering&run_id=%00&task_id=gate",
        "gate?dag_id=rendering&run_id=r&task_id=g%0A%00te",
        "watch",
        WATCH.format("one"),
        WATCH.format(2**31),
        WATCH.format(-1),
    ],
)
def test_a_wrong_question_is_refused(server, gates, query):
    assert server.get(query, *ADMIN).status_code == 422


def test_a_database_that_does_not_answer_is_said_so_without_its_words(server, gates, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def broken(*_: Any, **__: Any) -> Any:
        raise OperationalError("SELECT secret", {}, Exception("password authentication failed for user"))

    monkeypatch.setattr(stored, "create_session", broken)
    monkeypatch.setattr(watched, "create_session", broken)
    for route in ("gates", GATE, WATCH.format(71)):
        answer = server.get(route, *ADMIN)
        assert (answer.status_code, answer.json()) == (503, {"detail": "Airflow's database does not answer."})
    monkeypatch.undo()
    assert server.get("gates", *ADMIN).status_code == 200


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.sampled_from(
        [
            "javascript:alert(1)",
            "https://u:p@x.example/",
            "<img src=x onerror=alert(1)>",
            "\ud800",
            "\x00",
            "\u202e",
            "x" * 5000,
        ]
    )
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
SNAPSHOTS = [to_json(waiting("p", 1.7e9)), to_json(failed("p", 1.7e9))]


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """A snapshot in which somebody has changed some members, at any depth; or anything else."""
    if draw(st.integers(0, 9)) == 0:
        return draw(HOSTILE)
    value = json.loads(json.dumps(draw(st.sampled_from(SNAPSHOTS))))
    for _ in range(draw(st.integers(1, 4))):
        holder: Any = value
        while True:
            step = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
            inner = holder[step]
            if isinstance(inner, (dict, list)) and inner and draw(st.booleans()):
                holder = inner
                continue
            holder[step] = draw(HOSTILE)
            break
    return draw(st.sampled_from([value, json.dumps(value)]))


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts(one)]


@settings(max_examples=examples(40))
@given(values=st.lists(spoilt(), min_size=1, max_size=12))
def test_whatever_stands_in_the_xcoms_the_page_gets_its_data(running, database, values):
    from airflow.utils.session import create_session

    from airflow_batchext.live.stored import Stored
    from tests.live.planting import clear

    running.mounted.state.stored = Stored()
    with create_session(scoped=False) as session:
        clear(session)
        add_dag(session, "rendering")
        run = add_run(session, "rendering", "r")
        for index, value in enumerate(values):
            add_gate(session, "rendering", "r", run=run, map_index=index, value=storable(session, value))
    listed = running.get("gates", *ADMIN)
    assert listed.status_code == 200
    assert len(listed.json()["gates"]) == len(values)
    for index in range(len(values)):
        single = running.get(f"{GATE}&map_index={index}", *ADMIN)
        assert single.status_code == 200
        snapshot = single.json()["gate"]["snapshot"]
        assert all(
            link["url"].startswith(("https://", "http://")) and "@" not in link["url"].split("#")[0]
            for link in (snapshot or {}).get("links", ())
        )
        assert all(text.isprintable() and len(text) < 2100 for text in texts(snapshot))
    with create_session(scoped=False) as session:
        clear(session)


def test_what_is_far_too_long_is_not_read(server, session):
    add_dag(session, "rendering")
    run = add_run(session, "rendering", "r")
    value = to_json(waiting("p", time.time())) | {"more": "x" * LONGEST}
    add_gate(session, "rendering", "r", run=run, value=value)
    session.commit()
    (gate,) = server.get("gates", *ADMIN).json()["gates"]
    assert gate["snapshot"] is None
    assert server.get(GATE, *ADMIN).json()["gate"]["snapshot"] is None
