"""What ``batchext validate`` prints: lines for people, or one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from airflow_batchext.loose_json.values import visible

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_batchext.pool_spec import Finding

_STYLES = {"error": "bold red", "warning": "yellow"}


@dataclass(frozen=True, slots=True)
class Checked:
    """One pool and what was found in it, or a file that could not be understood and why.

    :param source: the file.
    :param pool: the pool's name, "" if the file could not be understood.
    """

    source: str
    pool: str
    findings: Sequence[Finding]


def count(checked: Sequence[Checked], severity: str) -> int:
    """How many findings there are of a severity."""
    return sum(finding.severity == severity for entry in checked for finding in entry.findings)


def print_json(console: Console, checked: Sequence[Checked]) -> None:
    """Print one JSON object: ``errors`` and ``warnings`` (their numbers), and ``pools`` with the findings."""
    pools = [
        {
            "file": entry.source,
            "pool": entry.pool or None,
            "findings": [
                {
                    "severity": finding.severity,
                    "path": finding.path,
                    "line": finding.line,
                    "column": finding.column,
                    "problem": finding.problem,
                    "mend": finding.fix,
                    "link": finding.link or None,
                }
                for finding in entry.findings
            ],
        }
        for entry in checked
    ]
    body = {"errors": count(checked, "error"), "warnings": count(checked, "warning"), "pools": pools}
    console.out(json.dumps(body, indent=2), highlight=False)


def print_lines(console: Console, checked: Sequence[Checked], *, has_templates: bool) -> None:
    """Print every finding in a few lines, and a summary."""
    for entry in checked:
        several = sum(other.source == entry.source for other in checked) > 1
        for finding in entry.findings:
            console.print(_text(entry, finding, several=several), soft_wrap=True)
    if has_templates and count(checked, "error"):
        hint = "There are templates in it. Give their values with --set NAME=VALUE or --vars FILE."
        console.print(Text(hint), soft_wrap=True)
    console.print(Text(_summary(checked)), soft_wrap=True)


def _text(entry: Checked, finding: Finding, *, several: bool) -> Text:
    where = clean(entry.source)
    if finding.line is not None:
        where += f":{finding.line}:{finding.column}"
    text = Text(f"{where}: ")
    text.append(finding.severity, _STYLES[finding.severity])
    text.append(f": {visible(finding.problem)}\n")
    pool = f" of pool {clean(entry.pool)}" if several and entry.pool else ""
    text.append(f"    at {visible(finding.path) or 'the document'}{pool}\n", "dim")
    text.append(f"    {visible(finding.fix)}{'' if finding.fix.endswith('?') else '.'}\n")
    if finding.link:
        text.append(f"    {finding.link}\n", "dim")
    text.rstrip()
    return text


def _summary(checked: Sequence[Checked]) -> str:
    pools = sum(bool(entry.pool) for entry in checked)
    files = len({entry.source for entry in checked})
    errors, warnings = count(checked, "error"), count(checked, "warning")
    found = "nothing wrong"
    if errors or warnings:
        found = f"{_number(errors, 'error')}, {_number(warnings, 'warning')}"
    return f"{_number(pools, 'pool')} in {_number(files, 'file')}: {found}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def clean(text: str) -> str:
    """A text on one line and without control characters, whoever wrote it."""
    return "".join(character if character.isprintable() else "�" for character in text[:200])
