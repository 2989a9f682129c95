"""The management plane: make, read, change and delete pools. Only here can a pool be given an identity."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from airflow_batchext.connection import account_endpoint_url
from airflow_batchext.credentials import AsyncSignsWithToken, SignsWithToken
from airflow_batchext.exceptions import AccessRefusedError, ConflictError, NotFoundError
from airflow_batchext.hooks._async_clients import proxies
from airflow_batchext.hooks._base import BatchHook
from airflow_batchext.hooks._errors import translated
from airflow_batchext.hooks._refusals import advice

if TYPE_CHECKING:
    from azure.mgmt.batch import BatchManagementClient
    from azure.mgmt.batch.aio import BatchManagementClient as AsyncBatchManagementClient

Body = dict[str, Any]


_LIST_KEYS = "ask for the Batch account's key"
LIST_KEYS_ACTION = "Microsoft.Batch/batchAccounts/listKeys/action"


class _Place(TypedDict):
    resource_group_name: str
    account_name: str


@dataclass(frozen=True, slots=True)
class PutPool:
    """What became of a request to create a pool.

    :param body: the pool as the management plane shows it now.
    :param created: False if a pool of that name was there already and was left untouched.
    """

    body: Body
    created: bool


class AzureBatchPoolHook(BatchHook["BatchManagementClient", "AsyncBatchManagementClient"]):
    """Calls of the Batch management plane (``Microsoft.Batch``), sync and async.

    Bodies go in and come out as plain dicts in the shape of the REST API. Every method raises
    ``ServiceError`` or one of its subclasses for what Azure refuses, and ``ConnectionFieldsError`` if the
    connection lacks what the call needs.
    """

    plane = "management"

    def get_conn(self) -> BatchManagementClient:
        """The SDK's sync client; kept until ``close``."""
        if self._client is not None:
            return self._client
        from azure.mgmt.batch import BatchManagementClient

        connection = self.connection
        connection.require_management_plane()
        credential, scope = self._credential(), connection.cloud.arm_scope
        self._client = BatchManagementClient(
            credential,
            connection.subscription_id,
            base_url=connection.cloud.arm_url,
            credential_scopes=[scope],
            authentication_policy=SignsWithToken(credential, scope),
            **self._client_options(connection),
        )
        return self._client

    async def aget_conn(self) -> AsyncBatchManagementClient:
        """The SDK's async client, shared; leased until ``aclose``."""
        connection = await self.aconnection()
        connection.require_management_plane()

        async def make(options: dict[str, Any]) -> AsyncBatchManagementClient:
            from azure.mgmt.batch.aio import BatchManagementClient

            credential, cloud = await self._acredential(), connection.cloud
            return BatchManagementClient(
                credential,
                connection.subscription_id,
                base_url=cloud.arm_url,
                credential_scopes=[cloud.arm_scope],
                authentication_policy=AsyncSignsWithToken(credential, cloud.arm_scope),
                **{**options, "proxies": proxies(connection, cloud.arm_url)},
            )

        return await self._alease(make)

    @property
    def _place(self) -> _Place:
        connection = self.connection
        return {
            "resource_group_name": connection.resource_group,
            "account_name": connection.account_name,
        }

    def create_pool(self, pool_id: str, body: Mapping[str, Any], *, secrets: Collection[str] = ()) -> PutPool:
        """Create a pool unless one of that name exists, which is then left untouched.

        ``Pool_Create`` with ``If-None-Match: *``. What the service answers if the pool exists is not
        documented beyond that header (412 is expected, 409 happens in practice), so the pool is looked
        up then: if it is there, it was adopted; if not, the refusal stands.

        :param pool_id: the pool's name.
        :param body: the request's body (``properties``, ``identity``, ``tags``).
        :param secrets: values in it that must not show in an error.
        :raises ConflictError: if the pool of that name is being deleted, or a quota is used up.
        """
        from azure.core import MatchConditions

        try:
            client = self.get_conn()
            with translated(f"create pool {pool_id}", secrets=secrets):
                pool = client.pool.create(
                    **self._place,
                    pool_name=pool_id,
                    parameters=dict(body),
                    match_condition=MatchConditions.IfMissing,
                )
                return PutPool(pool.as_dict(), created=True)
        except ConflictError as refusal:
            try:
                return _adopted(pool_id, self.get_pool(pool_id))
            except NotFoundError:
                raise refusal from None

    async def acreate_pool(
        self, pool_id: str, body: Mapping[str, Any], *, secrets: Collection[str] = ()
    ) -> PutPool:
        """``create_pool`` on the async client."""
        from azure.core import MatchConditions

        try:
            client = await self.aget_conn()
            with translated(f"create pool {pool_id}", secrets=secrets):
                pool = await client.pool.create(
                    **self._place,
                    pool_name=pool_id,
                    parameters=dict(body),
                    match_condition=MatchConditions.IfMissing,
                )
                return PutPool(pool.as_dict(), created=True)
        except ConflictError as refusal:
            try:
                return _adopted(pool_id, await self.aget_pool(pool_id))
            except NotFoundError:
                raise refusal from None

    def get_pool(self, pool_id: str) -> Body:
        """Read a pool (``Pool_Get``).

        :raises NotFoundError: if there is none.
        """
        client = self.get_conn()
        with translated(f"read pool {pool_id}"):
            body: Body = client.pool.get(**self._place, pool_name=pool_id).as_dict()
        return body

    async def aget_pool(self, pool_id: str) -> Body:
        """``get_pool`` on the async client."""
        client = await self.aget_conn()
        with translated(f"read pool {pool_id}"):
            body: Body = (await client.pool.get(**self._place, pool_name=pool_id)).as_dict()
        return body

    def delete_pool(self, pool_id: str) -> None:
        """Ask for a pool's deletion (``Pool_Delete``) and do not wait; it may be going, or gone, already."""
        client = self.get_conn()
        with _going_already(), translated(f"delete pool {pool_id}"):
            client.pool.begin_delete(**self._place, pool_name=pool_id, polling=False)

    async def adelete_pool(self, pool_id: str) -> None:
        """``delete_pool`` on the async client."""
        client = await self.aget_conn()
        with _going_already(), translated(f"delete pool {pool_id}"):
            await client.pool.begin_delete(**self._place, pool_name=pool_id, polling=False)

    def update_pool(
        self, pool_id: str, body: Mapping[str, Any], *, etag: str = "", secrets: Collection[str] = ()
    ) -> Body:
        """Change members of a pool (``Pool_Update``); those that are not given stay as they are.

        :param body: the request's body: ``properties`` with whole members.
        :param etag: only if the pool is still the one that was read with this ETag.
        :param secrets: values in the body that must not show in an error.
        :return: the pool as it is now.
        :raises ConflictError: if the pool is another one by now, or its state forbids the change.
        """
        client = self.get_conn()
        with translated(f"update pool {pool_id}", secrets=secrets):
            pool = client.pool.update(
                **self._place, pool_name=pool_id, parameters=dict(body), **_only_if(etag)
            )
            changed: Body = pool.as_dict()
        return changed

    async def aupdate_pool(
        self, pool_id: str, body: Mapping[str, Any], *, etag: str = "", secrets: Collection[str] = ()
    ) -> Body:
        """``update_pool`` on the async client."""
        client = await self.aget_conn()
        with translated(f"update pool {pool_id}", secrets=secrets):
            pool = await client.pool.update(
                **self._place, pool_name=pool_id, parameters=dict(body), **_only_if(etag)
            )
            changed: Body = pool.as_dict()
        return changed

    def stop_resize(self, pool_id: str) -> Body:
        """Stop a resize (``Pool_StopResize``): the pool keeps the nodes that it has by now."""
        client = self.get_conn()
        with translated(f"stop the resize of pool {pool_id}"):
            body: Body = client.pool.stop_resize(**self._place, pool_name=pool_id).as_dict()
        return body

    async def astop_resize(self, pool_id: str) -> Body:
        """``stop_resize`` on the async client."""
        client = await self.aget_conn()
        with translated(f"stop the resize of pool {pool_id}"):
            body: Body = (await client.pool.stop_resize(**self._place, pool_name=pool_id)).as_dict()
        return body

    def get_account(self) -> Body:
        """Read the Batch account (``BatchAccount_Get``)."""
        client = self.get_conn()
        with translated(f"read Batch account {self.connection.account_name}"):
            body: Body = client.batch_account.get(**self._place).as_dict()
        return body

    async def aget_account(self) -> Body:
        """``get_account`` on the async client."""
        client = await self.aget_conn()
        with translated(f"read Batch account {self.connection.account_name}"):
            body: Body = (await client.batch_account.get(**self._place)).as_dict()
        return body

    def account_url(self) -> str:
        """The URL of the account's data plane, as the management plane tells it."""
        return _endpoint(self.get_account())

    async def aaccount_url(self) -> str:
        """``account_url`` on the async client."""
        return _endpoint(await self.aget_account())

    def account_key(self) -> str:
        """The account's primary key (``BatchAccount_GetKeys``).

        :raises AccessRefusedError: if the identity may not read it, or the account takes no keys.
        """
        client = self.get_conn()
        with _no_keys_refused(), translated(_LIST_KEYS, needs=LIST_KEYS_ACTION):
            return str(client.batch_account.get_keys(**self._place).primary)

    async def aaccount_key(self) -> str:
        """``account_key`` on the async client."""
        client = await self.aget_conn()
        with _no_keys_refused(), translated(_LIST_KEYS, needs=LIST_KEYS_ACTION):
            return str((await client.batch_account.get_keys(**self._place)).primary)

    def list_pools(self) -> list[Body]:
        """Read all pools of the account (``Pool_ListByBatchAccount``)."""
        client = self.get_conn()
        with translated(f"list the pools of Batch account {self.connection.account_name}"):
            return [pool.as_dict() for pool in client.pool.list_by_batch_account(**self._place)]

    def list_sizes(self, location: str) -> list[Body]:
        """Read which sizes of machines Batch offers (``Location_ListSupportedVirtualMachineSkus``).

        :param location: the region, such as ``westeurope``.
        """
        client = self.get_conn()
        with translated(f"list the sizes of virtual machines in {location}"):
            return [size.as_dict() for size in client.location.list_supported_virtual_machine_skus(location)]


@contextmanager
def _no_keys_refused() -> Iterator[None]:
    """A 409 says that the account takes no keys: that is a refusal, not a conflict that may pass."""
    try:
        yield
    except ConflictError as error:
        mend = advice(403, "SharedKeyNotAllowed", "")
        raise AccessRefusedError(f"{error.reason} {mend}", status=error.status, code=error.code) from None


def _endpoint(account: Body) -> str:
    return account_endpoint_url(str(account["properties"]["accountEndpoint"]))


@contextmanager
def _going_already() -> Iterator[None]:
    try:
        yield
    except NotFoundError:
        return
    except ConflictError as refusal:
        if refusal.code != "PoolBeingDeleted":
            raise


def _only_if(etag: str) -> dict[str, Any]:
    if not etag:
        return {}
    from azure.core import MatchConditions

    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _adopted(pool_id: str, body: Body) -> PutPool:
    if str(body.get("properties", {}).get("provisioningState", "")).lower() == "deleting":
        raise ConflictError(
            f"Could not create pool {pool_id}: a pool of that name is still being deleted. "
            "Wait until it is gone, or take another name.",
            status=409,
            code="PoolBeingDeleted",
        )
    return PutPool(body, created=False)
