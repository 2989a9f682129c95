"""Writes docs/operators.md: what each operator and the sensor have for Airflow's users, in one table.

What the classes say themselves is read from them; the rest is said here, and tested in ``test_table``.
``python -m tests.operators.table`` writes the page anew.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, NamedTuple

from tests.test_contexts import TASKS

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
NOTHING = "nothing"


class Said(NamedTuple):
    """What is said of one class."""

    xcom: str
    retries: str
    on_kill: str
    left: str


EACH = "a list, for each extension: "
READS = Said("", "reads again", NOTHING, NOTHING)
REPAIRED = "the journal of the repair in the pool's metadata; a reboot that was asked for goes on"
SAID = {
    "AzureBatchCreatePoolOperator": Said(
        "pool_id, action, created, differences, pool_created, etag, provisioning_state, allocation_state, "
        "extensions",
        "adopts the pool that an earlier try has created",
        "`delete_on_kill`: deletes the pool that it created",
        "the pool that it created, unless `delete_on_kill` (`delete_on_failure` where it fails)",
    ),
    "AzureBatchUpdatePoolOperator": Said(
        "pool_id, updated, differences, etag",
        "sends what still differs",
        NOTHING,
        "the pool as it is then",
    ),
    "AzureBatchResizePoolOperator": Said(
        "pool_id, resized, target_dedicated_nodes, target_low_priority_nodes, current_dedicated_nodes, "
        "current_low_priority_nodes",
        "waits for the resize that is under way",
        "`stop_resize_on_kill`: stops the resize that it began",
        "the new targets; the resize goes on, unless `stop_resize_on_kill`",
    ),
    "AzureBatchDeleteOrphansOperator": Said(
        "deployment, orphans, others", "looks again", NOTHING, "what it has not come to yet"
    ),
    "AzureBatchDeletePoolOperator": Said(
        "pool_id, deleted", "waits for the deletion that is under way", NOTHING, "the deletion, which goes on"
    ),
    "AzureBatchGetExtensionOperator": READS._replace(
        xcom=f"{EACH}pool_id, node_id, name, instance_name, publisher, type, version, "
        "provisioning_state, statuses, sub_statuses, settings"
    ),
    "AzureBatchRepairNodesOperator": Said(
        "pool_id, outcome, actions, notes",
        "goes on where the last try ended, by the journal in the pool's metadata",
        "puts the pool's targets back",
        REPAIRED,
    ),
    "AzureBatchTaskOperator": Said(
        "pool_id, job_id, batch_task_id, result, exit_code, failure, node_id, started, ended, seconds, "
        "retries, requeues; with `tasks`: `pool_id`, `job_ids`, `tasks`, `succeeded`, `failed`, `skipped`, "
        "`failures`; "
        "where it fails, under `batch_task`",
        "waits for the Batch task that runs, takes its success, or runs it again where it failed; a clear "
        "ends it first",
        "`on_kill`: ends the Batch task, or leaves it",
        'nothing; with `on_kill="leave"` the Batch task, for the next try',
    ),
    "AzureBatchCreateJobOperator": Said(
        "pool_id, job_id",
        "uses the job that an earlier try has made, unless it has ended",
        NOTHING,
        "the job, which takes tasks until it is ended",
    ),
    "AzureBatchEndJobOperator": Said(
        "job_ids", "ends what has not ended yet", NOTHING, "what it has not come to yet"
    ),
    "AzureBatchDiagnosePoolOperator": READS._replace(
        xcom="pool_id, outcome, summary, verdict, text, causes, unexplained, nodes, reports, node_logs",
        left="reports that are written already",
    ),
    "AzureBatchExtensionSensor": Said(
        "pool_id, pool_created, outcome, extensions, nodes, oldest_reading_seconds, seconds; where it ends "
        "in the triggerer without opening, `reason`",
        "waits anew, for another `timeout`",
        "`repair`: puts the pool's targets back; else nothing",
        f"nothing; with `repair` {REPAIRED}",
    ),
}
HEAD = """# Operators in one table

Written by `python -m tests.operators.table`, from the classes themselves; `tests/operators/test_table.py`
compares them.

Whatever waits can be `deferrable` (by default the option `[operators] default_deferrable`): it looks once on
the worker, and leaves it only if there is something to wait for (work leaves it as soon as it is submitted).
Each has `timeout`, and `poll_interval` (the
sensor: `poke_interval`), in seconds or as a `timedelta`. Each takes `azure_batchext_conn_id`, so one DAG may
work on several accounts.

*on_kill* is what a task does when somebody marks it failed, or its run ends by `dagrun_timeout`: on its
worker, and (Airflow 3.3 and later) in the triggerer. A task that is cleared there is taken over by its next
try. No task does anything when its worker or its triggerer is lost at once (SIGKILL, a machine that is gone).

Where `apache-airflow-providers-openlineage` is installed, each tells of its pool as a dataset, `POOL` in the
namespace `azbatch://ACCOUNT`, the same as that of the [pool's asset](events.md#the-assets): the gate, the
diagnosis, work and `AzureBatchGetExtensionOperator` read it, the others make it, and say when it was
created or deleted. An asset event is sent for each of `outlets`, as by any operator; that of a gate says of
which pool it is.

"""
COLUMNS = (
    "operator",
    "deferrable",
    "template fields",
    "XCom",
    "links",
    "another try",
    "on_kill",
    "left behind when killed",
)


def row(name: str, kind: Any, said: Said) -> str:
    """The line of one class."""
    parameters = inspect.signature(kind).parameters
    own = {parameter for base in kind.__mro__ for parameter in inspect.signature(base).parameters}
    deferrable = "yes" if "deferrable" in own else "does not wait"
    if "start_from_trigger" in parameters:
        deferrable = "yes; `start_from_trigger`: without a worker"
    fields = ", ".join(f"`{field}`" for field in kind.template_fields)
    links = ", ".join(link.name for link in kind.operator_extra_links)
    members, more, when = said.xcom.removeprefix(EACH).partition(";")
    xcom = ", ".join(f"`{member}`" for member in members.split(", ")) + more + when
    xcom = EACH + xcom if said.xcom.startswith(EACH) else xcom
    return f"| {' | '.join((f'`{name}`', deferrable, fields, xcom, links, *said[1:]))} |"


def page() -> str:
    """The whole page."""
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    return HEAD + head + "".join(f"{row(name, TASKS[name], said)}\n" for name, said in SAID.items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
