"""The check of a start task's command line: is there a shell where one is needed, of the right system?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_batchext.loose_json.documents import quote
from airflow_batchext.pool_spec._finding import (
    ARM_PAGE,
    Findings,
    error,
    object_at,
    objects,
    text_of,
    warning,
)

if TYPE_CHECKING:
    from airflow_batchext.batch.extension_catalog import OperatingSystem

_PATH = "properties.startTask.commandLine"
_USERS_PAGE = "https://learn.microsoft.com/azure/batch/batch-user-accounts"
_WORD = re.compile(r"\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<bare>[^\s\"']+))")
_MOST_WORDS = 12
_UNIX_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash"})
_SHELLS = _UNIX_SHELLS | {"cmd", "powershell", "pwsh"}
_WRAPPERS = frozenset({"sudo", "env", "nohup", "nice", "time", "timeout", "exec", "stdbuf", "setsid"})
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_SINGLE = re.compile(r"'[^']*'", re.DOTALL)
_OPERATORS = re.compile(r"&&|\|\||[|<>]|;\s|\n")
_VARIABLES = re.compile(r"\$\{?[A-Za-z_]|%[A-Za-z_]\w*%")
_OF_WINDOWS = re.compile(r"(?:[A-Za-z]:[\\/].*|.*\.(?:exe|bat|cmd|ps1)|cmd|powershell)", re.IGNORECASE)
_OF_UNIX = re.compile(r"/(?:bin|usr|opt|etc|sbin|home|mnt)/.*")
_PACKAGES = re.compile(
    r"(?<![\w/.-])(?:/usr/bin/)?(?P<tool>apt-get|apt|yum|dnf|tdnf|zypper|apk|snap|dpkg|rpm)\s+(?:-\S+\s+)*"
    r"(?:install|update|upgrade|dist-upgrade|full-upgrade|remove|purge|add|refresh|makecache|-i)\b"
)
_BEFORE_SUDO = re.compile(r"\bsudo\b[^;&|\n]*$")


def check_command(task: Mapping[str, Any], accounts: object, system: OperatingSystem | None) -> Findings:
    """Find what is odd in the command line of a start task that runs on the node itself.

    :param accounts: ``userAccounts`` of the pool.
    :param system: what the pool's nodes run, if that is known.
    """
    command = task.get("commandLine")
    if not isinstance(command, str) or not command.strip() or task.get("containerSettings") is not None:
        return
    words = _words(command)
    program = _program(words)
    name = _name(program)
    must_succeed = task.get("waitForSuccess") is not False
    if system == "windows" and (_OF_UNIX.match(program) or name in _UNIX_SHELLS):
        what = f"{quote(program)} is a program of Linux, and the nodes run Windows"
        certain = must_succeed and _OF_UNIX.match(program) is not None
        yield (error if certain else warning)(_PATH, what, 'Write cmd /c "…"', ARM_PAGE)
    elif system == "linux" and name != "pwsh" and _OF_WINDOWS.fullmatch(program):
        what = f"{quote(program)} is a program of Windows, and the nodes run Linux"
        certain = must_succeed and name == "cmd"
        yield (error if certain else warning)(_PATH, what, "Write /bin/sh -c '…'", ARM_PAGE)
    elif not any(_name(word) in _SHELLS for word in words) and _needs_shell(command):
        what = "commandLine looks as if a shell were to read it, but it runs without one"
        fix = 'Write cmd /c "…"' if system == "windows" else "Write /bin/sh -c '…'"
        yield warning(_PATH, what, fix, ARM_PAGE)
    elif system != "windows" and _name(words[0]) != "sudo" and not _is_admin(task, accounts):
        yield from _check_rights(command)


def _check_rights(command: str) -> Findings:
    for match in _PACKAGES.finditer(command):
        if not _BEFORE_SUDO.search(command, 0, match.start()):
            what = f"{match['tool']} is for administrators, and the task runs as a user who is none"
            fix = 'Write userIdentity: {"autoUser": {"scope": "Pool", "elevationLevel": "Admin"}}'
            yield warning(_PATH, what, fix, _USERS_PAGE)
            return


def _needs_shell(command: str) -> bool:
    """Whether there is something in it that only a shell reads: what stands in quotes is an argument."""
    bare = _QUOTED.sub("''", command)
    return _OPERATORS.search(bare) is not None or _VARIABLES.search(_SINGLE.sub("''", command)) is not None


def _words(command: str) -> list[str]:
    """The first words of a command line, without their quotes."""
    found: list[str] = []
    at = 0
    while len(found) < _MOST_WORDS:
        match = _WORD.match(command, at)
        if match is None:
            break
        found.append(next(text for text in match.groups() if text is not None))
        at = match.end()
    return found


def _program(words: list[str]) -> str:
    """What is run: the first word that is neither a wrapper such as sudo nor one of its options."""
    wrapped = False
    for word in words:
        if _name(word) in _WRAPPERS:
            wrapped = True
        elif not (wrapped and (word.startswith("-") or "=" in word or re.fullmatch(r"[\d.]+[smhd]?", word))):
            return word
    return ""


def _name(word: str) -> str:
    name = word.replace("\\", "/").rpartition("/")[2].casefold()
    return name.removesuffix(".exe")


def _is_admin(task: Mapping[str, Any], accounts: object) -> bool:
    identity = object_at(task, "userIdentity")
    if text_of(object_at(identity, "autoUser"), "elevationLevel").casefold() == "admin":
        return True
    name = text_of(identity, "userName")
    found = [account for _, account in objects(accounts) if text_of(account, "name") == name]
    # An account that the pool does not have is told elsewhere.
    return bool(name) and (not found or text_of(found[0], "elevationLevel").casefold() == "admin")
