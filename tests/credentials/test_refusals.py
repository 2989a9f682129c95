"""Each refusal ends in ``AccessRefusedError``, with a sentence that names its cause; an outage does not."""

from __future__ import annotations

import asyncio
import gc

import aiohttp
import pytest

from airflow_batchext.credentials import forget_tokens
from airflow_batchext.emulator import Emulator, Scenario
from airflow_batchext.exceptions import AccessRefusedError, ServiceError, UnavailableError
from tests.conftest import own_connection

from .conftest import PLANES

ACCOUNT = "Microsoft.Batch/batchAccounts"
WRONG_SECRET = "wr0ng-SENTINEL"


def scenario(azure, **sections):
    azure.emulator.scenario = Scenario.load(sections)


def wrong_secret(azure, other):
    return {"password": WRONG_SECRET}, "The client secret is wrong"


def expired_secret(azure, other):
    scenario(azure, sign_in={"secret_expired": True})
    return {}, "The client secret has expired: make a new one"


def unknown_application(azure, other):
    return {"login": "00000000-0000-0000-0000-000000000000"}, "does not know the application"


def wrong_tenant(azure, other):
    extra = {"tenant_id": "11111111-0000-0000-0000-000000000000"}
    return {"extra": extra}, "There is no such tenant in this cloud: check tenant_id"


def expired_certificate(azure, other):
    scenario(azure, sign_in={"certificate_expired": True})
    extra = {"certificate_secret": azure.emulator.info.client_certificate}
    return {"extra": extra}, "certificate is not registered for the application, or it has expired"


def unknown_certificate(azure, other):
    return {"extra": {"certificate_secret": other.info.client_certificate}}, "certificate is not registered"


def foreign_federated_token(azure, other):
    return {"extra": {"token_file": other.info.federated_token_file}}, "AADSTS700027"


def no_identity_on_this_machine(azure, other):
    extra = {"auth": "default", "exclude": "managed_identity,cli,powershell,developer_cli"}
    return {"login": None, "password": None, "extra": extra}, "No identity was found where"


def no_action(azure, other):
    scenario(azure, account={"permissions": {"actions": [f"{ACCOUNT}/read"]}})
    return {}, f"{ACCOUNT}/pools/read"


CAUSES = [
    wrong_secret,
    expired_secret,
    unknown_application,
    wrong_tenant,
    expired_certificate,
    unknown_certificate,
    foreign_federated_token,
    no_identity_on_this_machine,
    no_action,
]


@pytest.fixture(scope="module")
def other():
    """Another account: its certificate and its tokens are unknown at the first."""
    with Emulator() as emulator:
        yield emulator


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("cause", CAUSES)
def test_the_sentence_names_the_cause(read, azure, other, plane, cause):
    forget_tokens()
    change, said = cause(azure, other)
    extra = {"account_url": azure.emulator.info.batch_endpoint, **change.pop("extra", {})}
    azure.connect("refused", own_connection(azure.emulator, extra=extra, **change))
    with pytest.raises(AccessRefusedError, match=said) as caught:
        read(plane, "refused", "p")
    text = str(caught.value)
    assert "SENTINEL" not in text
    assert azure.emulator.info.client_secret not in text
    assert "Trace ID" not in text
    assert caught.value.__suppress_context__


def with_key(azure, key: str) -> str:
    info = azure.emulator.info
    extra = {"account_key_secret": key, "account_url": info.http_endpoint}
    return azure.connect("keyed", own_connection(azure.emulator, extra=extra))


def test_a_wrong_key(read, azure):
    with pytest.raises(AccessRefusedError, match="account's key is wrong"):
        read("data", with_key(azure, "d3Jvbmc="), "p")


def test_keys_that_are_disabled(read, azure):
    scenario(azure, account={"shared_key": False})
    with pytest.raises(AccessRefusedError, match="takes no shared keys"):
        read("data", with_key(azure, azure.emulator.info.key), "p")


@pytest.mark.parametrize("role", ["InsufficientAccountPermissions", "AuthorizationFailure"])
def test_a_private_account_and_a_missing_role_may_look_alike(read, azure, role):
    url = {"account_url": azure.emulator.info.batch_endpoint}
    azure.connect("here", own_connection(azure.emulator, extra=url))
    scenario(azure, account={"public_network_access": False})
    with pytest.raises(AccessRefusedError, match="only its private network"):
        read("data", "here", "p")
    scenario(azure, account={"permissions": {}}, answers={"missing_role": role})
    with pytest.raises(AccessRefusedError, match=f"{ACCOUNT}/pools/read"):
        read("data", "here", "p")


@pytest.mark.parametrize("fault", [{"action": "drop"}, {"action": "error", "status": 503}])
def test_an_outage_of_the_sign_in_is_no_refusal(read, azure, fault):
    forget_tokens()
    azure.emulator.faults.add(plane="sign-in", count=50, **fault)
    with pytest.raises(UnavailableError, match="Could not read pool p"):
        read("management", "azure_batchext_default", "p")


def outage(azure, other):
    azure.emulator.faults.add(plane="sign-in", count=50, action="drop")
    return {}, ""


@pytest.fixture
def what_is_there_stays() -> None:
    """No collection of garbage has to look at it: what a test forgets comes later."""
    gc.freeze()


def left_open(caplog) -> list[str]:
    """What aiohttp says of sessions and connections that nobody closed."""
    gc.collect()
    return [line for line in caplog.messages if "Unclosed" in line]


@pytest.mark.usefixtures("what_is_there_stays")
@pytest.mark.parametrize("cause", [*CAUSES, outage])
def test_a_refused_sign_in_leaves_no_session_open(azure, other, cause, caplog):
    """In event loops, where a session that is forgotten keeps its connection and fills the log."""
    forget_tokens()
    change, _ = cause(azure, other)
    azure.connect("refused", own_connection(azure.emulator, **change))

    async def read() -> None:
        for kind, method in PLANES.values():
            with pytest.raises(ServiceError):
                async with kind("refused", retries=0) as hook:
                    await getattr(hook, f"a{method}")("p")
            assert left_open(caplog) == []

    asyncio.run(read())


@pytest.mark.usefixtures("what_is_there_stays")
def test_a_session_that_is_left_open_is_found(azure, caplog):
    async def forget() -> list[str]:
        session = aiohttp.ClientSession()
        (await session.get(azure.emulator.info.http_endpoint)).release()
        del session
        return left_open(caplog)

    assert any("Unclosed client session" in line for line in asyncio.run(forget()))
