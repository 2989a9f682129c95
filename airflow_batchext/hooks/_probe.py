"""What Airflow's "Test" button says of a connection: each plane by itself, what is wrong and how to fix it.

It runs in the API server or on a worker, while somebody waits: both planes are tried at once, nothing is
repeated, and after a while the answer is that there was none.

Whoever asks for the test may bring addresses of his own, and Airflow adds the stored secrets to them (it
compares host and port of a connection alone). So nothing is sent to an address outside of Azure unless
Airflow's own configuration names it, which no request can change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import conf

from airflow_batchext.connection import SignInKind
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks._node_requests import first_pool
from airflow_batchext.transport import within

if TYPE_CHECKING:
    from typing import Self

    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.hooks._requests import Body, Call

PATIENCE_SECONDS = 20.0
_CALL_SECONDS = 8.0


class _Management(AbstractContextManager["_Management"], Protocol):
    def get_account(self) -> Body: ...


class Probed(AbstractContextManager["Probed"], Protocol):
    """What is asked of a hook of the data plane."""

    @property
    def connection(self) -> BatchConnection: ...
    def hurried(self, seconds: float) -> Self: ...
    def run(self, call: Call[Any]) -> Any: ...
    def management(self) -> _Management: ...


def probe(hook: Probed, patience: float = PATIENCE_SECONDS) -> tuple[bool, str]:
    """Try both planes of a hook's connection; return whether all that it is for works, and the findings.

    A connection without a subscription, or with a key alone, is for the data plane alone; that is said,
    not held against it.

    :param patience: seconds after which a plane counts as silent.
    """
    try:
        hurried = hook.hurried(_CALL_SECONDS)
    except BatchextError as error:
        return False, str(error)
    connection = hurried.connection
    foreign = _foreign_addresses(connection)
    if foreign:
        return False, foreign
    planes = {"Data plane": lambda: _try_data_plane(hurried)}
    passed_over = ""
    if not connection.subscription_id:
        passed_over = "Management plane: not tried, the connection has no subscription."
    elif connection.auth is SignInKind.ACCOUNT_KEY:
        passed_over = "Management plane: not tried, the connection signs in with an account key alone."
    else:
        planes["Management plane"] = lambda: _try_management_plane(hurried)
    findings = _all(planes, patience)
    texts = [f"{plane}: {problem or 'works.'}" for plane, problem in findings.items()]
    return not any(findings.values()), " ".join(filter(None, (*texts, passed_over, connection.warning)))


def _foreign_addresses(connection: BatchConnection) -> str:
    """Why nothing is tried: addresses that nobody but the connection vouches for; "" if there are none."""
    listed = {host.strip().lower() for host in conf.get("batchext", "test_hosts", fallback="").split(",")}
    foreign = [
        f"{field} ({origin})"
        for field, origin in connection.own_addresses
        if not {origin.host, f"{origin.host}:{origin.port}"} & listed
    ]
    if not foreign:
        return ""
    return (
        f"Not tried: {', '.join(foreign)} is outside of Azure. Whoever tests a connection can change its "
        "addresses, and the stored secrets would be sent there. If they are right, have their hosts listed "
        "in Airflow's configuration ([batchext] test_hosts, separated by commas)."
    )


def _try_data_plane(hook: Probed) -> None:
    with hook:
        hook.run(first_pool())


def _try_management_plane(hook: Probed) -> None:
    with hook.management() as management:
        management.get_account()


def _all(trials: dict[str, Callable[[], None]], patience: float) -> dict[str, str]:
    """Run the trials at once; what each found wrong, "" if nothing."""
    found: dict[str, str] = {}

    def run(plane: str, trial: Callable[[], None]) -> None:
        try:
            trial()
            found[plane] = ""
        except BatchextError as error:
            found[plane] = str(error)
        except Exception as error:  # its text may hold anything, and is shown
            found[plane] = f"failed ({type(error).__name__}); try it in a task, whose log says more."

    with within(patience + 1.0):  # by then the threads end, too
        contexts = [copy_context() for _ in trials]
    threads = [
        threading.Thread(target=context.run, args=(run, *item), daemon=True)
        for context, item in zip(contexts, trials.items(), strict=True)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    silent = f"no answer within {patience:g} seconds; check the network, the proxy and the URLs."
    return {plane: found.get(plane, silent) for plane in trials}
