"""Real gates on the live page: one fills and opens, one fails, as their triggerer tells it while it waits."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.emulator import ExtensionScenario, Scenario
from tests.airflow.harness import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from airflow_batchext.emulator import Emulator
    from tests.airflow.harness import Airflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(500)]

DAG = "batch_ephemeral_pool"
ROW = ".gate"


@pytest.fixture
def live(page: Page, airflow: Airflow, service: Emulator) -> Page:
    """The page, and a clock of the service that stands still."""
    wait_until("the DAG", lambda: airflow._client.get(f"/api/v2/dags/{DAG}").status_code == 200)
    page.goto(f"{airflow.url}/auth/token/login")
    page.goto(f"{airflow.url}/batchext/")
    page.locator(".gate, .empty").first.wait_for()
    return page


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
    message = "Could not get a token for the vault: no managed identity with that client id."
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
    row.locator(".opener").click()
    row.locator(".inside .links").wait_for()
    text = row.locator(".inside").inner_text()
    assert message in text
    assert "batchext diagnose" in text
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
