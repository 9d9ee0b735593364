"""What others can cause at will is told now and then, and always counted."""

from __future__ import annotations

from edge.clock import SECOND
from edge.plc.seldom import Seldom


def test_the_same_is_told_once_in_ten_seconds_with_a_count() -> None:
    seldom = Seldom()
    assert seldom.words("a", "knocked", 0, ": 1") == "a knocked: 1"
    assert [seldom.words("a", "knocked", at * SECOND) for at in range(1, 10)] == [""] * 9
    assert seldom.words("b", "knocked", 5 * SECOND) == "b knocked"
    assert seldom.words("a", "knocked something else", 5 * SECOND) == "a knocked something else"
    assert seldom.words("a", "knocked", 10 * SECOND) == "a knocked (9 more like this since the last word about it)"
    assert seldom.count == 13


def test_many_peers_at_once_share_one_word() -> None:
    seldom = Seldom(max_kinds=3)
    told = [seldom.words(f"peer {number}", "knocked", 0) for number in range(10)]
    assert [bool(words) for words in told] == [True] * 4 + [False] * 6
    assert seldom.words("peer 9", "knocked", 20 * SECOND) == "peer 9 knocked", "the old ones are forgotten"
