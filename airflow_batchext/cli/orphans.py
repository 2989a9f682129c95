"""``batchext orphans``: which pools ended runs have left, what they cost, and their deletion."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final

from airflow_batchext.cli._pool import COULD_NOT as COULD_NOT
from airflow_batchext.cli._pool import CannotReadError, logs_aside, told
from airflow_batchext.defaults import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_batchext.operators._steps.orphans import Orphans
    from airflow_batchext.origin.mark import Maker
    from airflow_batchext.origin.orphans import Run

_EPILOG: Final = """\
examples:
  batchext orphans                      what is left, and what it costs
  batchext orphans --delete             ask for its deletion
  batchext orphans --output json | jq -r '.orphans[].pool_id'

It asks the database of Airflow whether a run has ended: call it where `airflow` commands work.

exit status: 0 nothing is left, or all of it is being deleted; 1 something is left;
3 it could not be told
"""
_LIVE: Final = ("queued", "running")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Show the pools that runs of this Airflow made for themselves and left when they ended. Pools of "
        "other Airflows, of runs that go on, and those that carry no mark of a run are never touched."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--conn-id",
        metavar="ID",
        default=DEFAULT_CONN_ID,
        help=f"Airflow connection to the Batch account (default: {DEFAULT_CONN_ID})",
    )
    parser.add_argument(
        "--delete", action="store_true", help="ask for their deletion, and do not wait for it"
    )
    parser.add_argument(
        "--delete-busy",
        action="store_true",
        help="with --delete: also of those on which tasks run, or may run",
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="default: table")
    parser.add_argument("--json", action="store_const", const="json", dest="output", help="as --output json")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    try:
        if arguments.delete_busy and not arguments.delete:
            raise CannotReadError("--delete-busy is for --delete; give that, too")
        with logs_aside():
            orphans = _found(arguments)
    except CannotReadError as error:
        sys.stderr.write(f"batchext orphans: {error}\n")
        return COULD_NOT
    if arguments.output == "json":
        console.out(json.dumps(orphans.to_json()), highlight=False)
    else:
        _show(console, orphans)
    return 1 if orphans.left else 0


def _found(arguments: argparse.Namespace) -> Orphans:
    from airflow.providers.common.compat.sdk import AirflowException
    from sqlalchemy.exc import SQLAlchemyError

    from airflow_batchext.hooks.node import AzureBatchNodeHook
    from airflow_batchext.hooks.pool import AzureBatchPoolHook
    from airflow_batchext.operators._steps.orphans import delete_orphans, find_orphans

    conn_id = arguments.conn_id
    try:
        with AzureBatchPoolHook(conn_id) as hook, AzureBatchNodeHook(conn_id) as nodes:
            orphans = find_orphans(hook, nodes, ask_in_database)
            if arguments.delete:
                delete_orphans(hook, orphans, ask_in_database, busy_too=arguments.delete_busy)
            return orphans
    except (AirflowException, ImportError) as error:
        raise CannotReadError(told(error, conn_id)) from None
    except SQLAlchemyError as error:
        kind = type(error).__name__
        raise CannotReadError(
            f"the database of Airflow cannot be asked which runs have ended ({kind}); call this where "
            "`airflow` commands work"
        ) from None


def ask_in_database(maker: Maker) -> Run:
    """What Airflow knows of a run, asked as its own commands do."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from airflow_batchext.origin.orphans import Run

    this = (DagRun.dag_id == maker.dag_id, DagRun.run_id == maker.run_id)
    with create_session() as session:
        states = session.scalars(select(DagRun.state).where(*this)).all()
        if states:
            return Run.LIVES if any(str(state) in _LIVE for state in states) else Run.ENDED
        known = session.scalar(select(DagModel.dag_id).where(DagModel.dag_id == maker.dag_id))
    return Run.STRANGE if known is None else Run.GONE


def _show(console: Console, orphans: Orphans) -> None:
    from rich.table import Table
    from rich.text import Text

    from airflow_batchext.batch.data_plane import one_line
    from airflow_batchext.origin.orphans import Verdict

    shown = orphans.of(Verdict.ORPHAN, Verdict.UNCLEAR)
    if shown:
        table = Table("pool", "nodes", "size", "hours", "node-hours")
        table.columns[0].no_wrap = True
        for found in shown:
            pool, hours = found.pool, found.pool.hours(orphans.now)
            costs = ("?", "?") if hours is None else (f"{hours:.1f}", f"{hours * pool.nodes:.1f}")
            cells = (one_line(pool.pool_id, 64), str(pool.nodes), one_line(pool.vm_size, 40), *costs)
            table.add_row(*map(Text, cells))
        console.print(table)
        for found in shown:
            fate = "its deletion was asked for" if found.deleted else found.problem or "it is left"
            text = f"{one_line(found.pool.pool_id, 64)}: {found.why}; {fate}"
            console.print(Text(text), soft_wrap=True)
    left = [found for found in orphans.of(Verdict.ORPHAN) if not found.deleted]
    nodes = sum(found.pool.nodes for found in left)
    if left:
        console.print(
            f"{len(left)} left over: {nodes} node-hours more with each hour, at the prices of their sizes"
        )
    elif not shown:
        console.print("No pool is left of a run that has ended")
    for verdict, what in (
        (Verdict.USED, "of runs that go on"),
        (Verdict.GOING, "being deleted"),
        (Verdict.FOREIGN, "of other Airflows"),
    ):
        if others := orphans.of(verdict):
            names = ", ".join(one_line(found.pool.pool_id, 64) for found in others[:5])
            console.print(Text(f"left alone, {what}: {len(others)} ({names}{', …' if others[5:] else ''})"))
