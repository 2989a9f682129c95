"""Which part of a task's output is to be read next, and how much of it at most.

Pure: no I/O, no clock, no Airflow, no Azure SDK.

While it runs: what is new, ``PART_BYTES`` at a look, until ``MOST_LIVE_BYTES`` of a file were read, over all
of the task's runs. When it has ended: all the rest, or where that is too much its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_batchext.batch.task_output import PART_BYTES, Reading, left_out

if TYPE_CHECKING:
    from airflow_batchext.batch.work import TaskSeen

#: Bytes of each file that are shown while the task runs.
MOST_LIVE_BYTES = 1024 * 1024
#: Bytes of each file that are shown when it has ended, if it has no more; and else of its end.
MOST_REST_BYTES, END_BYTES = 256 * 1024, 64 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file.

    :param reading: how far the file has been read when this part begins.
    :param length: bytes.
    :param left_out: bytes before it that nobody has seen.
    """

    reading: Reading
    length: int
    left_out: int = 0


def next_part(reading: Reading, size: int, *, is_last: bool, most: int = MOST_REST_BYTES) -> Part | None:
    """Which part to read next; None if there is nothing to be read.

    :param size: bytes that the file has now.
    :param is_last: whether the task has ended.
    :param most: bytes that are read then, unless there is more.
    """
    rest = size - reading.offset
    if not is_last:
        if size <= reading.read_to or rest <= 0 or reading.shown >= MOST_LIVE_BYTES:
            return None
        return Part(reading, min(rest, PART_BYTES))
    if rest <= 0:
        return None
    if rest <= most:
        return Part(reading, rest)
    start = size - END_BYTES
    return Part(left_out(reading, start), END_BYTES, start - reading.offset)


def is_full(reading: Reading) -> bool:
    """Whether no more of a file is shown until the task has ended."""
    return reading.shown >= MOST_LIVE_BYTES


def run_of(task: TaskSeen) -> str:
    """Which run of a task it is: the output of another begins anew."""
    return f"{task.node_id} {task.started} {task.retries} {task.requeues}"
