"""``batchext status``: the table, the JSON, the watching, and the exit status that scripts decide by."""

from __future__ import annotations

import io
import json
import logging

import pytest
from rich.console import Console

from airflow_batchext.cli.main import main
from airflow_batchext.cli.table import pool_table
from airflow_batchext.emulator import Scenario
from airflow_batchext.health import from_json
from tests.diagnosis.pools import hostile, sized

pytestmark = pytest.mark.usefixtures("signed_in")

SECRET = "S3NTINEL"


@pytest.fixture
def status(azure, capsys):
    def run(*arguments):
        capsys.readouterr()
        ended = main(["status", azure.pool_id, *arguments])
        out, err = capsys.readouterr()
        return ended, out, err

    return run


def fails(message="Enable failed"):
    return Scenario.model_validate({"extensions": [{"node": 0, "outcome": "fail", "message": message}]})


def test_a_ready_pool_ends_with_0(azure, status):
    azure.create(nodes=2)
    ended, out, _ = status()
    assert ended == 0
    assert "ready" in out
    assert out.count("✔ succeeded") == 2
    assert "0 failed  0 pending  2 ready" in out


def test_a_failed_extension_ends_with_1_and_stands_first(azure, status):
    azure.emulator.scenario = fails()
    azure.create(nodes=3)
    ended, out, _ = status()
    assert ended == 1
    assert out.index("✘ failed") < out.index("✔ succeeded")
    assert "Enable failed" in out.replace("\n", " ")


def test_a_pool_that_comes_up_ends_with_2(azure, status):
    azure.create(nodes=2, ready=False)
    ended, out, _ = status()
    assert ended == 2
    assert "2 not there yet" in out


def test_json_is_the_snapshot(azure, status):
    azure.emulator.scenario = fails(f"GET https://a/b?sig={SECRET}")
    azure.create(nodes=2)
    ended, out, _ = status("--json")
    assert ended == 1
    health = from_json(json.loads(out))
    assert health.id == azure.pool_id
    assert health.totals.failed.nodes == 1
    assert SECRET not in out


def test_only_the_extensions_that_are_named_count(azure, status):
    azure.create(nodes=1)
    assert status("--extension", "secretext")[0] == 0
    ended, out, _ = status("--extension", "other")
    assert ended == 2
    assert "not listed" in out


@pytest.mark.parametrize("json_too", [False, True])
def test_watching_ends_when_it_is_ready(azure, status, monkeypatch, json_too):
    azure.create(nodes=2, ready=False)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        azure.pass_time(60)

    monkeypatch.setattr("airflow_batchext.cli.status.time.sleep", pause)
    ended, out, _ = status("--watch", "--interval", "7", *(["--json"] if json_too else []))
    assert ended == 0
    assert set(pauses) == {7.0}
    lines = out.splitlines()
    if json_too:
        assert [json.loads(line)["outcome"] for line in lines][-1] == "open"
    else:
        assert lines[-1].endswith("2 of 2 nodes ready")
        assert len(lines) == len(set(lines))


def test_watching_ends_when_it_fails_when_the_time_is_over_and_when_it_is_told_to(azure, status, monkeypatch):
    azure.create(nodes=1, ready=False)
    assert status("--watch", "--timeout", "0")[0] == 2

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_batchext.cli.status.time.sleep", interrupted)
    assert status("--watch")[0] == 2
    azure.pass_time(300)
    with_failure = fails()
    azure.emulator.scenario = with_failure
    azure.emulator.account.set_extension(azure.pool_id, 0, "secretext", outcome="fail")
    assert status("--watch")[0] == 1


def test_what_cannot_be_told_ends_with_3(azure, status):
    ended, out, _ = status()
    assert ended == 3
    assert "does not exist" in out
    ended, _, err = status("--conn-id", "nobody")
    assert ended == 3
    assert err.startswith("batchext status: ")
    assert main(["status", "not a pool"]) == 3
    with pytest.raises(SystemExit) as left:
        main(["status"])
    assert left.value.code == 3


def shown(health, most=40, width=120):
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    console.print(pool_table(health, most))
    return console.file.getvalue()


