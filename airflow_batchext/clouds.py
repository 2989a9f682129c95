"""The Azure clouds: where each has its management plane, its sign-in and its portal, and what it calls Batch.

Pure: data only.

Source: https://learn.microsoft.com/azure/batch/batch-account-create-portal and azure-cli's table of clouds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cloud:
    """One Azure cloud. URLs have no trailing slash.

    :param name: as a connection names it.
    :param arm_url: the management plane.
    :param authority: where tokens are issued.
    :param batch_scope: what a token for the data plane is asked for.
    :param batch_suffix: how every account's data-plane host ends.
    :param portal_url: the web portal.
    """

    name: str
    arm_url: str
    authority: str
    batch_scope: str
    batch_suffix: str
    portal_url: str

    @property
    def arm_scope(self) -> str:
        """What a token for the management plane is asked for."""
        return f"{self.arm_url}/.default"


PUBLIC = Cloud(
    name="public",
    arm_url="https://management.azure.com",
    authority="https://login.microsoftonline.com",
    batch_scope="https://batch.core.windows.net/.default",
    batch_suffix=".batch.azure.com",
    portal_url="https://portal.azure.com",
)
US_GOVERNMENT = Cloud(
    name="usgovernment",
    arm_url="https://management.usgovcloudapi.net",
    authority="https://login.microsoftonline.us",
    batch_scope="https://batch.core.usgovcloudapi.net/.default",
    batch_suffix=".batch.usgovcloudapi.net",
    portal_url="https://portal.azure.us",
)
CHINA = Cloud(
    name="china",
    arm_url="https://management.chinacloudapi.cn",
    authority="https://login.chinacloudapi.cn",
    batch_scope="https://batch.chinacloudapi.cn/.default",
    batch_suffix=".batch.chinacloudapi.cn",
    portal_url="https://portal.azure.cn",
)
CLOUDS = {cloud.name: cloud for cloud in (PUBLIC, US_GOVERNMENT, CHINA)}
