"""Work on a pool is told anything at all of jobs, tasks, files and lists: drawn, and without a socket.

Whatever it is told: our errors alone, nothing is asked for or ended that is not ours, no success that Azure
did not tell word by word, and what is shown is plain.
"""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_batchext.batch.task_output import OutputSeen
from airflow_batchext.batch.work import TaskSeen
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._drivers.task_output import OutputLook, read_output, read_value
from airflow_batchext.hooks._drivers.work import (
    NotYet,
    Place,
    Placed,
    Work,
    end_attempts,
    look_at_job,
    look_at_task,
    submit,
)
from airflow_batchext.hooks._drivers.work_items import ItemsPlace, ItemsWatch, add_tasks, end_items
from airflow_batchext.hooks._requests import Aside, AtOnce, Request
from airflow_batchext.rules.work import Stage, stands
from airflow_batchext.transport.flows import drive
from tests.examples import examples
from tests.hostile.meeting import assert_plain
from tests.hostile.service import LOUD, ODD

LIFE, OTHER = "0123abcdm2", "0123abcdm5"
TASK_IDS = [f"x-{LIFE}-t1", f"x-{LIFE}-t2", f"x-{OTHER}-t1", f"x-n1-{LIFE}-t1", f"m00001-{LIFE}-t1", LOUD]
TASK_IDS += [f"x-{LIFE}-t1/../../j", f"X-{LIFE.upper()}-T1", f"x-{LIFE}-t1\n", f"x-{LIFE}-t²", f"x-{LIFE}-t"]
JOB_IDS = ["b-1", "B-2", "b-²", "b-1/../c", "b-", "b-99999999999999999999", "b-x-1", LOUD]
_TEXTS = ["", "active", "running", "completed", "Completed", "success", "Failure", "terminatejob", LOUD]
_TEXTS += ["clienterror", "servererror", "TaskExists", "JobCompleted", "2026-11-29T03:36:39Z", "9" * 30]
_TEXTS += ["TaskNotFound", "JobNotFound", "JobExists", "TaskCompleted", "RequestBodyTooLarge"]
_JUNK = [odd for odd in ODD if odd != "\ud800" and len(str(odd)) < 1000]
LEAVES = st.sampled_from(_TEXTS) | st.sampled_from(_JUNK) | st.integers(-2, 3)


def _some(members: dict[str, Any]) -> Any:
    """An object with some of the members, each perhaps of quite another kind."""
    return st.fixed_dictionaries({}, optional={name: LEAVES | kind for name, kind in members.items()})


_FAILURE = _some({"code": LEAVES, "category": LEAVES, "message": LEAVES, "details": st.lists(LEAVES)})
_EXECUTION = _some(
    {
        **dict.fromkeys(("result", "exitCode", "startTime", "endTime", "retryCount", "requeueCount"), LEAVES),
        "failureInfo": _FAILURE,
        "schedulingError": _FAILURE,
        "terminateReason": LEAVES,
    }
)
_ITEM = _some(
    {
        "id": st.sampled_from([*TASK_IDS, *JOB_IDS]),
        "taskId": st.sampled_from(TASK_IDS),
        "state": LEAVES,
        "status": LEAVES,
        "stateTransitionTime": LEAVES,
        "executionInfo": _EXECUTION,
        "nodeInfo": _some({"nodeId": LEAVES}),
        "error": _FAILURE,
        "onAllTasksComplete": LEAVES,
        "name": st.sampled_from(["stdout.txt", "stderr.txt", "wd/../../x", LOUD]),
        "properties": _some({"contentLength": LEAVES}),
    }
)
MORE = "https://here/jobs"
# A page, and a job or task, in one.
_BODY = st.tuples(_ITEM, st.lists(_ITEM, max_size=4) | LEAVES, st.sampled_from([None, "", MORE, 5])).map(
    lambda parts: {**parts[0], "value": parts[1], "odata.nextLink": parts[2]}
)
_REFUSAL = st.fixed_dictionaries({"code": LEAVES, "message": LEAVES | st.just({"value": LOUD})})
ANSWER = st.tuples(st.just(200), _BODY) | st.tuples(
    st.sampled_from([200, 200, 201, 204, 302, 400, 403, 404, 409, 413, 429, 503]), _BODY | _REFUSAL | LEAVES
)
ANSWERS = st.lists(ANSWER, min_size=1, max_size=8)

