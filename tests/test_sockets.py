"""The look at the sockets finds what listens, and tells loopback from the rest."""

from __future__ import annotations

import os
import socket

import pytest

from tests.sockets import family, listeners, reachable_from_outside


def test_who_listens_is_found_and_who_does_not_is_not():
    with socket.socket() as listening, socket.socket() as bound:
        for one in (listening, bound):
            one.bind(("127.0.0.1", 0))
        listening.listen()
        ports = {port for _, port, _ in listeners(family(os.getpid()))}
        assert listening.getsockname()[1] in ports
        assert bound.getsockname()[1] not in ports


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])
def test_any_other_address_is_reachable_from_outside(address: str):
    here = {("127.0.0.1", 80, "here"), ("::1", 80, "here")}
    assert reachable_from_outside(here) == []
    assert reachable_from_outside({*here, (address, 80, "there")}) == [(address, 80, "there")]
