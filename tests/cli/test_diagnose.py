"""``batchext diagnose``: the text, the reports, a saved snapshot, and the exit status."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.cli.main import main
from tests.diagnosis.faults import FAULTS, produce

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        ended = main(["diagnose", *arguments])
        out, err = capsys.readouterr()
        return ended, out, err

    return run


def test_the_cause_and_what_helps_are_printed(azure, run):
    produce(azure, FAULTS["key-vault-no-role"])
    ended, out, _ = run(azure.pool_id)
    assert ended == 2
    assert "- The identity may not read the vault's secrets (secretext on 3 nodes). Give the pool's" in out


def test_reports_are_written_where_they_shall_be(azure, run, tmp_path):
    produce(azure, FAULTS["quota-dedicated-cores"])
    ended, _, err = run(azure.pool_id, "--output", str(tmp_path / "a" / "b"))
    assert ended == 1
    files = sorted(file.name for file in (tmp_path / "a" / "b").iterdir())
    assert files == [f"{azure.pool_id}-diagnosis.{name}" for name in ("html", "json", "md")]
    assert err.count("wrote ") == 3
    ended, _, _ = run(azure.pool_id, "--output", str(tmp_path / "one"), "--format", "html")
    assert [file.suffix for file in (tmp_path / "one").iterdir()] == [".html"]


def test_a_saved_snapshot_is_diagnosed_without_asking_azure(azure, run, tmp_path):
    produce(azure, FAULTS["key-vault-no-role"])
    _, report, _ = run(azure.pool_id, "--json")
    _, snapshot, _ = (None, json.dumps(json.loads(report)["health"]), None)
    azure.emulator.requests.clear()
    for text in (report, snapshot):
        file = tmp_path / "saved.json"
        file.write_text(text)
        ended, out, _ = run("--snapshot", str(file))
        assert ended == 2
        assert "may not read the vault's secrets" in out
    assert not azure.emulator.requests


def test_what_cannot_be_told_ends_with_3(azure, run, tmp_path):
    assert run()[0] == 3
    assert "name a pool" in run()[2]
    ended, out, _ = run(azure.pool_id)
    assert ended == 3
    assert "There is no such pool" in out
    (tmp_path / "x.json").write_text("[]")
    ended, _, err = run("--snapshot", str(tmp_path / "x.json"))
    assert (ended, "holds no snapshot" in err) == (3, True)
    (tmp_path / "file").write_text("")
    produce(azure, FAULTS["disk-full"])
    ended, out, err = run(azure.pool_id, "--output", str(tmp_path / "file" / "below"))
    assert ended == 3
    assert "A node's disk is full" in out
    assert "could not be written" in err


@pytest.mark.parametrize("pool_id", ["../out", "/etc/x", "a/b", "..", "a\\b", "x\0", "a\nb", ""])
def test_a_snapshot_names_no_file_elsewhere(azure, run, tmp_path, pool_id):
    produce(azure, FAULTS["quota-dedicated-cores"])
    _, report, _ = run(azure.pool_id, "--json")
    health = {**json.loads(report)["health"], "id": pool_id}
    (tmp_path / "x.json").write_text(json.dumps(health))
    ended, _, err = run("--snapshot", str(tmp_path / "x.json"), "--output", str(tmp_path / "reports"))
    assert (ended, "holds no snapshot" in err) == (3, True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["x.json"]


def test_a_report_that_cannot_be_written_leaves_the_earlier_one(azure, run, tmp_path, monkeypatch):
    produce(azure, FAULTS["quota-dedicated-cores"])
    run(azure.pool_id, "--output", str(tmp_path))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, content):  # a disk that fills up halfway cannot be had
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    ended, _, err = run(azure.pool_id, "--output", str(tmp_path))
    assert (ended, "could not be written" in err) == (3, True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--snapshot", "SNAPSHOT", "other"], "leave out POOL"),
        (["--snapshot", "SNAPSHOT", "--extension", "a"], "leave out POOL and --extension"),
        (["--snapshot", "SNAPSHOT", "--format", "md"], "--output"),
        (["other", "--format", "html"], "--output"),
    ],
)
def test_what_would_be_passed_over_is_refused(azure, capsys, tmp_path, arguments, said):
    azure.create(nodes=1)
    capsys.readouterr()
    assert main(["status", azure.pool_id, "--json"]) == 0
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(capsys.readouterr().out)
    azure.emulator.requests.clear()
    assert main(["diagnose", *(str(snapshot) if a == "SNAPSHOT" else a for a in arguments)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert not azure.emulator.requests
