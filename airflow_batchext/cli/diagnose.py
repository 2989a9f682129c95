"""``batchext diagnose``: why a pool is not ready, what helps, and a report for whoever has to fix it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_batchext.cli._pool import (
    COULD_NOT,
    EXIT_STATUS,
    CannotReadError,
    add_pool_arguments,
    exit_status,
    read_pool_health,
)

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth

_EXAMPLES: Final = f"""\
examples:
  batchext diagnose render-nightly
  batchext diagnose render-nightly --output reports       writes JSON, Markdown and HTML there
  batchext diagnose --snapshot render-nightly-diagnosis.json    of a report or of batchext status --json

{EXIT_STATUS}
"""
_FORMATS: Final = ("json", "md", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Say why a pool is not ready: known causes with what helps, the likeliest first, and what no known "
        "cause explains. Nothing is changed."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    add_pool_arguments(parser, needed=False)
    parser.add_argument("--snapshot", metavar="FILE", help="diagnose what was saved, without asking Azure")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="write reports into this folder: a path, or a URI as Airflow takes it",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        action="append",
        dest="formats",
        help="which reports (may be given several times); by default all",
    )
    parser.add_argument("--json", action="store_true", help="print the JSON report instead of the text")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from rich.console import Console

    from airflow_batchext.diagnosis import Report, diagnose
    from airflow_batchext.exceptions import ReportError
    from airflow_batchext.operators._steps.diagnose import write_report

    console = Console(highlight=False, markup=False, emoji=False)
    try:
        if arguments.formats and not arguments.output:
            raise CannotReadError("--format says which reports to write; say where with --output")
        health = _saved(arguments) if arguments.snapshot else _read(arguments)
        report = Report(diagnose(health))
        if arguments.json:
            console.out(report.to_text().rstrip(), highlight=False)
        else:
            text = report.diagnosis.short(most=20)
            # A terminal's lines end at words; a file gets a line for each cause.
            if console.is_terminal:
                console.print(text)
            else:
                console.out(text, highlight=False)
        if arguments.output:
            formats = tuple(arguments.formats or _FORMATS)
            for file in write_report(report, arguments.output, formats).values():
                sys.stderr.write(f"wrote {file}\n")
    except (CannotReadError, ReportError) as error:
        sys.stderr.write(f"batchext diagnose: {error}\n")
        return COULD_NOT
    return exit_status(health)


def _read(arguments: argparse.Namespace) -> PoolHealth:
    if not arguments.pool:
        raise CannotReadError("name a pool, or a file with --snapshot")
    return read_pool_health(arguments)


def _saved(arguments: argparse.Namespace) -> PoolHealth:
    """The snapshot in a file: a JSON report, or what ``batchext status --json`` printed."""
    from airflow_batchext.health import from_json
    from airflow_batchext.parameters import check_pool_id

    if arguments.pool or arguments.extensions:
        raise CannotReadError(
            "a snapshot says itself of which pool and extensions it is; leave out POOL and --extension"
        )
    path = arguments.snapshot
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        health = from_json(found["health"] if isinstance(found, dict) and "health" in found else found)
        check_pool_id(health.id)  # files are called by it
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CannotReadError(f"{path} holds no snapshot of a pool ({type(error).__name__})") from None
    return health
