"""NoticedEdges from what a source noticed: times, bounces, and changes that nobody saw."""

from __future__ import annotations

from edge.clock import MS
from edge.line.inputs.noticed import NoticedEdges
from edge.records import Edge, TimeSource


def edges_of(debounce_ms: float = 0.0, err_ns: int = 0) -> NoticedEdges:
    edges = NoticedEdges(TimeSource.KERNEL, round(debounce_ms * MS), err_ns)
    edges.start(False, 0)
    return edges


def taken(edges: NoticedEdges) -> list[Edge]:
    found = []
    while (edge := edges.take()) is not None:
        found.append(edge)
    return found


def test_without_debounce_an_edge_comes_at_once_with_its_time_and_error() -> None:
    edges = edges_of(err_ns=7)
    edges.changed(True, 10 * MS, 10 * MS)
    edges.changed(False, 20 * MS, 22 * MS)
    assert taken(edges) == [
        Edge(True, 10 * MS, 7, TimeSource.KERNEL, 1),
        Edge(False, 21 * MS, MS + 7, TimeSource.KERNEL, 1),
    ]


def test_a_change_counts_when_it_held_and_has_the_time_of_its_beginning() -> None:
    edges = edges_of(debounce_ms=3)
    edges.changed(True, 10 * MS, 10 * MS)
    assert taken(edges) == [] and edges.due_ns == 13 * MS
    edges.held(12 * MS)
    assert taken(edges) == []
    edges.held(13 * MS)
    (rise,) = taken(edges)
    assert (rise.level, rise.at_ns, rise.err_ns, edges.due_ns) == (True, 10 * MS, 0, None)


def test_a_bounce_widens_the_window_and_a_short_pulse_is_nothing() -> None:
    edges = edges_of(debounce_ms=3)
    for at_ms, level in ((10, True), (11, False), (12, True)):
        edges.changed(level, at_ms * MS, at_ms * MS)
    edges.held(15 * MS)
    (rise,) = taken(edges)
    assert rise.at_ns - rise.err_ns <= 10 * MS and rise.at_ns + rise.err_ns >= 12 * MS
    edges.changed(False, 40 * MS, 40 * MS)
    edges.changed(True, 41 * MS, 41 * MS)
    edges.held(60 * MS)
    assert taken(edges) == []


def test_the_next_change_completes_the_one_before_when_nobody_looked_in_between() -> None:
    edges = edges_of(debounce_ms=3)
    edges.changed(True, 10 * MS, 10 * MS)
    edges.changed(False, 20 * MS, 20 * MS)
    edges.held(23 * MS)
    assert [(edge.level, edge.at_ns) for edge in taken(edges)] == [(True, 10 * MS), (False, 20 * MS)]


def test_unseen_changes_make_the_count_jump_and_levels_still_alternate() -> None:
    edges = edges_of()
    edges.changed(True, 10 * MS, 10 * MS)
    edges.changed(True, 10 * MS, 30 * MS, unseen=3)  # a fall, a part, a fall
    found = taken(edges)
    assert [edge.level for edge in found] == [True, False, True]
    assert [edge.counter for edge in found] == [1, 3, 4]
    assert found[-1].at_ns - found[-1].err_ns <= 10 * MS and found[-1].at_ns + found[-1].err_ns >= 30 * MS


def test_two_changes_to_the_same_level_hide_one_even_when_none_is_counted() -> None:
    edges = edges_of()
    edges.changed(True, 10 * MS, 10 * MS)
    edges.changed(False, 20 * MS, 20 * MS)
    edges.changed(False, 20 * MS, 40 * MS)
    found = taken(edges)
    assert [edge.level for edge in found] == [True, False, True, False]
    assert found[2].counter - found[1].counter > 1


def test_changes_unseen_within_the_debounce_time_are_a_bounce_and_hide_no_part() -> None:
    edges = edges_of(debounce_ms=3)
    edges.changed(True, 10 * MS, 10 * MS)
    edges.changed(True, 10 * MS, 11 * MS, unseen=1)
    edges.held(20 * MS)
    edges.changed(False, 50 * MS, 51 * MS, unseen=2)
    edges.held(60 * MS)
    assert [(edge.level, edge.counter) for edge in taken(edges)] == [(True, 1), (False, 1)]


def test_a_loss_in_a_long_silence_is_told_whatever_the_debounce() -> None:
    edges = edges_of(debounce_ms=3)
    edges.changed(False, 10 * MS, 50 * MS, unseen=1)
    found = taken(edges)
    assert [edge.level for edge in found] == [True, False] and found[0].counter == 2


def test_the_count_goes_on_when_it_is_started_again() -> None:
    edges = edges_of()
    edges.changed(True, MS, MS)
    edges.start(False, 10 * MS)
    edges.changed(True, 11 * MS, 11 * MS)
    assert [edge.counter for edge in taken(edges)] == [2]
