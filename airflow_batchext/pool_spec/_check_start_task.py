"""The check of what runs on a node when it joins, and as whom: the start task and the user accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import at, quote
from airflow_batchext.loose_json.values import whole_number
from airflow_batchext.pool_spec._check_commands import check_command
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    missing,
    object_at,
    objects,
    text_of,
    warning,
)

if TYPE_CHECKING:
    from airflow_batchext.batch import extension_catalog as catalog

_START = "properties.startTask"
_FILES_PAGE = "https://learn.microsoft.com/azure/batch/resource-files"
_USERS_PAGE = "https://learn.microsoft.com/azure/batch/batch-user-accounts"
_URL = re.compile(r"https?://[^/\s]+(?:/\S*)?", re.IGNORECASE)
_SOURCES = ("autoStorageContainerName", "storageContainerUrl", "httpUrl")
_LONGEST_NAME = 20


def check_start_task(properties: Mapping[str, Any], system: catalog.OperatingSystem | None) -> Findings:
    """Find what is wrong with ``startTask`` and ``userAccounts``.

    :param system: what the pool's nodes run, if that is known.
    """
    task = properties.get("startTask")
    accounts = {text_of(account, "name") for _, account in objects(properties.get("userAccounts"))}
    if isinstance(task, Mapping) and task:
        yield from _check_command(task)
        yield from check_command(task, properties.get("userAccounts"), system)
        yield from _check_user(task, accounts)
        for index, file in objects(task.get("resourceFiles")):
            yield from _check_file(file, at(f"{_START}.resourceFiles", index), system)
        retries = whole_number(task.get("maxTaskRetryCount"))
        if retries is not None and retries < -1:
            fix = "Give 0 or more, or -1 to retry without end"
            yield error(f"{_START}.maxTaskRetryCount", "maxTaskRetryCount is below -1", fix, ARM_PAGE)
    yield from _check_accounts(properties.get("userAccounts"), system)


def _check_command(task: Mapping[str, Any]) -> Findings:
    path, command = f"{_START}.commandLine", task.get("commandLine")
    if command is None:
        fix = 'Say what the start task runs, such as /bin/sh -c "…"'
        yield missing(path, "commandLine", fix)
    elif isinstance(command, str) and not command.strip():
        yield error(path, "commandLine is empty", "Say what the start task runs", ARM_PAGE)


def _check_user(task: Mapping[str, Any], accounts: set[str]) -> Findings:
    identity, path = task.get("userIdentity"), f"{_START}.userIdentity"
    if not isinstance(identity, Mapping):
        return
    name, auto = identity.get("userName"), identity.get("autoUser")
    if name is not None and auto is not None:
        yield error(path, "both userName and autoUser are given", "Keep one of the two", _USERS_PAGE)
    elif name is None and auto is None:
        fix = 'Write {"autoUser": {"scope": "Pool", "elevationLevel": "Admin"}}, or a userName'
        yield error(path, "neither userName nor autoUser is given", fix, _USERS_PAGE)
    elif isinstance(name, str) and name not in accounts:
        what = f"the pool has no user account {quote(name)}"
        yield error(f"{path}.userName", what, "Add it to userAccounts, or use autoUser", _USERS_PAGE)


def _check_file(file: Mapping[str, Any], path: str, system: catalog.OperatingSystem | None) -> Findings:
    given = [member for member in _SOURCES if file.get(member) is not None]
    if not given and "blobSource" in file:  # told as an unknown member
        return
    if not given:
        fix = f"Give one of {', '.join(_SOURCES)}"
        yield error(path, "the resource file has no source", fix, _FILES_PAGE)
    elif len(given) > 1:
        yield error(path, f"{' and '.join(given)} exclude each other", "Keep one of them", _FILES_PAGE)
    else:
        yield from _check_source(file, given[0], path)
    if isinstance(file.get("filePath"), str) and not file["filePath"].strip():
        what, fix = "filePath is empty", "Name the file, or the directory, that it becomes on the node"
        yield error(f"{path}.filePath", what, fix, _FILES_PAGE)
    if file.get("fileMode") is not None and system == "windows":
        what = "fileMode is not looked at: the nodes run Windows"
        yield warning(f"{path}.fileMode", what, "Take it out", _FILES_PAGE)
    if ".." in text_of(file, "filePath").replace("\\", "/").split("/"):
        what = "filePath leads out of the task's directory"
        yield error(f"{path}.filePath", what, "Write a path without ..", _FILES_PAGE)
    mode = file.get("fileMode")
    if isinstance(mode, str) and not re.fullmatch(r"0?[0-7]{3,4}", mode.strip()):
        yield error(f"{path}.fileMode", "fileMode is not octal", "Write it like 0755", _FILES_PAGE)


def _check_source(file: Mapping[str, Any], source: str, path: str) -> Findings:
    value = file[source]
    is_name = source == "autoStorageContainerName"
    if isinstance(value, str) and not value.strip():
        what = f"the resource file has no source: {source} is empty"
        yield error(f"{path}.{source}", what, "Name it", _FILES_PAGE)
    elif isinstance(value, str) and not is_name and not _URL.fullmatch(value.strip()):
        fix = "Write https://ACCOUNT.blob.core.windows.net/CONTAINER/FILE, or any other URL"
        yield error(f"{path}.{source}", "this is no URL", fix, _FILES_PAGE)
    if source == "httpUrl":
        if file.get("filePath") is None:
            yield missing(f"{path}.filePath", "filePath", "Name the file that it becomes on the node")
        if file.get("blobPrefix") is not None:
            what = "blobPrefix is for containers, and this is the URL of one file"
            yield error(f"{path}.blobPrefix", what, "Take it out, or give storageContainerUrl", _FILES_PAGE)
    if is_name and file.get("identityReference") is not None:
        what = "identityReference is for storageContainerUrl and httpUrl"
        yield warning(f"{path}.identityReference", what, "Take it out", _FILES_PAGE)


def _check_accounts(accounts: object, system: catalog.OperatingSystem | None) -> Findings:
    first_of: dict[str, int] = {}
    for index, account in objects(accounts):
        path = at("properties.userAccounts", index)
        name = text_of(account, "name")
        if name:
            if len(name) > _LONGEST_NAME:
                what = f"the name is longer than {_LONGEST_NAME} characters"
                yield error(f"{path}.name", what, "Shorten it", ARM_PAGE)
            # Linux tells names apart by their case.
            key = name if system == "linux" else name.casefold()
            if first_of.setdefault(key, index) != index:
                what = f"the name {quote(name)} is taken by userAccounts[{first_of[key]}]"
                yield error(f"{path}.name", what, "Give each account another name", ARM_PAGE)
        linux = object_at(account, "linuxUserConfiguration")
        if (linux.get("uid") is None) != (linux.get("gid") is None):
            what = "of uid and gid only one is given"
            yield error(f"{path}.linuxUserConfiguration", what, "Give both or none", ARM_PAGE)
        if linux and system == "windows":
            what = "linuxUserConfiguration is not looked at: the nodes run Windows"
            yield warning(f"{path}.linuxUserConfiguration", what, "Take it out", ARM_PAGE)
        if account.get("windowsUserConfiguration") is not None and system == "linux":
            what = "windowsUserConfiguration is given, and the nodes run Linux"
            yield error(f"{path}.windowsUserConfiguration", what, "Take it out", ARM_PAGE)
