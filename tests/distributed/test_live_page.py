"""The live page on Postgres: gates in two triggerers, which are killed one after the other."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.documents.pool import read_management
from tests.distributed.environment import AIRFLOW, ROOT
from tests.distributed.pool_document import document

if TYPE_CHECKING:
    from tests.distributed.bed import Bed

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(900)]

POOLS = [f"live-{number}" for number in range(5)]
#: Of one run: which pool each task waits for.
WANTED = {("mapped", number): pool for number, pool in enumerate(POOLS)} | {
    (f"{place}-{pool}", -1): pool for place in ("worker", "triggerer") for pool in POOLS[:2]
}
TRIGGERERS = ("triggerer-1", "triggerer-2")
MOST_RUNS = 6

Gates = dict[tuple[str, str, int], dict[str, Any]]


def shown(bed: Bed) -> Gates:
    """What the page says, by run, task and map index."""
    found = bed.client.get("/batchext/gates").raise_for_status().json()["gates"]
    gates = [gate for gate in found if gate["dag_id"] == "live"]
    by_key = {(gate["run_id"], gate["task_id"], gate["map_index"]): gate for gate in gates}
    assert len(by_key) == len(gates), "each once"
    return by_key


def opened(bed: Bed, key: tuple[str, str, int]) -> dict[str, Any]:
    """What the page says of one gate that is opened."""
    run_id, task_id, map_index = key
    query = {"dag_id": "live", "run_id": run_id, "task_id": task_id, "map_index": str(map_index)}
    answer = bed.client.get("/batchext/gate", params=query).raise_for_status()
    snapshot: dict[str, Any] = answer.json()["gate"]["snapshot"]
    return snapshot


def holders(bed: Bed) -> dict[str, int]:
    """How many gates each triggerer holds, by Airflow's own books; "" those that none holds."""
    rows = bed.postgres.query(
        "select coalesce(t.triggerer_id::text, ''), count(*) from task_instance i "
        "join trigger t on t.id = i.trigger_id where i.dag_id = 'live' group by 1"
    )
    return {triggerer: int(count) for triggerer, count in rows}


def waits(gates: Gates) -> bool:
    """Whether all wait, somebody looks for each, and each has said what it saw of its two nodes."""
    return bool(gates) and all(
        gate["state"] == "deferred"
        and not gate["nobody"]
        and gate["snapshot"]
        and gate["snapshot"]["counts"]["pending"] == 2
        for gate in gates.values()
    )


class Seen:
    """What came of the kills."""

    before: Gates
    details: dict[tuple[str, str, int], dict[str, Any]]
    one_left: Gates
    none_left: Gates
    again: Gates
    details_again: dict[tuple[str, str, int], dict[str, Any]]
    ended: Gates


@pytest.fixture(scope="module")
def runs(bed: Bed, service: Emulator) -> Iterator[list[str]]:
    """Runs whose gates wait, in as many as it takes until both triggerers hold some."""
    service.scenario = Scenario.load(
        {
            "timings": {"allocation": 2, "creating": 1, "starting": 1},
            "extensions": [{"pool": "live-*", "extension": "agent", "outcome": "hang"}],
        }
    )
    for pool in POOLS:
        service.account.create_pool(pool, read_management(document(2)))
    begun: list[str] = []
    while len(begun) < MOST_RUNS and len(holders(bed)) < 2:
        begun.append(bed.wait_for("the DAG live", lambda: bed.trigger("live"), 120))

        def all_wait() -> bool:
            gates = shown(bed)
            return len(gates) == len(WANTED) * len(begun) and waits(gates) and "" not in holders(bed)

        bed.wait_for("the gates to wait", all_wait, 180)
    yield begun
    for pool in POOLS:
        service.account.delete_pool(pool)


