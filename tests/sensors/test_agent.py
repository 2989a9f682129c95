"""A node on which Batch's agent is missing, or has not reported yet, at the gate, in each of its modes."""

from __future__ import annotations

import json

import pytest

from airflow_batchext.emulator import Emulator
from tests.conftest import document, official_connection
from tests.sensors.histories.drawing import Happening, History
from tests.sensors.histories.modes import MODES, play
from tests.sensors.histories.world import World

REFUSED = "Enable failed: failed to download file[0]: unexpected status code: actual=403 expected=200"
OWN = {
    "set_extension": {
        "node": 0,
        "extension": "batchNodeExtension",
        "outcome": "fail",
        "code": "1",
        "message": REFUSED,
    }
}
ERROR = {"mark_node": {"node": 0, "state": "starting", "code": "BatchAgentInstallationFailure"}}
WORDS = {
    "extension": ["batchNodeExtension", "ProvisioningState/failed/1", "actual=403"],
    "error": ["BatchAgentInstallationFailure"],
    "both": ["batchNodeExtension", "ProvisioningState/failed/1", "actual=403", "BatchAgentInstallation"],
}
FORMS = {"extension": OWN, "error": ERROR, "both": OWN | ERROR}


@pytest.fixture(scope="module")
def emulator():
    with Emulator(time_scale=0) as running:
        yield running


@pytest.fixture(autouse=True)
def connections(emulator, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OFFICIAL", json.dumps(official_connection(emulator)))


def ended(emulator, mode, scenario=None, *, starts=600.0, at=500.0, happens=None, extensions=None, **gate):
    """How the gate on a pool of two nodes ends, in this mode; the oracle judges each of its looks."""
    history = History(
        seed=0,
        document=document(2, extensions),
        scenario={"extensions": [], "pools": [], **(scenario or {})},
        happenings=tuple(Happening(at, what, words) for what, words in (happens or {}).items()),
        faults=(),
        gate={"timeout": 1000.0, "poke_interval": 30.0, **gate},
        starts=starts,
        answer_seconds=0.0,
        ambush=None,
        skew=0.0,
        deaths=(),
        dead_seconds=0.0,
        conn_id="official",
        at_once=8,
    )
    world = World(emulator, history, mode)
    try:
        return play(world)
    finally:
        world.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
class TestFailed:
    def test_without_a_grace_time_the_gate_fails_at_once(self, emulator, form, mode):
        end = ended(emulator, mode, happens=FORMS[form], node_grace=0.0)
        assert (end.outcome, end.looks) == ("failed", 1)
        assert all(word in end.text for word in ("will never run a task", *WORDS[form])), end.text
        assert end.text.count("will never run a task") == 1, "told once for the node"

    def test_with_one_it_stays_shut_and_says_why(self, emulator, form, mode):
        end = ended(emulator, mode, happens=FORMS[form], timeout=200.0)
        assert end.outcome == "timeout"
        assert all(word in end.text for word in ("will never run a task", *WORDS[form])), end.text

    def test_after_it_the_gate_fails(self, emulator, form, mode):
        end = ended(emulator, mode, happens=FORMS[form], node_grace=400.0)
        assert end.outcome == "failed"
        assert "for more than 400 seconds" in end.text


@pytest.mark.parametrize("mode", MODES)
def test_a_pool_without_extensions_does_not_open_either(emulator, mode):
    assert ended(emulator, mode, happens=OWN, node_grace=0.0, extensions=[]).outcome == "failed"
    assert ended(emulator, mode, extensions=[]).outcome == "open"


@pytest.mark.parametrize("mode", MODES)
def test_a_slow_windows_node_is_neither_failed_nor_ready_before_its_agent_runs(emulator, mode):
    """Eight minutes to the first boot, in which all extensions answer ``Creating`` and nothing else."""
    slow = {"timings": {"starting": 480.0, "extension": 470.0}}
    slow["extensions"] = [{"extension": "batchNodeExtension", "after": 485.0}]
    end = ended(emulator, mode, slow, starts=0.0, node_grace=0.0)
    assert end.outcome == "open"
    assert end.looks > 3
