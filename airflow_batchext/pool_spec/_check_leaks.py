"""The check for secrets that stand where everybody who may read the pool can see them.

Azure hands out ``settings``, environment variables, metadata and command lines to every reader of a pool;
only ``protectedSettings`` and passwords are write-only. Whether a text is a secret is a guess from the name
of its member and from its look, so all of this is warnings, and none of them quotes a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from airflow_batchext.loose_json.documents import at, walk
from airflow_batchext.pool_spec._finding import ARM_PAGE, Findings, object_at, objects, warning
from airflow_batchext.pool_spec._members import MACHINE
from airflow_batchext.secrets.redact import looks_secret
from airflow_batchext.secrets.references import is_secret

_MOST = 20_000


def check_leaks(properties: Mapping[str, Any]) -> Findings:
    """Find what looks like a secret in the parts of a pool that Azure shows."""
    machine = object_at(properties, "deploymentConfiguration", "virtualMachineConfiguration")
    for index, extension in objects(machine.get("extensions")):
        path = f"{at(f'{MACHINE}.extensions', index)}.settings"
        for place in _secrets(extension.get("settings"), path):
            what = "this looks like a secret, and everybody who may read the pool sees settings"
            yield warning(place, what, "Move it to protectedSettings", ARM_PAGE)
    task = object_at(properties, "startTask")
    yield from _check_pairs(task.get("environmentSettings"), "properties.startTask.environmentSettings")
    yield from _check_pairs(properties.get("metadata"), "properties.metadata")
    if isinstance(task.get("commandLine"), str) and looks_secret(task["commandLine"]):
        what = "this seems to hold a secret, and everybody who may read the pool sees command lines"
        fix = "Let the task fetch it, with the pool's identity or from a resource file"
        yield warning("properties.startTask.commandLine", what, fix, ARM_PAGE)


def _check_pairs(pairs: object, path: str) -> Findings:
    for index, pair in objects(pairs):
        if isinstance(pair.get("value"), str) and any(_secrets(pair, at(path, index))):
            shown = "metadata" if path.endswith("metadata") else "environment variables"
            what = f"this looks like a secret, and everybody who may read the pool sees {shown}"
            fix = "Let the task fetch it, with the pool's identity or from Key Vault"
            yield warning(f"{at(path, index)}.value", what, fix, ARM_PAGE)


def _secrets(value: object, path: str) -> Iterator[str]:
    """The places below a value of what looks like a secret; what lies below such a member counts as one."""
    known: dict[int, object] = {}
    for place, item in islice(walk(value, path=path, into=lambda item: id(item) not in known), _MOST):
        if item and not isinstance(item, bool) and is_secret(item, place):
            known[id(item)] = item
            yield place.path
        elif isinstance(item, str) and looks_secret(item):
            yield place.path
