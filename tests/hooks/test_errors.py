"""What the SDKs raise is told by status and code, in one shape for both planes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from airflow_batchext.exceptions import (
    AccessRefusedError,
    ConflictError,
    NotFoundError,
    ServiceError,
    UnavailableError,
)
from airflow_batchext.hooks._errors import translated
from airflow_batchext.hooks._refusals import advice
from airflow_batchext.hooks.pool import AzureBatchPoolHook
from tests.conftest import own_connection

DATA_PLANE = {
    "odata.metadata": "https://a/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element",
    "code": "InvalidPropertyValue",
    "message": {
        "lang": "en-US",
        "value": "The value provided for one of the properties in the request body is invalid.\n"
        "RequestId:bd9c36e0-1c13-441d-9ea7-1f554d77f997\nTime:2023-09-06T07:43:48.6644337Z",
    },
    "values": [{"key": "PropertyName", "value": "vmSize"}, {"key": "Reason", "value": "unknown size"}],
}
MANAGEMENT_PLANE = {
    "error": {
        "code": "PropertyCannotBeUpdated",
        "message": "A property that cannot be updated was specified.\n"
        "RequestId:bd9c36e0-1c13-441d-9ea7-1f554d77f997\nTime:2023-09-06T07:43:48.6644337Z",
        "target": "BatchAccount",
        "details": [{"code": "PropertyName", "message": "networkConfiguration"}],
    }
}


class Response:
    def __init__(self, status, body=None, headers=None):
        self.status_code, self.headers, self.reason = status, headers or {}, "a reason"
        self._text = body if isinstance(body, str) else json.dumps(body)

    def text(self, encoding=None):
        return self._text


def translate(error, **kwargs):
    with pytest.raises(ServiceError) as caught, translated("read pool p", **kwargs):
        raise error
    return caught.value


def test_both_planes_bodies_read_alike():
    error = translate(HttpResponseError(response=Response(400, DATA_PLANE)))
    assert type(error) is ServiceError
    assert error.reason == (
        "Could not read pool p: 400 InvalidPropertyValue: The value provided for one of the properties in "
        "the request body is invalid. [PropertyName: vmSize; Reason: unknown size]"
    )
    assert error.request_id == "bd9c36e0-1c13-441d-9ea7-1f554d77f997"
    error = translate(HttpResponseError(response=Response(400, MANAGEMENT_PLANE)))
    assert error.code == "PropertyCannotBeUpdated"
    assert "[PropertyName: networkConfiguration]" in error.reason


@pytest.mark.parametrize(
    ("raised", "status", "expected"),
    [
        # The data plane's client raises these classes whatever the status is.
        (ResourceExistsError, 409, ConflictError),
        (ResourceNotFoundError, 500, UnavailableError),
        (ResourceNotFoundError, 404, NotFoundError),
        (HttpResponseError, 412, ConflictError),
        (HttpResponseError, 403, AccessRefusedError),
        (ClientAuthenticationError, 401, AccessRefusedError),
        (HttpResponseError, 408, UnavailableError),
        (HttpResponseError, 429, UnavailableError),
        (HttpResponseError, 503, UnavailableError),
        (HttpResponseError, 400, ServiceError),
        (HttpResponseError, 200, UnavailableError),
    ],
)
def test_the_status_decides_not_the_class(raised, status, expected):
    for body in (DATA_PLANE, "<html>", ""):
        error = translate(raised(response=Response(status, body)))
        assert type(error) is expected
        assert error.status == status


def test_refusals_come_with_advice():
    assert "has a role on the Batch account" in str(translate(HttpResponseError(response=Response(403, {}))))
    assert "Check the credential" in str(translate(HttpResponseError(response=Response(401, {}))))


def test_a_private_account_has_a_sentence_of_its_own():
    body = {"code": "AuthorizationFailure", "message": {"value": "This request is not authorized."}}
    error = translate(HttpResponseError(response=Response(403, body)))
    assert isinstance(error, AccessRefusedError)
    assert "may let only its private network in" in str(error)
    assert "has a role" not in str(error)


def test_retry_after_as_seconds_date_or_nonsense():
    def after(value):
        headers = {"Retry-After": value} if value else {}
        return translate(HttpResponseError(response=Response(429, {}, headers))).retry_after

    assert after("15") == 15
    assert after("-3") == 0
    assert after(None) is None
    assert after("soon") is None
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < after(date) <= 60


def test_no_token_is_a_sign_in_failure():
    error = translate(ClientAuthenticationError("AADSTS7000215: Invalid client secret provided."))
    assert isinstance(error, AccessRefusedError)
    assert "sign-in failed: AADSTS7000215" in str(error)
    answer = Response(401, {"error": "invalid_client", "error_description": "AADSTS7000215"})
    assert "sign-in failed" in str(translate(ClientAuthenticationError("AADSTS7000215", response=answer)))


@pytest.mark.parametrize(
    "trouble",
    [
        {"action": "error", "status": 500},
        {"action": "throttle", "retry_after": 0},
        {"action": "drop"},
        {"action": "truncate"},
        {"action": "garble", "status": 502},
        {"action": "garble", "status": 200},
    ],
    ids=lambda trouble: "-".join(map(str, trouble.values())),
)
@pytest.mark.parametrize("path", ["*", "*/oauth2/v2.0/token"])
async def test_a_sign_in_service_in_trouble_is_no_refusal(azure, monkeypatch, trouble, path):
    async def at_once(*_):
        pass

    monkeypatch.setattr("azure.core.pipeline.transport.HttpTransport.sleep", lambda *_: None)
    monkeypatch.setattr("azure.core.pipeline.transport.AsyncHttpTransport.sleep", at_once)
    monkeypatch.setattr("airflow_batchext.transport.threads.GuardedTransport.sleep", lambda *_: None)
    monkeypatch.setattr("airflow_batchext.transport.loops.AsyncGuardedTransport.sleep", at_once)
    azure.emulator.faults.add(plane="sign-in", path=path, count=20, **trouble)
    try:
        with AzureBatchPoolHook() as hook, pytest.raises(UnavailableError):
            hook.get_account()
        async with AzureBatchPoolHook() as hook:
            with pytest.raises(UnavailableError):
                await hook.aaccount_url()
    finally:
        azure.emulator.faults.clear()


async def test_a_tenant_that_does_not_exist_is_a_refusal(azure):
    extra = {"tenant_id": "00000000-0000-0000-0000-0000000000ff"}
    azure.connect("azure_batchext_default", own_connection(azure.emulator, extra=extra))
    with AzureBatchPoolHook() as hook, pytest.raises(AccessRefusedError, match="sign-in failed"):
        hook.get_account()
    async with AzureBatchPoolHook() as hook:
        with pytest.raises(AccessRefusedError, match="sign-in failed"):
            await hook.aaccount_url()


def test_lost_connections_and_unreadable_answers_may_pass():
    assert isinstance(translate(ServiceRequestError("refused")), UnavailableError)
    for error in (ValueError("x"), TypeError("x"), AttributeError("x"), KeyError("x")):
        assert "could not be understood" in str(translate(error))


def test_secrets_that_an_answer_echoes_are_blotted_out_and_no_request_hangs_on():
    body = {"error": {"code": "InvalidPropertyValue", "message": "bad value 'pa55-SENTINEL'"}}
    error = translate(HttpResponseError(response=Response(400, body)), secrets=["pa55-SENTINEL"])
    assert "SENTINEL" not in str(error)
    assert "bad value '***'" in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


LINKED = (
    "The client 'c' with object id 'o' has permission to perform action "
    "'Microsoft.Batch/batchAccounts/pools/write' on scope '/s'; however, it does not have permission to "
    "perform action(s) '{action}' on the linked scope(s) '{scope}' (respectively) or the linked scope(s) are "
    "invalid."
)


@pytest.mark.parametrize(
    ("action", "scope", "role"),
    [
        (
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            "/subscriptions/1/userAssignedIdentities/nodes",
            "Managed Identity Operator",
        ),
        (
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            "/subscriptions/1/virtualNetworks/n/subnets/batch",
            "Network Contributor",
        ),
        (
            "Microsoft.Compute/galleries/images/read",
            "/subscriptions/1/galleries/g",
            "a role with this action",
        ),
    ],
)
def test_a_right_that_is_missing_on_a_linked_resource_is_named(action, scope, role):
    told = advice(403, "LinkedAuthorizationFailed", LINKED.format(action=action, scope=scope), "some/action")
    assert f"lacks {action} on {scope}" in told
    assert role in told


def test_a_policy_is_no_matter_of_roles():
    told = advice(403, "RequestDisallowedByPolicy", "Resource 'p' was disallowed by policy.", "some/action")
    assert "policy of the organisation" in told
    assert "role" not in told
