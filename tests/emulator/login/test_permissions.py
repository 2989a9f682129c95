"""Roles, expiry, rotation and clouds: what the sign-in and both planes refuse, through the real SDKs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import CertificateCredential

from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.emulator.login.permissions import needed_for_data, needed_for_management
from tests.emulator.conftest import MANAGEMENT_SCOPE, credential_for
from tests.emulator.pool_documents import management_pool

if TYPE_CHECKING:
    from azure.batch import BatchClient
    from azure.mgmt.batch import BatchManagementClient

ACCOUNT = "Microsoft.Batch/batchAccounts"
HERE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/a"


def allow(emulator: Emulator, *actions: str, data: tuple[str, ...] = (), **answers: Any) -> None:
    permissions = {"actions": actions, "data_actions": data}
    emulator.scenario = Scenario.load({"account": {"permissions": permissions}, "answers": answers})


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", HERE, f"{ACCOUNT}/read"),
        ("GET", "/subscriptions/s/providers/Microsoft.Batch/batchAccounts", f"{ACCOUNT}/read"),
        ("POST", f"{HERE}/listKeys", f"{ACCOUNT}/listKeys/action"),
        ("PUT", f"{HERE}/pools/p", f"{ACCOUNT}/pools/write"),
        ("PATCH", f"{HERE}/pools/p", f"{ACCOUNT}/pools/write"),
        ("DELETE", f"{HERE}/pools/p", f"{ACCOUNT}/pools/delete"),
        ("POST", f"{HERE}/pools/p/stopResize", f"{ACCOUNT}/pools/stopResize/action"),
        ("GET", f"{HERE}/poolOperationResults/x", f"{ACCOUNT}/poolOperationResults/read"),
        ("GET", "/subscriptions/s", "Microsoft.Resources/subscriptions/read"),
        (
            "HEAD",
            "/subscriptions/s/resourceGroups/g",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ),
        (
            "GET",
            "/subscriptions/s/providers/Microsoft.Batch/locations/l/quotas",
            "Microsoft.Batch/locations/quotas/read",
        ),
    ],
)
def test_what_the_management_plane_asks_for(method: str, path: str, action: str) -> None:
    assert needed_for_management(method, path) == (action, "actions")


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/pools", ("pools/read", "actions")),
        ("GET", "/pools/p/nodes/n/extensions", ("pools/read", "actions")),
        ("GET", "/nodecounts", ("pools/read", "actions")),
        ("POST", "/pools/p/resize", ("pools/write", "actions")),
        ("POST", "/pools/p/evaluateautoscale", ("pools/read", "actions")),
        ("DELETE", "/pools/p", ("pools/delete", "actions")),
        ("POST", "/jobs", ("jobs/write", "data_actions")),
        ("GET", "/jobs/j/tasks", ("jobs/read", "data_actions")),
        ("DELETE", "/jobs/j", ("jobs/delete", "data_actions")),
        ("DELETE", "/jobs/j/tasks/t", ("jobs/write", "data_actions")),
    ],
)
def test_what_the_data_plane_asks_for(method: str, path: str, needed: tuple[str, str]) -> None:
    assert needed_for_data(method, path) == (f"{ACCOUNT}/{needed[0]}", needed[1])


def test_the_management_plane_names_the_action_that_is_missing(
    emulator: Emulator, management: BatchManagementClient, name: str
) -> None:
    info = emulator.info
    place = (info.resource_group, info.account)
    allow(emulator, f"{ACCOUNT}/pools/read")
    assert list(management.pool.list_by_batch_account(*place)) == []
    with pytest.raises(HttpResponseError) as caught:
        management.pool.create(*place, name, management_pool(1))
    assert caught.value.status_code == 403
    assert caught.value.error.code == "AuthorizationFailed"
    assert f"perform action '{ACCOUNT}/pools/write' over scope '/subscriptions/" in caught.value.message
    assert f"/pools/{name}'" in caught.value.message
    allow(emulator, "Microsoft.Batch/*")
    management.pool.create(*place, name, management_pool(1))


@pytest.mark.parametrize("code", ["InsufficientAccountPermissions", "AuthorizationFailure"])
def test_the_data_plane_refuses_without_a_name(
    emulator: Emulator, batch: BatchClient, batch_with_token: BatchClient, code: str
) -> None:
    allow(emulator, f"{ACCOUNT}/pools/write", data=(f"{ACCOUNT}/jobs/read",), missing_role=code)
    assert list(batch_with_token.list_jobs()) == []
    with pytest.raises(HttpResponseError) as caught:
        list(batch_with_token.list_pools())
    assert caught.value.status_code == 403
    assert caught.value.model.code == code
    assert list(batch.list_pools()) == [], "roles are for tokens, not for keys"


def test_what_has_expired_is_refused(emulator: Emulator) -> None:
    info = emulator.info
    emulator.scenario = Scenario.load({"sign_in": {"secret_expired": True, "certificate_expired": True}})
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000222"):
        credential_for(emulator).get_token(MANAGEMENT_SCOPE)
    options = {"authority": info.authority, "connection_verify": info.ca_bundle}
    certificate = CertificateCredential(
        info.tenant_id, info.client_id, info.client_certificate, disable_instance_discovery=True, **options
    )
    with pytest.raises(ClientAuthenticationError, match=r"AADSTS700027.*The key used is expired"):
        certificate.get_token(MANAGEMENT_SCOPE)


def test_a_rotated_secret() -> None:
    with Emulator() as emulator:
        old = emulator.info.client_secret
        new = emulator.tokens.rotate_secret()
        assert emulator.info.client_secret == new != old
        assert credential_for(emulator).get_token(MANAGEMENT_SCOPE)
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            credential_for(emulator, client_secret=old).get_token(MANAGEMENT_SCOPE)


@pytest.mark.parametrize(
    ("cloud", "scope"),
    [
        ("usgovernment", "https://batch.core.usgovcloudapi.net//.default"),
        ("usgovernment", "https://management.core.usgovcloudapi.net/.default"),
        ("china", "https://batch.chinacloudapi.cn//.default"),
        ("china", "https://management.chinacloudapi.cn/.default"),
    ],
)
def test_tokens_are_of_one_cloud(emulator: Emulator, cloud: str, scope: str) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
        credential_for(emulator).get_token(scope)
    emulator.scenario = Scenario.load({"sign_in": {"cloud": cloud}})
    assert credential_for(emulator).get_token(scope)
    with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
        credential_for(emulator).get_token(MANAGEMENT_SCOPE)
