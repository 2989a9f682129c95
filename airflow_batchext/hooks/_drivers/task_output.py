"""Read what a Batch task has written since it was read last: a flow, for a hook to run sync or async.

``rules.task_output`` says which part; the node serves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_batchext.batch.task_output import OutputSeen, Reading, file_sizes, take
from airflow_batchext.batch.task_result import AS_JSON, LAST_LINE, MOST_BYTES, read_result
from airflow_batchext.exceptions import BatchextError, ServiceError
from airflow_batchext.hooks import _job_requests as jobs
from airflow_batchext.hooks._requests import Aside
from airflow_batchext.rules.task_output import MOST_REST_BYTES, is_full, next_part, run_of

if TYPE_CHECKING:
    from airflow_batchext.batch.work import TaskSeen
    from airflow_batchext.hooks._requests import Flow

FILES = (("stdout.txt", "out"), ("stderr.txt", "err"))


@dataclass(frozen=True, slots=True)
class OutputLook:
    """What there was to be read.

    :param lines: for the log.
    :param seen: how far all has been read now.
    :param problem: why something was not read.
    :param retry_after: seconds for which the service wants to be left alone.
    """

    lines: tuple[str, ...]
    seen: OutputSeen
    problem: str = ""
    retry_after: float | None = None


def read_output(
    job_id: str, task: TaskSeen, seen: OutputSeen, *, is_last: bool, most: int = MOST_REST_BYTES
) -> Flow[OutputLook]:
    """Read on; nothing that Azure says raises.

    :param task: as it was seen just now.
    :param seen: how far it has been read.
    :param is_last: whether the task has ended.
    :param most: bytes of a file that are read then, unless it has more.
    """
    seen = seen.of_run(run_of(task))
    lines: list[str] = []
    files = dict(seen.files)
    problem, retry_after = "", None
    try:
        sizes = file_sizes((yield from jobs.list_task_files(job_id, task.id)))
        for name, mark in FILES:
            reading = files.get(name, Reading())
            part = next_part(reading, sizes.get(name, 0), is_last=is_last, most=most)
            if part is None:
                continue
            start = part.reading.offset
            data = yield from jobs.read_task_file(job_id, task.id, name, start=start, length=part.length)
            work: Callable[[], tuple[list[str], Reading]] = partial(take, part.reading, data, is_last=is_last)
            found, files[name] = yield from Aside(work)
            if part.left_out:
                lines.append(f"{mark}| … {part.left_out} bytes before this are left out")
            lines += [f"{mark}| {line}" for line in found]
            if is_full(files[name]) and not is_full(reading) and not is_last:
                lines.append(f"{mark}| … is long: of the rest the end is shown when the task has ended")
    except BatchextError as error:
        problem = error.reason if isinstance(error, ServiceError) else str(error)
        retry_after = error.retry_after if isinstance(error, ServiceError) else None
    return OutputLook(tuple(lines), OutputSeen(seen.run, files), problem, retry_after)


def read_value(job_id: str, task_id: str, kind: str) -> Flow[Any]:
    """The result that a task has written; ``kind`` as ``batch.task_result.read_result`` has it.

    :raises ServiceError: if it cannot be read: there is none, its node is gone or cannot answer.
    :raises ValueError: if it is not one.
    """
    start, name = 0, kind
    if kind in (LAST_LINE, AS_JSON):
        name = FILES[0][0]
        size = file_sizes((yield from jobs.list_task_files(job_id, task_id))).get(name, 0)
        if not size:
            raise ValueError("it has written nothing")
        start = max(0, size - MOST_BYTES)
    data = yield from jobs.read_task_file(job_id, task_id, name, start=start, length=MOST_BYTES + 1)
    is_cut = bool(start) or len(data) > MOST_BYTES
    return (yield from Aside(partial(read_result, kind, data[:MOST_BYTES], is_cut=is_cut)))
