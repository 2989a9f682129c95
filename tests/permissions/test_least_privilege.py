"""Each story runs with exactly its actions; without one of them it fails, and the text names that action."""

from __future__ import annotations

import importlib
import json
import re
from itertools import chain
from pathlib import Path

import pytest

from airflow_batchext.credentials import forget_keys
from airflow_batchext.emulator import Scenario
from airflow_batchext.provider_info import get_provider_info
from tests.conftest import own_connection

from .stories import STORIES, Story

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "permissions.md").read_text(encoding="utf-8")
ROLES = {path.stem: json.loads(path.read_text()) for path in (DOCS / "roles").glob("*.json")}


def allow(azure, actions) -> None:
    permissions = {"actions": on_account(actions), "data_actions": on_data(actions)}
    azure.emulator.scenario = Scenario.load({"account": {"permissions": permissions}})


def on_data(actions) -> list[str]:
    """Those that a role lists as ``DataActions``."""
    return sorted(action for action in actions if "/jobs/" in action)


def on_account(actions) -> list[str]:
    return sorted(set(actions) - set(on_data(actions)))


@pytest.fixture
def ready(azure):
    def prepare(story: Story):
        forget_keys()
        info = azure.emulator.info
        url = {"account_url": info.batch_endpoint}
        azure.connect("with_url", own_connection(azure.emulator, extra=url))
        azure.connect("with_keys", own_connection(azure.emulator, extra={**url, "list_keys": True}))
        story.prepare(azure)
        azure.emulator.requests.clear()
        return azure

    return prepare


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_it_runs_with_exactly_these_actions(ready, story):
    azure = ready(story)
    allow(azure, story.actions)
    story.run(azure)
    assert 403 not in [request.status for request in azure.emulator.requests]


@pytest.mark.parametrize(
    ("story", "missing"),
    [(story, action) for story in STORIES for action in story.actions],
    ids=lambda value: str(value).rpartition("batchAccounts/")[2],
)
def test_one_less_fails_and_the_text_names_it(ready, story, missing):
    azure = ready(story)
    allow(azure, set(story.actions) - {missing})
    with pytest.raises(Exception, match=re.escape(missing)):
        story.run(azure)


def test_every_operator_sensor_and_trigger_has_a_story():
    info = get_provider_info()
    modules = chain.from_iterable(
        entry["python-modules"] for kind in ("operators", "sensors", "triggers") for entry in info[kind]
    )
    names = {
        name
        for module in map(importlib.import_module, modules)
        for name, value in vars(module).items()
        if isinstance(value, type) and re.fullmatch(r"AzureBatch\w+(Operator|Sensor|Trigger)", name)
    }
    assert names == {story.of for story in STORIES}


def test_the_page_has_a_row_for_each_story():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `AzureBatch")]
    told = {}
    for row in rows:
        of, does, actions = (cell.strip() for cell in row.strip("|").split("|"))
        told[of.strip("`"), does] = set(re.findall(r"`([\w/]+)`", actions))
    short = "Microsoft.Batch/batchAccounts/"
    assert told == {(s.of, s.does): {action.removeprefix(short) for action in s.actions} for s in STORIES}


@pytest.mark.parametrize(
    ("role", "stories"),
    [
        ("gate", [s for s in STORIES if "holds" in s.does or "reads" in s.does]),
        ("repair", [s for s in STORIES if any(does in s.does for does in ("holds", "reads", "repairs"))]),
        ("pools", [s for s in STORIES if "work" not in s.does]),
        ("work", [s for s in STORIES if "work" in s.does]),
    ],
)
def test_the_roles_have_what_their_stories_need_and_no_more(role, stories):
    actions = set(chain.from_iterable(story.actions for story in stories))
    # Who may read the keys may do everything: that is in no role of ours.
    actions -= {"Microsoft.Batch/batchAccounts/listKeys/action"}
    document = ROLES[role]
    assert sorted(document["Actions"]) == on_account(actions)
    assert sorted(document["DataActions"]) == on_data(actions)
    assert document["NotActions"] == document["NotDataActions"] == []
    assert document["IsCustom"] is True
    assert document["AssignableScopes"] == ["/subscriptions/YOUR-SUBSCRIPTION-ID"]
    assert f"roles/{role}.json" in PAGE


def test_no_other_roles_are_shipped():
    assert set(ROLES) == {"gate", "repair", "pools", "work"}