@pytest.mark.parametrize("nodes", [5, 2000])
def test_the_table_fits_pools_of_any_size(nodes):
    text = shown(sized(nodes))
    assert max(map(len, text.splitlines())) <= 120
    assert len(text.splitlines()) < 400
    if nodes == 2000:
        assert "and 39 more that are not ready" in text
        assert "1,921 ready" in text
        assert "✔ succeeded" in text  # the other extension of a node that is not ready


def test_hostile_texts_stay_text_in_the_table():
    text = shown(hostile())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>" in text.replace("\n", "")


OWN_FAILED = {"extension": "batchNodeExtension", "outcome": "fail", "code": "1", "message": "actual=403"}
NO_AGENT = "BatchAgentInstallationFailure"


@pytest.mark.parametrize("extensions", [None, []])
@pytest.mark.parametrize("form", ["extension", "error", "both"])
def test_a_node_without_an_agent_is_not_ready(azure, status, capsys, form, extensions):
    azure.create(nodes=2, extensions=extensions)
    if form != "error":
        azure.emulator.account.set_extension(azure.pool_id, 0, **OWN_FAILED)
    if form != "extension":
        azure.emulator.account.mark_node(azure.pool_id, 0, "starting", code=NO_AGENT, message="m")
    ended, out, _ = status()
    assert ended == 2, "for the time being"
    assert "1 of 2 nodes ready" in out
    azure.pass_time(3600)
    ended, out, _ = status()
    assert ended == 1
    assert "1 failed  0 pending  1 ready" in out
    assert main(["diagnose", azure.pool_id]) == 1
    told = capsys.readouterr().out
    assert "1 of 2 nodes ready" in told
    first = next(line for line in told.splitlines() if line.startswith("- "))
    assert first.startswith("- Batch's own agent could not be installed on a node (1 node)")


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--watch", "--interval", text] for text in ("-1", "0", "nan", "inf", "soon", "", "0.5")),
        *(["--watch", "--timeout", text] for text in ("-1", "nan", "inf", "1h")),
        *(["--nodes", text] for text in ("-1", "1.5", "nan", "many")),
        ["--interval", "5"],
        ["--timeout", "5"],
        ["--extension", " "],
    ],
)
def test_arguments_that_mean_nothing_are_refused_in_a_line(azure, capsys, arguments):
    try:
        ended = main(["status", azure.pool_id, *arguments])
    except SystemExit as refused:
        ended = refused.code
    out, err = capsys.readouterr()
    assert ended == 3
    assert out == ""
    assert arguments[-2] in err.splitlines()[-1]
    assert not azure.reads(azure.pool_id)


@pytest.mark.parametrize("pool_id", ["", "a b", "x" * 65, "péage"])
def test_an_id_that_cannot_be_is_told_in_the_words_of_the_command(azure, capsys, pool_id):
    assert main(["status", pool_id]) == 3
    err = capsys.readouterr().err
    assert "POOL is" in err
    assert "pool_id" not in err


@pytest.mark.parametrize("most", range(5))
@pytest.mark.parametrize("broken", range(5))
def test_the_nodes_that_are_not_shown_are_counted_as_what_they_are(azure, status, broken, most):
    azure.emulator.scenario = Scenario.model_validate(
        {"extensions": [{"node": node, "outcome": "fail"} for node in range(broken)]}
    )
    azure.create(nodes=4)
    _, out, _ = status("--nodes", str(most))
    hidden = max(0, broken - most), min(4 - broken, 4 - most)
    told = [f"{hidden[0]} more that are not ready"] * bool(hidden[0])
    told += [f"{hidden[1]} more that are ready"] * bool(hidden[1])
    lines = [line for line in out.splitlines() if line.startswith("and ")]
    assert lines == (["and " + " and ".join(told)] if told else [])


def test_a_pool_of_many_nodes_is_read_without_a_warning(azure, status, caplog):
    azure.create(nodes=45)
    caplog.clear()
    ended, _, err = status()
    assert ended == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "Connection pool" not in err
