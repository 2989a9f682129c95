"""What runs on a pool, as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Column, Table
from rich.text import Text

from airflow_batchext.batch.data_plane import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from airflow_batchext.hooks._drivers.pool_work import PoolWork

_COUNTS: Final = {"waiting": "active", "running": "running", "succeeded": "succeeded", "failed": "failed"}
_STYLES: Final = {"waiting": "yellow", "running": "green", "succeeded": "", "failed": "bold red"}


def work_line(work: PoolWork) -> str:
    """All of it in a line; "" where nothing is there."""
    jobs = len(work.jobs) + work.more
    told = []
    if jobs:
        told.append(f"{jobs:,} {'job' if jobs == 1 else 'jobs'} on it")
        for state, member in _COUNTS.items():
            known = [number for job in work.jobs if (number := getattr(job, member)) is not None]
            if any(known):
                told.append(f"{sum(known):,} {state}")
    if work.problem:
        told.append(f"what runs on it could not all be read: {one_line(work.problem, 200)}")
    return ", ".join(told)


def work_table(work: PoolWork) -> list[RenderableType]:
    """The jobs that have not ended, with their tasks; what could not be read is said."""
    parts: list[RenderableType] = []
    if work.jobs:
        parts.append(Text("jobs on it, and their tasks:"))
        table = Table(Column("job", overflow="fold"), "state", *_STYLES)
        for job in work.jobs:
            counts = [getattr(job, member) for member in _COUNTS.values()]
            cells = (
                Text("?" if count is None else f"{count:,}", style if count else "dim", justify="right")
                for count, style in zip(counts, _STYLES.values(), strict=True)
            )
            state = one_line(job.state, 40) or "no state"
            table.add_row(Text(one_line(job.id, 100)), Text(state), *cells)
        parts.append(table)
    elif not work.problem:
        parts.append(Text("no job on it that has not ended", "dim"))
    if work.more:
        parts.append(Text(f"and {work.more:,} more jobs", "dim"))
    if work.problem:
        parts.append(
            Text(f"what runs on it could not all be read: {one_line(work.problem, 1000)}", "magenta")
        )
    return parts
