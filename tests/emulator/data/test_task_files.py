"""The files of a task through azure-batch, as far as they are written, and as long as they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import HttpResponseError

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.account.output import TaskFile
from tests.emulator.pool_documents import raw_data

from .test_jobs import make

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.batch import BatchClient

RULE = {"after": 100, "stdout": "tick\n", "stderr": "ü!\n", "files": {"wd/out.json": "{}"}}


def scenario(emulator: Emulator, **change: Any) -> None:
    answers = change.pop("answers", {})
    emulator.scenario = Scenario.load({"tasks": [{**RULE, **change}], "answers": answers})


def text(batch: BatchClient, job: str, path: str, **more: Any) -> str:
    return b"".join(batch.download_task_file(job, "t", path, **more)).decode()


@pytest.fixture
def job(emulator: Emulator, name: str) -> str:
    return f"job-{name}"


def test_the_files_of_a_task(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    scenario(emulator)
    make(batch, job, ready_pool(1), "t")
    emulator.clock.advance(150)
    files = {file.name: file for file in batch.list_task_files(job, "t", recursive=True)}
    assert sorted(files) == ["stderr.txt", "stdout.txt", "wd", "wd/out.json"]
    assert (files["wd"].is_directory, files["wd"].properties) == (True, None)
    assert files["stderr.txt"].properties.content_length == 4
    assert "wd/out.json" not in [file.name for file in batch.list_task_files(job, "t")]
    assert (text(batch, job, "stdout.txt"), text(batch, job, "stderr.txt")) == ("tick\n", "ü!\n")
    assert text(batch, job, "wd/out.json") == "{}"
    assert text(batch, job, "stdout.txt", ocp_range="bytes=1-2") == "ic"
    told = batch.get_task_file_properties(job, "t", "stdout.txt")
    assert (told.content_length, told.is_directory) == (5, False)


def test_output_grows_while_the_task_runs(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    scenario(emulator, output_every=10)
    make(batch, job, ready_pool(1), "t")
    seen = []
    for seconds in (5, 20, 70, 200):
        emulator.clock.advance(seconds)
        seen.append(text(batch, job, "stdout.txt").count("tick"))
    assert seen == [1, 3, 10, 11]
    with pytest.raises(HttpResponseError):
        text(batch, job, "wd/none")


@pytest.mark.parametrize(
    ("state", "answers", "status", "code"),
    [
        ("waits", {}, 409, "TaskFilesUnavailable"),
        ("waits", {"files_before_start": "FileNotFound"}, 404, "FileNotFound"),
        ("gone", {}, 404, "NodeNotFound"),
        ("gone", {"files_without_node": "NodeNotReady"}, 409, "NodeNotReady"),
        ("reboots", {}, 409, "NodeNotReady"),
        ("old", {}, 409, "TaskFilesCleanedup"),
        ("past", {"range_past_end": "InvalidRange"}, 416, "InvalidRange"),
        ("no such file", {}, 404, "FileNotFound"),
        ("folder", {}, 404, "FileNotFound"),
    ],
)
def test_files_that_cannot_be_had(
    emulator: Emulator,
    batch: BatchClient,
    ready_pool: Callable[..., str],
    job: str,
    state: str,
    answers: dict[str, str],
    status: int,
    code: str,
) -> None:
    scenario(emulator, answers=answers)
    pool = ready_pool(0 if state == "waits" else 1)
    make(batch, job, pool, "t")
    emulator.clock.advance(150)
    if state == "gone":
        emulator.account.remove_node(pool, emulator.account.nodes(pool)[0].node.id)
        emulator.clock.advance(60)
    elif state == "reboots":
        emulator.account.reboot_node(pool, emulator.account.nodes(pool)[0].node.id)
    elif state == "old":
        emulator.clock.advance(8 * 86400)
    file = {"no such file": "nope.txt", "folder": "wd"}.get(state, "stdout.txt")
    headers = {"ocp-range": "bytes=5-9"} if state == "past" else {}
    for method in ("GET", "HEAD") if state not in ("past", "folder") else ("GET",):
        answer = raw_data(emulator, method, f"/jobs/{job}/tasks/t/files/{file}", headers=headers)
        assert answer.status_code == status
    refused = raw_data(emulator, "GET", f"/jobs/{job}/tasks/t/files/{file}", headers=headers)
    assert refused.json()["code"] == code


def test_nothing_is_behind_the_end(
    emulator: Emulator, batch: BatchClient, ready_pool: Callable[..., str], job: str
) -> None:
    scenario(emulator)
    make(batch, job, ready_pool(1), "t")
    emulator.clock.advance(150)
    assert text(batch, job, "stdout.txt", ocp_range="bytes=5-9") == ""
    assert text(batch, job, "stdout.txt", ocp_range="bytes=3-99") == "k\n"


@pytest.mark.parametrize(("start", "end"), [(0, 7), (2, 3), (3, 8), (5, 5), (6, 99), (9, 10)])
def test_of_a_long_file_only_the_part_is_made(start: int, end: int) -> None:
    assert TaskFile("f", b"abc", 3).part(start, end) == (b"abc" * 3)[start:end]
    assert TaskFile("f", b"abc", 10**12).part(3 * 10**11, 3 * 10**11 + 4) == b"abca"
    assert TaskFile("f", b"", 5).part(start, end) == b""
