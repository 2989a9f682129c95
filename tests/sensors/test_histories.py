"""Random histories of a pool, through the emulator, the real SDKs, the real sensor and trigger, in each mode.

``BATCHEXT_SDK_HISTORIES`` says how many (for each mode); ``BATCHEXT_SDK_SEED`` plays that one history alone.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from airflow_batchext.emulator import Emulator
from tests.conftest import official_connection, own_connection
from tests.sensors.histories.drawing import draw
from tests.sensors.histories.forced import forced
from tests.sensors.histories.modes import MODES, play
from tests.sensors.histories.world import World, WrongError

HISTORIES = int(os.environ.get("BATCHEXT_SDK_HISTORIES", "20"))
SEED = os.environ.get("BATCHEXT_SDK_SEED")
SEEDS = [int(SEED)] if SEED else list(range(HISTORIES))
PLAYED: Counter[tuple[str, str]] = Counter()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(time_scale=0) as running:
        yield running


@pytest.fixture(autouse=True)
def connections(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OFFICIAL", json.dumps(official_connection(emulator)))
    monkeypatch.setenv("AIRFLOW_CONN_AZURE_BATCHEXT_DEFAULT", json.dumps(own_connection(emulator)))


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_history_ends_alike_and_rightly_in_each_mode(seed: int, emulator: Emulator) -> None:
    history = draw(seed)
    only_right = forced(history)
    PLAYED["histories", ""] += 1
    told = f"BATCHEXT_SDK_SEED={seed} plays it again: {history}"
    for mode in MODES:
        world = World(emulator, history, mode)
        try:
            ending = play(world)
        except WrongError as wrong:
            raise AssertionError(f"{mode}: {wrong}\n{told}") from wrong
        finally:
            world.close()
        PLAYED[mode, ending.outcome] += 1
        PLAYED["looks", mode] += ending.looks
        PLAYED["looks that left no choice", mode] += ending.clean_looks
        if only_right and not (mode == "reschedule" and history.is_created_anew):
            # In reschedule mode the gate does not remember which pool it was set on.
            assert ending.outcome == only_right, f"{mode}: {ending}, but {only_right} was forced\n{told}"
            PLAYED["forced", only_right] += 1


def test_the_histories_end_in_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    if PLAYED["histories", ""] < 20:
        pytest.skip("a few histories may all end alike")
    if "BATCHEXT_SDK_HISTORIES" in os.environ:
        with capsys.disabled():
            print(f"\n{len(SEEDS)} histories for each mode:", *map(str, sorted(PLAYED.items())), sep="\n")
    for outcome in ("open", "failed", "timeout"):
        assert PLAYED["forced", outcome] >= len(MODES)
        assert all(PLAYED[mode, outcome] for mode in MODES)
