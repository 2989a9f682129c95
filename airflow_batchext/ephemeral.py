"""A pool that lives exactly as long as the tasks that need it, also when they fail.

    with ephemeral_pool("pools/p1.yaml") as pool:
        render(pool.pool_id) >> upload()

It is Airflow's setup and teardown: ``create`` is the setup, ``delete`` its teardown, and between them come
the gate and then the tasks of the ``with`` block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow.sdk import TaskGroup

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.operators.pool import AzureBatchCreatePoolOperator, AzureBatchDeletePoolOperator
from airflow_batchext.parameters import check_flag, check_mapping, check_text, optional, refused
from airflow_batchext.sensors.extension import AzureBatchExtensionSensor

_DIGITS = 16
_LONGEST_PREFIX = 40


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


def run_pool_id(prefix: str, *, mapped: bool = False) -> str:
    """A template for a pool id that is another one in each run, and the same in every task and try of a run.

    Run ids have characters that pool ids must not have, and may be longer; so it is the prefix and 16 hex
    digits that stand for DAG and run.

    :param prefix: how it begins: up to 40 letters, digits, hyphens and underscores.
    :param mapped: for use in a mapped task group: each of its expansions has a pool of its own.
    :raises ParameterError: if the prefix cannot stand in a pool id.
    """
    if not isinstance(prefix, str) or not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_LONGEST_PREFIX}}}", prefix):
        wanted = f", but it has 1 to {_LONGEST_PREFIX} characters: letters, digits, '-' and '_'."
        raise refused("The prefix of a pool id", prefix, wanted)
    number = " ~ '/' ~ ti.map_index" if check_flag("mapped", mapped) else ""
    run = f"macros.uuid.uuid5(macros.uuid.NAMESPACE_OID, dag.dag_id ~ '/' ~ run_id{number})"
    return f"{prefix}-{{{{ {run}.hex[:{_DIGITS}] }}}}"


@contextmanager
def ephemeral_pool(
    pool_document: dict[str, Any] | str,
    *,
    group_id: str = "pool",
    pool_id: Any = None,
    mapped: bool = False,
    azure_batchext_conn_id: str = DEFAULT_CONN_ID,
    create: Mapping[str, Any] | None = None,
    gate: Mapping[str, Any] | None = None,
    delete: Mapping[str, Any] | None = None,
) -> Iterator[EphemeralPool]:
    """A task group: create a pool, wait at its gate, run the tasks of the block, delete the pool.

    The pool is deleted when the tasks of the block are done, however they ended, and also when the gate has
    failed. A deletion that fails does not fail the run of the DAG (Airflow's rule for teardowns), so give it
    retries and a callback in ``delete``: nodes that are forgotten cost money. Clearing a task
    of the block makes the pool anew: Airflow clears creation, gate and deletion with it.

    Creation is tried at least twice: Airflow runs no teardown for a setup that failed, so a worker that is
    lost right after it has created the pool must not be the end of it.

    :param pool_document: as for ``AzureBatchCreatePoolOperator``.
    :param group_id: the task group; its tasks are ``create``, ``gate``, ``delete`` and the group ``work``.
    :param pool_id: the pool's id; by default ``run_pool_id(group_id)``, another one in each run. A pool that
        exists under a name of your own is adopted, and deleted in the end like any other.
    :param mapped: give each expansion of the mapped task group around it a pool of its own.
    :param azure_batchext_conn_id: Airflow connection to the Batch account, for all three.
    :param create: more parameters of the ``AzureBatchCreatePoolOperator``.
    :param gate: more parameters of the ``AzureBatchExtensionSensor``.
    :param delete: more parameters of the ``AzureBatchDeletePoolOperator``.
    """
    check_text("group_id", group_id)
    for name, more in (("create", create), ("gate", gate), ("delete", delete)):
        optional(check_mapping)(name, more)
    if pool_id is None:
        pool_id = run_pool_id(group_id, mapped=mapped)
    common: dict[str, Any] = {"pool_id": pool_id, "azure_batchext_conn_id": azure_batchext_conn_id}
    with TaskGroup(group_id):
        setup = AzureBatchCreatePoolOperator(
            task_id="create", pool_document=pool_document, **common, **{"retries": 2, **(create or {})}
        )
        wait = AzureBatchExtensionSensor(task_id="gate", **common, **(gate or {}))
        teardown = AzureBatchDeletePoolOperator(task_id="delete", **common, **(delete or {}))
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
