"""``DefaultAzureCredential`` signs in to both planes in each way that its environment can offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.clients.conftest import Info, Story

pytestmark = pytest.mark.clients


def environment(service: Info, way: str) -> dict[str, str]:
    """The variables that a platform sets for its programs. Those in ``service`` are the emulator's own."""
    application = {
        "AZURE_CLIENT_ID": service["client_id"],
        "AZURE_TENANT_ID": service["tenant_id"],
        "AZURE_AUTHORITY_HOST": service["authority"],
    }
    identity, header = service["identity_endpoint"], service["identity_header"]
    ways = {
        "a secret": {**application, "AZURE_CLIENT_SECRET": service["client_secret"]},
        "a secret, in a tenant of AD FS": {
            **application,
            "AZURE_TENANT_ID": "adfs",
            "AZURE_CLIENT_SECRET": service["client_secret"],
        },
        "a certificate": {
            **application,
            "AZURE_CLIENT_CERTIFICATE_PATH": service["client_certificate"],
        },
        "workload identity": {**application, "AZURE_FEDERATED_TOKEN_FILE": service["federated_token_file"]},
        "App Service": {"IDENTITY_ENDPOINT": identity, "IDENTITY_HEADER": header},
        "Azure ML": {"MSI_ENDPOINT": identity, "MSI_SECRET": header},
        "Cloud Shell": {"MSI_ENDPOINT": identity},
        "a virtual machine": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": service["http_endpoint"]},
    }
    trust = {"REQUESTS_CA_BUNDLE": service["ca_bundle"], "SSL_CERT_FILE": service["ca_bundle"]}
    return {**ways[way], **trust}


WAYS = [
    "a secret",
    "a secret, in a tenant of AD FS",
    "a certificate",
    "workload identity",
    "App Service",
    "Azure ML",
    "Cloud Shell",
    "a virtual machine",
]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("way", WAYS)
def test_both_planes_are_open(tell: Story, service: Info, way: str, mode: str) -> None:
    seen = tell(None, "identity.py", mode, **environment(service, way))
    assert seen == {"pools": True, "account": service["account"]}
