"""Real gates on the live page: one fills and opens, one fails, as their triggerer tells it while it waits."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.emulator import ExtensionScenario, Scenario
from tests.airflow.harness import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from airflow_batchext.emulator import Emulator
    from tests.airflow.harness import Airflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

DAG = "batch_ephemeral_pool"
ROW = ".gate"
LOCKED = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1234 (apt-get)"


def picture(page: Page, name: str, row: Locator) -> None:
    """For whoever looks: that of a row, with ``PICTURES`` in the environment; it is none of the docs'."""
    if "PICTURES" in os.environ:
        row.screenshot(path=Path(os.environ["PICTURES"]) / f"real-{name}.png")


@pytest.fixture
def live(page: Page, airflow: Airflow, service: Emulator) -> Iterator[Page]:
    """The page, and a clock of the service that stands still."""
    wait_until("the DAG", lambda: airflow._client.get(f"/api/v2/dags/{DAG}").status_code == 200)
    page.goto(f"{airflow.url}/auth/token/login")
    page.goto(f"{airflow.url}/batchext/")
    page.locator(".gate, .empty").first.wait_for()
    yield page
    # The account is that of all tests here.
    service.scenario = Scenario()


def of(page: Page, run_id: str, task: str) -> str:
    """What the page says of one task of a run; "" while it is not there."""
    rows = page.locator(ROW, has_text=run_id).filter(has_text=f"{DAG} / pool.{task}")
    return rows.first.inner_text() if rows.count() else ""


def test_a_gate_appears_fills_and_opens_and_its_task_links_there(
    live: Page, airflow: Airflow, service: Emulator
):
    service.scenario = Scenario(
        extensions=[ExtensionScenario(node=index, after=120.0 + 240 * index) for index in range(3)]
    )
    run_id = airflow.trigger(DAG, {"nodes": 3})
    seen: list[str] = []

    def step() -> bool:
        service.clock.advance(5)
        said = of(live, run_id, "gate")
        counts = "; ".join(re.findall(r"\d+ of \d+ ready", said))
        if counts and (not seen or seen[-1] != counts):
            seen.append(counts)
        return "Open" in said.split("\n")[0]

    wait_until("the gate to open on the page", step, 240)
    assert seen[-1] == "3 of 3 ready"
    assert len(seen) > 1, "it was seen while it filled"
    links = airflow.get(f"dags/{DAG}/dagRuns/{run_id}/taskInstances/pool.gate/links")["extra_links"]
    live.goto(f"{airflow.url}/{links['Live status']}")
    live.wait_for_url("**/plugin/batch-pools**")
    inside = live.frame_locator("iframe")
    inside.locator(".inside:visible .links").wait_for()
    assert "3 of 3 nodes" in inside.locator(".inside:visible").inner_text() or seen
    assert inside.get_by_role("img", name=re.compile(r"secretext: 3 ready")).is_visible()
    airflow.finish(DAG, run_id, meanwhile=lambda: service.clock.advance(30))


def test_a_gate_that_fails_comes_first_and_says_why(live: Page, airflow: Airflow, service: Emulator):
    message = LOCKED
    service.scenario = Scenario(
        extensions=[
            ExtensionScenario(node=0, outcome="fail", after=120, code="1", message=message),
            ExtensionScenario(after=60),
        ]
    )
    run_id = airflow.trigger(DAG, {"nodes": 3})

    def failed() -> bool:
        service.clock.advance(10)
        return of(live, run_id, "gate").startswith("Failed")

    wait_until("the gate to fail on the page", failed, 240)
    assert live.locator("h2").first.inner_text().startswith("Failed")
    row = live.locator(ROW, has_text=run_id).filter(has_text=f"{DAG} / pool.gate")
    assert "Could not get lock" in row.locator(".reason").inner_text()[:150], "the id of the node is cut"
    row.locator(".opener").click()
    row.locator(".inside .links").wait_for()
    text = row.locator(".inside").inner_text()
    assert message in text
    assert "Likely causes, the likeliest first" in text
    assert row.locator(".causes li").count() >= 1
    assert "batchext diagnose" in text
    picture(live, "failed", row)
    airflow.finish(DAG, run_id, meanwhile=lambda: service.clock.advance(30))


