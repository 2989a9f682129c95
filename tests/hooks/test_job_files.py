"""Files of tasks are read as they are: what they hold is nobody's JSON."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from airflow_batchext.emulator import Scenario
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.transport import AnswerError
from airflow_batchext.transport._rules import Rules

# Each breaks a bound of what is read as JSON.
TEXTS = {
    "an id with an exponent": "frame 2 on tvmps_3d3e102a91c9\n",
    "a large number": "1e99999\n",
    "digits": "7" * 5_000,
    "zeros": "0.0000000000000000000000000000000000001 and 000000000000000000000000000000\n",
    "brackets": "[" * 100_000,
    "pairs of brackets": "[]" * 200_000,
    "commas": "1,2,3\n" * 100_000,
    "quotes": '"' * 500_000,
    "members": '"a":1 ' * 100_000,
    "backslashes": "\\" * 1_500_000,
    "CSV": "\n".join(f'{n},"{n}",{n / 7}' for n in range(60_000)),
    "JSON": json.dumps([{"deep": [[[]]] * 100}] * 500),
    "halves": r"\ud83d" * 50_000,
}


def job_with(azure, text):
    azure.emulator.scenario = Scenario.load({"tasks": [{"exit_code": None, "stdout": text}]})
    azure.create(1)
    with AzureBatchJobHook() as hook:
        hook.create_job("j-1", {"poolInfo": {"poolId": azure.pool_id}})
        hook.create_task("j-1", "t", {"commandLine": "true"})
    azure.pass_time(600)


def read(start, length, *, asynchronous):
    if not asynchronous:
        with AzureBatchJobHook() as hook:
            return hook.read_task_file("j-1", "t", "stdout.txt", start=start, length=length)

    async def run():
        async with AzureBatchJobHook() as hook:
            return await hook.aread_task_file("j-1", "t", "stdout.txt", start=start, length=length)

    return asyncio.run(run())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_every_text_is_read_whole_and_in_parts(azure, asynchronous):
    whole = "".join(TEXTS.values()).encode()
    job_with(azure, whole.decode())
    place = 0
    for name, text in TEXTS.items():
        data = text.encode()
        assert read(place, len(data), asynchronous=asynchronous) == data, name
        place += len(data)
    assert read(0, len(whole), asynchronous=asynchronous) == whole


@pytest.mark.parametrize(
    ("header", "status", "is_read"),
    [("ocp-range", 200, True), ("ocp-range", 206, True), ("ocp-range", 409, False), ("Accept", 200, False)],
)
def test_what_refuses_it_and_all_else_is_still_bounded(header, status, is_read):
    """What the transport of both ways asks; an answer cannot choose."""
    request = SimpleNamespace(headers={header: "bytes=0-9"})
    deep = b'{"a":' * 100_000
    if is_read:
        assert Rules([]).body(request, status, deep, {}) == deep
    else:
        with pytest.raises(AnswerError, match="deep"):
            Rules([]).body(request, status, deep, {"Content-Type": "application/octet-stream"})
