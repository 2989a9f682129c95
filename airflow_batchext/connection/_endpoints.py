"""Where requests may go: what a URL's scheme, host and port are, read strictly, and in one way only.

URLs come from connections and from the service's answers. Libraries disagree on what an odd one means (a
backslash, ``@``, a host in other letters), so whatever is odd is refused, not repaired. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?#][!-~]*)?"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case; of IPv6 without brackets) and port of a URL."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        mapped: IPv4Address | None = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback

    @property
    def is_usual_https(self) -> bool:
        """Whether it is https at its own port."""
        return (self.scheme, self.port) == ("https", _PORTS["https"])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def origin_of(url: str) -> Origin:
    """The origin of an absolute URL.

    :raises ValueError: if it is not plainly one of http or https: with a login, with anything but ASCII
        letters, digits, dots and hyphens in its host, or with a number as host that is no IP address in the
        usual form. The text does not quote it.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("not a plain http or https URL")
    host, scheme = found["host"].lower(), found["scheme"]
    port = int(found["port"]) if found["port"] else _PORTS[scheme]
    if not 0 < port < 65536:
        raise ValueError("no such port")
    if host.startswith("["):
        return Origin(scheme, str(IPv6Address(host[1:-1])), port)
    labels = host.split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("not the name of a host")
    if _NUMBER.fullmatch(labels[-1]):
        host = str(IPv4Address(host))
    return Origin(scheme, host, port)


def is_below(host: str, suffix: str) -> bool:
    """Whether a host's name ends in a suffix, at a dot, and has more than it."""
    suffix = f".{suffix.strip('.').lower()}"
    return host.endswith(suffix) and len(host) > len(suffix)
