"""The console script: what it offers, and what it says of bad options."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_batchext import __version__
from airflow_batchext.cli.main import main


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"batchext {__version__}\n"


def test_without_a_command_it_says_which_there_are(capsys):
    assert main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "run the example DAG" in told.err


@pytest.mark.parametrize("command", ["demo", "up", "emulator", "validate", "docs"])
def test_help_explains_each_command(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out) > 300


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["demo", "--nodes", "x"], "invalid int value"),
    ],
)
def test_bad_arguments_are_a_line_and_status_two(capsys, arguments, said):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nodes", "0"], "--nodes is 0; it goes from 1 to 20."),
        (["--fail", "nope"], "has the extensions secretext."),
    ],
)
def test_the_demo_refuses_what_it_cannot_show(capsys, arguments, said):
    assert main(["demo", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["status", "p1"],
        ["diagnose", "p1"],
        ["export", "p1"],
        ["selftest"],
        ["validate", "dags/pools/keyvault_ubuntu.json", "--against", "nobodys"],
    ],
    ids=lambda command: command[0],
)
def test_without_a_connection_each_command_says_how_to_get_one(command, capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments = command if "--against" in command else [*command, "--conn-id", "nobodys"]
    assert main(arguments) in (2, 3)
    error = capsys.readouterr().err.splitlines()[-1]
    assert "there is no Airflow connection 'nobodys'." in error
    for way in ("airflow connections add", "AIRFLOW_CONN_NOBODYS", "batchext docs connection", "batchext up"):
        assert way in error
