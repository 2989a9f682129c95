"""Asks a Batch account, through the hooks, what a pool document is compared with. Each question once."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

from airflow_batchext.batch.data_plane import one_line
from airflow_batchext.cli._pool import told
from airflow_batchext.cli.validate.account_rules import Account, compare
from airflow_batchext.cli.validate.reading import UsageError
from airflow_batchext.exceptions import BatchextError
from airflow_batchext.hooks.node import AzureBatchNodeHook
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from airflow_batchext.pool_spec import Finding

Answer = TypeVar("Answer")


@contextmanager
def asked(conn_id: str) -> Iterator[Callable[[str, Mapping[str, Any]], list[Finding]]]:
    """Give a function that compares a pool, by its name and body, with the account of a connection.

    :param conn_id: the Airflow connection.
    :raises UsageError: if there is no such connection, or the account cannot be read.
    """
    from airflow.providers.common.compat.sdk import AirflowException

    with AzureBatchPoolHook(conn_id) as management, AzureBatchNodeHook(conn_id) as data:
        try:
            account = management.get_account()
        except (AirflowException, ImportError) as error:
            raise UsageError(f"--against {conn_id}: {told(error, conn_id)}") from None
        yield _Questions(account, management, data).compared


class _Questions:
    def __init__(
        self, account: Mapping[str, Any], management: AzureBatchPoolHook, data: AzureBatchNodeHook
    ) -> None:
        self._body = account
        self._management = management
        self._data = data
        self._unanswered: list[Finding] = []

    def compared(self, pool_id: str, pool: Mapping[str, Any]) -> list[Finding]:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        return [*compare(pool_id, pool, self._account, today), *self._unanswered]

    @cached_property
    def _account(self) -> Account:
        location = str(self._body.get("location") or "")
        return Account(
            self._body,
            sizes=self._ask("the sizes of machines", lambda: self._management.list_sizes(location)),
            images=self._ask("the images", self._data.list_supported_images),
            pools=self._ask("the pools", self._management.list_pools),
        )

    def _ask(self, what: str, question: Callable[[], Answer]) -> Answer | None:
        """Ask; what cannot be asked is told with every pool, and held against none."""
        try:
            return question()
        except BatchextError as error:
            problem = f"{what} of the account could not be compared: {one_line(str(error))}"
            self._unanswered.append(
                Finding("warning", "", problem, "Let the connection's identity read them")
            )
            return None
