"""``batchext selftest`` judged by emulators whose settings and faults it does not know."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import cache
from typing import get_args

import pytest

from airflow_batchext.cli.main import main
from airflow_batchext.cli.selftest.command import pool_body, walk_emulator
from airflow_batchext.cli.selftest.questions import QUESTIONS
from airflow_batchext.cli.selftest.report import _SETTINGS, make_report, page
from airflow_batchext.cli.selftest.walk import Send, Walk
from airflow_batchext.connection import BatchConnection
from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.scenarios.answers import Answers
from airflow_batchext.testing import airflow_connection

BODY = pool_body("STANDARD_D2S_V3")
#: As long as the walk takes, it takes for both sides.
QUICK = {"reimaging": 60.0, "allocation": 40.0}
CONNECTION = BatchConnection(
    conn_id="c",
    subscription_id="11111111-aaaa-bbbb-cccc-222222222222",
    tenant_id="33333333-aaaa-bbbb-cccc-444444444444",
    client_id="55555555-aaaa-bbbb-cccc-666666666666",
    account_name="example",
    resource_group="night-shift",
)


def scenario(**settings):
    timings = {**QUICK, **settings.pop("timings", {})}
    return Scenario.model_validate({"timings": timings, **settings})


@cache
def reference():
    return walk_emulator(BODY, scenario())


def report(walk, chosen=None):
    return make_report(
        walk,
        reference(),
        (chosen or Scenario()).answers.model_dump(),
        connection=CONNECTION,
        taken_at="today",
        ended="",
    )


def test_against_the_emulator_it_finds_nothing():
    found = report(walk_emulator(BODY, scenario(), step=7.0))
    assert found["differences"] == []
    assert found["patch"] == {}
    assert not [each for each in found["questions"] if each["is_news"]]
    assert found["skipped"] == []
    assert found["left_behind"] is None
    assert "succeeded" in found["gate"][-1] or "1 of 1 nodes ready" in found["gate"][-1]
    assert found["repair"] == "done"


def others(name):
    """The other values of a setting."""
    field = Answers.model_fields[name]
    return [value for value in get_args(field.annotation) if value != field.default] or [600]


#: What a walk cannot settle, as it says itself.
UNSETTLED = {
    *("refused_shared_key", "missing_role", "key_vault_without_identity"),
    *("active_tasks_of_an_ended_job", "ends_by_itself", "task_beyond_its_time"),
    *("files_before_start", "files_without_node", "range_past_end"),
}


def test_every_setting_of_the_emulator_is_a_question():
    assert {question.setting for question in QUESTIONS} == set(Answers.model_fields)


@pytest.mark.parametrize("turn", [0, 1])
def test_other_settings_are_found_and_become_a_patch_that_brings_them(turn):
    settings = {
        name: values[min(turn, len(values) - 1)] for name in Answers.model_fields if (values := others(name))
    }
    other = scenario(answers=settings, account={"shared_key": False})
    walk = walk_emulator(BODY, other, step=10.0)
    found = report(walk)
    wanted = {name: value for name, value in settings.items() if name not in UNSETTLED}
    assert found["patch"]["answers"] == wanted
    for each in found["questions"]:
        assert (each["answer"] is None) is (each["setting"] in UNSETTLED)
        assert each["seen"], "in words, also why not"
    patched = Scenario.model_validate(found["patch"])
    again = report(walk, patched)
    assert not [each for each in again["questions"] if each["is_news"]]


def test_other_times_are_found_and_become_a_patch():
    usual = scenario().timings
    slow = {name: 3 * getattr(usual, name) for name in _SETTINGS}
    found = report(walk_emulator(BODY, scenario(timings=slow), step=8.0))
    patched = found["patch"]["timings"]
    assert set(patched) == set(_SETTINGS)
    assert patched == pytest.approx(slow, abs=9.0), "the end of the deletion is seen at a read"
    assert {d["what"] for d in found["differences"] if d["kind"] == "timing"} >= set(_SETTINGS)


@pytest.mark.parametrize(
    ("fault", "kind", "what"),
    [
        ({"path": "*/reboot", "action": "error", "status": 409, "code": "Gone"}, "status", "status"),
        ({"path": "*/nodes/*", "method": "GET", "action": "throttle"}, "status", "status"),
        ({"path": "/pools/batchext-selftest", "at": "vmSize", "to": "nothing"}, "member", "body.vmSize"),
        ({"path": "*/extensions", "at": "value/*/instanceView", "to": "nothing"}, "member", "instanceView"),
        ({"path": "*/nodes/*_d", "at": "isDedicated"}, "type", "body.isDedicated"),
        ({"path": "*/nodes", "at": "value"}, "type", "body.value"),
        ({"path": "*/nodes/*_d", "at": "schedulingState", "to": "upper"}, "casing", "body.schedulingState"),
        ({"path": "*/Microsoft.Batch/*", "at": "**/nodeFillType", "to": "lower"}, "casing", "nodeFillType"),
    ],
)
def test_each_kind_of_fault_is_found_where_it_is(fault, kind, what):
    count = 3 if fault.get("action") else 1000
    faults = [{"action": "edit", "count": count, **fault}]
    found = report(walk_emulator(BODY, scenario(faults=faults), step=20.0))
    assert [d for d in found["differences"] if d["kind"] == kind and what in d["what"] and d["steps"]]


def test_a_pool_that_cannot_be_created_ends_the_walk_and_leaves_nothing():
    walk = walk_emulator(BODY, scenario(account={"pool_quota": 0}))
    assert not walk.may_exist
    assert "PoolQuotaReached" in walk.skipped[0]


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "throttle", "count": 2},
        {"action": "error", "status": 503, "count": 3},
        {"action": "drop", "count": 1},
        {"action": "drop", "performed": True, "count": 1},
        {"action": "error", "status": 409, "code": "ScopeLocked", "count": 2},
    ],
)
def test_a_deletion_that_did_not_get_through_is_asked_for_again(fault):
    walk = walk_emulator(BODY, scenario(faults=[{"method": "DELETE", **fault}]), step=50.0)
    assert not walk.may_exist


def test_a_node_that_never_comes_and_one_that_breaks_are_told():
    none = walk_emulator(
        BODY, scenario(pools=[{"pool": "*", "resize_error": "AccountCoreQuotaReached"}]), step=50.0
    )
    assert any("none came" in text for text in none.skipped)
    hangs = walk_emulator(BODY, scenario(extensions=[{"extension": "monitor", "outcome": "hang"}]), step=50.0)
    assert "the gate's wait" not in hangs.timings
    assert not hangs.may_exist


def test_no_name_of_the_account_no_address_and_no_secret_is_in_the_report():
    walk, told = Walk("p", BODY), "example.westeurope.batch.azure.com"
    secret = "AccountKey=" + "S3NTINEL" * 8
    ask = Send(
        "the pool", "data", "GET", ("pools", CONNECTION.resource_group.upper()), {"password": "S3NTINEL"}
    )
    body = {
        "id": f"/subscriptions/{CONNECTION.subscription_id}/x",
        "ipAddress": "20.30.40.50",
        "url": f"https://{told}/?sig=S3NTINELS3NTINEL",
        "tenant": CONNECTION.tenant_id.upper(),
        "by": CONNECTION.client_id,
        "message": f"<script>{secret}</script>",
        "environmentSettings": [{"name": "DB_PASSWORD", "value": "S3NTINEL"}],
    }
    walk.exchanges = [
        (ask, reference().exchanges[0][1].__class__(200, {"Location": f"https://{told}/1"}, body, 1.0))
    ]
    found = report(walk)
    text = json.dumps(found) + page(found)
    names = (*vars(CONNECTION).values(), "20.30.40.50", "S3NTINEL", "<script>")
    for name in names:
        if isinstance(name, str) and len(name) > 4 and name not in ("https://management.azure.com",):
            assert not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE), name


# --- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def azure_elsewhere():
    fast = {"timings": {**QUICK, "allocation": 20.0, "deletion": 20.0}}
    with Emulator(time_scale=60, scenario=Scenario.model_validate(fast)) as emulator:
        yield emulator


def started(emulator, tmp_path, *arguments):
    environment = {**os.environ, "AIRFLOW_CONN_MINE": json.dumps(airflow_connection(emulator.info))}
    return subprocess.Popen(
        [sys.executable, "-m", "airflow_batchext.cli.main", "selftest", "--conn", "mine", "--interval", "0.1",
         "--output", str(tmp_path), *arguments],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_the_command_walks_writes_and_leaves_nothing(azure_elsewhere, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(airflow_connection(azure_elsewhere.info)))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    command = ["selftest", "--conn", "mine", "--interval", "0.2", "--output", str(tmp_path), "--yes"]
    ended = main(command)
    out, said = capsys.readouterr()
    assert ended in (0, 1), said
    assert out == ""
    (json_file,) = tmp_path.glob("*.json")
    found = json.loads(json_file.read_text())
    assert found["left_behind"] is None
    assert not [each for each in found["questions"] if each["is_news"]]
    assert json_file.with_suffix(".html").read_text().startswith("<!doctype html>")
    assert said.index("some cents") < said.index("creating pool") < said.index("deleting pool")
    assert azure_elsewhere.account.pools() == []


def test_an_interrupt_deletes_the_pool_first(azure_elsewhere, tmp_path):
    run = started(azure_elsewhere, tmp_path, "--yes")
    until = time.monotonic() + 60
    while not any(r.method == "PUT" for r in azure_elsewhere.requests) and time.monotonic() < until:
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate()
    assert run.returncode == 130, said
    assert "interrupted; the pool is deleted first" in said
    assert azure_elsewhere.account.pools() == []
    assert list(tmp_path.glob("*.html"))


@pytest.fixture
def selftest(azure_elsewhere, monkeypatch, capsys, tmp_path):
    """The command in this process, with nobody to ask."""
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(airflow_connection(azure_elsewhere.info)))
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*arguments):
        ended = main(["selftest", "--conn", "mine", "--output", str(tmp_path), *arguments])
        assert not [r for r in azure_elsewhere.requests if r.method in ("PUT", "DELETE")]
        return ended, capsys.readouterr().err

    return run


def test_without_a_yes_nothing_is_created(selftest):
    ended, said = selftest()
    assert ended == 2
    assert "there is nobody to ask; say --yes" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--conn", "no_such_connection"], "no_such_connection"),
        (["--scenario", "/nowhere.yaml"], "--scenario /nowhere.yaml"),
        (["--output", "/dev/null/x"], "--output /dev/null/x"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(selftest, arguments, complaint):
    ended, said = selftest("--yes", *arguments)
    assert ended == 2
    assert complaint in said.splitlines()[-1]
    assert "Traceback" not in said
