"""``batchext validate --against``: the account is asked through the hooks, here that of the emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from airflow_batchext.cli.main import main
from airflow_batchext.emulator import Scenario
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from tests.airflow_names import airflow_is, needs_airflow
from tests.conftest import document, own_connection

CONN_ID = "azure_batchext_default"


@pytest.fixture
def against(azure, tmp_path, capsys):
    """Validate a document against the emulated account; return status, output and errors."""

    def run(body, *arguments, conn_id=CONN_ID):
        file = tmp_path / "pool.json"
        file.write_text(json.dumps({"name": azure.pool_id, **body}))
        capsys.readouterr()
        status = main(["validate", str(file), "--against", conn_id, *arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_pool_that_the_account_can_give_has_no_findings(azure, against):
    azure.emulator.requests.clear()
    status, out, err = against(settled(), "--strict")
    assert status == 0
    # Airflow 3.1 warns of every connection whose type has an underscore.
    assert err == "" or not airflow_is("3.3")
    assert out.endswith("1 pool in 1 file: nothing wrong\n")
    assert {request.method for request in azure.emulator.requests} <= {"GET", "POST"}
    assert not [r for r in azure.emulator.requests if r.method == "POST" and "token" not in r.path]


def test_the_output_of_a_program_is_json_and_nothing_else(azure, tmp_path):
    file = tmp_path / "pool.json"
    file.write_text(json.dumps({"name": azure.pool_id, **document(1)}))
    command = ["validate", str(file), "--against", CONN_ID, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "airflow_batchext.cli.main", *command],
        env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert "debug" in done.stderr.lower()


def settled():
    """A document without any finding."""
    body = document(1)
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["extensions"] = []
    return body


def test_size_image_and_quota_are_compared(azure, against):
    azure.emulator.scenario = Scenario.model_validate({"account": {"dedicated_core_quota": 10}})
    body = settled()
    body["properties"]["scaleSettings"]["fixedScale"]["targetDedicatedNodes"] = 6
    status, out, _ = against(body)
    assert status == 1
    quota = "the account's quota of dedicated cores of standardDSv2Family is 10"
    assert f"6 nodes need 12 cores, and {quota}" in out
    body["properties"]["vmSize"] = "Standard_D2s_v6"
    assert "Batch does not offer 'Standard_D2s_v6' in westeurope" in against(body)[1]
    machine = body["properties"]["deploymentConfiguration"]["virtualMachineConfiguration"]
    machine["imageReference"]["sku"] = "server-gen9"
    assert "the account does not list the image 'canonical:ubuntu-24_04-lts:server-gen9'" in against(body)[1]


def test_a_pool_that_exists_is_told(azure, against):
    azure.create(1, ready=False)
    status, out, _ = against(settled())
    assert status == 0
    assert f"there is a pool {azure.pool_id} already" in out
    assert "with one difference; on_existing can update or replace it" in out
    assert 'on_existing="replace" creates the pool anew' in out
    assert ":1:2: warning" in out


def test_the_account_is_asked_once_for_many_pools(azure, against, tmp_path, capsys):
    file = tmp_path / "pools.json"
    file.write_text(json.dumps([{"name": f"p{n}", **settled()} for n in range(5)]))
    azure.emulator.requests.clear()
    assert main(["validate", str(file), "--against", CONN_ID]) == 0
    for part in ("virtualMachineSkus", "supportedimages", "/pools"):
        assert len(azure.reads(part)) == 1


def test_what_may_not_be_asked_is_told_and_not_held_against_the_pool(azure, against):
    azure.emulator.scenario = Scenario.model_validate(
        {
            "faults": [
                {
                    "plane": "data",
                    "path": "*/supportedimages",
                    "action": "error",
                    "status": 403,
                    "code": "AuthorizationFailure",
                }
            ]
        }
    )
    status, out, _ = against(settled())
    assert status == 0
    assert "the images of the account could not be compared" in out


@needs_airflow("3.2", "before, its own warnings went to standard output")
@pytest.mark.parametrize("conn_id", ["nobody", "wrong_secret"])
def test_an_account_that_cannot_be_read_is_one_line_and_status_2(azure, against, conn_id):
    azure.connect("wrong_secret", own_connection(azure.emulator, password="wr0ng-Zx9"))
    status, out, err = against(settled(), conn_id=conn_id)
    assert (status, out) == (2, "")
    assert f"--against {conn_id}" in err.splitlines()[-1]
    assert "wr0ng-Zx9" not in err


def test_the_hooks_read_what_is_asked(azure):
    azure.create(1, ready=False)
    with AzureBatchPoolHook() as management, AzureBatchNodeHook() as data:
        assert azure.pool_id in [pool["name"] for pool in management.list_pools()]
        sizes = {size["name"]: size for size in management.list_sizes("westeurope")}
        assert {"name": "vCPUs", "value": "2"} in sizes["Standard_D2s_v5"]["capabilities"]
        assert {image["nodeAgentSKUId"] for image in data.list_supported_images()} > {"batch.node.el 9"}
