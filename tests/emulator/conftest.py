"""One emulator for the whole session, with a clock that stands still, and real SDK clients for it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from azure.batch import BatchClient
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.identity import ClientSecretCredential
from azure.mgmt.batch import BatchManagementClient

from .pool_documents import management_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from airflow_batchext.emulator import Emulator

MANAGEMENT_SCOPE = "https://management.azure.com/.default"
_numbers = itertools.count()


def credential_for(running: Emulator, **changes: Any) -> ClientSecretCredential:
    info = running.info
    arguments = {
        "tenant_id": info.tenant_id,
        "client_id": info.client_id,
        "client_secret": info.client_secret,
        "authority": info.authority,
        "disable_instance_discovery": True,
        "connection_verify": info.ca_bundle,
        **changes,
    }
    return ClientSecretCredential(**arguments)


@pytest.fixture(scope="session")
def running(running_emulator: Emulator) -> Emulator:
    return running_emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """The emulator as if just started: no pools, the default scenario, nothing recorded."""
    running.reset()
    return running


@pytest.fixture
def name() -> str:
    return f"pool-{next(_numbers)}"


@pytest.fixture(scope="session")
def credential(running: Emulator) -> ClientSecretCredential:
    running.reset()  # a test before may have rotated what is read here
    return credential_for(running)


@pytest.fixture(scope="session")
def session_management(
    running: Emulator, credential: ClientSecretCredential
) -> Iterator[BatchManagementClient]:
    with BatchManagementClient(
        credential,
        running.info.subscription_id,
        base_url=running.info.arm_endpoint,
        credential_scopes=[MANAGEMENT_SCOPE],
        connection_verify=running.info.ca_bundle,
    ) as client:
        yield client


@pytest.fixture(scope="session")
def session_batch(running: Emulator) -> Iterator[BatchClient]:
    """The data plane over plain HTTP with the shared key."""
    running.reset()  # a test before may have rotated what is read here
    info = running.info
    with BatchClient(info.http_endpoint, AzureNamedKeyCredential(info.account, info.key)) as client:
        yield client


@pytest.fixture(scope="session")
def session_batch_with_token(running: Emulator, credential: ClientSecretCredential) -> Iterator[BatchClient]:
    """The data plane over HTTPS with a token."""
    info = running.info
    with BatchClient(info.batch_endpoint, credential, connection_verify=info.ca_bundle) as client:
        yield client


@pytest.fixture
def management(emulator: Emulator, session_management: BatchManagementClient) -> BatchManagementClient:
    """The client of the management plane."""
    return session_management


@pytest.fixture
def batch(emulator: Emulator, session_batch: BatchClient) -> BatchClient:
    """The client of the data plane, with a shared key."""
    return session_batch


@pytest.fixture
def batch_with_token(emulator: Emulator, session_batch_with_token: BatchClient) -> BatchClient:
    """The client of the data plane, with a token."""
    return session_batch_with_token


@pytest.fixture
async def async_batch(emulator: Emulator) -> AsyncIterator[AsyncBatchClient]:
    info = emulator.info
    async with AsyncBatchClient(
        info.http_endpoint,
        AzureNamedKeyCredential(info.account, info.key),  # type: ignore[arg-type]
    ) as client:
        yield client


@pytest.fixture
def put_pool(emulator: Emulator, management: BatchManagementClient) -> Callable[..., Any]:
    """PUT a pool document through the management plane."""

    def put(pool_name: str, document: dict[str, Any], **options: Any) -> Any:
        info = emulator.info
        return management.pool.create(info.resource_group, info.account, pool_name, document, **options)

    return put


@pytest.fixture
def ready_pool(emulator: Emulator, put_pool: Callable[..., Any], name: str) -> Callable[..., str]:
    """Create a pool and let the time pass until all its nodes are idle; returns its name."""

    def ready(nodes: int = 1, *extensions: dict[str, Any], **properties: Any) -> str:
        put_pool(name, management_pool(nodes, *extensions, **properties))
        emulator.clock.advance(200)
        return name

    return ready
