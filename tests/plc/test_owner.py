"""Who may connect, who may write, and how often a refusal is told."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from edge.clock import MS, SECOND
from edge.plc.owner import Owner, Refusals, is_peer

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


def test_the_same_refusal_is_told_once_in_ten_seconds_with_a_count() -> None:
    refusals = Refusals()
    assert refusals.words("a", "tried", 0, ": 1") == "a tried: 1"
    assert [refusals.words("a", "tried", at * SECOND) for at in range(1, 10)] == [""] * 9
    assert refusals.words("b", "tried", 5 * SECOND) == "b tried"
    assert refusals.words("a", "tried something else", 5 * SECOND) == "a tried something else"
    assert refusals.words("a", "tried", 10 * SECOND) == "a tried (9 more like this since the last word about it)"
    assert refusals.count == 13


def test_many_peers_at_once_share_one_word() -> None:
    refusals = Refusals(max_kinds=3)
    told = [refusals.words(f"peer {number}", "tried", 0) for number in range(10)]
    assert [bool(words) for words in told] == [True] * 4 + [False] * 6
    assert refusals.words("peer 9", "tried", 20 * SECOND) == "peer 9 tried", "the old ones are forgotten"
