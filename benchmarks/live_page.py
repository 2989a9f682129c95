"""What the live page costs Airflow's API server: a thousand gates that wait, each on a pool of ten nodes.

They lie in Airflow's database as gates leave them; the page's data is asked for as a browser does it, by a
viewer who may read all of it. *first*: the server knows nothing yet. *later*: two seconds have passed, in
which eleven gates have written, as of a thousand that write every three minutes. *kept*: another viewer asks
within two seconds. *questions* are those to the database.

    python -m benchmarks.live_page --json    # in the database that Airflow is configured for
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.machine import markdown

GATES, WRITTEN = 1000, 11
ROUNDS = 7
_DAG = "bench_live_page"


@contextmanager
def planted() -> Iterator[None]:
    """Gates in Airflow's database, until the end."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, update

    from airflow_batchext.live.snapshot import to_text
    from tests.live.planting import add_dag, add_gate, add_run, waiting

    with create_session(scoped=False) as session:
        add_dag(session, _DAG)
        run = add_run(session, _DAG, "r")
        # No scheduler is to look at it.
        session.execute(update(DagRun).where(DagRun.dag_id == _DAG).values(state="success"))
        for index in range(GATES):
            value = to_text(waiting(f"pool-{index}", time.time(), nodes=10))
            add_gate(session, _DAG, "r", run=run, map_index=index, value=value)
    try:
        yield
    finally:
        with create_session(scoped=False) as session:
            for table in (XComModel, TaskInstance, DagRun, DagModel):
                session.execute(delete(table).where(table.dag_id == _DAG))


def _write_some() -> None:
    from airflow.models.xcom import XComModel
    from airflow.providers.common.compat.sdk import timezone
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session(scoped=False) as session:
        some = (XComModel.dag_id == _DAG) & (XComModel.map_index < WRITTEN)
        session.execute(update(XComModel).where(some).values(timestamp=timezone.utcnow()))


def measured() -> dict[str, Any]:
    """Milliseconds of this process, and questions, of each kind of answer; medians."""
    from airflow import settings
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient
    from sqlalchemy import event

    from airflow_batchext.live.stored import KEPT_SECONDS, Stored

    app = create_app(apps="core")
    (mounted,) = (each.app for each in app.routes if getattr(each, "path", "") == "/batchext")
    client = TestClient(app)
    user = SimpleAuthManagerUser(username="ann", role="viewer")
    headers = {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}
    asked: list[str] = []
    clock = [0.0]

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    def ask() -> dict[str, float]:
        asked.clear()
        cpu = time.process_time()
        answer = client.get("/batchext/gates", headers=headers)
        spent = (time.process_time() - cpu) * 1000
        shown = sum(gate["dag_id"] == _DAG for gate in answer.json()["gates"])
        return {
            "cpu": spent,
            "questions": len(asked),
            "gates": shown,
            "kilobytes": len(answer.content) / 1000,
        }

    def first() -> dict[str, float]:
        mounted.state.stored = Stored(lambda: clock[0])
        return ask()

    def later() -> dict[str, float]:
        _write_some()
        clock[0] += KEPT_SECONDS
        return ask()

    def rounds(kind: Callable[[], dict[str, float]]) -> dict[str, float]:
        found = [kind() for _ in range(ROUNDS)]
        return {name: median(each[name] for each in found) for name in found[0]}

    ask()  # what is loaded at the first request is not the page's
    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        found = {"first": rounds(first), "later": rounds(later), "kept": rounds(ask)}
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    return {"database": settings.engine.dialect.name, **found}


def report() -> str:
    """Measure and tell."""
    from airflow.utils.db import initdb

    os.environ.setdefault("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    initdb()
    with planted():
        found = measured()
    columns = ("gates", "cpu", "questions", "kilobytes")
    rows = [
        (found["database"], kind, *(f"{found[kind][column]:,.0f}" for column in columns))
        for kind in ("first", "later", "kept")
    ]
    return markdown(("", "answer", "gates", "CPU ms", "questions", "kB"), rows)


if __name__ == "__main__":
    with planted():
        result = measured()
    if "--json" in sys.argv:
        print(json.dumps(result))
    else:
        print(result)
