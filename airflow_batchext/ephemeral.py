"""A pool, or a job, that lives exactly as long as the tasks that need it, also when they fail.

    with ephemeral_pool("pools/p1.yaml") as pool, batch_job(pool) as job:
        render(pool.pool_id, job.job_id) >> upload()

It is Airflow's setup and teardown: ``create`` is the setup, ``delete`` or ``end`` its teardown, and between
them come the tasks of the ``with`` block, of a pool after its gate.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import TaskGroup, XComArg

from airflow_batchext.operators.job import AzureBatchCreateJobOperator, AzureBatchEndJobOperator
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.origin.deployment import deployment
from airflow_batchext.parameters import check_flag, check_mapping, check_text, optional, refused, wrong
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

_DIGITS = 16
_LONGEST_PREFIX = 40
#: What the helper itself gives its tasks.
_OURS = ("task_id", "pool_id", "pool_document")
_OURS_OF_A_JOB = ("task_id", "pool_id", "prefix", "job_id", "job_document")
#: In templates, what is another one in each expansion of a mapped task group.
_OF_AN_EXPANSION = frozenset({"ti", "task_instance", "task_instance_key_str", "task"})


@dataclass(frozen=True)
class EphemeralPool:
    """The pool's id, for the tasks that use it, and the tasks around them.

    :param pool_id: a template (or what was given); each run of the DAG has a pool of its own.
    :param create: the setup.
    :param gate: waits until every extension on every node has succeeded.
    :param delete: the teardown.
    """

    pool_id: Any
    create: AzureBatchCreatePoolOperator
    gate: AzureBatchExtensionSensor
    delete: AzureBatchDeletePoolOperator


@dataclass(frozen=True)
class BatchJob:
    """The job's id, for the tasks that run in it, and the tasks around them.

    :param job_id: an ``XComArg``: in a text it is a template.
    :param pool_id: the pool that it is on, as it was given.
    :param create: the setup.
    :param end: the teardown.
    """

    job_id: Any
    pool_id: Any
    create: AzureBatchCreateJobOperator
    end: AzureBatchEndJobOperator


def run_pool_id(prefix: str, *, mapped: bool = False) -> str:
    """A template for a pool id that is another one in each run, and the same in every task and try of a run.

    Run ids have characters that pool ids must not have, and may be longer; so it is the prefix and 16 hex
    digits that stand for the deployment, the DAG, the prefix and the run.

    :param prefix: how it begins: up to 40 letters, digits, hyphens and underscores.
    :param mapped: for use in a mapped task group: each of its expansions has a pool of its own.
    :raises ParameterError: if the prefix cannot stand in a pool id.
    """
    if not isinstance(prefix, str) or not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_LONGEST_PREFIX}}}", prefix):
        wanted = f", but it has 1 to {_LONGEST_PREFIX} characters: letters, digits, '-' and '_'."
        raise refused("The prefix of a pool id", prefix, wanted)
    return _run_pool_id(prefix, prefix, is_mapped=check_flag("mapped", mapped))


def _run_pool_id(prefix: str, place: str, *, is_mapped: bool) -> str:
    """The template.

    :param place: what tells the pool from others of the same DAG.
    """
    # Digits alone: nothing in it can end the text, and whoever reads the DAG learns nothing.
    where = sha256(f"{deployment()}/{place}".encode()).hexdigest()
    number = "ti.map_index" if is_mapped else "''"
    # The run's id comes last: it alone may have a slash.
    run = f"'{where}/' ~ dag.dag_id ~ '/' ~ {number} ~ '/' ~ run_id"
    return f"{prefix}-{{{{ macros.uuid.uuid5(macros.uuid.NAMESPACE_OID, {run}).hex[:{_DIGITS}] }}}}"


@contextmanager
def ephemeral_pool(
    pool_document: dict[str, Any] | str,
    *,
    group_id: str = "pool",
    pool_id: Any = None,
    mapped: bool | None = None,
    azure_batchext_conn_id: str | None = None,
    create: Mapping[str, Any] | None = None,
    gate: Mapping[str, Any] | None = None,
    delete: Mapping[str, Any] | None = None,
) -> Iterator[EphemeralPool]:
    """A task group: create a pool, wait at its gate, run the tasks of the block, delete the pool.

    The pool is deleted when the tasks of the block are done, however they ended, and also when the gate has
    failed. A deletion that fails does not fail the run of the DAG (Airflow's rule for teardowns), so give it
    retries and a callback in ``delete``: nodes that are forgotten cost money. Clearing a task
    of the block makes the pool anew: Airflow clears creation, gate and deletion with it.

    Creation is tried at least twice, unless ``retries`` says otherwise, here or in ``default_args``: Airflow
    runs no teardown for a setup that failed, so a worker that is lost right after it has created the pool
    must not be the end of it. Nor does Airflow run the teardown of a run that took longer than its
    ``dagrun_timeout``; a DAG that has one is warned of. ``batchext orphans`` finds what is left.

    The ``default_args`` of the DAG and of the task groups around reach all three tasks.

    :param pool_document: as for ``AzureBatchCreatePoolOperator``.
    :param group_id: the task group; its tasks are ``create``, ``gate``, ``delete`` and the group ``work``.
    :param pool_id: the pool's id; by default another one in each run, each task group around, and each
        expansion of a mapped one. A pool that exists under a name of your own is adopted, and deleted in the
        end like any other.
    :param mapped: whether each expansion of the mapped task group around it has a pool of its own. That is so
        by itself, and False is refused there; elsewhere it says nothing.
    :param azure_batchext_conn_id: Airflow connection to the Batch account, for all three; by default that of
        ``default_args``, else ``azure_batchext_default``.
    :param create: more parameters of the ``AzureBatchCreatePoolOperator``.
    :param gate: more parameters of the ``AzureBatchExtensionSensor``.
    :param delete: more parameters of the ``AzureBatchDeletePoolOperator``.
    :raises ParameterError: if a parameter cannot be used, or all expansions would have one pool.
    """
    check_text("group_id", group_id)
    optional(check_flag)("mapped", mapped)
    optional(check_text)("azure_batchext_conn_id", azure_batchext_conn_id)
    _check_more("ephemeral_pool", _OURS, create=create, gate=gate, delete=delete)
    with TaskGroup(group_id) as group:
        is_mapped = _is_mapped(group, mapped, pool_id)
        if pool_id is None:
            pool_id = _run_pool_id(_prefix(group_id), group.child_id("create"), is_mapped=is_mapped)
        _warn_of_timeout(group)
        common: dict[str, Any] = {"pool_id": pool_id}
        its_life = {"lifetime": "run", **_retries(group, create or {})}
        if azure_batchext_conn_id is not None:
            common["azure_batchext_conn_id"] = azure_batchext_conn_id
        setup = AzureBatchCreatePoolOperator(
            task_id="create",
            pool_document=pool_document,
            **{**common, **its_life, **(create or {})},
        )
        wait = AzureBatchExtensionSensor(task_id="gate", **{**common, **(gate or {})})
        teardown = AzureBatchDeletePoolOperator(task_id="delete", **{**common, **(delete or {})})
        with TaskGroup("work") as work:
            yield EphemeralPool(pool_id, setup, wait, teardown)
        # Not on_failure_fail_dagrun: for Airflow 3.3.2 the state of the run is then that of the teardown
        # alone, and work that failed would be a success.
        teardown.as_teardown(setups=setup)
        # The gate is a setup too: whoever clears a task of the block clears what has to come before it.
        setup >> wait.as_setup()  # type: ignore[no-untyped-call]
        if work.children:
            wait >> work >> teardown
        else:
            wait >> teardown


@contextmanager
def batch_job(
    pool: EphemeralPool | str,
    *,
    group_id: str = "job",
    job_document: Mapping[str, Any] | None = None,
    azure_batchext_conn_id: str | None = None,
    create: Mapping[str, Any] | None = None,
    end: Mapping[str, Any] | None = None,
) -> Iterator[BatchJob]:
    """A task group: make a job on a pool, run the tasks of the block in it, end the job.

    Give ``job_id=job.job_id`` to each ``AzureBatchTaskOperator`` of the block. The job stays open between
    them, so that none is cut off by the end of another one, and ends when all are done, however they ended,
    with whatever may still run in it. Each run of the DAG, each task group around, and each expansion of a
    mapped one has a job of its own.

    Clearing a task of the block clears ``create`` and ``end``, too (before Airflow 3.3 that has to be done by
    hand): it runs in the job as long as that takes tasks, else in the next one (``-2``). A task whose job
    somebody has ended fails, as does each retry.

    A job that Airflow does not come to end, as the run took longer than its ``dagrun_timeout``, Azure Batch
    ends after seven days, or when ``maxWallClockTime`` in the ``constraints`` of ``job_document`` says so.
    ``create`` and ``end`` are tried at least twice more, unless ``retries`` says otherwise.

    :param pool: what ``ephemeral_pool`` yields, or a pool's id (templated). Nothing is asked of the pool: put
        a gate before it.
    :param group_id: the task group; its tasks are ``create``, ``end`` and the group ``work``.
    :param job_document: as for ``AzureBatchCreateJobOperator``: ``priority``, ``constraints``, ….
    :param azure_batchext_conn_id: Airflow connection to the Batch account, for both; by default that of the
        pool, of ``default_args``, else ``azure_batchext_default``.
    :param create: more parameters of the ``AzureBatchCreateJobOperator``.
    :param end: more parameters of the ``AzureBatchEndJobOperator``.
    :raises ParameterError: if a parameter cannot be used.
    """
    check_text("group_id", group_id)
    optional(check_text)("azure_batchext_conn_id", azure_batchext_conn_id)
    _check_more("batch_job", _OURS_OF_A_JOB, create=create, end=end)
    around = pool if isinstance(pool, EphemeralPool) else None
    with TaskGroup(group_id) as group:
        is_mapped = next(group.iter_mapped_task_groups(), None) is not None
        prefix = _run_pool_id(_prefix(group_id), group.child_id("create"), is_mapped=is_mapped)
        common: dict[str, Any] = {"prefix": prefix}
        if azure_batchext_conn_id is None and around is not None:
            azure_batchext_conn_id = around.create.azure_batchext_conn_id
        if azure_batchext_conn_id is not None:
            common["azure_batchext_conn_id"] = azure_batchext_conn_id
        pool_id: Any = pool if around is None else around.pool_id
        setup = AzureBatchCreateJobOperator(
            task_id="create",
            pool_id=pool_id,
            job_document=job_document,
            **{**common, **_retries(group, create or {}), **(create or {})},
        )
        job_id: Any = XComArg(setup, key="job_id")
        teardown = AzureBatchEndJobOperator(
            task_id="end", job_id=job_id, **{**common, **_retries(group, end or {}), **(end or {})}
        )
        with TaskGroup("work") as work:
            yield BatchJob(job_id, pool_id, setup, teardown)
        teardown.as_teardown(setups=setup)
        if work.children:
            setup >> work >> teardown
        if around is not None:
            teardown >> around.delete


def _check_more(of: str, ours: tuple[str, ...], **given: Mapping[str, Any] | None) -> None:
    """Check what is given to single tasks.

    :param ours: what all tasks share.
    """
    for name, more in given.items():
        optional(check_mapping)(name, more)
        if found := [key for key in ours if key in (more or {})]:
            raise wrong(f"{name} has {', '.join(found)}, but that is the same for all tasks of {of}.")


def _prefix(group_id: str) -> str:
    """How an id begins: groups may be called what pools and jobs may not, and longer."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", group_id)[:_LONGEST_PREFIX]


