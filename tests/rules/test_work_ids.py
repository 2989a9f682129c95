"""The ids of jobs and tasks: Azure takes them, and no two of them are one."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_batchext.rules.work_ids import Instance, job_number, read_attempt_id

ALLOWED = re.compile(r"[A-Za-z0-9_-]{1,64}")
ONE = Instance("here", "dag", "manual__2026", "render", "2026-11-29 03:36:39+00:00")
NAMES = st.one_of(
    st.text(min_size=1, max_size=250),
    st.sampled_from(["a", "A", "a.b", "a-b", "a_b", "ä", "日本", "x" * 250, "x" * 249 + "y", "𐏿"]),
)
INSTANCES = st.builds(
    Instance,
    deployment=NAMES,
    dag_id=NAMES,
    run_id=NAMES,
    task_id=NAMES,
    run_started=NAMES,
    map_index=st.integers(-1, 10**5),
    try_number=st.integers(1, 9999),
    max_tries=st.integers(0, 9999),
)
POOLS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(INSTANCES, POOLS, st.booleans())
def test_azure_takes_them_and_they_read_back(one, pool_id, is_shared):
    key = one.key(pool_id, is_shared=is_shared)
    attempt = one.attempt_id(key)
    assert ALLOWED.fullmatch(attempt)
    assert ALLOWED.fullmatch(f"{one.job_base(pool_id)}-999999")
    told = read_attempt_id(attempt)
    assert (told.key, told.life, told.number) == (key, one.life, one.try_number)
    assert job_number(one.job_base(pool_id), f"{one.job_base(pool_id)}-17") == 17


@given(INSTANCES, INSTANCES, POOLS, POOLS)
def test_no_two_are_one_and_none_begins_another(one, other, pool_id, other_pool):
    names = [
        (each.deployment, each.dag_id, each.run_id, each.task_id, pool)
        for each, pool in ((one, pool_id), (other, other_pool))
    ]
    bases = [one.job_base(pool_id).lower(), other.job_base(other_pool).lower()]
    assert (bases[0] == bases[1]) is (names[0] == names[1])
    assert bases[0] == bases[1] or not f"{bases[1]}-1".startswith(f"{bases[0]}-")
    keys = [one.key(pool_id).lower(), other.key(other_pool).lower()]
    assert (keys[0] == keys[1]) is (one.map_index == other.map_index)
    assert keys[0] == keys[1] or not f"{keys[1]}-".startswith(f"{keys[0]}-")
    shared = [one.key(pool_id, is_shared=True), other.key(other_pool, is_shared=True)]
    assert (shared[0] == shared[1]) is ((names[0], one.map_index) == (names[1], other.map_index))


@pytest.mark.parametrize(
    "change",
    [
        {"dag_id": "DAG"},
        {"task_id": "Render"},
        {"run_id": "Manual__2026"},
        {"deployment": "there"},
        {"dag_id": "dagmanual__2026", "run_id": ""},
        {"dag_id": "dag-render", "task_id": ""},
    ],
)
def test_twins_that_azure_would_not_tell_apart_have_different_jobs(change):
    assert ONE.job_base("p").lower() != replace(ONE, **change).job_base("p").lower()


def test_another_pool_has_another_job():
    assert ONE.job_base("p").lower() != ONE.job_base("P").lower()


def test_a_life_goes_on_over_tries_and_ends_with_a_clear_or_another_run():
    again = replace(ONE, try_number=2)
    assert again.life == ONE.life
    assert again.attempt_id(again.key("p")) != ONE.attempt_id(ONE.key("p"))
    assert replace(ONE, max_tries=3).life != ONE.life
    assert replace(ONE, run_started="2026-11-29 03:36:39.1+00:00").life != ONE.life


def test_people_can_tell_what_a_job_is_of():
    assert ONE.job_base("p").startswith("dag-render-")
    assert replace(ONE, dag_id="-.-", task_id="日本").job_base("p").startswith("x-x-")


@pytest.mark.parametrize(
    "other", ["x", "x-abm0", "taskmanager", "m1-t1", "x-0123abcdm2-t", "y-0123abcdm2-t1", ""]
)
def test_what_is_not_ours_is_not_taken_for_ours(other):
    assert read_attempt_id(other) is None


@pytest.mark.parametrize("job", ["dag-render-1", "dag-render-", "dag-render-00-x", "dag-render-00-²", ""])
def test_a_job_that_is_not_ours_has_no_number(job):
    assert job_number("dag-render-00", job) is None


def test_another_process_comes_to_the_same_ids():
    code = (
        "from airflow_batchext.rules.work_ids import Instance\n"
        f"one = {ONE!r}\nprint(one.job_base('p'), one.attempt_id(one.key('p')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [ONE.job_base("p"), ONE.attempt_id(ONE.key("p"))]
