"""The check for secrets that stand where everybody who may read the pool can see them.

Azure hands out ``settings``, environment variables, metadata and command lines to every reader of a pool;
only ``protectedSettings`` and passwords are write-only. Whether a text is a secret is a guess from the name
of its member and from its look, so all of this is warnings, and none of them quotes a value.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_batchext.pool_spec._finding import ARM_PAGE, Findings, object_at, objects, warning
from airflow_batchext.pool_spec._paths import MACHINE, at
from airflow_batchext.secrets.names import is_secret_member, squash

_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "accountkey",
    "accesskey",
    "apikey",
    "sharedkey",
    "sharedaccesskey",
    "secretkey",
    "workspacekey",
    "privatekey",
    "clientsecret",
    "connectionstring",
    "sastoken",
    "accesstoken",
    "authtoken",
)
_WHOLE_NAMES = frozenset({"secret", "token", "sas"})
_LOOKS = re.compile(
    r"(?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd)\s*=\s*[^;\s]{8,}"
    r"|[?&]sig=[^&\s]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==(?![=A-Za-z0-9+/])"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b",
    re.IGNORECASE,
)
_MOST = 20_000


def check_leaks(properties: Mapping[str, Any]) -> Findings:
    """Find what looks like a secret in the parts of a pool that Azure shows."""
    machine = object_at(properties, "deploymentConfiguration", "virtualMachineConfiguration")
    for index, extension in objects(machine.get("extensions")):
        path = f"{at(f'{MACHINE}.extensions', index)}.settings"
        for place, name, value in _texts(extension.get("settings"), path):
            if _is_secret(name) or _LOOKS.search(value):
                what = "this looks like a secret, and everybody who may read the pool sees settings"
                yield warning(place, what, "Move it to protectedSettings", ARM_PAGE)
    task = object_at(properties, "startTask")
    yield from _check_pairs(task.get("environmentSettings"), "properties.startTask.environmentSettings")
    yield from _check_pairs(properties.get("metadata"), "properties.metadata")
    if isinstance(task.get("commandLine"), str) and _LOOKS.search(task["commandLine"]):
        what = "this seems to hold a secret, and everybody who may read the pool sees command lines"
        mend = "Let the task fetch it, with the pool's identity or from a resource file"
        yield warning("properties.startTask.commandLine", what, mend, ARM_PAGE)


def _check_pairs(pairs: object, path: str) -> Findings:
    for index, pair in objects(pairs):
        name, value = pair.get("name"), pair.get("value")
        if isinstance(value, str) and value and (_is_secret(name) or _LOOKS.search(value)):
            shown = "metadata" if path.endswith("metadata") else "environment variables"
            what = f"this looks like a secret, and everybody who may read the pool sees {shown}"
            mend = "Let the task fetch it, with the pool's identity or from Key Vault"
            yield warning(f"{at(path, index)}.value", what, mend, ARM_PAGE)


def _is_secret(name: object) -> bool:
    """Say whether a member of this name probably holds a secret."""
    squashed = squash(name) if isinstance(name, str) else ""
    return squashed in _WHOLE_NAMES or squashed.endswith(_NAMES) or is_secret_member(name)


def _texts(value: object, path: str) -> Iterator[tuple[str, object, str]]:
    """Yield every text below a value, with its place and the name of the member that it belongs to.

    What lies below a member with a secret's name is yielded as one, with that member's place.
    """
    waiting: deque[tuple[str, object, object]] = deque([(path, None, value)])
    seen: set[int] = set()
    for _ in range(_MOST):
        if not waiting:
            return
        place, name, item = waiting.popleft()
        if isinstance(item, str) and item:
            yield place, name, item
        elif isinstance(item, (Mapping, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            if not isinstance(item, Mapping):
                waiting += [(at(place, index), name, entry) for index, entry in enumerate(item)]
                continue
            for key, entry in item.items():
                if not _is_secret(key):
                    waiting.append((at(place, key), key, entry))
                elif entry and not isinstance(entry, bool):
                    yield at(place, key), key, ""