@pytest.fixture(scope="module")
def seen(bed: Bed, service: Emulator, runs: list[str]) -> Seen:
    """Kill one triggerer; when the other has taken its gates, kill that, too; then bring one back."""
    found = Seen()
    found.before = shown(bed)
    found.details = {key: opened(bed, key) for key in found.before}
    assert len(holders(bed)) == 2
    bed.knock_down(TRIGGERERS[0], signal.SIGKILL)

    def taken_over() -> Gates | None:
        gates = shown(bed)
        return gates if len(holders(bed)) == 1 and waits(gates) else None

    found.one_left = bed.wait_for("the other triggerer to take the gates", taken_over, 180)
    bed.knock_down(TRIGGERERS[1], signal.SIGKILL)

    def nobody() -> Gates | None:
        gates = shown(bed)
        return gates if all(gate["nobody"] for gate in gates.values()) else None

    found.none_left = bed.wait_for("the page to say that nobody looks", nobody, 90)
    bed.bring_back(TRIGGERERS[0])

    def anew() -> Gates | None:
        gates = shown(bed)
        later = all(gate["written"] > found.none_left[key]["written"] for key, gate in gates.items())
        return gates if later and waits(gates) else None

    found.again = bed.wait_for("all gates to be looked for again", anew, 180)
    found.details_again = {key: opened(bed, key) for key in found.again}
    bed.bring_back(TRIGGERERS[1])
    for pool in POOLS:
        for node in (0, 1):
            service.account.set_extension(pool, node, "agent", outcome="succeed")

    def all_ended() -> Gates | None:
        gates = shown(bed)
        return gates if all(gate["state"] == "success" for gate in gates.values()) else None

    found.ended = bed.wait_for("the gates to open", all_ended, 180)
    return found


def test_each_gate_is_there_with_its_pool_the_mapped_ones_too(seen: Seen, runs: list[str]):
    expected = {(run_id, *task): pool for run_id in runs for task, pool in WANTED.items()}
    for gates in (seen.before, seen.one_left, seen.none_left, seen.again, seen.ended):
        assert {key: gate["snapshot"]["pool"] for key, gate in gates.items()} == expected


def test_while_no_triggerer_lives_nobody_looks_and_what_is_shown_stands_still(seen: Seen):
    assert {gate["nobody"] for gate in seen.none_left.values()} <= {
        "Its triggerer is dead",
        "No triggerer has taken it",
    }
    assert {gate["group"] for gate in seen.none_left.values()} == {"waiting"}
    for key, gate in seen.none_left.items():
        assert gate["snapshot"]["outcome"] == "waiting"
        assert gate["written"] >= seen.one_left[key]["written"]


def test_who_takes_a_gate_over_goes_on_with_what_it_had_told(seen: Seen):
    for key, later in seen.details_again.items():
        earlier = seen.details[key]
        assert later["looked"] > earlier["looked"]
        assert next(field["cells"] for field in later["fields"]) == "pp"
        told = [change["text"] for change in later["history"]]
        assert len(set(told)) == len(told), "a kill is no change of the pool"
        if later["mode"] == "start_from_trigger":
            # Its beginning is nowhere but in the triggerer that has died.
            assert later["started"] > earlier["started"]
            continue
        assert later["started"] == pytest.approx(earlier["started"], abs=1.0)
        assert later["deadline"] == pytest.approx(earlier["deadline"], abs=1.0)
        assert told[: len(earlier["history"])] == [change["text"] for change in earlier["history"]]


def test_the_gates_open_and_say_so(seen: Seen):
    for gate in seen.ended.values():
        assert (gate["group"], gate["nobody"]) == ("recent", "")
        assert (gate["snapshot"]["outcome"], gate["snapshot"]["counts"]["ready"]) == ("done", 2)


def test_a_thousand_gates_are_read_with_few_questions(bed: Bed):
    """Of the database of the bed: what is measured is in docs/live-page.md."""
    command = [str(AIRFLOW.with_name("python")), "-m", "benchmarks.live_page", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=bed.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"\nthe page on Postgres: {found}")
    assert found["database"] == "postgresql"
    assert found["first"]["gates"] == 1000
    assert found["first"]["questions"] <= 20
    assert found["later"]["questions"] <= 6
    assert found["kept"]["questions"] <= 3
