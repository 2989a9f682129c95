"""The ids of the jobs and tasks that Airflow's task instances have in Azure Batch.

Whoever asks again, another worker or another try, comes to the same ids, so that what runs already is found
and nothing runs twice. Azure takes 64 letters, digits, hyphens and underscores, and no regard of case.

=========  =====================================================================================
**job**    ``DAG-TASK-HASH-N``: one for a task of a DAG run, with all of its map indexes. DAG and
           TASK are there for people; HASH is of their whole names, of the run, the pool and the
           deployment. N counts on where Batch takes no more tasks into the job.
**task**   ``KEY-LIFE-tTRY``: KEY is the map index, of several tasks with the id of each behind it,
           LIFE is what stays equal over automatic retries and no longer.
=========  =====================================================================================

**What a life is**, seen in Airflow 3.1.8 and 3.3.2 (``tests/airflow/test_tries.py``): ``max_tries`` of a
task instance stays as it is when the task fails and is tried again, when its process is killed, and when its
worker is lost. Clearing it, in whatever state, makes ``max_tries`` the number of tries so far plus
``retries``: a larger number. A run that is deleted and made again under its id begins to count anew, but has
another start; so has one that was over when a task of it was cleared.

Pure: no I/O, no clock, no Airflow.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import sha256

_LONGEST_DAG, _LONGEST_TASK = 20, 16
_HASH_DIGITS, _RUN_DIGITS = 16, 8
_TASK_ID = re.compile(
    r"(?P<key>([0-9a-f]{16}-)?(x|m[0-9]+)(-[A-Za-z0-9_]{1,16})?)-(?P<life>[0-9a-f]+m[0-9]+)-t(?P<number>[0-9]+)"
)


@dataclass(frozen=True, slots=True)
class Instance:
    """One try of a task instance of Airflow.

    :param deployment: what tells this Airflow from others that use the same account.
    :param run_started: when the DAG run has started, in whatever words.
    :param map_index: -1 where the task is not mapped.
    :param try_number: from 1 on.
    :param max_tries: as Airflow has it.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    run_started: str
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0

    def key(self, pool_id: str, *, is_shared: bool = False) -> str:
        """What begins the id of each of its tasks, with a hyphen behind it.

        :param is_shared: in a job that may have tasks of others.
        """
        key = "x" if self.map_index < 0 else f"m{self.map_index:05d}"
        return f"{self._hash(pool_id)}-{key}" if is_shared else key

    @property
    def life(self) -> str:
        """What is equal in all tries that Airflow makes by itself, one after the other."""
        return f"{_digits(_RUN_DIGITS, self.run_started)}m{max(0, self.max_tries)}"

    def attempt_id(self, key: str) -> str:
        """The id of the Batch task that this try makes, if it makes one."""
        return f"{key}-{self.life}-t{self.try_number}"

    def job_base(self, pool_id: str) -> str:
        """The id of its jobs without their number; with a hyphen behind it, it begins no other's."""
        shown = _words(self.dag_id, _LONGEST_DAG), _words(self.task_id, _LONGEST_TASK)
        return "-".join((*shown, self._hash(pool_id)))

    def _hash(self, pool_id: str) -> str:
        names = (self.deployment, self.dag_id, self.run_id, self.task_id, pool_id)
        return _digits(_HASH_DIGITS, *names)


@dataclass(frozen=True, slots=True)
class AttemptId:
    """What the id of a Batch task of ours says."""

    key: str
    life: str
    number: int


def read_attempt_id(task_id: str) -> AttemptId | None:
    """What an id says; None if it is none of ours."""
    match = _TASK_ID.fullmatch(task_id)
    return match and AttemptId(match["key"], match["life"], int(match["number"]))


def job_number(base: str, job_id: str) -> int | None:
    """Which of the jobs of that base it is; None if it is none of them."""
    head, _, number = job_id.rpartition("-")
    is_ours = head.lower() == base.lower() and number.isascii() and number.isdecimal()
    return int(number) if is_ours else None


def _digits(count: int, *words: str) -> str:
    return sha256(json.dumps(words).encode()).hexdigest()[:count]


def _words(text: str, longest: int) -> str:
    # Without hyphens, so that what stands between two of them is known.
    return re.sub(r"[^A-Za-z0-9]+", "_", text)[:longest].strip("_") or "x"
