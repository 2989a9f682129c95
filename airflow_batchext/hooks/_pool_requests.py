"""The requests of the management plane (``Microsoft.Batch``): pools, the account, what the region offers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_batchext.connection import account_endpoint_url
from airflow_batchext.exceptions import AccessRefusedError, ConflictError, NotFoundError, UnavailableError
from airflow_batchext.hooks._refusals import advice
from airflow_batchext.hooks._requests import (
    MANAGEMENT,
    Body,
    Flow,
    ReadConnection,
    Request,
    body_of,
    page_of,
    pages,
    path,
    shaped,
)
from airflow_batchext.hooks._shapes import ACCOUNT, MANAGED_POOL

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection

LIST_KEYS_ACTION = "Microsoft.Batch/batchAccounts/listKeys/action"
_DELETED = (200, 202, 204)
_POOL = shaped(MANAGED_POOL)
_request = partial(Request[Any], MANAGEMENT)


@dataclass(frozen=True, slots=True)
class PutPool:
    """What became of a request to create a pool.

    :param body: the pool as the management plane shows it now.
    :param created: False if a pool of that name was there already and was left untouched.
    """

    body: Body
    created: bool


def create_pool(pool_id: str, body: Mapping[str, Any], *, secrets: Collection[str] = ()) -> Flow[PutPool]:
    """Create a pool unless one of that name exists, which is then left untouched.

    ``Pool_Create`` with ``If-None-Match: *``. What the service answers if the pool exists is not documented
    beyond that header (412 is expected, 409 happens in practice), so the pool is looked up then: if it is
    there, it was adopted; if not, the refusal stands.

    :param pool_id: the pool's name.
    :param body: the request's body (``properties``, ``identity``, ``tags``).
    :param secrets: values in it that must not show in an error.
    :raises ConflictError: if the pool of that name is being deleted, or a quota is used up.
    """
    url, headers = (yield from account_path("pools", pool_id)), {"If-None-Match": "*"}
    try:
        created: Body = yield _request(
            f"create pool {pool_id}", "PUT", url, _POOL, body=body, headers=headers, secrets=secrets
        )
    except ConflictError as refusal:
        try:
            found = yield from get_pool(pool_id)
        except NotFoundError:
            raise refusal from None
        return _adopted(pool_id, found)
    return PutPool(created, created=True)


def get_pool(pool_id: str) -> Flow[Body]:
    """Read a pool (``Pool_Get``).

    :param pool_id: the pool's name.
    :raises NotFoundError: if there is none.
    """
    url = yield from account_path("pools", pool_id)
    body: Body = yield _request(f"read pool {pool_id}", "GET", url, _POOL)
    return body


def delete_pool(pool_id: str) -> Flow[None]:
    """Ask for a pool's deletion (``Pool_Delete``) and do not wait; it may be going, or gone, already.

    :param pool_id: the pool's name.
    """
    url = yield from account_path("pools", pool_id)
    try:
        yield _request(f"delete pool {pool_id}", "DELETE", url, lambda response: None, expected=_DELETED)
    except NotFoundError:
        return
    except ConflictError as refusal:
        if refusal.code != "PoolBeingDeleted":
            raise


def update_pool(
    pool_id: str, body: Mapping[str, Any], *, etag: str = "", secrets: Collection[str] = ()
) -> Flow[Body]:
    """Change members of a pool (``Pool_Update``); those that are not given stay as they are.

    :param pool_id: the pool's name.
    :param body: the request's body: ``properties`` with whole members.
    :param etag: only if the pool is still the one that was read with this ETag.
    :param secrets: values in the body that must not show in an error.
    :return: the pool as it is now.
    :raises ConflictError: if the pool is another one by now, or its state forbids the change.
    """
    url, headers = (yield from account_path("pools", pool_id)), {"If-Match": etag} if etag else {}
    changed: Body = yield _request(
        f"update pool {pool_id}", "PATCH", url, _POOL, body=body, headers=headers, secrets=secrets
    )
    return changed


def stop_resize(pool_id: str) -> Flow[Body]:
    """Stop a resize (``Pool_StopResize``): the pool keeps the nodes that it has by now.

    :param pool_id: the pool's name.
    """
    url = yield from account_path("pools", pool_id, "stopResize")
    body: Body = yield _request(f"stop the resize of pool {pool_id}", "POST", url, _POOL)
    return body


def list_pools() -> Flow[list[Body]]:
    """Read all pools of the account (``Pool_ListByBatchAccount``)."""
    url, connection = (yield from account_path("pools")), (yield from _connection())
    does = f"list the pools of Batch account {connection.account_name}"
    found: list[Body] = yield from pages(_request(does, "GET", url, page_of))
    return found


def get_account() -> Flow[Body]:
    """Read the Batch account (``BatchAccount_Get``)."""
    url, connection = (yield from account_path()), (yield from _connection())
    body: Body = yield _request(f"read Batch account {connection.account_name}", "GET", url, shaped(ACCOUNT))
    return body


def account_url() -> Flow[str]:
    """The URL of the account's data plane, as the management plane tells it."""
    found = yield from get_account()
    endpoint = (found.get("properties") or {}).get("accountEndpoint")
    if not endpoint:
        raise UnavailableError("Could not find the account's address: the management plane told none")
    return account_endpoint_url(endpoint)


def account_key() -> Flow[str]:
    """The account's primary key (``BatchAccount_GetKeys``).

    :raises AccessRefusedError: if the identity may not read it, or the account takes no keys.
    """
    does, url = "ask for the Batch account's key", (yield from account_path("listKeys"))
    try:
        key: str = yield _request(does, "POST", url, _primary_key, needs=LIST_KEYS_ACTION)
    except ConflictError as error:
        # A 409 says that the account takes no keys: that is a refusal, not a conflict that may pass.
        hint = advice(403, "SharedKeyNotAllowed", "")
        raise AccessRefusedError(f"{error.reason} {hint}", status=error.status, code=error.code) from None
    return key


def list_sizes(location: str) -> Flow[list[Body]]:
    """Read which sizes of machines Batch offers (``Location_ListSupportedVirtualMachineSkus``).

    :param location: the region, such as ``westeurope``.
    """
    subscription = path("subscriptions", (yield from _connection()).subscription_id)
    url = subscription + path("providers", "Microsoft.Batch", "locations", location, "virtualMachineSkus")
    does = f"list the sizes of virtual machines in {location}"
    return (yield from pages(_request(does, "GET", url, page_of)))


def _connection() -> Flow[BatchConnection]:
    """The fields of the connection.

    :raises ConnectionFieldsError: if they do not say which account.
    """
    connection: BatchConnection = yield ReadConnection()
    connection.require_management_plane()
    return connection


def account_path(*segments: str) -> Flow[str]:
    """The path of something of the account."""
    connection = yield from _connection()
    return path(
        *("subscriptions", connection.subscription_id, "resourceGroups", connection.resource_group),
        *("providers", "Microsoft.Batch", "batchAccounts", connection.account_name, *segments),
    )


def _primary_key(response: Any) -> str:
    key = body_of(response)["primary"]
    if not isinstance(key, str):
        raise TypeError("not a key")
    return key


def _adopted(pool_id: str, body: Body) -> PutPool:
    if str((body.get("properties") or {}).get("provisioningState") or "").lower() == "deleting":
        raise ConflictError(
            f"Could not create pool {pool_id}: a pool of that name is still being deleted. "
            "Wait until it is gone, or take another name.",
            status=409,
            code="PoolBeingDeleted",
        )
    return PutPool(body, created=False)
