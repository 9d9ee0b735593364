"""Who may connect, and who may write."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from edge.clock import MS
from edge.plc.owner import Owner, is_peer

PEERS = [ip_network("192.0.2.0/28"), ip_network("2001:db8::5/128")]


@pytest.mark.parametrize("host", ["192.0.2.1", "192.0.2.15", "2001:db8::5", "::ffff:192.0.2.3", "2001:db8::5%eth0"])
def test_an_address_of_the_list_is_a_peer(host: str) -> None:
    assert is_peer(host, PEERS)


@pytest.mark.parametrize("host", ["192.0.2.16", "2001:db8::6", "", "plc", "192.0.2", "::ffff:192.0.2.99"])
def test_any_other_is_none(host: str) -> None:
    assert not is_peer(host, PEERS)


def test_nobody_is_a_peer_of_an_empty_list() -> None:
    assert not is_peer("127.0.0.1", [])


def test_the_first_writer_owns_the_points_until_it_is_silent() -> None:
    owner = Owner(500 * MS)
    assert owner.host == ""
    assert owner.admits("a", 0)
    assert not owner.admits("b", 499 * MS)
    assert owner.admits("a", 499 * MS), "its own writes keep it the owner"
    assert not owner.admits("b", 998 * MS)
    assert owner.admits("b", 999 * MS) and owner.host == "b"
    assert not owner.admits("a", 1_000 * MS)
