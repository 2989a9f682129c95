"""The three kinds of use, as they look in Airflow's web page; and a pool on demand, asked for by its form.

With ``PICTURES=docs`` in the environment, the pictures of docs/uses.md are made anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airflow.harness import play, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from airflow_batchext.emulator import Emulator
    from tests.airflow.harness import Airflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(500)]

ON_DEMAND = "batch_pool_on_demand"


def picture(page: Page, name: str) -> None:
    if "PICTURES" in os.environ:
        page.wait_for_timeout(3000)  # what is drawn moves into its place
        page.screenshot(path=Path(os.environ["PICTURES"]) / f"uses-{name}.png")


def form(page: Page, airflow: Airflow) -> Locator:
    """The form with which a pool is asked for."""
    wait_until("the DAG", lambda: airflow._client.get(f"/api/v2/dags/{ON_DEMAND}").status_code == 200)
    page.goto(f"{airflow.url}/dags/{ON_DEMAND}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator('[name="element_pool_id"]').wait_for()
    return dialog


def send(dialog: Locator) -> None:
    # A message of Airflow's may lie over the button.
    dialog.get_by_test_id("trigger-dag-submit").dispatch_event("click")


def test_a_pool_is_asked_for_by_the_form(page: Page, airflow: Airflow, service: Emulator):
    page.set_viewport_size({"width": 1100, "height": 1250})
    dialog = form(page, airflow)
    for title in ("Pool id", "Image", "Size of the nodes", "Extensions", "Dedicated nodes", "Keep the pool"):
        assert dialog.get_by_text(title, exact=False).first.is_visible(), title
    dialog.locator('[name="element_pool_id"]').fill("from-the-page")
    dialog.locator('[name="element_nodes"]').fill("2")
    picture(page, "on-demand")
    send(dialog)
    (run,) = wait_until("the run", lambda: airflow.get(f"dags/{ON_DEMAND}/dagRuns")["dag_runs"])
    assert run["conf"]["pool_id"] == "from-the-page"
    assert run["conf"]["nodes"] == 2
    assert play(airflow, service, ON_DEMAND, run["dag_run_id"]) == "success"
    assert len(airflow.xcom(ON_DEMAND, run["dag_run_id"], "gate")["nodes"]) == 2
    assert service.account.find("from-the-page") is None


def test_a_wrong_form_is_refused_and_there_is_no_run(page: Page, airflow: Airflow, service: Emulator):
    dialog = form(page, airflow)
    before = airflow.get(f"dags/{ON_DEMAND}/dagRuns")["total_entries"]
    dialog.locator('[name="element_pool_id"]').fill("no pool id")
    send(dialog)
    page.get_by_text("Failed to Trigger Dag").wait_for()
    told = dialog.get_by_text("Invalid input for param pool_id: 'no pool id' does not match")
    told.first.wait_for()
    assert dialog.get_by_text("1 to 64 letters, digits, hyphens and underscores.").is_visible()
    assert airflow.get(f"dags/{ON_DEMAND}/dagRuns")["total_entries"] == before
    assert service.account.find("no pool id") is None


def test_the_pools_of_a_night(page: Page, airflow: Airflow, service: Emulator):
    run_id = airflow.trigger("batch_many_pools", {"sizes": [1, 2, 2]})
    assert play(airflow, service, "batch_many_pools", run_id) == "success"
    page.set_viewport_size({"width": 1100, "height": 900})
    page.goto(f"{airflow.url}/dags/batch_many_pools/runs/{run_id}")
    page.get_by_text("13 Task Instances").wait_for()
    picture(page, "scheduled")


def test_the_asset_between_two_dags(page: Page, airflow: Airflow, service: Emulator):
    run_id = airflow.trigger("batch_pipeline_pool")
    assert play(airflow, service, "batch_pipeline_pool", run_id) == "success"
    (started,) = wait_until(
        "the consumer", lambda: airflow.get("dags/batch_pipeline_work/dagRuns")["dag_runs"], 60
    )
    assert play(airflow, service, "batch_pipeline_work", started["dag_run_id"], step=5) == "success"
    assets = airflow.get("assets", limit=50)["assets"]
    (asset,) = [asset for asset in assets if asset["uri"] == "azbatch://myaccount/pipeline"]
    page.set_viewport_size({"width": 1100, "height": 700})
    page.goto(f"{airflow.url}/assets/{asset['id']}")
    page.get_by_text("1 Asset Event").first.wait_for()
    for dag_id in ("batch_pipeline_pool", "batch_pipeline_work"):
        page.get_by_text(dag_id).first.wait_for()
    picture(page, "pipeline")
