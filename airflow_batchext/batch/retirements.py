"""What Azure has retired, or has said that it will: node agents, sizes of machines, extensions. Plain facts.

Each line says when, and who says so. Only what is known to be refused by now has ``is_refused``; of a date
that was announced nobody knows here what became of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

NEAR: Final = timedelta(days=180)
"""An end that is no further away than this is worth a warning: a pool may live as long."""

_AGENTS_2024 = "https://github.com/Azure/Batch/issues/180"
_FOCAL = "https://github.com/Azure/Batch/issues/174"
_JAMMY = "https://github.com/Azure/Batch/issues/197"
_WINDOWS_2016 = "https://github.com/Azure/Batch/issues/200"
_SIZES = "https://learn.microsoft.com/azure/virtual-machines/sizes/retirement/retired-sizes-list"
_LOGS = "https://learn.microsoft.com/azure/azure-monitor/agents/log-analytics-agent"
_DIAGNOSTICS = "https://learn.microsoft.com/azure/azure-monitor/agents/diagnostics-extension-overview"


@dataclass(frozen=True, slots=True)
class Retirement:
    """The end of something.

    :param pattern: which names it is about; the whole name has to match, in upper or lower case.
    :param title: what it is called in a message.
    :param ends: the first day on which it is no more.
    :param source: the page that says so.
    :param instead: what to take.
    :param is_refused: whether new pools with it are known to be refused.
    """

    pattern: str
    title: str
    ends: date
    source: str
    instead: str
    is_refused: bool = True

    def is_about(self, name: str) -> bool:
        """Whether it is about this name."""
        return re.fullmatch(self.pattern, name.strip(), re.IGNORECASE) is not None

    def is_near(self, today: date) -> bool:
        """Whether the end has come or is near."""
        return self.is_refused or today >= self.ends - NEAR


_UBUNTU = "batch.node.ubuntu 24.04, with the image canonical / ubuntu-24_04-lts / server"
_ENTERPRISE = "batch.node.el 9, with an image of AlmaLinux 9"
_DEBIAN = "batch.node.debian 12, with an image of Debian 12"

AGENTS: Final = (
    Retirement(
        r"batch\.node\.ubuntu (?:12|14|16|18)\.04",
        "this node agent",
        date(2024, 12, 31),
        _AGENTS_2024,
        _UBUNTU,
    ),
    Retirement(r"batch\.node\.ubuntu 20\.04", "this node agent", date(2025, 4, 23), _FOCAL, _UBUNTU),
    Retirement(
        r"batch\.node\.ubuntu 22\.04",
        "this node agent",
        date(2027, 6, 1),
        _JAMMY,
        _UBUNTU,
        is_refused=False,
    ),
    Retirement(
        r"batch\.node\.centos [5-8]", "this node agent", date(2024, 12, 31), _AGENTS_2024, _ENTERPRISE
    ),
    Retirement(
        r"batch\.node\.debian (?:[7-9]|10)", "this node agent", date(2024, 12, 31), _AGENTS_2024, _DEBIAN
    ),
)
"""Ends of node agents; of Ubuntu 22.04 and Windows Server 2016 the month is announced, not the day."""

IMAGES: Final = (
    Retirement(
        r"microsoftwindowsserver/windowsserver(?:semiannual)?/2016-.*",
        "this image (Windows Server 2016)",
        date(2027, 1, 1),
        _WINDOWS_2016,
        "an image of Windows Server 2022",
        is_refused=False,
    ),
)
"""Ends of images whose node agent goes on, by publisher/offer/sku."""

SIZES: Final = (
    Retirement(
        r"(?:Basic_A[0-4]|Standard_A(?:[0-9]|1[01]))",
        "this size (series Av1)",
        date(2024, 8, 31),
        _SIZES,
        "a size such as STANDARD_D2S_V5",
    ),
    Retirement(
        r"Standard_NC(?:6|12|24)r?(?:_Promo)?",
        "this size (series NC)",
        date(2023, 9, 6),
        _SIZES,
        "a size such as STANDARD_NC4AS_T4_V3",
    ),
    Retirement(
        r"Standard_NC(?:6|12|24)r?s_v2",
        "this size (series NCv2)",
        date(2023, 9, 6),
        _SIZES,
        "a size such as STANDARD_NC4AS_T4_V3",
    ),
    Retirement(
        r"Standard_NC(?:6|12|24)r?s_v3",
        "this size (series NCv3)",
        date(2025, 9, 30),
        _SIZES,
        "a size such as STANDARD_NC24ADS_A100_V4",
    ),
    Retirement(
        r"Standard_ND(?:6|12|24)r?s",
        "this size (series ND)",
        date(2023, 9, 6),
        _SIZES,
        "a size such as STANDARD_NC24ADS_A100_V4",
    ),
    Retirement(
        r"Standard_NV(?:6|12|24)(?:_Promo)?",
        "this size (series NV)",
        date(2023, 9, 6),
        _SIZES,
        "a size such as STANDARD_NV6ADS_A10_V5",
    ),
    Retirement(
        r"Standard_HB60rs",
        "this size (series HB)",
        date(2024, 8, 31),
        _SIZES,
        "a size such as STANDARD_HB120RS_V3",
        is_refused=False,
    ),
    Retirement(
        r"Standard_(?:DS?(?:[1-4]|1[1-5])i?(?:_v2)?(?:_Promo)?|L(?:4|8|16|32)s)",
        "this size (series D, Ds, Dv2, Dsv2, Ls)",
        date(2028, 5, 1),
        _SIZES,
        "a size such as STANDARD_D2S_V5",
        is_refused=False,
    ),
)

EXTENSIONS: Final = (
    Retirement(
        r"Microsoft\.EnterpriseCloud\.Monitoring/(?:OmsAgentForLinux|MicrosoftMonitoringAgent)",
        "the Log Analytics agent",
        date(2024, 8, 31),
        _LOGS,
        "the Azure Monitor agent (Microsoft.Azure.Monitor)",
        is_refused=False,
    ),
    Retirement(
        r"Microsoft\.Azure\.Diagnostics/(?:IaaSDiagnostics|LinuxDiagnostic)"
        r"|Microsoft\.OSTCExtensions/LinuxDiagnostic",
        "the Azure Diagnostics extension",
        date(2026, 3, 31),
        _DIAGNOSTICS,
        "the Azure Monitor agent (Microsoft.Azure.Monitor)",
        is_refused=False,
    ),
)
"""Ends of extensions, by publisher/type. Whether Azure still installs them is not known: it may."""


def retirement_of(name: str, table: Sequence[Retirement]) -> Retirement | None:
    """The end of what has this name, if one is known."""
    return next((entry for entry in table if entry.is_about(name)), None)
