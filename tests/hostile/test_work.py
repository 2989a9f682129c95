"""Work on a pool meets a hostile service: it ends in time, with our errors, and what is shown is plain."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from types import SimpleNamespace

import pytest

from airflow_batchext.batch.task_output import PART_BYTES, OutputSeen, Reading
from airflow_batchext.batch.work import TaskSeen
from airflow_batchext.exceptions import ServiceError
from airflow_batchext.hooks._drivers.task_output import read_output, read_value
from airflow_batchext.hooks._drivers.work import Place, Work, end_attempts, look_at_job, submit
from airflow_batchext.hooks._drivers.work_items import ItemsPlace, ItemsWatch, add_tasks, end_items
from airflow_batchext.hooks._job_requests import read_task_file
from airflow_batchext.hooks.job import AzureBatchJobHook
from airflow_batchext.transport import within
from tests.hostile.meeting import DEADLINE, assert_plain, check, peak, share
from tests.hostile.service import LOUD, ODD, Answer, endless_answers

TASK = TaskSeen("t", "running", node_id="n", started="s")


def listed(length):
    body = {"value": [{"name": "stdout.txt", "properties": {"contentLength": length}}, {"name": LOUD}]}
    return Answer(f"length {str(length)[:8]}", body=json.dumps(body).encode("utf-8", "surrogatepass"))


LIES = [listed(length) for length in [*ODD, "9" * 18, "9" * 19, "0x10", "-1", " 1", "1e9", 10**17, 7.5]]


def look(conn_id, seen, *, is_last, asynchronous):
    return ask(conn_id, read_output("j-1", TASK, seen, is_last=is_last), asynchronous=asynchronous)


def ask(conn_id, call, *, asynchronous):
    if not asynchronous:
        with AzureBatchJobHook(conn_id) as hook, within(DEADLINE):
            return hook.run(call)

    async def run():
        async with AzureBatchJobHook(conn_id) as hook:
            with within(DEADLINE):
                return await hook.arun(call)

    return asyncio.run(run())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("is_last", [False, True])
def test_output_is_bounded_and_plain_whatever_is_said(hostile, trap, family, conn_id, is_last, asynchronous):
    for answer in [*LIES, *endless_answers()[:2], *share(family, "output", is_last, asynchronous)]:
        seen = OutputSeen("n s 0 0", {"stdout.txt": Reading(3, 3, 3), "stderr.txt": Reading(10**17)})
        found = []

        def once(seen=seen, found=found):
            found.append(look(conn_id, seen, is_last=is_last, asynchronous=asynchronous))

        assert check(hostile, trap, answer, once) == "", "nothing is raised"
        (it,) = found
        assert sum(map(len, it.lines)) < 4 * PART_BYTES, answer.name
        assert_plain("\n".join(it.lines) + it.problem)
        assert "SENTINEL" not in f"{it}"
        assert OutputSeen.from_json(json.loads(json.dumps(it.seen.to_json()))) == it.seen


@pytest.mark.parametrize("answer", endless_answers(), ids=lambda answer: answer.name)
def test_of_a_file_without_an_end_a_part_is_read(hostile, conn_id, answer):
    """What would be more than is ever read is given up, whatever it says of its length."""
    hostile.answer, before = answer, peak()
    with suppress(ServiceError):
        found = ask(conn_id, read_task_file("j", "t", "stdout.txt", start=0, length=100), asynchronous=False)
        assert len(found) <= 100
    assert peak() - before < 100


@pytest.mark.parametrize("offset", [0, 5])
def test_who_takes_no_notice_of_ranges_or_sends_more_is_cut(hostile, conn_id, offset):
    """The answer to all is one list, so it is the file, too."""
    hostile.answer = listed("9" * 18)
    seen = OutputSeen("n s 0 0", {"stdout.txt": Reading(offset, offset, offset)})
    body = hostile.answer.body
    it = look(conn_id, seen, is_last=False, asynchronous=False)
    assert it.seen.files["stdout.txt"].read_to == offset + len(body)
    hostile.answer = Answer("long", body=body[:-1] + b" " * 300_000 + b"}")
    it = look(conn_id, seen, is_last=False, asynchronous=False)
    assert it.seen.files["stdout.txt"].read_to == offset + PART_BYTES


LIFE = "0123abcdm2"


def as_problem(call):
    """What is no result is told in words that the operator shows."""
    try:
        return (yield from call)
    except ValueError as error:
        return SimpleNamespace(problem=str(error))


ONE = Work("b", "x", LIFE, f"x-{LIFE}-t1", {"commandLine": "x"}, {"poolInfo": {"poolId": "p"}})
MANY = Work("b", "x", LIFE, "", {}, {"poolInfo": {"poolId": "p"}}, is_many=True)
BODIES = [{"id": f"x-n{number}-{LIFE}-t1", "commandLine": "x"} for number in range(250)]
CALLS = {
    "submit": lambda: submit(ONE, is_first=False),
    "end": lambda: end_attempts(ONE),
    "value": lambda: as_problem(read_value("j", "t", "json")),
    "look": lambda: look_at_job(Place("b-1", "p", "x"), whole=True),
    "add many": lambda: add_tasks(MANY, "b-1", BODIES),
    "end many": lambda: end_items(MANY, is_alone=False),
    "look at many": lambda: ItemsWatch(ItemsPlace(("b-1", "b-2"), "p", "x"), LIFE, 3).look(is_last=True),
}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", CALLS)
def test_each_step_ends_in_time_with_our_own_errors(hostile, trap, family, conn_id, name, asynchronous):
    results = {
        "value": [{"taskId": BODIES[0]["id"], "status": LOUD, "error": {"code": LOUD, "message": LOUD}}]
    }
    loud = Answer("results", body=json.dumps(results).encode())
    for answer in [loud, *share(family, "work", name, asynchronous)]:
        found = []
        check(
            hostile,
            trap,
            answer,
            lambda found=found: found.append(ask(conn_id, CALLS[name](), asynchronous=asynchronous)),
        )
        for it in found:
            for text in (getattr(it, "problem", ""), getattr(it, "refused", ""), getattr(it, "why", "")):
                assert_plain(text)
                assert len(text) < 6000


def test_tasks_that_are_none_of_ours_do_not_count(hostile, conn_id):
    """A list of loud and odd tasks: of ours there is none."""
    items = [{"id": LOUD, "state": LOUD}, {"id": 5}, {"id": f"x-n1-{LIFE}-t1", "state": LOUD}, {}]
    hostile.answer = Answer(
        "tasks", body=json.dumps({"value": items, "id": "b-1", "state": "active"}).encode()
    )
    watch = ItemsWatch(ItemsPlace(("b-1",), "p", "x"), LIFE, 2)
    stage, text = watch.take(ask(conn_id, watch.look(is_last=False), asynchronous=False))
    assert stage == ""
    assert text.startswith("of 2 tasks 1 ")
    assert_plain(text)
