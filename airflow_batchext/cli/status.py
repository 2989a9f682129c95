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
    read_pool,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from airflow_batchext.health import PoolHealth
    from airflow_batchext.hooks._drivers.pool_work import PoolWork
    from airflow_batchext.hooks.job import AzureBatchJobHook
    from airflow_batchext.rules.gate import Rules

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
        "Show how a pool, its nodes and their extensions are, what failed and what is on its way first; and "
        "which jobs run on it."
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
        seen = read_pool(arguments, _read)
        if not arguments.watch:
            _show(console, seen, arguments)
            return exit_status(seen[0])
        return _watch(console, seen, arguments)
    except CannotReadError as error:
        sys.stderr.write(f"batchext status: {error}\n")
        return COULD_NOT


def _read(hook: AzureBatchJobHook, pool_id: str, rules: Rules) -> tuple[PoolHealth, PoolWork]:
    from airflow_batchext.hooks._drivers.pool_work import read_pool_work
    from airflow_batchext.hooks.health import read_health

    return read_health(hook, pool_id, rules=rules), hook.run(read_pool_work(pool_id))


def _show(console: Console, seen: tuple[PoolHealth, PoolWork], arguments: argparse.Namespace) -> None:
    from airflow_batchext.health import to_json

    health, work = seen
    if arguments.json:
        console.out(json.dumps({**to_json(health), "work": work.to_json()}), highlight=False)
    else:
        console.print(_table(health, work, arguments))


def _table(health: PoolHealth, work: PoolWork, arguments: argparse.Namespace) -> RenderableType:
    from rich.console import Group

    from airflow_batchext.cli.table import pool_table
    from airflow_batchext.cli.work_table import work_table

    return Group(pool_table(health, arguments.nodes), *work_table(work))


def _line(health: PoolHealth, work: PoolWork) -> str:
    from airflow_batchext.cli.work_table import work_line

    return "; ".join(filter(None, (health.summary, work_line(work))))


def _watch(console: Console, seen: tuple[PoolHealth, PoolWork], arguments: argparse.Namespace) -> int:
    """Look until the gate would open or fail; on a terminal the table is drawn anew in its place."""
    from contextlib import nullcontext

    from rich.live import Live

    interval = _INTERVAL if arguments.interval is None else arguments.interval
    deadline = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    live = Live(console=console, auto_refresh=False) if console.is_terminal and not arguments.json else None
    said = ""
    try:
        with live or nullcontext():
            while True:
                health, work = seen
                if live:
                    live.update(_table(health, work, arguments), refresh=True)
                elif arguments.json:
                    _show(console, seen, arguments)
                elif (line := _line(health, work)) != said:
                    said = line
                    console.out(f"{_clock(health)} pool {health.id}: {said}", highlight=False)
                late = deadline is not None and time.monotonic() + interval > deadline
                if health.outcome == "open" or (health.outcome == "fail" and not health.unread) or late:
                    return exit_status(health)
                time.sleep(interval)
                seen = read_pool(arguments, _read)
    except KeyboardInterrupt:
        return exit_status(seen[0])


def _clock(health: PoolHealth) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(health.taken_at))
