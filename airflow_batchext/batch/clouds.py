"""The Azure clouds: where each has its management plane, its sign-in and its portal, and what it calls Batch.

Pure: data only.

Sources: azure-cli's table of clouds; ``azure.mgmt.core.tools.get_arm_endpoints`` for the scopes of the
management plane; https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cloud:
    """One Azure cloud. URLs have no trailing slash.

    :param name: as a connection names it.
    :param arm_url: the management plane.
    :param arm_scope: what a token for the management plane is asked for.
    :param authority: where tokens are issued.
    :param batch_scope: what a token for the data plane is asked for; the resource's own name ends in a slash.
    :param batch_suffix: how every account's data-plane host ends; "" if that is not known.
    :param portal_url: the web portal.
    """

    name: str
    arm_url: str
    arm_scope: str
    authority: str
    batch_scope: str
    batch_suffix: str
    portal_url: str


PUBLIC = Cloud(
    name="public",
    arm_url="https://management.azure.com",
    arm_scope="https://management.azure.com/.default",
    authority="https://login.microsoftonline.com",
    batch_scope="https://batch.core.windows.net//.default",
    batch_suffix=".batch.azure.com",
    portal_url="https://portal.azure.com",
)
US_GOVERNMENT = Cloud(
    name="usgovernment",
    arm_url="https://management.usgovcloudapi.net",
    arm_scope="https://management.core.usgovcloudapi.net/.default",
    authority="https://login.microsoftonline.us",
    batch_scope="https://batch.core.usgovcloudapi.net//.default",
    batch_suffix=".batch.usgovcloudapi.net",
    portal_url="https://portal.azure.us",
)
CHINA = Cloud(
    name="china",
    arm_url="https://management.chinacloudapi.cn",
    arm_scope="https://management.chinacloudapi.cn/.default",
    authority="https://login.chinacloudapi.cn",
    batch_scope="https://batch.chinacloudapi.cn//.default",
    batch_suffix=".batch.chinacloudapi.cn",
    portal_url="https://portal.azure.cn",
)
CLOUDS = {cloud.name: cloud for cloud in (PUBLIC, US_GOVERNMENT, CHINA)}
