"""``batchext status``: how a pool is, once or until it is ready."""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from airflow_batchext.cli._pool import (
    COULD_NOT,
    EXIT_STATUS,
    CannotReadError,
    add_pool_arguments,
    count,
    exit_status,
    number,
    read_pool_health,
)

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_batchext.health import PoolHealth

_EXAMPLES: Final = f"""\
examples:
  batchext status render-nightly
  batchext status render-nightly --watch              until it is ready, or cannot become so
  batchext status render-nightly --json | jq .totals

{EXIT_STATUS}
"""
_INTERVAL, _SHORTEST_INTERVAL = 30.0, 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Show how a pool, its nodes and their extensions are: what failed and what is on its way first."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    add_pool_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="look again until it is ready or has failed")
    parser.add_argument(
        "--interval",
        type=partial(number, least=_SHORTEST_INTERVAL),
        metavar="SECONDS",
        help=f"between two looks (default: {_INTERVAL:g})",
    )
    parser.add_argument("--timeout", type=number, metavar="SECONDS", help="stop watching after so long")
    parser.add_argument(
        "--nodes", type=count, default=40, metavar="N", help="show so many nodes (default: 40)"
    )
    parser.add_argument("--json", action="store_true", help="print the snapshot as JSON, one object a look")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    try:
        if not arguments.watch and (arguments.interval, arguments.timeout) != (None, None):
            raise CannotReadError("--interval and --timeout are for --watch; give that, too")
        health = read_pool_health(arguments)
        if not arguments.watch:
            _show(console, health, arguments)
            return exit_status(health)
        return _watch(console, health, arguments)
    except CannotReadError as error:
        sys.stderr.write(f"batchext status: {error}\n")
        return COULD_NOT


def _show(console: Console, health: PoolHealth, arguments: argparse.Namespace) -> None:
    from airflow_batchext.cli.table import pool_table
    from airflow_batchext.health import to_json

    if arguments.json:
        console.out(json.dumps(to_json(health)), highlight=False)
    else:
        console.print(pool_table(health, arguments.nodes))


def _watch(console: Console, health: PoolHealth, arguments: argparse.Namespace) -> int:
    """Look until the gate would open or fail; on a terminal the table is drawn anew in its place."""
    from contextlib import nullcontext

    from rich.live import Live

    from airflow_batchext.cli.table import pool_table

    interval = _INTERVAL if arguments.interval is None else arguments.interval
    deadline = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not arguments.json else None
    said = ""
    try:
        with live or nullcontext():
            while True:
                if live:
                    live.update(pool_table(health, arguments.nodes), refresh=True)
                elif arguments.json:
                    _show(console, health, arguments)
                elif health.summary != said:
                    said = health.summary
                    console.out(f"{_clock(health)} pool {health.id}: {said}", highlight=False)
                late = deadline is not None and time.monotonic() + interval > deadline
                if health.outcome == "open" or (health.outcome == "fail" and not health.unread) or late:
                    return exit_status(health)
                time.sleep(interval)
                health = read_pool_health(arguments)
    except KeyboardInterrupt:
        return exit_status(health)


def _clock(health: PoolHealth) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(health.taken_at))
