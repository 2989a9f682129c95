"""What a task's command line comes to on this machine: pure, nothing is started here.

Directories and variables are those that Azure documents:
https://learn.microsoft.com/azure/batch/batch-compute-node-environment-variables
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_batchext.emulator.account.lifecycle import Failure

if TYPE_CHECKING:
    from airflow_batchext.emulator.account.job_records import Task
    from airflow_batchext.emulator.account.pools import Node, Pool
    from airflow_batchext.emulator.wire.http import Json

PATH = "/usr/local/bin:/usr/bin:/bin"
NOT_EMULATED = "NotEmulated"
_CANNOT = {
    "containerSettings": "containers",
    "resourceFiles": "resource files",
    "outputFiles": "output files",
    "applicationPackageReferences": "application packages",
    "multiInstanceSettings": "tasks on several nodes",
    "authenticationTokenSettings": "authentication tokens",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of a task on a node, all of them below that of the node."""

    node: Path
    task: Path

    @property
    def working(self) -> Path:
        """Where its command line is run."""
        return self.task / "wd"

    @property
    def shared(self) -> Path:
        """What all tasks of the node share."""
        return self.node / "shared"

    @property
    def startup(self) -> Path:
        """That of the start task, which is not run."""
        return self.node / "startup"


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed.

    :param argv: the program and its arguments; no shell reads them.
    :param environment: all variables that it gets.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    place: Place


def place_of(root: Path, task: Task, node: Node) -> Place:
    """Where a task lives on a node. Its ids are letters, digits, hyphens and underscores."""
    folder = root / node.id
    return Place(folder, folder / "workitems" / task.job.id / "job-1" / task.id)


def command_of(task: Task, pool: Pool, node: Node, root: Path, account: tuple[str, str]) -> Command | Failure:
    """What a task executes on a node, or why it cannot be executed here.

    :param account: the account's name and URL.
    """
    document = task.document
    cannot = _cannot(document, pool)
    if cannot is not None:
        return not_emulated(cannot)
    try:
        argv = tuple(shlex.split(document["commandLine"]))
    except ValueError as problem:
        return not_emulated(f"a command line like this: {problem}")
    if not argv:
        return not_emulated("an empty command line")
    place = place_of(root, task, node)
    variables = {
        "PATH": PATH,
        "HOME": str(place.working),
        "LANG": "C.UTF-8",
        "AZ_BATCH_ACCOUNT_NAME": account[0],
        "AZ_BATCH_ACCOUNT_URL": account[1],
        "AZ_BATCH_POOL_ID": pool.name,
        "AZ_BATCH_NODE_ID": node.id,
        "AZ_BATCH_NODE_IS_DEDICATED": str(node.is_dedicated).lower(),
        "AZ_BATCH_NODE_ROOT_DIR": str(place.node),
        "AZ_BATCH_NODE_SHARED_DIR": str(place.shared),
        "AZ_BATCH_NODE_STARTUP_DIR": str(place.startup),
        "AZ_BATCH_JOB_ID": task.job.id,
        "AZ_BATCH_TASK_ID": task.id,
        "AZ_BATCH_TASK_DIR": str(place.task),
        "AZ_BATCH_TASK_WORKING_DIR": str(place.working),
    }
    preparation = task.job.preparations.get(node.id)
    if preparation is not None and preparation is not task:
        prepared = place_of(root, preparation, node)
        variables["AZ_BATCH_JOB_PREP_DIR"] = str(prepared.task)
        variables["AZ_BATCH_JOB_PREP_WORKING_DIR"] = str(prepared.working)
    settings = (
        *task.job.document.get("commonEnvironmentSettings", ()),
        *document.get("environmentSettings", ()),
    )
    for setting in settings:
        name, value = setting["name"], setting.get("value", "")
        if not name or "=" in name or "\0" in name + value:
            return not_emulated("a variable of that name or value")
        variables[name] = value
    if any("\0" in part for part in argv):
        return not_emulated("a command line with a NUL character")
    return Command(argv, variables, place)


def _cannot(document: Json, pool: Pool) -> str | None:
    for member, what in _CANNOT.items():
        if document.get(member):
            return what
    identity = document.get("userIdentity", {})
    if identity.get("username") or identity.get("autoUser", {}).get("elevationLevel", "").lower() == "admin":
        return "users of a task and administrator rights"
    if "windows" in str(pool.definition.machine.get("nodeAgentSkuId", "")).lower():
        return "command lines for Windows"
    return None


def not_emulated(what: str) -> Failure:
    """Why a task fails for which that would be needed."""
    message = f"The emulator really runs tasks (run_tasks), but not {what}"
    return Failure(NOT_EMULATED, message, category="UserError")
