"""What the notifier does, apart from the notifier itself: parsing a DAG is hot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowException

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.diagnosis import diagnose
from airflow_batchext.exceptions import BatchextError, ParameterError
from airflow_batchext.hooks.health import aread_health, read_health
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.links import pool_of
from airflow_batchext.parameters import check_pool_id, is_template
from airflow_batchext.rules.told import without_causes

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth

_MOST_POOLS = 5


class NotifierParameters(Protocol):
    """What it takes of the notifier; its parameters say the same."""

    pool_id: str | None
    azure_batchext_conn_id: str | None
    causes: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A pool, and the connection to its account."""

    pool_id: str | None
    conn_id: str

    @property
    def checked_id(self) -> str:
        """The pool's id.

        :raises ParameterError: if there is none, or it cannot be one.
        """
        if self.pool_id is None:  # the deadline of a run, for one, is that of no task
            raise ParameterError("nothing that failed has a pool_id; give the notifier one.")
        return check_pool_id(self.pool_id)


@dataclass(frozen=True, slots=True)
class _Failed:
    """A task that failed; ``map_index`` where it is not that of the context."""

    task: Any
    map_index: int | None = None

    @classmethod
    def of(cls, dag: Any, name: str) -> _Failed:
        """That of a DAG which Airflow calls so: its id, and the number of its instance if it has several."""
        task_id, _, number = name.rpartition("_")
        if name in dag.task_dict or not number.isdecimal():
            return cls(dag.task_dict.get(name), -1)
        return cls(dag.task_dict.get(task_id), int(number))


@dataclass(slots=True)
class Message:
    """What is sent: lines, and the ids of the causes that were found, each once."""

    lines: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    def add(self, health: PoolHealth, most: int) -> None:
        """Tell of one pool."""
        diagnosis = diagnose(health)
        self.lines.append(diagnosis.short(most))
        self.causes += [cause for cause in diagnosis.causes if cause not in self.causes]

    @contextmanager
    def failing_softly(self) -> Iterator[None]:
        """Within, a pool is read; if it cannot be, that is told instead."""
        try:
            yield
        except AirflowException as error:  # ours, and Airflow's own for a missing connection
            self.lines.append(f"The pool could not be diagnosed: {one_line(str(error))}")
        except Exception as error:  # the message has to go out; what stands in the error is not known
            self.lines.append(f"The pool could not be diagnosed ({type(error).__name__}).")


def message(notifier: NotifierParameters, context: Mapping[str, Any]) -> Message:
    """Read and diagnose what failed."""
    told = _begun(context)
    for place in _places(notifier, context, _failed_tasks(context)):
        with told.failing_softly(), AzureBatchNodeHook(place.conn_id) as hook:
            told.add(read_health(hook, place.checked_id), notifier.causes)
    return told


async def amessage(notifier: NotifierParameters, context: Mapping[str, Any]) -> Message:
    """``message`` in an event loop, which goes on meanwhile."""
    told = _begun(context)
    for place in _places(notifier, context, [_Failed(context.get("task"))]):
        with told.failing_softly():
            async with AzureBatchNodeHook(place.conn_id) as hook:
                health = await aread_health(hook, place.checked_id)
            await asyncio.to_thread(told.add, health, notifier.causes)
    return told


def _begun(context: Mapping[str, Any]) -> Message:
    failure = context.get("exception")
    if not isinstance(failure, BatchextError):  # of others we do not know what stands in them
        return Message()
    task: Any = context.get("task")
    return Message([f"{getattr(task, 'task_id', 'a task')}: {one_line(without_causes(str(failure)), 800)}"])


def _places(
    notifier: NotifierParameters, context: Mapping[str, Any], failed: Iterable[_Failed]
) -> list[_Place]:
    """Where to look: the pools of what failed, each in its account, as far as the notifier names no other."""
    found = [place for each in failed if (place := _place(each, context))]
    pool_id, conn_id = notifier.pool_id, notifier.azure_batchext_conn_id
    if pool_id is not None:
        same = [place for place in found if place.pool_id == pool_id] or found[:1]
        found = [_Place(pool_id, place.conn_id) for place in same[:1]] or [_Place(pool_id, DEFAULT_CONN_ID)]
    found = found or [_Place(None, DEFAULT_CONN_ID)]
    return list(dict.fromkeys(_Place(p.pool_id, conn_id or p.conn_id) for p in found))[:_MOST_POOLS]


def _place(failed: _Failed, context: Mapping[str, Any]) -> _Place | None:
    task: Any = failed.task
    # Of a mapped task that did not run here, this is what all of its instances have.
    given = getattr(task, "partial_kwargs", None)
    given = given if isinstance(given, Mapping) else {}
    pool_id = pool_of(task) or given.get("pool_id")
    conn_id = getattr(task, "azure_batchext_conn_id", None) or given.get("azure_batchext_conn_id")
    conn_id = conn_id if isinstance(conn_id, str) else DEFAULT_CONN_ID
    if not isinstance(pool_id, str):
        return None
    dag = context.get("dag")
    # A task that ran here was rendered, in a copy: what still looks like a template there came from outside.
    is_unrendered = getattr(dag, "task_dict", {}).get(getattr(task, "task_id", None)) is task
    if is_unrendered:
        instance = context.get("ti")
        if failed.map_index is not None:
            told = {name: getattr(instance, name, None) for name in ("dag_id", "run_id", "try_number")}
            instance = SimpleNamespace(task_id=task.task_id, map_index=failed.map_index, task=task, **told)
        about = {**context, "task": task, "ti": instance}
        pool_id, conn_id = (_rendered(text, dag, about) for text in (pool_id, conn_id))
    return _Place(pool_id, conn_id)


def _rendered(text: str, dag: Any, context: Mapping[str, Any]) -> str:
    """What the author's template comes to; the template itself where that is not known here."""
    if not is_template(text):
        return text
    try:
        return str(dag.get_template_env().from_string(text).render(**context))
    except Exception:  # whatever its expressions raise; the check of the pool's id tells of it then
        return text


def _failed_tasks(context: Mapping[str, Any]) -> list[_Failed]:
    """What failed: the task, or of a DAG's own callback each that did; Airflow names its last task alone."""
    task, dag = context.get("task"), context.get("dag")
    if context.get("exception") is not None or "reason" not in context or dag is None:
        return [_Failed(task)]
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    run_id = context["run_id"]
    try:
        states = RuntimeTaskInstance.get_task_states(dag_id=dag.dag_id, run_ids=[run_id]).get(run_id, {})
    except Exception:  # an Airflow that does not tell: what it named has to do
        return [_Failed(task)]
    failed = [_Failed.of(dag, name) for name, state in states.items() if str(state) == "failed"]
    return [each for each in failed if each.task is not None] or [_Failed(task)]
