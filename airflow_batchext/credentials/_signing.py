"""How requests are signed, and signed once more when the service refuses the signature.

These are policies of azure-core's pipelines, in the place of the SDK's own ones, which they use. A token
that the service refuses (revoked, or expired by the service's clock) is dropped and another one is tried
once; so is a key for which there is another one now.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import call
from typing import TYPE_CHECKING, Any

from airflow_batchext.transport.flows import adrive, drive

if TYPE_CHECKING:
    from airflow_batchext.credentials._account_key import AccountKey, AsyncAccountKey
    from airflow_batchext.transport.flows import Flow


class _WithToken:
    next: Any = None

    def __init__(self, credential: Any, scope: str) -> None:
        self._credential, self._scope = credential, scope
        self._policy = self._new_policy()

    def _sent(self, request: Any) -> Flow[Callable[[], Any], Any]:
        response = yield partial(self._send, request)
        if response.http_response.status_code == 401 and _forget(self._credential, request):
            self._policy = self._new_policy()
            response = yield partial(self._send, request)
        return response

    def _send(self, request: Any) -> Any:
        policy = self._policy
        policy.next = self.next
        return policy.send(request)

    def _new_policy(self) -> Any:
        raise NotImplementedError


class SignsWithToken(_WithToken):
    """Sends requests with a token.

    :param credential: gives the tokens; one that can ``forget`` is told of a token that was refused.
    :param scope: what the token is for.
    """

    def send(self, request: Any) -> Any:
        """Send a request; once more with another token if it is answered with 401."""
        return drive(self._sent(request), call)

    def _new_policy(self) -> Any:
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        return BearerTokenCredentialPolicy(self._credential, self._scope)


class AsyncSignsWithToken(_WithToken):
    """``SignsWithToken`` in an event loop."""

    async def send(self, request: Any) -> Any:
        """Send a request; once more with another token if it is answered with 401."""
        return await adrive(self._sent(request), call)

    def _new_policy(self) -> Any:
        from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

        return AsyncBearerTokenCredentialPolicy(self._credential, self._scope)


class _WithKey:
    next: Any = None

    def __init__(self, key: AccountKey | AsyncAccountKey) -> None:
        self._key = key

    def _sent(self, request: Any) -> Flow[Callable[[], Any], Any]:
        key = yield self._key.value
        response = yield partial(self._signed, request, key)
        if response.http_response.status_code in (401, 403) and (yield partial(self._key.renew, key)):
            response = yield partial(self._signed, request, (yield self._key.value))
        return response

    def _signed(self, request: Any, key: str) -> Any:
        _sign(request, self._key.account_name, key)
        return self.next.send(request)


class SignsWithKey(_WithKey):
    """Sends requests signed with the account's key.

    :param key: gives the key, and another one if it is refused.
    """

    def send(self, request: Any) -> Any:
        """Send a request; once more with another key, if there is one and the first was refused."""
        return drive(self._sent(request), call)


class AsyncSignsWithKey(_WithKey):
    """``SignsWithKey`` in an event loop."""

    async def send(self, request: Any) -> Any:
        """Send a request; once more with another key, if there is one and the first was refused."""
        return await adrive(self._sent(request), call)


def _sign(request: Any, account_name: str, key: str) -> None:
    # Its only home: the public client takes a key once and for all.
    from azure.batch._patch import BatchSharedKeyAuthPolicy
    from azure.core.credentials import AzureNamedKeyCredential

    BatchSharedKeyAuthPolicy(AzureNamedKeyCredential(account_name, key)).on_request(request)


def _forget(credential: object, request: Any) -> bool:
    """Have the token that was sent dropped, where it was one of ours."""
    forget = getattr(credential, "forget", None)
    if forget is None:
        return False
    forget(request.http_request.headers.get("Authorization", "").removeprefix("Bearer "))
    return True
