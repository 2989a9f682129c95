"""The key of the Batch account, given in the connection or asked of the management plane (``listKeys``).

A key that was asked for is kept for the whole process, until a request that it signed is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import call
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_batchext.transport.flows import adrive, drive

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.transport.flows import Flow

_looked_up: dict[str, str] = {}
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def forget_keys() -> None:
    """Forget every key that was asked for."""
    _looked_up.clear()


class _Key:
    """What both have in common.

    :param connection: which gives the key, or says that it has to be asked for.
    :param look_up: asks the management plane for it.
    :param read_again: gives the connection as it is now; None if it could not be read.
    """

    def __init__(
        self, connection: BatchConnection, *, look_up: Callable[[], Any], read_again: Callable[[], Any]
    ) -> None:
        self._connection, self._look_up, self._read_again = connection, look_up, read_again
        if not connection.list_keys:
            connection.require_shared_key()

    @property
    def account_name(self) -> str:
        """Whom the key belongs to."""
        return self._connection.account_name

    def value(self) -> Any:
        """The key, or what is awaited to get it."""
        raise NotImplementedError

    def _found(self) -> Flow[Callable[[], Any], str]:
        mark = self._connection.fingerprint
        if mark not in _looked_up:
            _looked_up[mark] = yield self._look_up
        return _looked_up[mark]

    def _renewed(self, refused: str) -> Flow[Callable[[], Any], bool]:
        if self._connection.list_keys:
            if _looked_up.get(self._connection.fingerprint) == refused:
                del _looked_up[self._connection.fingerprint]
            return bool((yield self.value) != refused)
        now: BatchConnection | None = yield self._read_again
        if now is None or now.account_key in ("", refused):
            return False
        self._connection = now
        return True


class AccountKey(_Key):
    """The account's key, for threads."""

    def value(self) -> str:
        """The key.

        :raises ServiceError: if the management plane does not give it.
        """
        if not self._connection.list_keys:
            return self._connection.account_key
        return drive(self._found(), call)

    def renew(self, refused: str) -> bool:
        """Look whether there is another key than the one that was refused."""
        return drive(self._renewed(refused), call)


class AsyncAccountKey(_Key):
    """The same for the tasks of event loops."""

    async def value(self) -> str:
        """The key.

        :raises ServiceError: if the management plane does not give it.
        """
        if not self._connection.list_keys:
            return self._connection.account_key
        async with _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await adrive(self._found(), call)

    async def renew(self, refused: str) -> bool:
        """Look whether there is another key than the one that was refused."""
        return await adrive(self._renewed(refused), call)
