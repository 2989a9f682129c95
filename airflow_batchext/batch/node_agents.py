"""Which node agent belongs to which image: plain facts, from lists of supported images that were recorded.

An agent is called ``batch.node.SYSTEM VERSION``. That a system is not known here is never a proof that there
is none: only what is known of both an agent and an image can be compared.

Source: https://learn.microsoft.com/azure/batch/batch-linux-nodes
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_batchext.loose_json.values import as_text

IMAGES_PAGE: Final = "https://learn.microsoft.com/azure/batch/batch-linux-nodes"
WINDOWS_AGENT: Final = "batch.node.windows amd64"

_AGENT = re.compile(r"batch\.node\.(?P<system>[a-z]+) (?P<version>\S+)", re.IGNORECASE)
_VERSIONS: Final[Mapping[str, str]] = {
    "ubuntu": r"\d\d\.(?:04|10)",
    "debian": r"\d{1,2}",
    "centos": r"\d{1,2}",
    "el": r"\d{1,2}",
    "mariner": r"\d\.\d",
    "windows": "amd64",
}
"""How the systems that are known write their versions."""
_RELEASE = re.compile(r"(?<!\d)(?P<year>1[0-9]|2\d)[._-]?04(?!\d)")
_CODENAMES = {"trusty": "14", "xenial": "16", "bionic": "18", "focal": "20", "jammy": "22", "noble": "24"}
_MAJOR = re.compile(r"(?<!\d)(?P<major>[5-9]|1\d)(?=[._-]?\d{0,2}(?:\D|$))")
_WINDOWS_PUBLISHERS = frozenset({"microsoftwindowsserver", "microsoftwindowsdesktop"})
_ENTERPRISE_PUBLISHERS = frozenset({"almalinux", "redhat", "resf", "openlogic", "ciq", "rocky", "oracle"})
_DEBIAN_PUBLISHERS = frozenset({"debian", "credativ"})
ENTERPRISE: Final = frozenset({"el", "centos"})
"""Systems that are built alike: an image of one may do with the agent of the other."""


@dataclass(frozen=True, slots=True)
class System:
    """What a node runs, as far as a name tells: the system, in the words of node agents, and its version."""

    name: str
    version: str = ""

    @property
    def agent(self) -> str:
        """The id of its node agent, "" if its version is not known."""
        if self.name == "windows":
            return WINDOWS_AGENT
        return f"batch.node.{self.name} {self.version}" if self.version else ""


def system_of_agent(agent: str) -> System | None:
    """What an agent's id says, None if it says nothing that is known."""
    match = _AGENT.fullmatch(agent.strip())
    if match is None:
        return None
    name, version = match["system"].casefold(), match["version"].casefold()
    return System(name, version) if re.fullmatch(_VERSIONS.get(name, ".*"), version) else None


def is_malformed(agent: str) -> bool:
    """Whether this cannot be an agent's id, though it begins like one."""
    spelt = agent.strip()
    return spelt.casefold().startswith("batch.node.") and system_of_agent(spelt) is None


def likely_agent(agent: str) -> str:
    """The id that was probably meant by a malformed one, "" if nobody can tell."""
    found = re.match(r"batch\.node\.(?P<system>[a-z]+)[\s._-]*(?P<version>.*)", agent.strip(), re.IGNORECASE)
    if found is None:
        return ""
    name, version = found["system"].casefold(), re.sub(r"[_\s-]+", ".", found["version"].strip(" .-_"))
    if name.startswith("windows"):
        return WINDOWS_AGENT
    if name == "ubuntu" and re.fullmatch(r"\d{4}", version):
        version = f"{version[:2]}.{version[2:]}"
    if name in ("debian", "centos", "el"):
        version = version.partition(".")[0]
    meant = f"batch.node.{name} {version}"
    return meant if name in _VERSIONS and system_of_agent(meant) is not None else ""


def system_of_image(image: Mapping[str, Any]) -> System | None:
    """What a marketplace image runs, where publisher, offer and sku tell."""
    publisher, offer, sku = (_text(image.get(member)) for member in ("publisher", "offer", "sku"))
    if publisher in _WINDOWS_PUBLISHERS or offer.startswith(("windows", "dsvm-win")):
        return System("windows", "amd64")
    if publisher == "canonical" or offer.startswith("ubuntu"):
        return System("ubuntu", _ubuntu_release(offer, sku))
    if publisher in _DEBIAN_PUBLISHERS or offer.startswith("debian"):
        return System("debian", _major(sku) or _major(offer))
    if publisher in _ENTERPRISE_PUBLISHERS or offer.startswith(("almalinux", "centos", "rhel", "rocky")):
        name = "centos" if offer.startswith("centos") else "el"
        return System(name, _major(sku.removeprefix("ol")) or _major(offer))
    if offer.startswith("cbl-mariner"):
        return System("mariner", "2.0" if "2" in sku else "")
    return None


def is_linux(image: Mapping[str, Any]) -> bool | None:
    """Whether a marketplace image is one of Linux; None if that cannot be told."""
    system = system_of_image(image)
    if system is not None:
        return system.name != "windows"
    return True if _text(image.get("publisher")) in ("suse", "microsoftcblmariner") else None


def _ubuntu_release(offer: str, sku: str) -> str:
    for text in (sku, offer):
        match = _RELEASE.search(text)
        if match is not None:
            return f"{match['year']}.04"
        for codename, year in _CODENAMES.items():
            if codename in text:
                return f"{year}.04"
    return ""


def _major(text: str) -> str:
    match = _MAJOR.search(text)
    return match["major"] if match else ""


def _text(value: object) -> str:
    return as_text(value).strip().casefold()
