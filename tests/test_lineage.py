"""What OpenLineage learns of each task: the pool as a dataset, the same as that of the pool's asset."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any

import pytest
from airflow.providers.common.compat.openlineage import facet

from airflow_batchext.assets import batch_pool_asset, convert_asset_to_openlineage
from airflow_batchext.provider_info import get_provider_info
from tests.test_contexts import NEEDS, task
from tests.test_public_names import thing

pytestmark = pytest.mark.usefixtures("signed_in")

#: The provider is optional; where it is not there, these stand for its classes.
IS_THERE = importlib.util.find_spec("airflow.providers.openlineage") is not None


@dataclass
class Dataset:
    namespace: str
    name: str
    facets: dict[str, Any] = field(default_factory=dict)


@dataclass
class OperatorLineage:
    inputs: list[Dataset] = field(default_factory=list)
    outputs: list[Dataset] = field(default_factory=list)


class Change(Enum):
    CREATE = "CREATE"
    OVERWRITE = "OVERWRITE"
    DROP = "DROP"


@dataclass
class ChangeFacet:
    lifecycleStateChange: Change  # noqa: N815 - OpenLineage's name


@pytest.fixture(autouse=True)
def _openlineage(monkeypatch):
    if IS_THERE:
        return
    for name in ("airflow.providers.openlineage", "airflow.providers.openlineage.extractors"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    extractors = sys.modules["airflow.providers.openlineage.extractors"]
    monkeypatch.setattr(extractors, "OperatorLineage", OperatorLineage, raising=False)
    monkeypatch.setattr(facet, "Dataset", Dataset)
    monkeypatch.setattr(facet, "LifecycleStateChange", Change)
    monkeypatch.setattr(facet, "LifecycleStateChangeDatasetFacet", ChangeFacet)


READS = {
    *("AzureBatchExtensionSensor", "AzureBatchGetExtensionOperator", "AzureBatchDiagnosePoolOperator"),
    *("AzureBatchTaskOperator", "AzureBatchCreateJobOperator"),
}
CHANGES = {"AzureBatchDeletePoolOperator": "DROP"}


def lineage(one: Any) -> Any:
    one.execute({})
    return one.get_openlineage_facets_on_complete(None)


def change(dataset: Any) -> str:
    found = (dataset.facets or {}).get("lifecycleStateChange")
    return "" if found is None else found.lifecycleStateChange.value


#: Of pools that it finds itself; of jobs.
TELLS_NOTHING = {"AzureBatchDeleteOrphansOperator", "AzureBatchEndJobOperator"}


@pytest.mark.parametrize("name", sorted(NEEDS.keys() - TELLS_NOTHING))
def test_each_task_tells_of_its_pool(azure, name):
    azure.create(nodes=2)
    told = lineage(task(name, azure))
    read, made = list(told.inputs), list(told.outputs)
    (pool,) = read if name in READS else made
    assert (made if name in READS else read) == []
    account = azure.emulator.info.account
    assert (pool.namespace, pool.name) == (f"azbatch://{account}", azure.pool_id)
    assert change(pool) == CHANGES.get(name, ""), "an adopted pool was made by somebody else"


def test_a_pool_that_it_created_or_replaced_is_said_to_be_so(azure):
    (made,) = lineage(task("AzureBatchCreatePoolOperator", azure, wait_for="created")).outputs
    assert change(made) == "CREATE"
    azure.pass_time(600)
    other = task("AzureBatchCreatePoolOperator", azure, wait_for="created", on_existing="replace")
    other.pool_document["properties"]["vmSize"] = "STANDARD_D8S_V5"
    azure.emulator.account.delete_pool(azure.pool_id)
    azure.pass_time(600)
    (made,) = lineage(other).outputs
    assert change(made) == "CREATE", "there was none to replace"


@pytest.mark.parametrize(
    "connection",
    [
        {"conn_type": "azure_batchext", "extra": {"arm_url": "http://not.here"}},
        {
            "conn_type": "azure_batchext",
            "password": "a2V5",
            "extra": {"account_url": "https://x.y.batch.azure.com"},
        },
    ],
)
def test_where_the_account_is_not_known_nothing_is_told(azure, connection):
    azure.connect("vague", connection)
    one = task("AzureBatchGetExtensionOperator", azure, azure_batchext_conn_id="vague")
    assert one.get_openlineage_facets_on_complete(None) is None


def test_an_asset_of_a_pool_is_the_same_dataset():
    (asset_uris,) = get_provider_info()["asset-uris"]
    assert thing(asset_uris["to_openlineage_converter"]) is convert_asset_to_openlineage
    for event in ("ready", "lost"):
        found = convert_asset_to_openlineage(batch_pool_asset("Acc.WestEurope", "P1", event=event), None)
        assert (found.namespace, found.name) == ("azbatch://acc.westeurope", "p1")
