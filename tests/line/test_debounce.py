"""Edges from samples: bounces are one edge, disturbances are none, and the window holds the true instant."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.line.inputs.debounce import Change, Debounce


def feed(debounce: Debounce, levels: str, step: int = 1, at: int = 1) -> list[Change]:
    """One sample each `step`, taken within [t, t]; '1' is high."""
    changes = []
    for number, level in enumerate(levels):
        change = debounce.feed(level == "1", at + number * step, at + number * step)
        if change is not None:
            changes.append(change)
    return changes


def test_without_debounce_each_change_counts_between_its_two_samples() -> None:
    assert feed(Debounce(False, 0, 0), "0110") == [Change(True, 1, 2), Change(False, 3, 4)]


def test_a_change_counts_when_it_held_and_begins_with_its_first_sample() -> None:
    assert feed(Debounce(False, 0, 3), "00111111") == [Change(True, 2, 3)]


def test_a_bounce_is_one_edge_and_widens_its_window() -> None:
    changes = feed(Debounce(False, 0, 3), "001011111")
    assert changes == [Change(True, 2, 5)]


def test_a_disturbance_shorter_than_the_debounce_gives_nothing_and_leaves_no_trace() -> None:
    debounce = Debounce(False, 0, 3)
    assert feed(debounce, "011000000") == []
    assert feed(debounce, "01111", at=20) == [Change(True, 20, 21)]


def test_the_level_is_the_debounced_one() -> None:
    debounce = Debounce(True, 0, 2)
    feed(debounce, "0")
    assert debounce.level is True
    feed(debounce, "000", at=2)
    assert debounce.level is False


@settings(max_examples=100, deadline=None)
@given(
    spans=st.lists(st.integers(20, 60), min_size=1, max_size=8),
    debounce_ns=st.sampled_from([0, 1, 5]),
    polls=st.lists(st.integers(1, 4), min_size=300, max_size=300),
)
def test_every_window_holds_the_true_instant_of_a_clean_edge(
    spans: list[int], debounce_ns: int, polls: list[int]
) -> None:
    edges, now = [], 10
    for span in spans:
        edges.append(now)
        now += span
    end = now + 30

    def level_at(at: int) -> bool:
        return sum(edge <= at for edge in edges) % 2 == 1

    debounce, at, changes = Debounce(False, 0, debounce_ns), 0, []
    for wait in polls:
        begun, at = at + wait, at + wait + 1  # the level is taken somewhere between asking and the answer
        if at > end:
            break
        change = debounce.feed(level_at(begun), begun, at)
        if change is not None:
            changes.append(change)
    assert [change.level for change in changes] == [number % 2 == 0 for number in range(len(edges))]
    for change, edge in zip(changes, edges, strict=True):
        assert change.from_ns <= edge <= change.to_ns