def _is_mapped(group: TaskGroup, mapped: bool | None, pool_id: Any) -> bool:
    """Whether the group stands in a mapped one.

    :raises ParameterError: if what was asked for does not go with that.
    """
    around = next(group.iter_mapped_task_groups(), None)
    if around is None:
        return False
    if mapped is False:
        raise wrong(
            f"mapped=False, but ephemeral_pool {group.group_id!r} stands in the mapped task group "
            f"{around.group_id!r}: all its expansions would have one pool, and the first to end would delete "
            "it under the others. Leave mapped out, or give mapped=True."
        )
    if isinstance(pool_id, str) and not _differs(pool_id):
        raise wrong(
            f"pool_id is the same in each expansion of the mapped task group {around.group_id!r}, and the "
            "first to end would delete the pool under the others. Leave pool_id out, give "
            "run_pool_id(…, mapped=True), or put {{ ti.map_index }} into it."
        )
    return True


def _differs(pool_id: str) -> bool:
    """Whether a pool id may be another one in each expansion."""
    from jinja2 import Environment, TemplateSyntaxError, meta

    try:
        # Only read, never rendered.
        named = meta.find_undeclared_variables(Environment(autoescape=True).parse(pool_id))
    except TemplateSyntaxError:
        return True  # Airflow says what is wrong with it
    return not named.isdisjoint(_OF_AN_EXPANSION)


def _retries(group: TaskGroup, create: Mapping[str, Any]) -> dict[str, Any]:
    """How often creation is tried again, where nobody has said it."""
    if "retries" in {**group.dag.default_args, **group.default_args, **(create.get("default_args") or {})}:
        return {}
    return {"retries": max(2, conf.getint("core", "default_task_retries", fallback=0))}


def _warn_of_timeout(group: TaskGroup) -> None:
    if group.dag.dagrun_timeout is not None:
        warnings.warn(
            f"ephemeral_pool {group.group_id!r}: the DAG has a dagrun_timeout, and of a run that takes "
            "longer Airflow skips the teardown: its pool stays, and costs. Give the tasks an "
            "execution_timeout instead; and have what is left deleted by AzureBatchDeleteOrphansOperator or "
            "`batchext orphans --delete`.",
            UserWarning,
            stacklevel=4,
        )
