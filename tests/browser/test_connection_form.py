"""The form of the connection in Airflow's web page: every field is there; it is filled, saved and tested.

With ``PICTURE=docs/connection.png`` in the environment, the picture of the docs is made anew.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from airflow_batchext.provider_info import get_provider_info
from tests.conftest import own_connection

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from airflow_batchext.emulator import Emulator
    from tests.airflow.harness import Airflow

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FIELDS = get_provider_info()["connection-types"][0]["conn-fields"]
EXAMPLE = {
    "tenant_id": "11111111-2222-3333-4444-555555555555",
    "subscription_id": "66666666-7777-8888-9999-000000000000",
    "resource_group": "rendering",
    "account_name": "renderfarm",
}


def open_form(page: Page, airflow: Airflow) -> None:
    page.goto(f"{airflow.url}/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    page.get_by_role("combobox").first.click()
    page.keyboard.type("Azure Batch with ext")
    page.get_by_role("option", name=re.compile("Azure Batch with")).first.click()


def open_section(page: Page, name: str) -> None:
    """Open the section of a field; Airflow shows one at a time."""
    help_text = page.get_by_text(FIELDS[name]["description"], exact=False).first
    if not help_text.is_visible():
        page.get_by_role("button", name=FIELDS[name]["schema"]["section"], exact=True).click()
        help_text.wait_for()


def field(page: Page, name: str):
    return page.locator(f'[name="element_{name}"]').first


def fill(page: Page, conn_id: str, connection: dict) -> None:
    page.locator('input[name="connection_id"]').fill(conn_id)
    page.locator('input[name="login"]').fill(connection["login"])
    page.locator('input[name="password"]').fill(connection["password"])
    for name, value in connection["extra"].items():
        open_section(page, name)
        field(page, name).fill(str(value))


def without_port(route) -> None:
    """Airflow 3.3.2's page sends port 0 where none is stored, and its API takes that for another port."""
    body = route.request.post_data_json
    route.continue_(post_data=json.dumps({**body, "port": body["port"] or None}))


def test_every_field_has_its_label_and_its_help_and_secrets_are_hidden(page: Page, airflow: Airflow):
    open_form(page, airflow)
    for name, told in FIELDS.items():
        open_section(page, name)
        assert page.get_by_text(told["label"], exact=False).first.is_visible(), name
        assert page.get_by_text(told["description"], exact=False).first.is_visible(), name
        if told["schema"].get("format") == "password":
            assert field(page, name).get_attribute("type") == "password", name
    if "PICTURE" in os.environ:
        for name, value in sorted(EXAMPLE.items(), reverse=True):
            open_section(page, name)
            field(page, name).fill(value)
        page.screenshot(path=os.environ["PICTURE"], full_page=True)


def test_it_is_filled_saved_and_tested(page: Page, airflow: Airflow, service: Emulator):
    open_form(page, airflow)
    fill(page, "mine", own_connection(service))
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text="mine")
    row.first.wait_for()
    saved = airflow.get("connections/mine")
    assert saved["conn_type"] == "azure_batchext"
    assert saved["login"] == service.info.client_id
    assert service.info.client_secret not in str(saved)
    page.route("**/connections/test", without_port)
    with page.expect_response(lambda answer: "/connections/" in answer.url and "test" in answer.url) as told:
        row.get_by_role("button", name=re.compile("Test", re.IGNORECASE)).first.click()
    answer = told.value.json()
    assert told.value.ok, answer
    assert answer == {"status": True, "message": "Data plane: works. Management plane: works."}
