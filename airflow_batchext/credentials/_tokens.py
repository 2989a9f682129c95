"""Tokens, kept for the whole process: every hook whose connection signs in alike shares them.

A token is asked for when there is none or the one that is there nears its end, by one at a time; if that
fails while the old one still holds, the old one is used. Should the sign-in be refused, the connection is
read again: a secret may have been rotated. What was refused once is read again before it is tried again.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import call
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_batchext.credentials._construction import make_credential, unusable_fields_told
from airflow_batchext.transport import AnswerError
from airflow_batchext.transport.flows import adrive, drive

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

    from airflow_batchext.connection import BatchConnection
    from airflow_batchext.transport.flows import Flow

# A token is renewed when this part of its life is left, but not earlier than so many seconds before its end.
_LAST_PART = 0.1
_LAST_SECONDS = 300.0
_PAUSE_AFTER_FAILURE_SECONDS = 30.0
_MOST_TOKENS = 200

_Key = tuple[str, tuple[str, ...]]


@dataclass
class _Held:
    token: AccessTokenInfo
    renew_at: float

    @property
    def is_good(self) -> bool:
        return time.time() < self.token.expires_on


_held: dict[_Key, _Held] = {}
_refused: set[str] = set()
_locks: dict[str, threading.Lock] = {}
_async_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

# A lock that some thread held while another forked would never be released in the child.
os.register_at_fork(after_in_child=_locks.clear)


def forget_tokens() -> None:
    """Forget every token of this process."""
    _held.clear()
    _refused.clear()


class _Shared:
    """What the sync and the async credential have in common.

    :param connection: how to sign in.
    :param retries: how often a request for a token is repeated.
    :param read_again: gives the connection as it is now; None if it could not be read.
    """

    def __init__(
        self, connection: BatchConnection, *, retries: int | None = None, read_again: Callable[[], Any]
    ) -> None:
        connection.require_sign_in()
        self._connection = connection
        self._retries = retries
        self._read_again = read_again

    def forget(self, refused: str) -> None:
        """Drop a token that a service has refused; one that has come in its place is kept."""
        for key in [key for key, held in _held.items() if held.token.token == refused]:
            _held.pop(key, None)

    def _key(self, scopes: tuple[str, ...]) -> _Key:
        return self._connection.fingerprint, scopes

    def _fresh(self, scopes: tuple[str, ...], options: Any) -> AccessTokenInfo | None:
        held = None if (options or {}).get("claims") else _held.get(self._key(scopes))
        return held.token if held and held.is_good and time.time() < held.renew_at else None

    def _still_good(self, scopes: tuple[str, ...]) -> AccessTokenInfo | None:
        """The old token, if it holds; it is not to be renewed again at once."""
        held = _held.get(self._key(scopes))
        if held is None or not held.is_good:
            return None
        held.renew_at = min(time.time() + _PAUSE_AFTER_FAILURE_SECONDS, float(held.token.expires_on))
        return held.token

    def _keep(self, scopes: tuple[str, ...], token: AccessTokenInfo) -> AccessTokenInfo:
        left = token.expires_on - time.time()
        renew_at = token.expires_on - min(_LAST_SECONDS, left * _LAST_PART)
        if token.refresh_on:
            renew_at = min(renew_at, token.refresh_on)
        if len(_held) >= _MOST_TOKENS:
            for key in sorted(_held, key=lambda key: _held[key].token.expires_on)[: _MOST_TOKENS // 4]:
                _held.pop(key, None)
        _held[self._key(scopes)] = _Held(token, renew_at)
        _refused.discard(self._connection.fingerprint)
        return token

    def _switch(self, now: BatchConnection | None) -> bool:
        """Go on with the connection as it is now; False if it signs in as before."""
        if now is None or now.fingerprint == self._connection.fingerprint:
            return False
        now.require_sign_in()
        self._connection = now
        return True

    def _token(self, scopes: tuple[str, ...], options: Any) -> Flow[Callable[[], Any], AccessTokenInfo]:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        token = self._fresh(scopes, options)
        was_refused = self._connection.fingerprint in _refused
        if token is None and was_refused and self._switch((yield self._read_again)):
            token = self._fresh(scopes, options)
        if token is not None:
            return token
        ask = partial(self._ask, scopes, options)
        try:
            return self._keep(scopes, (yield ask))
        except (AzureError, AnswerError) as error:
            old = self._still_good(scopes)
            if old is not None:
                return old
            if not isinstance(error, ClientAuthenticationError):
                raise
            _refused.add(self._connection.fingerprint)
            if not self._switch((yield self._read_again)):
                raise
        return self._fresh(scopes, options) or self._keep(scopes, (yield ask))

    def _ask(self, scopes: tuple[str, ...], options: Any) -> Any:
        """A token from Microsoft Entra, or what is awaited to get it."""
        raise NotImplementedError


class SharedCredential(_Shared):
    """A ``TokenCredential`` over the process's tokens, for threads."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token in the older form of azure-core."""
        return _older(self.get_token_info(*scopes, options=options))

    def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """A token for the scopes, kept or new.

        :raises ClientAuthenticationError: of azure-core, if the sign-in is refused.
        """
        with _locks.setdefault(self._connection.fingerprint, threading.Lock()):
            return drive(self._token(scopes, options), call)

    def _ask(self, scopes: tuple[str, ...], options: Any) -> AccessTokenInfo:
        credential = make_credential(self._connection, asynchronous=False, retries=self._retries)
        with unusable_fields_told(self._connection), credential:
            token: AccessTokenInfo = credential.get_token_info(*scopes, options=options or {})
        return token


class AsyncSharedCredential(_Shared):
    """The same for the tasks of event loops."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token in the older form of azure-core."""
        return _older(await self.get_token_info(*scopes, options=options))

    async def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        """A token for the scopes, kept or new.

        :raises ClientAuthenticationError: of azure-core, if the sign-in is refused.
        """
        here = _async_locks.setdefault(asyncio.get_running_loop(), {})
        async with here.setdefault(self._connection.fingerprint, asyncio.Lock()):
            return await adrive(self._token(scopes, options), call)

    async def _ask(self, scopes: tuple[str, ...], options: Any) -> AccessTokenInfo:
        credential = make_credential(self._connection, asynchronous=True, retries=self._retries)
        with unusable_fields_told(self._connection):
            async with credential:
                token: AccessTokenInfo = await credential.get_token_info(*scopes, options=options or {})
        return token


def _older(info: AccessTokenInfo) -> AccessToken:
    from azure.core.credentials import AccessToken

    return AccessToken(info.token, info.expires_on)
