"""The requests of the management plane (``Microsoft.Batch``): pools, the account, what the region offers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_batchext.connection import account_endpoint_url
from airflow_batchext.exceptions import AccessRefusedError, ConflictError, NotFoundError
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
)

if TYPE_CHECKING:
    from airflow_batchext.connection import BatchConnection

LIST_KEYS_ACTION = "Microsoft.Batch/batchAccounts/listKeys/action"
_DELETED = (200, 202, 204)
_request = partial(Request[Any], MANAGEMENT)


def create_pool(pool_id: str, body: Mapping[str, Any], secrets: Collection[str]) -> Flow[tuple[Body, bool]]:
    """Create a pool (``Pool_Create``) unless one of that name exists.

    :return: the pool, and whether it was created.
    """
    url, headers = (yield from _url("pools", pool_id)), {"If-None-Match": "*"}
    try:
        created: Body = yield _request(
            f"create pool {pool_id}", "PUT", url, body_of, body=body, headers=headers, secrets=secrets
        )
    except ConflictError as refusal:
        try:
            found = yield from get_pool(pool_id)
        except NotFoundError:
            raise refusal from None
        return _adopted(pool_id, found), False
    return created, True


def get_pool(pool_id: str) -> Flow[Body]:
    """Read a pool (``Pool_Get``)."""
    url = yield from _url("pools", pool_id)
    body: Body = yield _request(f"read pool {pool_id}", "GET", url, body_of)
    return body


def delete_pool(pool_id: str) -> Flow[None]:
    """Ask for a pool's deletion (``Pool_Delete``); it may be going, or gone, already."""
    url = yield from _url("pools", pool_id)
    try:
        yield _request(f"delete pool {pool_id}", "DELETE", url, lambda response: None, expected=_DELETED)
    except NotFoundError:
        return
    except ConflictError as refusal:
        if refusal.code != "PoolBeingDeleted":
            raise


def update_pool(pool_id: str, body: Mapping[str, Any], etag: str, secrets: Collection[str]) -> Flow[Body]:
    """Change members of a pool (``Pool_Update``)."""
    url, headers = (yield from _url("pools", pool_id)), {"If-Match": etag} if etag else {}
    changed: Body = yield _request(
        f"update pool {pool_id}", "PATCH", url, body_of, body=body, headers=headers, secrets=secrets
    )
    return changed


def stop_resize(pool_id: str) -> Flow[Body]:
    """Stop a resize (``Pool_StopResize``)."""
    url = yield from _url("pools", pool_id, "stopResize")
    body: Body = yield _request(f"stop the resize of pool {pool_id}", "POST", url, body_of)
    return body


def list_pools() -> Flow[list[Body]]:
    """Read all pools of the account (``Pool_ListByBatchAccount``)."""
    url, connection = (yield from _url("pools")), (yield from _connection())
    does = f"list the pools of Batch account {connection.account_name}"
    return (yield from pages(_request(does, "GET", url, page_of)))


def get_account() -> Flow[Body]:
    """Read the Batch account (``BatchAccount_Get``)."""
    url, connection = (yield from _url()), (yield from _connection())
    body: Body = yield _request(f"read Batch account {connection.account_name}", "GET", url, body_of)
    return body


def account_url() -> Flow[str]:
    """Look up the URL of the account's data plane."""
    found = yield from get_account()
    return account_endpoint_url(str(found["properties"]["accountEndpoint"]))


def account_key() -> Flow[str]:
    """Ask for the account's primary key (``BatchAccount_GetKeys``)."""
    does, url = "ask for the Batch account's key", (yield from _url("listKeys"))
    try:
        key: str = yield _request(does, "POST", url, _primary_key, needs=LIST_KEYS_ACTION)
    except ConflictError as error:
        # A 409 says that the account takes no keys: that is a refusal, not a conflict that may pass.
        mend = advice(403, "SharedKeyNotAllowed", "")
        raise AccessRefusedError(f"{error.reason} {mend}", status=error.status, code=error.code) from None
    return key


def list_sizes(location: str) -> Flow[list[Body]]:
    """Read which sizes of machines Batch offers (``Location_ListSupportedVirtualMachineSkus``)."""
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


def _url(*segments: str) -> Flow[str]:
    """The path of something of the account."""
    connection = yield from _connection()
    return path(
        *("subscriptions", connection.subscription_id, "resourceGroups", connection.resource_group),
        *("providers", "Microsoft.Batch", "batchAccounts", connection.account_name, *segments),
    )


def _primary_key(response: Any) -> str:
    return str(body_of(response)["primary"])


def _adopted(pool_id: str, body: Body) -> Body:
    if str(body.get("properties", {}).get("provisioningState", "")).lower() == "deleting":
        raise ConflictError(
            f"Could not create pool {pool_id}: a pool of that name is still being deleted. "
            "Wait until it is gone, or take another name.",
            status=409,
            code="PoolBeingDeleted",
        )
    return body
