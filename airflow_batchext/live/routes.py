"""What Airflow's API server serves of the live page: the page, its scripts and style, its data as JSON.

Whoever asks has to be signed in, and sees the gates of those DAGs alone whose XComs they may read, and the
watchers of those assets that they may read. All that is served says that nobody else may frame it, keep it,
or run anything in it.

Imported late: FastAPI reads the types in the signatures here, which have to be names of this module.
"""

from __future__ import annotations

import json
import logging
import time
from html import escape
from importlib.resources import files
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import (
    AccessView,
    AssetDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.models.dag import DagModel
from airflow.providers.common.compat.sdk import conf
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_batchext import __version__
from airflow_batchext.live.settings import PREFIX
from airflow_batchext.live.stored import WAITING, Gate, Stored, read_gate
from airflow_batchext.live.watched import Watched, read_watched

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

#: Seconds between two questions of a page that somebody looks at.
POLL_SECONDS: Final = 5
_FAILED: Final = ("failed", "up_for_retry", "upstream_failed")
_FILES: Final = files("airflow_batchext.live") / "static"
_ASSETS: Final = ("page.js", "row.js", "detail.js", "picture.js", "dom.js", "page.css")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOTHING: Final = "default-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"

#: Without NUL, which Postgres takes in no question.
Text = Annotated[str, Query(max_length=250, pattern=r"^[^\x00]*$")]
Number = Annotated[int, Query(ge=0, le=2**31 - 1)]
Index = Annotated[int, Query(ge=-1, le=1_000_000)]


def app() -> FastAPI:
    """The application that is mounted under ``PREFIX``."""
    made = FastAPI(
        title="Batch pools",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[Depends(requires_access_view(AccessView.WEBSITE))],
    )
    made.state.stored = Stored()
    made.middleware("http")(_guarded)
    made.exception_handler(AnyHTTPException)(_refused)
    made.exception_handler(SQLAlchemyError)(_unavailable)
    made.get("/")(page)
    made.get("/gates")(gates)
    made.get("/gate")(gate)
    made.get("/watch")(watch)
    made.get("/{name}")(asset)
    return made


def page() -> Response:
    """The page itself, in which only its own script and style work."""
    nonce = token_urlsafe(16)
    html = (_FILES / "page.html").read_text("utf-8").replace("NONCE", nonce).replace("VERSION", __version__)
    policy = (
        f"{_NOTHING}; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return Response(html, media_type="text/html", headers={"Content-Security-Policy": policy})


def asset(name: str) -> Response:
    """What the page does, and how it looks: its scripts and its style."""
    if name not in _ASSETS:
        raise HTTPException(404, "There is nothing here.")
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    return Response((_FILES / name).read_text("utf-8"), media_type=kind)


def gates(request: Request, user: GetUserDep) -> Response:
    """All gates that the user may see, without what only an opened one shows."""
    stored: Stored = request.app.state.stored
    reading = stored.now()
    left_out = reading.left_out
    readable = _readable({gate.key[0] for gate in reading.gates} | left_out.dags, user)
    assets = {asset_id for asset_id in {one.key[0] for one in reading.watched} if _may_read(asset_id, user)}
    # Of those alone that the user may read: nobody learns how much there is of others.
    is_capped = bool(readable & left_out.dags) or any(_may_read(each, user) for each in left_out.assets)
    return _json(
        {
            "now": time.time(),
            "poll_seconds": POLL_SECONDS,
            "is_capped": is_capped,
            "gates": [_line(gate) for gate in reading.gates if gate.key[0] in readable],
            "watched": [_watch_line(one) for one in reading.watched if one.key[0] in assets],
        }
    )


def gate(user: GetUserDep, dag_id: Text, run_id: Text, task_id: Text, map_index: Index = -1) -> Response:
    """One gate with all that it knows; to whom may not see it, it is not there."""
    found = read_gate((dag_id, run_id, task_id, map_index)) if _readable({dag_id}, user) else None
    if found is None:
        raise HTTPException(404, "There is no such gate, or it is not yours to see.")
    return _json({"now": time.time(), "gate": _line(found)})


def watch(user: GetUserDep, asset_id: Number, trigger_id: Number) -> Response:
    """One watched pool with all that is known of it; to whom may not see its asset, it is not there."""
    found = read_watched((asset_id, trigger_id)) if _may_read(asset_id, user) else None
    if found is None:
        raise HTTPException(404, "There is no such watcher, or it is not yours to see.")
    return _json({"now": time.time(), "gate": _watch_line(found)})


def _may_read(asset_id: int, user: Any) -> bool:
    """Whether the user may read an asset, and so the state that Airflow keeps of it."""
    details = AssetDetails(id=str(asset_id))
    return get_auth_manager().is_authorized_asset(method="GET", details=details, user=user)


def _readable(dag_ids: set[str], user: Any) -> set[str]:
    """Of these DAGs, those that the user may read, and the XComs of."""
    manager = get_auth_manager()
    known = dag_ids & manager.get_authorized_dag_ids(user=user, method="GET") if dag_ids else set()
    has_teams = conf.getboolean("core", "multi_team", fallback=False)
    return {
        dag_id
        for dag_id in known
        if manager.is_authorized_dag(
            method="GET",
            access_entity=DagAccessEntity.XCOM,
            details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id) if has_teams else None),
            user=user,
        )
    }


