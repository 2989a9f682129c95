"""The bodies of a Batch task and of its job, from an operator's parameters; secrets are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.origin.deployment import deployment
from airflow_batchext.parameters import check_text, wrong
from airflow_batchext.parameters.work import check_node_check
from airflow_batchext.rules.work_ids import Instance
from airflow_batchext.secrets.redact import find_secrets
from airflow_batchext.secrets.references import is_stand_in

if TYPE_CHECKING:
    from airflow.sdk import Context

_OURS = {"id": "its id is made here", "commandLine": "give it as command_line"}
#: What a task may do with the account, which only sounds like a secret.
_HARMLESS = "authenticationTokenSettings"
_LEAST_LIMIT_SECONDS = 60
#: A check that hangs would keep its node, and what waits for it.
_LONGEST_CHECK = "PT15M"


def instance_of(context: Context, task_id: str, alone: str) -> Instance:
    """Which try of which task instance it is.

    :param alone: what names the run where there is no task instance, as in users' unit tests.
    """
    instance: Any = context.get("ti")
    run: Any = context.get("dag_run")
    number, index, most = (
        value if isinstance(value, int) else otherwise
        for value, otherwise in (
            (getattr(instance, "try_number", None), 0),
            (getattr(instance, "map_index", None), -1),
            (getattr(instance, "max_tries", None), 0),
        )
    )
    if not number:
        return Instance(deployment(), "", alone, task_id, alone)
    return Instance(
        deployment=deployment(),
        dag_id=str(instance.dag_id),
        run_id=str(instance.run_id),
        task_id=str(instance.task_id),
        run_started=str(getattr(run, "start_date", "")),
        map_index=index,
        try_number=number,
        max_tries=most,
    )


def job_document(pool_id: str, node_check: object = None) -> dict[str, Any]:
    """The body of a job, but for its id.

    :param node_check: a command line, or members of a preparation task.
    :raises ParameterError: if there is a secret in that.
    """
    document: dict[str, Any] = {
        "poolInfo": {"poolId": pool_id},
        "onAllTasksComplete": "noaction",
        "metadata": [{"name": "madeBy", "value": "airflow-batchext"}],
    }
    if node_check is not None:
        given = check_node_check("node_check", node_check)
        members: dict[str, Any] = {**given} if isinstance(given, Mapping) else {"commandLine": given}
        limits = {"maxWallClockTime": _LONGEST_CHECK, **(members.get("constraints") or {})}
        task = {**members, "constraints": limits, "waitForSuccess": True}
        refuse_secrets(task, "job's preparation task")
        document["jobPreparationTask"] = task
    return document


def task_document(
    *,
    command_line: str,
    environment: Mapping[str, Any],
    more: Mapping[str, Any],
    instance: Instance,
    max_retries: int,
    seconds: float,
) -> dict[str, Any]:
    """The body of a task, but for its id.

    :param more: members of the body, which win over the rest but for its environment, which is added to.
    :param seconds: for how long the task may run.
    :raises ParameterError: if a member cannot be used, or there is a secret in it.
    """
    for name in more:
        if name in _OURS:
            raise wrong(f"task_document has {name}, but {_OURS[name]}.")
    settings = [
        {"name": check_text("environment", name), "value": _text(name, value)}
        for name, value in environment.items()
    ]
    given = more.get("environmentSettings") or []
    if not isinstance(given, (list, tuple)):
        raise wrong("task_document has environmentSettings that are no list; give variables as environment.")
    limit = f"PT{max(_LEAST_LIMIT_SECONDS, round(seconds))}S"
    constraints = {
        "maxWallClockTime": limit,
        "maxTaskRetryCount": max_retries,
        **(more.get("constraints") or {}),
    }
    body = {"commandLine": command_line, **more, "constraints": constraints}
    body["environmentSettings"] = [*given, *settings]
    refuse_secrets({name: item for name, item in body.items() if name != _HARMLESS}, "task")
    return {**body, "environmentSettings": [*_context(instance), *given, *settings]}


def _context(instance: Instance) -> list[dict[str, str]]:
    told = {
        "DAG_ID": instance.dag_id,
        "RUN_ID": instance.run_id,
        "TASK_ID": instance.task_id,
        "MAP_INDEX": str(instance.map_index),
        "TRY_NUMBER": str(instance.try_number),
    }
    return [{"name": f"AIRFLOW_CTX_{name}", "value": value} for name, value in told.items()]


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise wrong(
            f"environment has {name!r} with a {type(value).__name__}, but it has to be a text or a number."
        )
    return str(value)


def refuse_secrets(body: Mapping[str, Any], of: str) -> None:
    """Refuse a body that everybody can read and that has a secret in it.

    :param of: what it is the body of.
    :raises ParameterError: if something in it looks like a secret.
    """
    for path, value in find_secrets(body):
        if isinstance(value, str) and is_stand_in(value):
            continue
        raise wrong(
            f"{path} of the Batch {of} looks like a secret, and everybody who may read the account sees it. "
            "Let the task fetch it with the pool's managed identity (identityReference for files) or from "
            "Key Vault, or let the Key Vault extension put it onto the nodes."
        )
