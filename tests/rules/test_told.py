"""What a gate tells of itself at its start, and the command for the rest when it has failed."""

from __future__ import annotations

import shlex

import pytest

from airflow_batchext.cli import diagnose
from airflow_batchext.cli.main import main
from airflow_batchext.rules.gate import Rules
from airflow_batchext.rules.told import diagnose_command, waiting_text

UNTIL = 1_800_000_000.9


def test_for_what_how_often_until_when_and_where():
    assert waiting_text("p1", Rules(), interval=30, until=UNTIL, how="holding the worker") == (
        "Waiting for every extension on every node of pool p1 to succeed. "
        "A look every 30 seconds until 2027-01-15 08:00:00 UTC, holding the worker."
    )


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"extension_names": ("a", "b")}, "Waiting for extension a and b on every node"),
        ({"extension_names": ()}, "Waiting for extension (none) on every node"),
        ({"min_nodes": 3}, "on every node, 3 at least, of pool p1"),
        ({"max_failed_nodes": 2}, "; 2 nodes may fail."),
        ({"node_states": frozenset({"running", "idle"})}, "; nodes have to be idle or running."),
        ({"on_failure": "wait"}, "; failures are waited through."),
    ],
)
def test_what_was_asked_for_besides(rules, says):
    assert says in waiting_text("p1", Rules(**rules), interval=0.5, until=UNTIL, how="there")


def test_that_nodes_are_repaired():
    text = waiting_text("p1", Rules(), interval=1, until=UNTIL, how="there", repairs=True)
    assert "; nodes are repaired before it fails." in text


@pytest.mark.parametrize("pool_id", ["p1", "-p", "--json"])
@pytest.mark.parametrize("conn_id", ["azure_batchext_default", "my conn", "-c", "a'b"])
@pytest.mark.parametrize("names", [None, ("secretext",), ("it's", "-x")])
def test_the_command_is_understood_as_it_is_printed(monkeypatch, pool_id, conn_id, names):
    read = []
    monkeypatch.setattr(diagnose, "run", lambda arguments: read.append(arguments) or 0)
    words = shlex.split(diagnose_command(pool_id, conn_id, names))
    assert words[0] == "batchext"
    assert main(words[1:]) == 0
    assert [(each.pool, each.conn_id, tuple(each.extensions or ())) for each in read] == [
        (pool_id, conn_id, names or ())
    ]
