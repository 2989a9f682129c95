"""Reads the files that ``batchext validate`` is given: renders them, if told to, and finds their pools."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from airflow_batchext.cli.validate.rendering import MOST_BYTES, RenderingError, render
from airflow_batchext.loose_json.values import read_json
from airflow_batchext.pool_spec import (
    DocumentSyntaxError,
    Finding,
    PoolDocument,
    Positions,
    parse_document,
    parse_pools,
)
from airflow_batchext.pool_spec._places import old_place

STDIN = "-"
_TERRAFORM_FIX = "Give what 'terraform show -json' prints, or the pool after it was deployed"
_LANGUAGES = {
    ".bicep": ("Bicep", "Give what 'az bicep build' makes of it"),
    ".bicepparam": ("the parameters of Bicep", "Give what 'az bicep build' makes of the template"),
    ".tf": ("Terraform", _TERRAFORM_FIX),
    ".tfvars": ("Terraform", _TERRAFORM_FIX),
}
"""By the endings of files: what they are instead, and what to give."""


class UsageError(Exception):
    """The command cannot do what it was asked; the text says why."""


@dataclass(frozen=True)
class Source:
    """One file, read.

    :param name: what to call it: its path, or ``stdin``.
    :param pools: the pools in it; none if it could not be understood.
    :param flaw: why it could not.
    """

    name: str
    text: str = ""
    pools: Sequence[PoolDocument] = ()
    flaw: Finding | None = None
    _positions: list[Positions] = field(default_factory=list, repr=False)

    def located(self, findings: Sequence[Finding], pool: PoolDocument) -> list[Finding]:
        """The findings with their lines and columns, in the order of these, errors first."""
        if findings and not self._positions:
            self._positions.append(Positions(self.text))
        located = []
        for finding in findings:
            inner = old_place(finding.path, pool.places)
            step = inner if inner.startswith("[") or not pool.path else f".{inner}"
            path = f"{pool.path}{step}" if inner else pool.path
            line, column = self._positions[0].place(path, part=pool.part)
            located.append(replace(finding, path=inner, line=line, column=column))
        return sorted(located, key=lambda finding: (finding.severity, finding.line, finding.column))


def read_source(path: str, variables: Mapping[str, Any] | None) -> Source:
    """Read one file.

    :param path: its path, or ``-`` for the standard input.
    :param variables: what its templates are rendered with; None to leave them as they are.
    :raises UsageError: if there is no such file, or it cannot be read.
    """
    name = "stdin" if path == STDIN else path
    try:
        if path == STDIN:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a ValueError if the path has a NUL in it
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UsageError(f"{name} cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        return _flawed(name, "is larger than 1 MiB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _flawed(name, "is not text in UTF-8", line, error.start - content.rfind(b"\n", 0, error.start))
    language, fix = _LANGUAGES.get(Path(path).suffix, ("", ""))
    if language:
        return _flawed(name, f"is {language}, not a document in JSON or YAML", fix=fix)
    if variables is not None:
        try:
            text = render(text, variables)
        except RenderingError as error:
            return _flawed(name, str(error), error.line)
    try:
        return Source(name, text, parse_pools(text, source=name))
    except DocumentSyntaxError as error:
        return _flawed(name, error.problem, error.line, error.column)


def read_variables(file: str | None, settings: Sequence[str]) -> dict[str, Any] | None:
    """What templates are rendered with; None if nothing was given.

    :param file: a JSON or YAML file with a mapping.
    :param settings: texts like ``params.nodes=3``, which come before what the file says.
    :raises UsageError: if one of them cannot be used.
    """
    if file is None and not settings:
        return None
    variables: dict[str, Any] = {"params": {}}
    if file is not None:
        try:
            variables |= parse_document(Path(file).read_text(encoding="utf-8"), source=file)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--vars {file} cannot be read ({type(error).__name__})") from None
        except DocumentSyntaxError as error:
            raise UsageError(f"--vars {error}") from None
    for setting in settings:
        name, equals, value = setting.partition("=")
        *way, last = name.split(".")
        if not equals or not all(step.isidentifier() for step in (*way, last)):
            raise UsageError("--set wants NAME=VALUE, such as --set params.nodes=3")
        node = variables
        for step in way:
            below = node.setdefault(step, {})
            if not isinstance(below, dict):
                raise UsageError(f"--set {name}: {step} has a value already")
            node = below
        node[last] = read_json(value, value)
    return variables


def _flawed(
    name: str,
    problem: str,
    line: int = 1,
    column: int = 1,
    *,
    fix: str = "Give a pool document in JSON or YAML",
) -> Source:
    return Source(name, flaw=Finding("error", "", problem, fix, line=line, column=column))
