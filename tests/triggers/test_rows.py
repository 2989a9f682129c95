"""Upgrading while gates wait: what an earlier version has left in Airflow's database still loads and runs.

``rows.json`` holds the arguments of every trigger as each version wrote them. A row is never changed: where
an argument comes, goes or gets another name, a row of the new version is added, and those of the old ones
have to load all the same.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from airflow.models.trigger import Trigger

from airflow_batchext import triggers
from airflow_batchext.triggers._base import DeclaredTrigger
from tests.airflow_names import smart_decode_trigger_kwargs

ROWS = json.loads(Path(__file__).with_name("rows.json").read_text())


def kinds() -> Iterator[type[DeclaredTrigger]]:
    """Every trigger of the package."""
    for module in pkgutil.iter_modules(triggers.__path__):
        found = importlib.import_module(f"{triggers.__name__}.{module.name}")
        for kind in vars(found).values():
            is_trigger = isinstance(kind, type) and issubclass(kind, DeclaredTrigger)
            if is_trigger and kind is not DeclaredTrigger and kind.__module__ == found.__name__:
                yield kind


def path_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def loaded(row: dict[str, Any]) -> Any:
    """The trigger, as Airflow's triggerer makes it from its database."""
    stored = Trigger(classpath=row["classpath"], kwargs=row["kwargs"])
    module, _, name = stored.classpath.rpartition(".")
    kwargs = Trigger._decrypt_kwargs(stored.encrypted_kwargs)
    decoded = {key: smart_decode_trigger_kwargs(value) for key, value in kwargs.items()}
    return getattr(importlib.import_module(module), name)(**decoded)


class Memory:
    """The store of an asset, with what the old version had left in it."""

    def __init__(self, kept: Any) -> None:
        self.kept = kept

    async def aget(self, key: str) -> Any:
        return self.kept

    async def aset(self, key: str, value: Any) -> None:
        assert set(value) == set(self.kept)


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['classpath'].rpartition('.')[2]} {row['version']}"
)
async def test_an_old_row_still_loads_and_runs(azure, row):
    trigger = loaded(row)
    if "memory" in row:
        trigger.asset_state_store = Memory(row["memory"])
    azure.pool_id = "waiting"
    azure.create()
    running = trigger.run()
    event = await anext(running)
    await running.aclose()
    assert event.payload.items() >= row["fires"].items()


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_what_a_trigger_takes_today_is_in_its_newest_row(kind):
    newest = [row for row in ROWS if row["classpath"] == path_of(kind)][-1]
    assert set(newest["kwargs"]) == {field.name for field in fields(kind)}, (
        f"{kind.__name__} takes other arguments than before: add a row to rows.json, and keep the old ones"
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["classpath"].rpartition(".")[2])
def test_what_was_loaded_is_what_was_stored(row):
    classpath, kwargs = loaded(row).serialize()
    assert classpath == row["classpath"]
    assert row["kwargs"].items() >= kwargs.items()


def test_there_are_triggers_to_be_looked_at():
    assert {path_of(kind) for kind in kinds()} == {row["classpath"] for row in ROWS}


def test_a_row_with_an_argument_that_is_gone_does_not_load():
    with pytest.raises(TypeError):
        loaded({**ROWS[0], "kwargs": {**ROWS[0]["kwargs"], "poke_interval": 1}})
