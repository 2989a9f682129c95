"""The link to a pool in the Azure portal: of the right cloud, escaped, or none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

import pytest

from airflow_batchext.batch.clouds import CLOUDS, PUBLIC
from airflow_batchext.connection import BatchConnection
from airflow_batchext.links import (
    LINK_XCOM_KEY,
    LIVE_LINK_XCOM_KEY,
    AzureBatchLiveLink,
    AzureBatchPoolLink,
    AzureBatchReportLink,
    live_url,
    portal_url,
    status_page,
)
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.operators.extension import AzureBatchGetExtensionOperator
from airflow_batchext.operators.node import AzureBatchRepairNodesOperator
from airflow_batchext.operators.pool import (
    AzureBatchCreatePoolOperator,
    AzureBatchDeletePoolOperator,
    AzureBatchResizePoolOperator,
    AzureBatchUpdatePoolOperator,
)
from airflow_batchext.operators.task import AzureBatchTaskOperator
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor
from tests.conftest import own_connection

pytestmark = pytest.mark.usefixtures("signed_in")

PLACE = {"subscription_id": "s", "resource_group": "g", "account_name": "a", "tenant_id": "t"}


def connection(**change):
    return BatchConnection(conn_id="c", **{**PLACE, **change})


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=CLOUDS)
def test_it_leads_to_the_portal_of_the_connections_cloud(cloud):
    assert portal_url(connection(cloud=cloud), "p1") == (
        f"{cloud.portal_url}/#@t/resource/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch"
        "/batchAccounts/a/pools/p1"
    )


@pytest.mark.parametrize(
    "lacks",
    [
        {"cloud": replace(PUBLIC, arm_url="https://127.0.0.1:4")},
        {"subscription_id": ""},
        {"resource_group": ""},
    ],
)
def test_there_is_none_where_there_is_no_portal_or_too_little_is_known(lacks):
    assert portal_url(connection(**lacks), "p1") == ""
    assert portal_url(connection(), "") == ""


def test_what_is_in_it_cannot_break_out_of_it():
    url = portal_url(connection(resource_group="a/../b?c#d e"), "p/1")
    path = urlsplit(url).fragment.split("/")
    assert unquote(path[path.index("resourceGroups") + 1]) == "a/../b?c#d e"
    assert path[-1] == "p%2F1"


@pytest.mark.parametrize(
    "kind",
    [
        AzureBatchCreatePoolOperator,
        AzureBatchUpdatePoolOperator,
        AzureBatchResizePoolOperator,
        AzureBatchDeletePoolOperator,
        AzureBatchRepairNodesOperator,
        AzureBatchExtensionSensor,
        AzureBatchTaskOperator,
    ],
)
def test_whatever_waits_for_a_pool_has_it_and_the_live_page(kind):
    assert [(type(link), link.xcom_key) for link in kind.operator_extra_links] == [
        (AzureBatchLiveLink, LIVE_LINK_XCOM_KEY),
        (AzureBatchPoolLink, LINK_XCOM_KEY),
    ]


def test_whatever_does_not_has_it_alone():
    (link,) = AzureBatchGetExtensionOperator.operator_extra_links
    assert (type(link), link.xcom_key) == (AzureBatchPoolLink, LINK_XCOM_KEY)


def test_the_diagnosis_operator_links_to_its_report_too():
    assert [(type(link), link.xcom_key) for link in AzureBatchDiagnosePoolOperator.operator_extra_links] == [
        (AzureBatchPoolLink, LINK_XCOM_KEY),
        (AzureBatchReportLink, "_link_AzureBatchReportLink"),
    ]


def link_of(**operator):
    return AzureBatchPoolLink().get_link(SimpleNamespace(**operator), ti_key=None)


def test_it_is_made_of_what_the_operator_was_given(azure):
    azure.connect("public", own_connection(azure.emulator, extra={"arm_url": ""}))
    assert link_of(pool_id="p1", azure_batchext_conn_id="public").endswith("/pools/p1")
    named = {"pool_id": None, "linked_pool_id": "p2", "azure_batchext_conn_id": "public"}
    assert link_of(**named).endswith("/pools/p2"), "a name from the document"
    assert link_of(pool_id="p1", azure_batchext_conn_id="azure_batchext_default") == ""


def test_a_connection_that_cannot_be_used_gives_none(azure):
    azure.connect("broken", {"conn_type": "azure_batchext", "extra": {"arm_url": "http://not.here"}})
    assert link_of(pool_id="p1", azure_batchext_conn_id="broken") == ""
    assert link_of(pool_id=object(), azure_batchext_conn_id="broken") == ""


@pytest.mark.parametrize("base", ["https://airflow.example/", "https://airflow.example/team/airflow/"])
@pytest.mark.parametrize(
    ("run_id", "map_index"), [("manual__2026-11-29T06:00:00+00:00", -1), ("a/b?c#d&e=f \u00e9", 7)]
)
def test_the_live_page_is_below_airflows_own_path_with_the_task_named(base, run_id, map_index):
    key = SimpleNamespace(dag_id="d", run_id=run_id, task_id="group.gate", map_index=map_index)
    url = AzureBatchLiveLink().get_link(None, ti_key=key)
    # As a browser resolves it on any page of Airflow's, which say where its base is.
    parts = urlsplit(urljoin(base, url))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{base}batchext/"
    assert dict(parse_qsl(parts.query)) == {
        "from": "airflow",
        "dag_id": "d",
        "run_id": run_id,
        "task_id": "group.gate",
        "map_index": str(map_index),
    }


@pytest.mark.parametrize(
    ("value", "is_on"), [("True", True), ("False", False), ("perhaps", False), ("", False)]
)
def test_without_the_live_page_there_is_no_link_to_it(monkeypatch, value, is_on):
    monkeypatch.setenv("AIRFLOW__BATCHEXT__STATUS_PAGE", value)
    assert status_page() is is_on
    assert bool(live_url("d", "r", "t")) is is_on