ONE = Work("b", "x", LIFE, f"x-{LIFE}-t3", {"commandLine": "x"}, {"poolInfo": {"poolId": "p"}})
MANY = Work("b", "x", LIFE, "", {}, {"poolInfo": {"poolId": "p"}}, is_many=True)
BODIES = [{"id": f"x-n{number}-{LIFE}-t1", "commandLine": "x"} for number in range(3)]
OURS = re.compile(rf"/jobs/b-\d+/tasks/x(-n\d)?-({LIFE}|{OTHER})-t\d/terminate", re.IGNORECASE)
ASKED = re.compile(r"/(jobs|pools)(/[A-Za-z0-9_-]+(/[a-z]+(/[A-Za-z0-9_-]+(/[a-z]+(/[a-z./]+)?)?)?)?)?")


def check_text(text: str) -> None:
    """What is shown is plain, and of some length."""
    assert_plain(text)
    assert len(text) < 6000


class Service:
    """Answers each request with the next of its answers, and with the last one for ever."""

    def __init__(self, answers: list[Any]) -> None:
        self._answers = answers
        self.asked: list[tuple[str, str]] = []

    def __call__(self, wanted: Any) -> Any:
        if isinstance(wanted, AtOnce):
            return [drive(call, self) for call in wanted.calls]
        if isinstance(wanted, Aside):
            return wanted.work()
        assert isinstance(wanted, Request)
        assert len(self.asked) < 3000, "it asks for ever"
        self.asked.append((wanted.method, unquote(wanted.url)))
        status, body = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        content = json.dumps(body).encode("utf-8", "surrogatepass")
        response = SimpleNamespace(status_code=status, headers={}, content=content, request=None)
        with wanted.translated():
            return wanted.result(response)

    def run(self, call: Any) -> Any:
        """What comes of it; its error, if it is one of ours."""
        try:
            return drive(call, self)
        except BatchextError as error:
            check_text(str(error))
            return error
        finally:
            for method, path in self.asked:
                assert ASKED.fullmatch(path) or path == MORE, path
                assert not path.endswith("/terminate") or OURS.fullmatch(path), path
                assert method != "DELETE"


@settings(max_examples=examples(300))
@given(answers=ANSWERS)
def test_submitting_and_ending_touch_nothing_but_ours(answers: list[Any]):
    for call in (submit(ONE, is_first=False), submit(ONE, is_first=True), end_attempts(ONE)):
        done = Service(list(answers)).run(call)
        assert isinstance(done, (Placed, NotYet, BatchextError, int))
        if isinstance(done, Placed):
            assert re.fullmatch(r"[bB]-\d+", done.job_id)
            assert re.fullmatch(rf"x-{LIFE}-t\d", done.task_id)
        if isinstance(done, NotYet):
            assert_plain(done.text)
    assert isinstance(Service(list(answers)).run(end_items(MANY, is_alone=False)), (int, BatchextError))
    added = Service(list(answers)).run(add_tasks(MANY, "b-1", BODIES))
    if not isinstance(added, BatchextError):
        left, why = added
        assert [body for body in BODIES if body in left] == list(left)
        assert_plain(getattr(why, "text", why))


@settings(max_examples=examples(300))
@given(answers=ANSWERS, whole=st.booleans())
def test_a_look_says_of_no_task_that_it_has_succeeded_that_azure_has_not_said(
    answers: list[Any], whole: bool
):
    said = json.dumps(answers).lower()
    for call in (
        look_at_task(Place("b-1", "p"), TASK_IDS[0], whole=whole),
        look_at_job(Place("b-1", "p", "x"), whole=whole),
    ):
        found = stands(TASK_IDS[0], Service(list(answers)).run(call))
        assert_plain(found.text)
        if found.stage is Stage.SUCCEEDED:
            assert '"completed"' in said
            assert '"success"' in said
            assert found.task is not None
            assert not found.task.exit_code
        if found.task is not None:
            assert TaskSeen.from_json(json.loads(json.dumps(found.task.to_json()))) == found.task
    watch = ItemsWatch(ItemsPlace(("b-1", "b-2"), "p", "x"), LIFE, 3)
    for _ in range(2):
        stage, text = watch.take(Service(list(answers)).run(watch.look(is_last=whole)))
        assert_plain(text)
        assert " 3 succeeded" not in text or '"success"' in said
        json.dumps([stage, text])


@settings(max_examples=examples(200))
@given(answers=ANSWERS, is_last=st.booleans())
def test_output_and_results_are_plain_and_bounded(answers: list[Any], is_last: bool):
    task = TaskSeen(TASK_IDS[0], "running", node_id="n", started="s")
    look = Service(list(answers)).run(read_output("b-1", task, OutputSeen(), is_last=is_last))
    assert isinstance(look, OutputLook), "nothing of it is ever raised"
    assert_plain("\n".join([*look.lines, look.problem]))
    for kind in ("last_line", "json", "wd/out.json"):
        service = Service(list(answers))
        try:
            json.dumps(service.run(read_value("b-1", TASK_IDS[0], kind)), default=str)
        except ValueError as error:
            assert_plain(str(error))
