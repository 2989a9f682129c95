"""How requests are signed, and signed once more when the service refuses the signature.

These are policies of azure-core's pipelines, in the place of the SDK's own ones, which they use. A token
that the service refuses (revoked, or expired by the service's clock) is dropped and another one is tried
once; so is a key for which there is another one now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential

    from airflow_batchext.credentials._account_key import AccountKey, AsyncAccountKey


class _Forgetting(Protocol):
    def forget(self, refused: str) -> None: ...


class SignsWithToken:
    """Sends requests with a token.

    :param credential: gives the tokens; one that can ``forget`` is told of a token that was refused.
    :param scope: what the token is for.
    """

    next: Any = None

    def __init__(self, credential: TokenCredential, scope: str) -> None:
        self._credential, self._scope = credential, scope
        self._policy = self._new_policy()

    def send(self, request: Any) -> Any:
        """Send a request; once more with another token if it is answered with 401."""
        response = self._send(request)
        if response.http_response.status_code == 401 and _forget(self._credential, request):
            self._policy = self._new_policy()
            response = self._send(request)
        return response

    def _send(self, request: Any) -> Any:
        policy = self._policy
        policy.next = self.next
        return policy.send(request)

    def _new_policy(self) -> Any:
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        return BearerTokenCredentialPolicy(self._credential, self._scope)


class AsyncSignsWithToken:
    """The same in an event loop.

    :param credential: gives the tokens; one that can ``forget`` is told of a token that was refused.
    :param scope: what the token is for.
    """

    next: Any = None

    def __init__(self, credential: AsyncTokenCredential, scope: str) -> None:
        self._credential, self._scope = credential, scope
        self._policy = self._new_policy()

    async def send(self, request: Any) -> Any:
        """Send a request; once more with another token if it is answered with 401."""
        response = await self._send(request)
        if response.http_response.status_code == 401 and _forget(self._credential, request):
            self._policy = self._new_policy()
            response = await self._send(request)
        return response

    async def _send(self, request: Any) -> Any:
        policy = self._policy
        policy.next = self.next
        return await policy.send(request)

    def _new_policy(self) -> Any:
        from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

        return AsyncBearerTokenCredentialPolicy(self._credential, self._scope)


class SignsWithKey:
    """Sends requests signed with the account's key.

    :param key: gives the key, and another one if it is refused.
    """

    next: Any = None

    def __init__(self, key: AccountKey) -> None:
        self._key = key

    def send(self, request: Any) -> Any:
        """Send a request; once more with another key, if there is one and the first was refused."""
        key = self._key.value()
        _sign(request, self._key.account_name, key)
        response = self.next.send(request)
        if response.http_response.status_code in (401, 403) and self._key.renew(key):
            _sign(request, self._key.account_name, self._key.value())
            response = self.next.send(request)
        return response


class AsyncSignsWithKey:
    """The same in an event loop.

    :param key: gives the key, and another one if it is refused.
    """

    next: Any = None

    def __init__(self, key: AsyncAccountKey) -> None:
        self._key = key

    async def send(self, request: Any) -> Any:
        """Send a request; once more with another key, if there is one and the first was refused."""
        key = await self._key.value()
        _sign(request, self._key.account_name, key)
        response = await self.next.send(request)
        if response.http_response.status_code in (401, 403) and await self._key.renew(key):
            _sign(request, self._key.account_name, await self._key.value())
            response = await self.next.send(request)
        return response


def _sign(request: Any, account_name: str, key: str) -> None:
    # Its only home: the public client takes a key once and for all.
    from azure.batch._patch import BatchSharedKeyAuthPolicy
    from azure.core.credentials import AzureNamedKeyCredential

    BatchSharedKeyAuthPolicy(AzureNamedKeyCredential(account_name, key)).on_request(request)


def _forget(credential: object, request: Any) -> bool:
    """Have the token that was sent dropped, where it was one of ours."""
    if not hasattr(credential, "forget"):
        return False
    forgetting: _Forgetting = credential
    forgetting.forget(request.http_request.headers.get("Authorization", "").removeprefix("Bearer "))
    return True
