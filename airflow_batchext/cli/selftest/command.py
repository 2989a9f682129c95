"""``batchext selftest``: let a real account judge the emulator, and settle what nobody seems to know."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from airflow_batchext.cli._pool import CannotReadError, asking, logs_aside, number, some_text
from airflow_batchext.defaults import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_batchext.cli.selftest.walk import Walk
    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.emulator import Scenario

_NO_DIFFERENCE: Final = 0
_DIFFERENCES: Final = 1
_INTERRUPTED: Final = 130
#: Simulated seconds between two reads of the emulator.
_STEP_SECONDS: Final = 5.0
_REFERENCE: Final = "batchext_selftest_emulator"
_EPILOG: Final = """\
It creates one pool of one small node with the Azure Monitor agent, walks through what can be done with
it, and deletes it, however it ends. The report names neither your account nor any secret.

exit status: 0 no difference, 1 differences, 2 it could not be run, or no pool be created,
130 interrupted
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Walk through a real Batch account for a quarter of an hour and for cents, compare every answer with "
        "the emulator's, and write a report that can go into an issue."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--conn-id",
        "--conn",
        metavar="ID",
        default=DEFAULT_CONN_ID,
        help=f"Airflow connection to the account, with its management plane (default: {DEFAULT_CONN_ID})",
    )
    parser.add_argument(
        "--vm-size", type=some_text, default="STANDARD_D2S_V3", help="the node's size (default: %(default)s)"
    )
    parser.add_argument("--subnet-id", help="the resource id of the subnet that the node joins")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--interval",
        type=lambda text: number(text, least=0.05),
        default=10.0,
        help="seconds between two reads while something is waited for (default: %(default)g)",
    )
    parser.add_argument(
        "--scenario", metavar="FILE", help="the emulator's settings, as a report suggests them"
    )
    parser.add_argument(
        "--output", metavar="FOLDER", default=".", help="where the report is written (default: here)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    pool_id = f"batchext-selftest-{uuid4().hex[:8]}"
    try:
        folder = _folder(arguments.output)
        connection = _connection(arguments.conn_id)
        _say(_announcement(pool_id, arguments.vm_size, connection))
        if not arguments.yes and not _is_wanted():
            _say("Nothing was created.")
            return 2
        body = pool_body(arguments.vm_size, arguments.subnet_id)
        _say("first the emulator, for comparison")
        scenario = _scenario(arguments.scenario)
        reference = walk_emulator(body, scenario)
    except CannotReadError as error:
        sys.stderr.write(f"batchext selftest: {error}\n")
        return 2
    walk, ended = walk_account(arguments.conn_id, pool_id, body, interval=arguments.interval)
    return _written(walk, reference, scenario, connection, ended, folder)


def pool_body(vm_size: str, subnet_id: str | None = None) -> dict[str, Any]:
    """The pool that is created: one node, one harmless extension, with settings to see how they are shown."""
    from airflow_batchext.pool_builder import UBUNTU_24_04, Extension, pool_document

    monitor = Extension(
        name="monitor",
        publisher="Microsoft.Azure.Monitor",
        type="AzureMonitorLinuxAgent",
        version="1.33",
        settings={"proxy": {"mode": "none"}},
    )
    return pool_document(
        image=UBUNTU_24_04,
        size=vm_size,
        dedicated=1,
        low_priority=0,
        resize_timeout="PT15M",
        extensions=[monitor],
        subnet_id=(subnet_id or "").strip() or None,
        metadata={"made-by": "batchext selftest"},
    )


def walk_emulator(body: Mapping[str, Any], scenario: Scenario, *, step: float = _STEP_SECONDS) -> Walk:
    """The same walk through the emulator, on a clock that is moved by hand.

    :param step: simulated seconds between two reads.
    """
    from airflow_batchext.cli.selftest.account import Account
    from airflow_batchext.cli.selftest.walk import Walk
    from airflow_batchext.emulator import Emulator
    from airflow_batchext.testing import airflow_connection

    walk = Walk("batchext-selftest", body)
    with (
        Emulator(time_scale=0, scenario=scenario) as emulator,
        _environment(f"AIRFLOW_CONN_{_REFERENCE.upper()}", json.dumps(airflow_connection(emulator.info))),
    ):
        clock = emulator.clock
        account = Account(_REFERENCE, walk.pool_id, pause=lambda: clock.advance(step), say=lambda text: None)
        with logs_aside():
            try:
                account.go(walk.all())
                account.go(walk.go())
            finally:
                account.close()
    return walk


def walk_account(conn_id: str, pool_id: str, body: Mapping[str, Any], *, interval: float) -> tuple[Walk, str]:
    """Walk through the user's account, and delete the pool however that ends.

    :return: the walk, and how it ended if not by itself.
    """
    from airflow_batchext.cli.selftest.account import Account
    from airflow_batchext.cli.selftest.walk import Walk
    from airflow_batchext.exceptions import BatchextError

    walk, ended = Walk(pool_id, body), ""
    account = Account(conn_id, pool_id, pause=lambda: time.sleep(interval), say=_say)
    with logs_aside(), _stoppable():
        try:
            account.go(walk.all())
        except KeyboardInterrupt:
            ended = "Interrupted"
            _say("interrupted; the pool is deleted first (once more, and it is left)")
        except BatchextError as error:
            ended = f"Ended by {error}"
        finally:
            try:
                account.go(walk.go())
            except (KeyboardInterrupt, BatchextError) as error:
                ended = ended or f"The deletion ended by {error or 'an interrupt'}"
            account.close()
    return walk, ended


def _written(
    walk: Walk, reference: Walk, scenario: Scenario, connection: BatchConnection, ended: str, folder: Path
) -> int:
    from airflow_batchext.cli.selftest.report import make_report, page

    now = datetime.now(UTC)
    report = make_report(
        walk,
        reference,
        scenario.answers.model_dump(),
        connection=connection,
        taken_at=f"{now:%Y-%m-%d %H:%M} UTC",
        ended=ended,
    )
    name = folder / f"batchext-selftest-{now:%Y%m%d-%H%M%S}"
    for suffix, text in ((".json", json.dumps(report, indent=2)), (".html", page(report))):
        file = name.with_suffix(suffix)
        file.write_text(text, encoding="utf-8")
        _say(f"wrote {file}")
    for text in report["skipped"]:
        _say(f"left out: {text}")
    news = [each for each in report["questions"] if each["is_news"]]
    _say(
        f"{len(report['differences'])} differences; {len(news)} open questions answered otherwise than chosen"
    )
    for each in news:
        _say(f"  {each['setting']}: {each['answer']} (the emulator: {each['chosen']})")
    if walk.may_exist:
        _say(f"POOL {walk.pool_id} MAY STILL EXIST. Delete it: az batch pool delete --pool-id {walk.pool_id}")
    if ended == "Interrupted":
        return _INTERRUPTED
    if not walk.timings:
        return 2
    return _DIFFERENCES if report["differences"] or news else _NO_DIFFERENCE


def _announcement(pool_id: str, vm_size: str, connection: BatchConnection) -> str:
    return (
        f"In account {connection.account_name} of resource group {connection.resource_group} this creates "
        f"pool {pool_id}\nwith one dedicated node of size {vm_size}, and deletes it after a quarter of an "
        "hour (an hour and a half at most).\nThe node costs what that size costs for that time: for the "
        "default size some cents. Nothing else is changed."
    )


def _is_wanted() -> bool:
    if not sys.stdin.isatty():
        raise CannotReadError("there is nobody to ask; say --yes")
    sys.stderr.write("Go on? [y/N] ")
    return input().strip().lower() in ("y", "yes")


def _connection(conn_id: str) -> BatchConnection:
    from airflow_batchext.hooks.pool import AzureBatchPoolHook

    with asking(conn_id):
        connection = AzureBatchPoolHook(conn_id).connection
        connection.require_management_plane()
    return connection


def _scenario(file: str | None) -> Scenario:
    from airflow_batchext.emulator.scenario import Scenario

    try:
        return Scenario.load(file) if file else Scenario()
    except (OSError, ValueError) as error:
        raise CannotReadError(f"--scenario {file}: {error}") from None


def _folder(text: str) -> Path:
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotReadError(f"--output {text}: {error.strerror}") from None
    return folder


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def _stoppable() -> Iterator[None]:
    """Within, a polite end of the process is an interrupt, so that the pool is deleted."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
