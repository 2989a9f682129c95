"""Which Azure action a request needs, and whether the identity has it: role-based access control.

Roles are for tokens; a shared key may do everything. The actions are those of the resource provider
Microsoft.Batch. That the data plane checks pools by ``actions`` and jobs by ``dataActions`` is documented by
its built-in roles; that nodes and their extensions go with their pool is inferred from the same (the role
for submitting jobs has nothing else that could let it see nodes). What the data plane answers to an identity
without the action, nobody outside Microsoft seems to have written down: ``answers.missing_role``.

Sources: https://learn.microsoft.com/azure/batch/batch-role-based-access-control,
https://learn.microsoft.com/azure/role-based-access-control/permissions/compute#microsoftbatch
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from airflow_batchext.emulator.scenarios.answers import Permissions

_ACCOUNT = "Microsoft.Batch/batchAccounts"
_VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}
_IN_ACCOUNT = re.compile(
    r"/providers/Microsoft\.Batch/batchAccounts(?:/[^/]+(?P<rest>/.*)?)?$", re.IGNORECASE
)
_ACTIONS = {
    "listkeys": "listKeys/action",
    "regeneratekeys": "regenerateKeys/action",
    "stopresize": "pools/stopResize/action",
    "disableautoscale": "pools/disableAutoscale/action",
}
_OTHERS = (
    (re.compile(r"/locations/[^/]+/quotas/?$", re.IGNORECASE), "Microsoft.Batch/locations/quotas/read"),
    (
        re.compile(r"/resourceGroups(/[^/]+)?/?$", re.IGNORECASE),
        "Microsoft.Resources/subscriptions/resourceGroups/read",
    ),
)
_SUBSCRIPTION = "Microsoft.Resources/subscriptions/read"
_READING_POSTS = ("/evaluateautoscale",)


class Needed(NamedTuple):
    """An action, and whether it is one on data."""

    action: str
    kind: Literal["actions", "data_actions"] = "actions"


def needed_for_management(method: str, path: str) -> Needed:
    """What a request to the management plane needs."""
    inside = _IN_ACCOUNT.search(path)
    if inside is None:
        found = next((action for pattern, action in _OTHERS if pattern.search(path)), _SUBSCRIPTION)
        return Needed(found)
    steps = (inside["rest"] or "").strip("/").split("/")
    if method == "POST":
        return Needed(f"{_ACCOUNT}/{_ACTIONS.get(steps[-1].lower(), f'{steps[-1]}/action')}")
    folder = f"/{steps[0]}" if steps[0] else ""
    return Needed(f"{_ACCOUNT}{folder}/{_VERBS[method]}")


def needed_for_data(method: str, path: str) -> Needed:
    """What a request to the data plane needs."""
    verb = _VERBS.get(method, "read" if path.lower().endswith(_READING_POSTS) else "write")
    if re.match(r"/(jobs|addtaskcollection|jobschedules)(/|$)", path, re.IGNORECASE):
        steps = path.strip("/").split("/")
        # A task is a part of its job: to delete one changes the job.
        if method == "DELETE" and len(steps) > 2:
            verb = "write"
        folder = "jobSchedules" if steps[0].lower() == "jobschedules" else "jobs"
        return Needed(f"{_ACCOUNT}/{folder}/{verb}", "data_actions")
    return Needed(f"{_ACCOUNT}/pools/{verb}")


def allows(permissions: Permissions | None, needed: Needed) -> bool:
    """Whether an action is among those that are allowed; None allows everything."""
    if permissions is None:
        return True
    patterns: list[str] = getattr(permissions, needed.kind)
    return any(fnmatchcase(needed.action.lower(), pattern.lower()) for pattern in patterns)


def scope_of(method: str, path: str) -> str:
    """The resource that a request to the management plane is about."""
    return path.rpartition("/")[0] if method == "POST" else path.rstrip("/")
