"""The plugin: what it adds to Airflow, by its settings; and that it can break nothing."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from airflow_batchext.links import status_page
from airflow_batchext.live.plugin import BatchextPlugin
from airflow_batchext.live.settings import TABS, status_tabs


def test_by_default_it_is_there_once(monkeypatch):
    plugin = BatchextPlugin()
    (app,) = plugin.fastapi_apps
    (view,) = plugin.external_views
    assert app["url_prefix"] == "/batchext"
    assert plugin.fastapi_apps[0]["app"] is app["app"], "Airflow's list of plugins reads it at every call"
    assert view == {
        "name": "Batch pools",
        "href": "/batchext/",
        "destination": "nav",
        "category": "browse",
        "url_route": "batch-pools",
    }


@pytest.mark.parametrize("value", ["False", "0", "off-and-on", "", "{broken", "None"])
def test_switched_off_or_not_understood_there_is_nothing(monkeypatch, value):
    monkeypatch.setenv("AIRFLOW__BATCHEXT__STATUS_PAGE", value)
    assert not status_page()
    assert (BatchextPlugin().fastapi_apps, BatchextPlugin().external_views) == ([], [])


@pytest.mark.parametrize(
    ("url", "href"),
    [
        ("https://airflow.example/team/airflow", "/team/airflow/batchext/"),
        ("https://airflow.example/team/airflow/", "/team/airflow/batchext/"),
        ("https://airflow.example", "/batchext/"),
        ("", "/batchext/"),
        ("http://[broken", "/batchext/"),
    ],
)
def test_it_lies_below_airflows_own_path(monkeypatch, url, href):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", url)
    assert [view["href"] for view in BatchextPlugin().external_views] == [href]


@pytest.mark.parametrize(
    ("value", "tabs"),
    [
        ("", []),
        ("task_instance", ["task_instance"]),
        ("dag, task ,dag_run task_instance", list(TABS)),
        ("nav, dag,, <b>", ["dag"]),
    ],
)
def test_it_is_a_tab_where_that_is_asked_for(monkeypatch, value, tabs):
    monkeypatch.setenv("AIRFLOW__BATCHEXT__STATUS_TABS", value)
    assert status_tabs() == tabs
    views = BatchextPlugin().external_views
    assert [view["destination"] for view in views] == ["nav", *tabs]
    assert len({view["url_route"] for view in views}) == len(views)
    assert all(view["href"].startswith("/batchext/") for view in views)


def test_settings_that_cannot_be_read_are_told_without_their_values(monkeypatch, caplog):
    def get(*_, **__):
        raise ValueError("interpolation of 'SENTINEL' failed")

    monkeypatch.setattr("airflow_batchext.live.settings.conf", SimpleNamespace(get=get))
    assert status_tabs() == []
    assert "status_tabs cannot be read: ValueError" in caplog.text
    assert "SENTINEL" not in caplog.text


def test_an_application_that_cannot_be_made_does_not_keep_airflow_from_starting(monkeypatch):
    from airflow_batchext.live import routes

    monkeypatch.setattr(routes, "app", lambda: 1 / 0)
    assert BatchextPlugin().fastapi_apps == []


def test_loading_it_loads_nothing_that_works():
    code = (
        "import sys, airflow.plugins_manager, airflow.providers.common.compat.sdk\n"
        "before = set(sys.modules)\n"
        "from airflow_batchext.live.plugin import BatchextPlugin\n"
        "views = BatchextPlugin().external_views\n"
        "added = set(sys.modules) - before - {'airflow_batchext'}\n"
        "print(sorted(m for m in added if not m.startswith('airflow.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = ["exceptions", "links", "live", "live.plugin", "live.settings"]
    assert run.stdout.splitlines()[-1] == str([f"airflow_batchext.{name}" for name in ours])


def test_airflow_finds_it_by_its_entry_point():
    from importlib.metadata import entry_points

    (found,) = entry_points(group="airflow.plugins", name="batchext")
    assert found.load() is BatchextPlugin
