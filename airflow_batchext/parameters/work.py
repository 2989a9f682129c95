"""Checks of what work on a pool is given: tasks, results and exit codes, jobs, and the checks of nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_batchext.parameters import check_mapping, check_text, optional, plain, refused, shown, wrong

#: So that an id of at most 64 characters has six digits behind it, and a hyphen.
LONGEST_JOB_PREFIX = 57
_PREFIX = re.compile(rf"[a-zA-Z0-9_-]{{1,{LONGEST_JOB_PREFIX}}}")
_MOST_TASKS = 10_000
_TASK_MEMBERS = ("id", "command_line", "environment", "task_document")
_TASK_ID = re.compile(r"[A-Za-z0-9_]{1,16}")
_FILE_OF_TASK = re.compile(r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f\\]{1,500}")
NO_CHECK_OF_ANOTHERS = (
    "node_check is for the job that is made for the task. A job of your own (job_id) has its own preparation "
    "task: jobPreparationTask in the job_document of batch_job, or as you make it."
)
_CHECK_MEMBERS = (
    *("commandLine", "containerSettings", "resourceFiles", "environmentSettings", "constraints"),
    *("userIdentity", "rerunOnNodeRebootAfterSuccess"),
)


def check_job_prefix(name: str, value: object) -> str:
    """How the ids of jobs begin, so that a hyphen and a number have room behind it.

    :raises ParameterError: if it is anything else.
    """
    if isinstance(value, str) and _PREFIX.fullmatch(value):
        return value
    wanted = f", but it has 1 to {LONGEST_JOB_PREFIX} characters: letters, digits, '-' and '_'."
    raise refused(name, value, wanted)


def check_tasks(name: str, value: object) -> Sequence[Any]:
    """Many tasks: command lines, or dicts with a ``command_line`` and more; what is in them is not shown.

    :raises ParameterError: if it is anything else.
    """
    if not isinstance(value, (list, tuple)):
        raise wrong(f"{name} is a {type(value).__name__}, but it has to be a list of command lines or dicts.")
    if len(value) > _MOST_TASKS:
        raise wrong(
            f"{name} has {len(value):,} tasks, but there can be {_MOST_TASKS:,}: use several operators."
        )
    ids: set[str] = set()
    for number, item in enumerate(value):
        place = f"{name}[{number}]"
        if not isinstance(item, Mapping):
            check_text(place, item)
            continue
        for member in item:
            if member not in _TASK_MEMBERS:
                raise wrong(f"{place} has {shown(member)}, but it can have: {', '.join(_TASK_MEMBERS)}.")
        check_text(f"{place}: command_line", item.get("command_line"))
        optional(check_mapping)(f"{place}: environment", item.get("environment"))
        optional(check_mapping)(f"{place}: task_document", item.get("task_document"))
        given = item.get("id")
        if given is not None and not (isinstance(given, str) and _TASK_ID.fullmatch(given)):
            raise refused(
                f"{place}: id", given, ", but it has to be 1 to 16 letters, digits and underscores."
            )
    for number, item in enumerate(value):
        task_id = item_id(number, item).lower()
        if task_id in ids:
            raise wrong(f"{name}[{number}] has the id of another one, {task_id!r}.")
        ids.add(task_id)
    return value


def check_result(name: str, value: object) -> str:
    """What of a Batch task's output is its result: "last_line", "json", or a path such as "wd/out.json".

    :raises ParameterError: if it is anything else.
    """
    if isinstance(value, str) and (
        value in ("last_line", "json") or ("/" in value and _FILE_OF_TASK.fullmatch(value))
    ):
        return value
    raise refused(name, value, ', but it has to be "last_line", "json", or a file as in "wd/out.json".')


def check_node_check(name: str, value: object) -> object:
    """What checks a node: a command line, or a dict of members of a preparation task; that is not shown.

    :raises ParameterError: if it is anything else.
    """
    if isinstance(value, str):
        return check_text(name, value)
    if not isinstance(value, Mapping):
        raise wrong(f"{name} is a {type(value).__name__}, but it has to be a command line or a dict.")
    for member in value:
        if member == "waitForSuccess":
            raise wrong(f"{name} has waitForSuccess, but a node takes no task before it was checked.")
        if member not in _CHECK_MEMBERS:
            raise wrong(f"{name} has {shown(member)}, but it can have: {', '.join(_CHECK_MEMBERS)}.")
    check_text(f"{name}: commandLine", value.get("commandLine"))
    optional(check_mapping)(f"{name}: constraints", value.get("constraints"))
    return value


def item_id(number: int, item: object) -> str:
    """The id of one of many tasks: the one that it was given, or one of its number."""
    given = item.get("id") if isinstance(item, Mapping) else None
    return str(given) if given is not None else f"n{number:05d}"


def check_exit_codes(name: str, value: object) -> tuple[int, ...]:
    """Exit codes, from one or a list of them; none for None.

    :raises ParameterError: if it is anything else.
    """
    given = plain(value)
    codes = () if given is None else given if isinstance(given, (list, tuple)) else (given,)
    checked = tuple(map(plain, codes))
    if all(isinstance(code, int) and not isinstance(code, bool) and code for code in checked):
        return checked
    raise refused(name, value, ", but it has to be an exit code other than 0, or a list of such.")