def test_a_triggerer_that_is_killed_shows_as_nobody_looks(live: Page, airflow: Airflow, service: Emulator):
    service.scenario = Scenario(extensions=[ExtensionScenario(outcome="hang")])
    run_id = airflow.trigger(DAG, {"nodes": 1})

    def waits() -> bool:
        service.clock.advance(10)
        return "1 pending" in of(live, run_id, "gate")

    wait_until("the gate to wait on the page", waits, 240)
    airflow.stop_component("triggerer", signal.SIGKILL)
    try:
        wait_until("the page to say so", lambda: "Nobody looks" in of(live, run_id, "gate"), 120)
        assert "Nobody looks for" in live.locator(".banner").inner_text()
    finally:
        airflow.start_component("triggerer")
    wait_until("somebody to look again", lambda: of(live, run_id, "gate").startswith("Waits"), 120)
    service.scenario = Scenario()
    airflow._client.patch(f"/api/v2/dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})


def test_gates_of_every_mode_are_there_while_they_wait_and_when_they_have_opened(
    live: Page, airflow: Airflow, service: Emulator
):
    modes = "gates_in_modes"
    names = ["deferrable", "mapped [0]", "mapped [1]", "poke", "reschedule", "triggerer"]
    service.scenario = Scenario(extensions=[ExtensionScenario(after=5000)])
    wait_until("the DAG", lambda: airflow._client.get(f"/api/v2/dags/{modes}").status_code == 200)
    run_id = airflow.trigger(modes)

    def told(name: str) -> str:
        rows = live.locator(ROW, has_text=run_id).filter(has_text=f"{modes} / {name}")
        return rows.first.inner_text() if rows.count() else ""

    def wait() -> bool:
        service.clock.advance(5)
        return all("0 of 2 ready" in told(name) for name in names)

    wait_until(lambda: f"all to wait: {[told(name) for name in names]}", wait, 200)
    # No worker has begun this one, and yet it has the link, while it waits.
    links = airflow.get(f"dags/{modes}/dagRuns/{run_id}/taskInstances/triggerer/links")["extra_links"]
    assert links["Live status"].startswith("batchext/?from=airflow&dag_id=gates_in_modes")

    def opened() -> bool:
        service.clock.advance(500)
        return all(told(name).startswith("Open") for name in names)

    wait_until(lambda: f"all to open: {[told(name) for name in names]}", opened, 200)
    airflow.finish(modes, run_id, meanwhile=lambda: service.clock.advance(30))


def test_a_gate_repairs_work_runs_and_its_pool_is_watched(live: Page, airflow: Airflow, service: Emulator):
    """The whole of a pool's life, told by a worker, the triggerer, and a watcher that no task has."""
    dag, pool = "pool_lives", "lives"
    service.scenario = Scenario.load(
        {
            "extensions": [
                {"node": 0, "boots": "first", "outcome": "fail", "after": 60, "code": "7", "message": LOCKED},
                {"after": 60},
            ],
            "tasks": [{"after": 400}],
        }
    )
    wait_until("the DAG", lambda: airflow._client.get(f"/api/v2/dags/{dag}").status_code == 200)
    run_id = airflow.trigger(dag)
    opened: set[str] = set()

    def row(task: str) -> Locator:
        return live.locator(ROW, has_text=run_id).filter(has_text=f"{dag} / {task}")

    def inside(task: str) -> str:
        """What the page says of a task, opened."""
        if not row(task).count():
            return ""
        if task not in opened:
            row(task).locator(".opener").click()
            opened.add(task)
        return row(task).inner_text()

    def step(task: str, *words: str, seconds: float = 5) -> Callable[[], bool]:
        def there() -> bool:
            service.clock.advance(seconds)
            said = inside(task)
            return all(word in said for word in words)

        return there

    repairing = step("gate", "Waits", "1 of 2 ready", "the pool is being repaired", "reboot", seconds=1)
    wait_until(lambda: f"a repair on the page: {inside('gate')}", repairing, 300)
    assert row("gate").locator("h4", has_text="Repair").is_visible()
    picture(live, "repairing", row("gate"))
    wait_until("the repaired gate to open", step("gate", "Open", "2 of 2 ready"), 300)
    wait_until("the work to run", step("work", "of 6 tasks succeeded", "2 running", "4 waiting"), 240)
    picture(live, "working", row("work"))

    watched = live.locator("#group-watched .gate", has_text=f"azbatch://devaccount/{pool}?event=lost")
    wait_until("its watcher to tell", lambda: "2 of 2 ready" in watched.inner_text(), 120)
    service.account.preempt_node(pool, 0, back_after=10_000)
    wait_until("the event on the page", lambda: bool(re.search(r"event\s+lost", watched.inner_text())), 120)
    watched.locator(".opener").click()
    watched.locator(".inside .links").wait_for()
    assert "is preempted" in watched.locator(".inside").inner_text()
    picture(live, "event", watched)

    wait_until("the work to end", step("work", "Done", "6 of 6 tasks succeeded", seconds=200), 240)
    assert airflow.finish(dag, run_id, meanwhile=lambda: service.clock.advance(60)) == "success"
    runs = airflow.get("dags/pool_has_lost/dagRuns")["dag_runs"]
    assert len(runs) == 1
