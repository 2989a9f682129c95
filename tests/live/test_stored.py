"""What is read of Airflow's database: which gates, who looks for them, and what it costs."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import timezone
from sqlalchemy import event

from airflow_batchext.live import stored
from airflow_batchext.live.snapshot import to_json, to_text
from airflow_batchext.live.stored import DETAIL, MOST_GATES, RECENT, WAITING, LeftOut, Stored, read_gate
from tests.live.planting import add_dag, add_gate, add_run, add_trigger, add_triggerer, waiting
from tests.live.scenes import sized


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(session: Any) -> int:
    add_dag(session, "d")
    return add_run(session, "d", "r")


@contextmanager
def statements() -> Any:
    """The statements that are sent to the database meanwhile."""
    from airflow import settings

    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)


def plan(session: Any, question: Any) -> list[str]:
    """The steps in which the database answers; those of Postgres if it uses the indexes that there are."""
    from airflow import settings
    from sqlalchemy import text

    explain, column = "EXPLAIN QUERY PLAN", 3
    if session.get_bind().dialect.name == "postgresql":
        explain, column = "EXPLAIN (COSTS OFF)", 0
        # Tables with few rows it would read as a whole.
        for way in ("seqscan", "bitmapscan", "sort"):
            session.execute(text(f"SET LOCAL enable_{way} = off"))
    sql = question.compile(settings.engine, compile_kwargs={"literal_binds": True})
    return [str(row[column]).strip() for row in session.execute(text(f"{explain} {sql}"))]


def value(pool: str = "p") -> dict[str, Any]:
    return to_text(waiting(pool, time.time()))


def test_without_rows_there_is_nothing(session):
    reading = Stored().now()
    assert (reading.gates, reading.watched, reading.left_out) == ((), (), LeftOut())


def test_waiting_ones_are_there_however_old_and_ended_ones_for_a_day(session, run):
    old, recent = timezone.utcnow() - RECENT - timedelta(hours=1), timezone.utcnow() - timedelta(hours=23)
    states = [*WAITING, "success", "failed", "skipped", "up_for_retry", "removed", None]
    for state in states:
        for when, at in (("old", old), ("recent", recent)):
            add_gate(session, "d", "r", f"{state}-{when}", run=run, state=state, value=value(), at=at)
    session.commit()
    found = {gate.key[2] for gate in Stored().now().gates}
    assert found == {f"{state}-recent" for state in states} | {f"{state}-old" for state in WAITING}
    assert read_gate(("d", "r", "success-old", -1)) is not None


def as_an_event_leaves_it(value: Any) -> Any:
    from airflow.models.xcom import XComModel

    return XComModel.serialize_value(value)


@pytest.mark.parametrize("make", [to_json, to_text])
@pytest.mark.parametrize("leave", [lambda value: value, as_an_event_leaves_it])
def test_a_value_is_read_however_airflow_has_stored_it(session, run, make, leave):
    snapshot = waiting("p", time.time())
    add_gate(session, "d", "r", run=run, value=leave(make(snapshot)))
    session.commit()
    (gate,) = Stored().now().gates
    assert gate.head == {name: member for name, member in to_json(snapshot).items() if name not in DETAIL}
    found = read_gate(gate.key)
    assert found is not None
    assert found.head == to_json(snapshot)


def test_other_keys_are_none_of_ours(session, run):
    add_gate(session, "d", "r", "other", run=run, value=value(), key="return_value")
    session.commit()
    assert Stored().now().gates == ()
    assert read_gate(("d", "r", "other", -1)) is None


def test_the_list_has_no_detail_and_a_single_gate_has_all(session, run):
    add_gate(session, "d", "r", run=run, value=value())
    session.commit()
    (gate,) = Stored().now().gates
    assert gate.head is not None
    assert not set(gate.head) & set(DETAIL)
    whole = read_gate(gate.key)
    assert whole is not None
    assert whole.head is not None
    assert set(whole.head) - set(gate.head) == set(DETAIL)
    assert {name: whole.head[name] for name in gate.head} == gate.head


@pytest.mark.parametrize(
    ("silent", "job_state", "nobody"),
    [
        (1, "running", ""),
        (29, "running", ""),
        (31, "running", "Its triggerer is dead"),
        (1, "failed", "Its triggerer is dead"),
        (86_400, "success", "Its triggerer is dead"),
    ],
)
def test_a_dead_triggerer_is_known_by_its_heartbeat(session, run, silent, job_state, nobody):
    trigger = add_trigger(session, add_triggerer(session, silent_for=silent, state=job_state))
    add_gate(session, "d", "r", run=run, value=value(), trigger=trigger)
    session.commit()
    assert [gate.nobody for gate in Stored().now().gates] == [nobody]


@pytest.mark.parametrize(("age", "nobody"), [(5, ""), (31, "No triggerer has taken it")])
def test_a_trigger_that_nobody_takes_is_known_by_its_age(session, run, age, nobody):
    add_gate(session, "d", "r", run=run, value=value(), trigger=add_trigger(session, None, age=age))
    session.commit()
    assert [gate.nobody for gate in Stored().now().gates] == [nobody]


def test_a_triggerer_that_is_gone_from_the_table_is_dead(session, run):
    add_gate(session, "d", "r", run=run, value=value(), trigger=add_trigger(session, 4711))
    session.commit()
    assert [gate.nobody for gate in Stored().now().gates] == ["Its triggerer is dead"]


@pytest.mark.parametrize(
    ("state", "nobody"), [("running", "Its worker has not been heard of"), ("up_for_reschedule", "")]
)
def test_a_dead_worker_is_known_by_its_heartbeat(session, run, state, nobody):
    long_ago = timezone.utcnow() - timedelta(hours=1)
    add_gate(session, "d", "r", run=run, state=state, value=value(), heartbeat=long_ago)
    session.commit()
    assert [gate.nobody for gate in Stored().now().gates] == [nobody]


def test_one_reading_serves_all_for_two_seconds(session, run):
    add_gate(session, "d", "r", run=run, value=value())
    session.commit()
    clock = Clock()
    kept = Stored(clock)
    with statements() as sent:
        readings = [kept.now() for _ in range(50)]
        asked = len(sent)
        clock.now = 1.9
        assert kept.now() is readings[0]
        assert len(sent) == asked
        clock.now = 2.1
        assert kept.now() is not readings[0]
        assert len(sent) == 2 * asked - 1, "the value is known, and is not asked for again"
    assert len({id(one) for one in readings}) == 1


def test_what_was_written_anew_is_read_anew_and_what_is_gone_is_forgotten(session, run):
    from airflow.models.xcom import XComModel
    from sqlalchemy import delete, update

    add_gate(session, "d", "r", run=run, value=value("one"))
    session.commit()
    clock = Clock()
    kept = Stored(clock)
    assert [gate.head and gate.head["pool"] for gate in kept.now().gates] == ["one"]
    later = timezone.utcnow() + timedelta(seconds=1)
    session.execute(update(XComModel).values(value=value("two"), timestamp=later))
    session.commit()
    clock.now = 3
    assert [gate.head and gate.head["pool"] for gate in kept.now().gates] == ["two"]
    session.execute(delete(XComModel))
    session.commit()
    clock.now = 6
    assert kept.now().gates == ()
    assert kept._known == {}


def test_more_gates_than_fit_are_said_to_be_left_out_the_waiting_ones_last(session, run, monkeypatch):
    monkeypatch.setattr(stored, "MOST_GATES", 3)
    for index in range(3):
        add_gate(session, "d", "r", "waits", map_index=index, run=run, value=value())
        add_gate(session, "d", "r", "ended", map_index=index, run=run, value=value(), state="success")
    session.commit()
    reading = Stored().now()
    assert reading.left_out == LeftOut(frozenset({"d"}))
    assert [gate.key[2] for gate in reading.gates] == ["waits"] * 3


@pytest.mark.parametrize(
    ("most", "dags"),
    [(1, "abc"), (3, "abc"), (4, "bc"), (6, "bc"), (7, "c"), (9, "")],
)
def test_of_which_dags_there_is_more_is_known(session, monkeypatch, most, dags):
    """Two wait of each of them; one of the second has ended, of the third two, long ago some more."""
    monkeypatch.setattr(stored, "MOST_GATES", most)
    now = timezone.utcnow()
    for number, dag_id in enumerate("abc"):
        add_dag(session, dag_id)
        run = add_run(session, dag_id, "r")
        for index in range(9):
            state = "deferred" if index < 2 else "failed"
            age = timedelta(minutes=10 * index + number) if index < 2 + number else timedelta(days=2)
            at = now - age
            add_gate(session, dag_id, "r", map_index=index, run=run, value=value(), state=state, at=at)
    session.commit()
    reading = Stored().now()
    assert len(reading.gates) == most
    assert reading.left_out == LeftOut(frozenset(dags))


def test_every_table_is_asked_by_an_index(session, run):
    questions = (
        stored._waiting(),
        stored._recent(timezone.utcnow()),
        stored._counts(timezone.utcnow()),
        stored._values([(1, "t", -1), (2, "u", 3)]),
    )
    plans = [line for question in questions for line in plan(session, question)]
    whole = re.compile("SCAN (?!.*CONSTANT)|.*Seq Scan")
    scanned = [line for line in plans if whole.match(line)]
    assert scanned == [], plans


def test_a_thousand_gates_of_which_few_change_cost_little(session, run):
    from airflow.models.xcom import XComModel
    from sqlalchemy import update

    now = time.time()
    trigger = add_trigger(session, add_triggerer(session))
    shown = to_json(sized("p", now, 50))
    for index in range(1000):
        add_gate(session, "d", "r", map_index=index, run=run, value=shown, trigger=trigger)
    session.commit()
    clock = Clock()
    kept = Stored(clock)

    def cost() -> tuple[float, int]:
        clock.now += 10
        begun = time.process_time()
        with statements() as sent:
            assert len(kept.now().gates) == 1000
        return time.process_time() - begun, len(sent)

    first, asked = cost()
    later = timezone.utcnow() + timedelta(seconds=1)
    session.execute(update(XComModel).where(XComModel.map_index < 10).values(timestamp=later))
    session.commit()
    again, asked_again = min(cost() for _ in range(3))
    assert asked <= 13
    assert asked_again <= 4
    assert again < first / 2, (first, again)
    assert MOST_GATES >= 1000
