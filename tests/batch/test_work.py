"""Jobs and tasks are read with nothing taken for granted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.batch.work import JobSeen, TaskSeen, read_job, read_task

MEMBERS = [
    *("id", "state", "executionInfo", "nodeInfo", "result", "exitCode", "failureInfo", "details", "code"),
    *("category", "message", "startTime", "endTime", "retryCount", "nodeId", "onAllTasksComplete"),
    *("schedulingError", "terminateReason"),
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "state",
                    "executionInfo",
                    "nodeInfo",
                    "result",
                    "exitCode",
                    "failureInfo",
                    "details",
                    "code",
                    "category",
                    "message",
                    "startTime",
                    "endTime",
                    "retryCount",
                    "nodeId",
                    "onAllTasksComplete",
                    "schedulingError",
                    "terminateReason",
                ]
            ),
            below,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JUNK)
def test_whatever_is_sent_is_read(body):
    task, job = read_task(body), read_job(body)
    assert isinstance(task.is_completed, bool)
    assert isinstance(job.takes_tasks, bool)
    assert TaskSeen.from_json(task.to_json()) == task
    assert "\n" not in task.failure


def test_nothing_reads_as_a_task_that_has_not_ended_and_a_job_that_is_open():
    assert read_task({}) == TaskSeen("", "")
    assert read_job(None) == JobSeen("", "")


def test_how_long_it_ran():
    times = {"startTime": "2026-11-29T03:36:39Z", "endTime": "2026-11-29T03:37:40.5Z"}
    assert read_task({"executionInfo": times}).seconds == 61.5
    assert read_task({"executionInfo": {"startTime": times["startTime"]}}).seconds is None


def test_what_an_earlier_version_did_not_keep_has_its_default():
    assert TaskSeen.from_json({"id": "a", "state": "running", "gone": 1}) == TaskSeen("a", "running")
