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


def _agent(pattern: str, ends: date, source: str, instead: str, *, is_refused: bool = True) -> Retirement:
    return Retirement(rf"batch\.node\.{pattern}", "this node agent", ends, source, instead, is_refused)


_AGENTS_END = date(2024, 12, 31)
AGENTS: Final = (
    _agent(r"ubuntu (?:12|14|16|18)\.04", _AGENTS_END, _AGENTS_2024, _UBUNTU),
    _agent(r"ubuntu 20\.04", date(2025, 4, 23), _FOCAL, _UBUNTU),
    _agent(r"ubuntu 22\.04", date(2027, 6, 1), _JAMMY, _UBUNTU, is_refused=False),
    _agent(r"centos [5-8]", _AGENTS_END, _AGENTS_2024, _ENTERPRISE),
    _agent(r"debian (?:[7-9]|10)", _AGENTS_END, _AGENTS_2024, _DEBIAN),
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


def _size(pattern: str, series: str, ends: date, instead: str, *, is_refused: bool = True) -> Retirement:
    title, instead = f"this size (series {series})", f"a size such as STANDARD_{instead}"
    return Retirement(f"Standard_{pattern}", title, ends, _SIZES, instead, is_refused)


_FIRST_GPU = date(2023, 9, 6)
_SUMMER = date(2024, 8, 31)
SIZES: Final = (
    Retirement(
        r"(?:Basic_A[0-4]|Standard_A(?:[0-9]|1[01]))",
        "this size (series Av1)",
        _SUMMER,
        _SIZES,
        "a size such as STANDARD_D2S_V5",
    ),
    _size(r"NC(?:6|12|24)r?(?:_Promo)?", "NC", _FIRST_GPU, "NC4AS_T4_V3"),
    _size(r"NC(?:6|12|24)r?s_v2", "NCv2", _FIRST_GPU, "NC4AS_T4_V3"),
    _size(r"NC(?:6|12|24)r?s_v3", "NCv3", date(2025, 9, 30), "NC24ADS_A100_V4"),
    _size(r"ND(?:6|12|24)r?s", "ND", _FIRST_GPU, "NC24ADS_A100_V4"),
    _size(r"NV(?:6|12|24)(?:_Promo)?", "NV", _FIRST_GPU, "NV6ADS_A10_V5"),
    _size("HB60rs", "HB", _SUMMER, "HB120RS_V3", is_refused=False),
    _size(
        r"(?:DS?(?:[1-4]|1[1-5])i?(?:_v2)?(?:_Promo)?|L(?:4|8|16|32)s)",
        "D, Ds, Dv2, Dsv2, Ls",
        date(2028, 5, 1),
        "D2S_V5",
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