def _line(gate: Gate) -> dict[str, Any]:
    dag_id, run_id, task_id, map_index = gate.key
    group = "failed" if gate.state in _FAILED else "waiting" if gate.state in WAITING else "recent"
    return {
        "dag_id": dag_id,
        "run_id": run_id,
        "task_id": task_id,
        "map_index": map_index,
        "state": gate.state,
        "group": group,
        "try_number": gate.try_number,
        "ended": gate.ended_at.timestamp() if gate.ended_at and group != "waiting" else None,
        "written": gate.written_at.timestamp(),
        "nobody": gate.nobody,
        "snapshot": gate.head,
    }


def _watch_line(one: Watched) -> dict[str, Any]:
    asset_id, trigger_id = one.key
    return {
        "asset_id": asset_id,
        "trigger_id": trigger_id,
        "asset": one.asset,
        "uri": one.uri,
        "group": "watched",
        "since": one.since.timestamp(),
        "written": one.written_at.timestamp() if one.written_at else None,
        "nobody": one.nobody,
        "event": one.event,
        "other_event": one.other_event.timestamp() if one.other_event else None,
        "snapshot": one.head,
    }


def _json(value: Any) -> Response:
    # ASCII alone: half a surrogate pair in a message is no UTF-8.
    return Response(json.dumps(value, allow_nan=False), media_type="application/json")


async def _guarded(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", _NOTHING)
    return response


async def _unavailable(request: Request, error: Exception) -> Response:
    """An answer without the words of the database, which may tell where it is, and as whom one signs in."""
    log.error("The live page cannot read Airflow's database: %s", type(error).__name__, exc_info=error)
    detail = {"detail": "Airflow's database does not answer."}
    return Response(json.dumps(detail), status_code=503, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    """A refusal; whoever comes to the page without being signed in is shown where to do that."""
    assert isinstance(error, AnyHTTPException)  # noqa: S101 - that is what it is registered for
    if error.status_code != 401 or not request.url.path.endswith("/"):
        return Response(
            json.dumps({"detail": error.detail}),
            status_code=error.status_code,
            headers=error.headers,
            media_type="application/json",
        )
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    there = quote(f"{base}{PREFIX}/?{request.url.query}".rstrip("?"), safe="")
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Batch pools</title>'
        f'<p>You are not signed in. <a href="../api/v2/auth/login?next={escape(there)}">Sign in</a>'
    )
    return Response(html, status_code=401, media_type="text/html")
