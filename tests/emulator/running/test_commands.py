"""What a task's command line comes to: read as Batch reads it, with the documented variables, or not run."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.emulator.account.job_records import Job, Task
from airflow_batchext.emulator.account.lifecycle import Failure
from airflow_batchext.emulator.running.commands import NOT_EMULATED, Command, command_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path("/root-of-tasks")
ACCOUNT = ("batchext", "https://127.0.0.1:1")


def outcome(
    document: dict[str, Any], *, agent: str = "batch.node.ubuntu 24.04", job: Any = ()
) -> Command | Failure:
    made = Job("nightly", {"poolInfo": {"poolId": "p"}, "commonEnvironmentSettings": list(job)}, NOW, NOW, [])
    task = Task("t-1", made, {"commandLine": "true", **document}, NOW, NOW, [])
    pool: Any = SimpleNamespace(name="p", definition=SimpleNamespace(machine={"nodeAgentSkuId": agent}))
    node: Any = SimpleNamespace(id="tvm_1", is_dedicated=False)
    return command_of(task, pool, node, ROOT, ACCOUNT)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1))
def test_arguments_are_read_as_they_were_quoted_and_no_shell_sees_them(argv: list[str]):
    found = outcome({"commandLine": shlex.join(argv)})
    assert isinstance(found, Command)
    assert list(found.argv) == argv


def test_it_gets_the_documented_variables_its_own_and_no_other():
    found = outcome(
        {"environmentSettings": [{"name": "A", "value": "task"}, {"name": "EMPTY"}]},
        job=[{"name": "A", "value": "job"}, {"name": "B", "value": "job"}],
    )
    assert isinstance(found, Command)
    folder = f"{ROOT}/tvm_1/workitems/nightly/job-1/t-1"
    assert found.environment == {
        "A": "task",
        "B": "job",
        "EMPTY": "",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": f"{folder}/wd",
        "LANG": "C.UTF-8",
        "AZ_BATCH_ACCOUNT_NAME": "batchext",
        "AZ_BATCH_ACCOUNT_URL": "https://127.0.0.1:1",
        "AZ_BATCH_POOL_ID": "p",
        "AZ_BATCH_NODE_ID": "tvm_1",
        "AZ_BATCH_NODE_IS_DEDICATED": "false",
        "AZ_BATCH_NODE_ROOT_DIR": f"{ROOT}/tvm_1",
        "AZ_BATCH_NODE_SHARED_DIR": f"{ROOT}/tvm_1/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": f"{ROOT}/tvm_1/startup",
        "AZ_BATCH_JOB_ID": "nightly",
        "AZ_BATCH_TASK_ID": "t-1",
        "AZ_BATCH_TASK_DIR": folder,
        "AZ_BATCH_TASK_WORKING_DIR": f"{folder}/wd",
    }


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"containerSettings": {"imageName": "x"}}, "containers"),
        ({"resourceFiles": [{"httpUrl": "http://x"}]}, "resource files"),
        ({"outputFiles": [{}]}, "output files"),
        ({"applicationPackageReferences": [{"applicationId": "a"}]}, "application packages"),
        ({"multiInstanceSettings": {"numberOfInstances": 2}}, "several nodes"),
        ({"authenticationTokenSettings": {"access": ["job"]}}, "authentication tokens"),
        ({"userIdentity": {"username": "root"}}, "users of a task"),
        ({"userIdentity": {"autoUser": {"elevationLevel": "Admin"}}}, "administrator rights"),
        ({"commandLine": "echo 'open"}, "No closing quotation"),
        ({"commandLine": "  "}, "an empty command line"),
        ({"commandLine": "a\0b"}, "a NUL character"),
        ({"environmentSettings": [{"name": "a=b", "value": ""}]}, "a variable of that name"),
        ({"environmentSettings": [{"name": "a", "value": "\0"}]}, "a variable of that name"),
    ],
)
def test_what_cannot_be_run_is_a_failure_that_says_so_never_a_success(document: dict[str, Any], said: str):
    found = outcome(document)
    assert isinstance(found, Failure)
    assert found.code == NOT_EMULATED
    assert said in found.message


def test_a_windows_pool_runs_nothing():
    found = outcome({}, agent="batch.node.windows amd64")
    assert isinstance(found, Failure)
    assert "Windows" in found.message


@pytest.mark.parametrize("elevation", ["nonadmin", "NonAdmin"])
def test_usual_users_and_empty_members_are_no_hindrance(elevation: str):
    document = {
        "userIdentity": {"autoUser": {"scope": "pool", "elevationLevel": elevation}},
        "resourceFiles": [],
    }
    assert isinstance(outcome(document), Command)
