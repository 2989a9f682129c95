"""The diagnosis operator: what it returns, what it writes, what it links to, and what it shows to nobody."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.exceptions import AccessRefusedError, ParameterError, ReportError, UnavailableError
from airflow_batchext.links import AzureBatchReportLink
from airflow_batchext.operators._steps.diagnose import browser_url, check_report_url
from airflow_batchext.operators.diagnose import AzureBatchDiagnosePoolOperator
from airflow_batchext.secret_references import from_environment
from tests.airflow_names import DagSerialization
from tests.diagnosis.faults import FAULTS, Fault, extension, produce, says

pytestmark = pytest.mark.usefixtures("signed_in")

SECRET = "S3NTINEL"
CONTAINER = "https://acct.blob.core.windows.net/logs"
SIGNED = f"{CONTAINER}?sv=2022-11-02&sp=w&sig={SECRET}%3D"


def operator(azure, **kwargs):
    return AzureBatchDiagnosePoolOperator(task_id="diagnose", pool_id=azure.pool_id, **kwargs)


def test_the_result_is_short_and_says_what_others_need(azure, tmp_path):
    produce(azure, FAULTS["key-vault-no-role"])
    task = operator(azure, output_uri=(tmp_path / "reports").as_uri())
    result = task.execute({})
    assert json.loads(json.dumps(result)) == result
    assert len(json.dumps(result)) < 5000
    assert result["pool_id"] == azure.pool_id
    assert (result["outcome"], result["causes"]) == ("wait", ["key-vault-no-role"])
    assert result["nodes"] == {"wanted": 3, "ready": 0, "pending": 3, "failed": 0, "unread": 0}
    assert sorted(result["reports"]) == ["html", "json", "md"]
    for name, uri in result["reports"].items():
        assert uri.endswith(f"/{azure.pool_id}-diagnosis.{name}")
    written = json.loads((tmp_path / "reports" / f"{azure.pool_id}-diagnosis.json").read_text())
    assert written["causes"][0]["id"] == "key-vault-no-role"
    assert task.linked_report == result["reports"]["html"]


def test_a_report_goes_into_object_storage(azure):
    import fsspec
    from airflow.sdk.io import attach

    storage = fsspec.filesystem("memory")
    attach(protocol="memory", fs=storage)
    azure.create(nodes=1)
    result = operator(azure, output_uri="memory://reports/run 1").execute({})
    (page,) = (name for name in storage.store if name.endswith(f"{azure.pool_id}-diagnosis.html"))
    assert storage.cat(page).startswith(b"<!doctype html>")
    # Some releases of the library write such a path with another slash.
    written = result["reports"]["html"].replace(":///", "://")
    assert written == f"memory://reports/run 1/{azure.pool_id}-diagnosis.html"


@pytest.mark.parametrize("uri", ["file://host/reports", "nowhere://x/y"])
def test_a_folder_that_is_none_is_an_error(azure, uri):
    azure.create(nodes=1)
    with pytest.raises(ReportError, match="output_uri"):
        operator(azure, output_uri=uri).execute({})


def test_without_a_folder_nothing_is_written(azure):
    azure.create(nodes=1)
    task = operator(azure)
    result = task.execute({})
    assert (result["reports"], result["causes"], result["outcome"]) == ({}, [], "open")
    assert AzureBatchReportLink().get_link(task, ti_key=None) == ""


def test_formats_are_chosen_and_checked(azure, tmp_path):
    azure.create(nodes=1)
    result = operator(azure, output_uri=str(tmp_path), formats=["md"]).execute({})
    assert list(result["reports"]) == ["md"]
    for formats in (["pdf"], [], "xml"):
        with pytest.raises(ParameterError, match="json, md, html"):
            operator(azure, output_uri=str(tmp_path), formats=formats).execute({})


def test_the_link_leads_to_the_page(azure, tmp_path):
    azure.create(nodes=1)
    task = operator(azure, output_uri=str(tmp_path), report_url="https://reports.example/run 1/")
    task.execute({})
    link = AzureBatchReportLink().get_link(task, ti_key=None)
    assert link == f"https://reports.example/run 1/{azure.pool_id}-diagnosis.html"


SCRIPTS = ("javascript", "JavaScript", "data", "vbscript", "file", "ftp", "blob", "ws", "x", "", "abfs")


@pytest.mark.parametrize(
    "url",
    [
        *(f"{scheme}://reports.example/x" for scheme in SCRIPTS),
        *(f"{scheme}:alert(1)//https://reports.example" for scheme in SCRIPTS),
        *(
            f"https://{host}/x"
            for host in ("a\\@evil.example", "a@evil.example", "", "-", "a b", "1.2.3", "ex\u00e4mple")
        ),
        *(f"https://reports.example/{end}" for end in ("\x1b[31m", "a\r\nb", "\u202egnp", "\x00")),
        *(
            "//reports.example",
            "/reports",
            "reports.example",
            "https:reports.example",
            "java\nscript:alert(1)",
        ),
    ],
)
def test_a_link_to_anything_but_a_page_is_refused_before_anything_is_done(azure, tmp_path, url):
    task = operator(azure, output_uri=str(tmp_path), report_url=url)
    with pytest.raises(ParameterError, match="report_url is no plain URL") as refused:
        task.execute({})
    assert url not in str(refused.value) or not url.strip("/")
    assert list(tmp_path.iterdir()) == []
    assert AzureBatchReportLink().get_link(task, ti_key=None) == ""


@pytest.mark.parametrize(
    ("url", "output"),
    [
        ("https://reports.example", None),
        ("HTTPS://Reports.example:8443/a?b=c#d", None),
        ("http://[::1]:80/\u00e4 b/", "s3://bucket"),
        ("abfs://c@conn/reports", "abfs://c@conn/reports"),
        ("s3://bucket/x", "s3://bucket/y"),
        ("", None),
        (None, None),
    ],
)
def test_links_to_pages_and_to_the_object_store_are_taken(url, output):
    assert check_report_url(url, output) == (url or None)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        (
            "abfss://c@acct.dfs.core.windows.net/a b/x.html",
            "https://acct.blob.core.windows.net/c/a%20b/x.html",
        ),
        ("gs://bucket/x.html", "https://storage.cloud.google.com/bucket/x.html"),
        ("file:///tmp/x.html", "file:///tmp/x.html"),
        ("abfs://conn@container/x.html", "abfs://conn@container/x.html"),
    ],
)
def test_where_a_browser_finds_a_file(uri, url):
    assert browser_url(uri) == url


def test_a_report_that_cannot_be_written_is_an_error_after_the_diagnosis_was_told(azure, tmp_path, capsys):
    produce(azure, FAULTS["disk-full"])
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="output_uri"):
        operator(azure, output_uri=str(tmp_path / "file" / "x")).execute({})
    assert "A node's disk is full" in capsys.readouterr().out


def test_a_pool_that_may_not_be_read_is_reported_and_then_an_error(azure, tmp_path):
    produce(azure, FAULTS["account-network-closed"])
    with pytest.raises(AccessRefusedError, match="private network"):
        operator(azure, output_uri=str(tmp_path)).execute({})
    (page,) = tmp_path.glob("*.html")
    assert "lets only its private network in" in page.read_text()
    azure.emulator.scenario = Scenario()
    azure.emulator.faults.add(action="error", status=503, path="/pools/*", count=20)
    with pytest.raises(UnavailableError):
        operator(azure).execute({})
    azure.emulator.faults.clear()


def test_that_there_is_no_pool_is_a_diagnosis(azure):
    assert operator(azure).execute({})["causes"] == ["pool-missing"]


@pytest.mark.parametrize("given", [{"pool_id": "no pool"}, {"extension_names": "secretext"}])
def test_parameters_are_checked_when_it_is_constructed_and_when_it_runs(azure, given):
    with pytest.raises(ParameterError):
        AzureBatchDiagnosePoolOperator(**{"task_id": "t", "pool_id": azure.pool_id, **given})
    task = AzureBatchDiagnosePoolOperator(task_id="t", pool_id=azure.pool_id)
    for name, value in given.items():  # as rendering does
        setattr(task, name, value)
    with pytest.raises(ParameterError):
        task.execute({})


def test_nodes_that_are_not_ready_upload_their_logs_and_the_signature_is_shown_to_nobody(
    azure, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("LOGS", SIGNED)
    produce(azure, FAULTS["key-vault-no-role"])
    azure.emulator.requests.clear()
    task = operator(
        azure, output_uri=str(tmp_path), logs_container=from_environment("LOGS"), logs_max_nodes=2
    )
    result = task.execute({})
    assert len(azure.reads("uploadbatchservicelogs")) == 2
    assert [(log["files"], log["problem"]) for log in result["node_logs"]] == [(4, ""), (4, "")]
    shown = json.dumps(result) + capsys.readouterr().out
    for file in tmp_path.iterdir():
        shown += file.read_text()
        assert result["node_logs"][0]["folder"] in file.read_text().replace("\\", "")  # of Markdown
    assert SECRET not in shown
    assert azure.pool_id in result["node_logs"][0]["folder"]


def test_a_node_that_refuses_to_upload_is_told_and_the_others_are_asked(azure, monkeypatch):
    monkeypatch.setenv("LOGS", SIGNED)
    produce(azure, FAULTS["key-vault-no-role"])
    azure.emulator.faults.add(
        action="error",
        status=409,
        path="*/uploadbatchservicelogs",
        code="OperationInvalidForCurrentState",
        message=f"cannot write to {SIGNED}",
    )
    result = operator(azure, logs_container=from_environment("LOGS")).execute({})
    azure.emulator.faults.clear()
    first, *others = result["node_logs"]
    assert "OperationInvalidForCurrentState" in first["problem"]
    assert SECRET not in json.dumps(result)
    assert [log["files"] for log in others] == [4, 4]


def test_a_container_may_be_written_to_as_an_identity_of_the_pool(azure):
    produce(azure, FAULTS["key-vault-no-role"])
    with pytest.raises(ParameterError, match="logs_identity"):
        operator(azure, logs_container=CONTAINER).execute({})
    result = operator(azure, logs_container=CONTAINER, logs_identity="/subscriptions/s/i").execute({})
    assert [log["files"] for log in result["node_logs"]] == [4, 4, 4]


def test_a_signature_in_the_open_is_refused_before_it_is_serialized_anywhere(azure):
    with pytest.raises(ParameterError, match="from_variable") as refused:
        operator(azure, logs_container=SIGNED)
    assert SECRET not in str(refused.value)


def test_a_reference_is_all_that_a_serialized_dag_has(azure, monkeypatch):
    from airflow.sdk import DAG

    monkeypatch.setenv("LOGS", SIGNED)
    with DAG("d") as dag:
        operator(azure, logs_container=from_environment("LOGS"), output_uri="file:///r/{{ run_id }}")
    text = json.dumps(DagSerialization.to_dict(dag))
    assert "LOGS" in text
    assert SECRET not in text


def test_a_node_costs_one_read(azure):
    azure.create(nodes=200)
    azure.emulator.requests.clear()
    operator(azure).execute({})
    assert 200 < len(azure.emulator.requests) <= 200 + 2 + 5


def test_no_secret_of_settings_or_messages_is_in_any_output(azure, tmp_path, capsys):
    settings = {"storageAccountKey": SECRET, "fileUris": [SIGNED], "connectionString": f"AccountKey={SECRET}"}
    fault = Fault(
        [
            extension(
                "e",
                "Microsoft.Azure.Monitor",
                "AzureMonitorLinuxAgent",
                settings,
                protectedSettings={"k": SECRET},
            )
        ],
        says("e", f"GET {SIGNED} failed; Authorization: Bearer {SECRET}.{SECRET}; password={SECRET}"),
    )
    produce(azure, fault)
    result = operator(azure, output_uri=str(tmp_path)).execute({})
    shown = json.dumps(result) + capsys.readouterr().out
    shown += "".join(file.read_text() for file in tmp_path.iterdir())
    assert "storageAccountKey" in shown
    assert SECRET not in shown
