"""Commands that look at a pool of a real or an emulated account: ``batchext status``, ``batchext diagnose``.

They sign in with an Airflow connection, as everything else here does; one in the environment
(``AIRFLOW_CONN_<ID>``) needs no Airflow database.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_batchext.defaults import DEFAULT_CONN_ID
from airflow_batchext.documentation import see
from airflow_batchext.parameters import check_count, check_number, check_text

if TYPE_CHECKING:
    from airflow_batchext.health import PoolHealth
    from airflow_batchext.hooks.job import AzureBatchJobHook
    from airflow_batchext.rules.gate import Rules

Result = TypeVar("Result")

#: Exit status: the pool could not be read, or the command not be understood.
COULD_NOT: Final = 3
#: Exit status by what a gate would do.
STATUS: Final = {"open": 0, "fail": 1, "wait": 2}
EXIT_STATUS: Final = (
    "exit status: 0 every extension on every node has succeeded, 1 something failed, 2 not ready yet,\n"
    "3 it could not be told"
)


class CannotReadError(Exception):
    """The pool cannot be read; the text says why."""


def add_pool_arguments(parser: argparse.ArgumentParser, *, needed: bool = True) -> None:
    """Describe which pool, and how to sign in.

    :param needed: whether the pool has to be named.
    """
    parser.add_argument("pool", metavar="POOL", nargs=None if needed else "?", help="the pool's id")
    parser.add_argument(
        "--conn-id",
        metavar="ID",
        default=DEFAULT_CONN_ID,
        help=f"Airflow connection to the Batch account (default: {DEFAULT_CONN_ID}); one in the environment, "
        "AIRFLOW_CONN_<ID>, needs no Airflow database",
    )
    parser.add_argument(
        "--extension",
        metavar="NAME",
        type=some_text,
        action="append",
        dest="extensions",
        help="an extension that counts (may be given several times); by default all that the pool asks for",
    )


def number(text: str, *, least: float = 0.0) -> float:
    """A finite number, for argparse.

    :param least: the smallest one that makes sense.
    :raises ArgumentTypeError: if it is anything else.
    """
    try:
        value: object = float(text)
    except ValueError:
        value = text
    return float(_checked(check_number, value, f"a number, {least:g} or more", least))


def count(text: str) -> int:
    """A whole number, zero or more, for argparse.

    :raises ArgumentTypeError: if it is anything else.
    """
    return int(_checked(check_count, text))


def _checked(check: Callable[..., Any], value: object, *how: object) -> Any:
    """What a check makes of it; argparse says before the words of a refusal which option it is."""
    try:
        return check("it", value, *how)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def some_text(text: str) -> str:
    """A text that is not blank, for argparse.

    :raises ArgumentTypeError: if it is blank.
    """
    return str(_checked(check_text, text))


def read_pool_health(arguments: argparse.Namespace) -> PoolHealth:
    """Read the pool that the arguments name.

    :raises CannotReadError: if there is no such connection, or it cannot be used.
    """
    return read_pool(arguments, _read_health)


def _read_health(hook: AzureBatchJobHook, pool_id: str, rules: Rules) -> PoolHealth:
    from airflow_batchext.hooks.health import read_health

    return read_health(hook, pool_id, rules=rules)


def read_pool(
    arguments: argparse.Namespace, read: Callable[[AzureBatchJobHook, str, Rules], Result]
) -> Result:
    """Read something of the pool that the arguments name.

    :param read: reads it, from a hook, the pool's id and the rules of a gate before it.
    :raises CannotReadError: if there is no such connection, or it cannot be used.
    """
    names = tuple(arguments.extensions) if arguments.extensions else None
    with asking(arguments.conn_id):
        from airflow_batchext.hooks.job import AzureBatchJobHook
        from airflow_batchext.parameters import check_pool_id
        from airflow_batchext.rules.gate import Rules

        pool_id = check_pool_id(arguments.pool, "POOL")
        with AzureBatchJobHook(arguments.conn_id) as hook:
            return read(hook, pool_id, Rules(extension_names=names))


@contextmanager
def logs_aside() -> Iterator[None]:
    """Send what is logged to the standard error: Airflow logs to the output, which is for what was asked."""
    # The SDKs tell of every sign-in.
    logging.getLogger("azure").setLevel(logging.WARNING)
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def asking(conn_id: str) -> Iterator[None]:
    """Ask the account of a connection: logs go aside, and what goes wrong is a CannotReadError."""
    with logs_aside():
        from airflow.providers.common.compat.sdk import AirflowException

        try:
            yield
        except (AirflowException, ImportError) as error:
            raise CannotReadError(told(error, conn_id)) from None


def told(error: Exception, conn_id: str) -> str:
    """What an error of Airflow's or ours says, in a line; how one gets a connection, if there is none.

    :param error: an AirflowException; an ImportError is what Airflow 3.1 raises where there is no connection.
    """
    from airflow.exceptions import AirflowNotFoundException  # type: ignore[attr-defined]

    from airflow_batchext.batch.data_plane import one_line

    if not isinstance(error, (AirflowNotFoundException, ImportError)):
        return one_line(str(error))
    name = one_line(conn_id, 80)
    return (
        f"there is no Airflow connection {name!r}. Add it with airflow connections add, or set "
        f"AIRFLOW_CONN_{name.upper()} to its JSON: {see('connection')} has both. Without an account, "
        "batchext up has an emulated one, and says what to type in another terminal."
    )


def exit_status(health: PoolHealth) -> int:
    """The exit status that says how a pool is."""
    return COULD_NOT if health.unread else STATUS[health.outcome]
