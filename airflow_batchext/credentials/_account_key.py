"""The key of the Batch account, given in the connection or asked of the management plane (``listKeys``).

A key that was asked for is kept for the whole process, until a request that it signed is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection

LookUp = TypeVar("LookUp")
ReadAgain = TypeVar("ReadAgain")

_looked_up: dict[str, str] = {}
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def forget_keys() -> None:
    """Forget every key that was asked for."""
    _looked_up.clear()


class _Key(Generic[LookUp, ReadAgain]):
    """What both have in common.

    :param connection: which gives the key, or says that it has to be asked for.
    :param look_up: asks the management plane for it.
    :param read_again: gives the connection as it is now; None if it could not be read.
    """

    def __init__(self, connection: BatchConnection, *, look_up: LookUp, read_again: ReadAgain) -> None:
        self._connection, self._look_up, self._read_again = connection, look_up, read_again
        if not connection.list_keys:
            connection.require_shared_key()

    @property
    def account_name(self) -> str:
        """Whom the key belongs to."""
        return self._connection.account_name

    def _drop(self, refused: str) -> None:
        if _looked_up.get(self._connection.fingerprint) == refused:
            del _looked_up[self._connection.fingerprint]

    def _switch(self, now: BatchConnection | None, refused: str) -> bool:
        """Go on with the connection as it is now; False if its key is none, or the one that was refused."""
        if now is None or now.account_key in ("", refused):
            return False
        self._connection = now
        return True


class AccountKey(_Key[Callable[[], str], "Callable[[], BatchConnection | None]"]):
    """The account's key, for threads."""

    def value(self) -> str:
        """The key.

        :raises ServiceError: if the management plane does not give it.
        """
        if not self._connection.list_keys:
            return self._connection.account_key
        mark = self._connection.fingerprint
        if mark not in _looked_up:
            _looked_up[mark] = self._look_up()
        return _looked_up[mark]

    def renew(self, refused: str) -> bool:
        """Look whether there is another key than the one that was refused."""
        if self._connection.list_keys:
            self._drop(refused)
            return self.value() != refused
        return self._switch(self._read_again(), refused)


class AsyncAccountKey(_Key[Callable[[], Awaitable[str]], "Callable[[], Awaitable[BatchConnection | None]]"]):
    """The same for the tasks of event loops."""

    async def value(self) -> str:
        """The key.

        :raises ServiceError: if the management plane does not give it.
        """
        if not self._connection.list_keys:
            return self._connection.account_key
        mark = self._connection.fingerprint
        async with _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if mark not in _looked_up:
                _looked_up[mark] = await self._look_up()
            return _looked_up[mark]

    async def renew(self, refused: str) -> bool:
        """Look whether there is another key than the one that was refused."""
        if self._connection.list_keys:
            self._drop(refused)
            return await self.value() != refused
        return self._switch(await self._read_again(), refused)
