"""Assets for pools: one URI for each pool however it is spelt, and none for what is no pool."""

from __future__ import annotations

import json

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG, Asset
from airflow.sdk.definitions.asset import AssetUniqueKey

from airflow_batchext.assets import SCHEME, batch_pool_asset, watched_pool_asset
from airflow_batchext.exceptions import ParameterError
from tests.airflow_names import DagSerialization


def test_the_name_is_the_uri_and_spelling_does_not_matter():
    asset = batch_pool_asset("RenderFarm", "Nightly_1")
    assert (asset.name, asset.uri) == ("azbatch://renderfarm/nightly_1",) * 2
    assert asset == batch_pool_asset("renderfarm", "nightly_1")
    assert batch_pool_asset("a12", "p", event="failed").uri == "azbatch://a12/p?event=failed"
    assert batch_pool_asset("a12.westeurope", "p").uri == "azbatch://a12.westeurope/p"


@pytest.mark.filterwarnings("ignore:ProvidersManager.asset_")  # another class has them in newer ones
def test_airflow_knows_the_scheme_and_writes_every_uri_alike():
    assert SCHEME in ProvidersManager().asset_uri_handlers
    assert SCHEME in ProvidersManager().asset_factories
    for spelt in (
        "azbatch://Farm/P1",
        "AZBATCH://farm/p1/",
        "azbatch://farm/p1?event=ready",
        "azbatch://farm/p1#x",
    ):
        assert Asset("x", spelt).uri == "azbatch://farm/p1"
    assert Asset("x", "azbatch://farm/P1?event=lost").uri == "azbatch://farm/p1?event=lost"
    assert batch_pool_asset("farm", "p1").normalized_uri == "azbatch://farm/p1"


@pytest.mark.parametrize(
    "uri",
    [
        "azbatch://farm",
        "azbatch:///p1",
        "azbatch://farm/p1/nodes",
        "azbatch://farm/p 1",
        "azbatch://fa/p1",
        "azbatch://farm/p1?event=gone",
        "azbatch://farm/p1?other=1",
    ],
)
def test_what_names_no_pool_is_refused_with_the_form_of_those_that_do(uri):
    with pytest.raises(ParameterError, match="azbatch://ACCOUNT/POOL"):
        Asset("x", uri)


@pytest.mark.parametrize("words", [("farm", "a b"), ("f", "p"), ("farm", "{{ params.pool }}")])
def test_the_helper_refuses_it_too(words):
    with pytest.raises(ParameterError, match="names no pool"):
        batch_pool_asset(*words)


def test_a_watched_asset_carries_its_watcher_into_the_serialized_dag():
    asset = watched_pool_asset("farm", "p1", event="failed", poll_interval=60, extension_names=("a",))
    (watcher,) = asset.watchers
    path = "airflow_batchext.triggers.events.AzureBatchPoolEventTrigger"
    given = {"pool_id": "p1", "events": ["failed"], "poll_interval": 60, "extension_names": ["a"]}
    assert watcher.trigger.serialize() == (path, given)
    assert path in json.dumps(DagSerialization.to_dict(DAG("watching", schedule=asset)))
    assert AssetUniqueKey.from_asset(asset) == AssetUniqueKey.from_asset(
        batch_pool_asset("farm", "p1", event="failed")
    )
