"""The encoder's axis follows the belt through wraps, stops and jogs, and never tells the gate a place twice."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS, SECOND
from edge.line.axis import EncoderAxis, EncoderScale, Seen, TimeAxis

POLL = 5 * MS
MAX = 10_000  # counts per second
SCALE = EncoderScale(bits=16, max_per_s=MAX, lead_ns=12 * MS, reverse=40, stale_ns=60 * MS)


@dataclass
class Belt:
    """A belt that keeps a speed from sample to sample; `place` is where it truly is."""

    counter: int
    axis: EncoderAxis = field(default_factory=lambda: EncoderAxis(SCALE))
    place: int = 0
    now_ns: int = 0

    def __post_init__(self) -> None:
        assert self.axis.sample(self.counter, self.now_ns) is Seen.RESET

    def run(self, per_poll: int, polls: int = 1) -> list[Seen]:
        return [self.step(per_poll) for _ in range(polls)]

    def step(self, per_poll: int) -> Seen:
        self.now_ns += POLL
        self.place += per_poll
        return self.axis.sample((self.counter + self.place) % (1 << SCALE.bits), self.now_ns)


SPEEDS = st.lists(st.tuples(st.integers(0, MAX // 200), st.integers(1, 40)), min_size=1, max_size=30)


@given(st.integers(0, 65_535), SPEEDS)
def test_the_place_is_that_of_the_belt_whatever_the_counter_wraps_through(
    start: int, speeds: list[tuple[int, int]]
) -> None:
    belt = Belt(start)
    for per_poll, polls in speeds:
        assert set(belt.run(per_poll, polls)) == {Seen.FINE}
        assert belt.axis.place(belt.now_ns) == belt.place
        halfway = belt.axis.place(belt.now_ns - POLL // 2)
        assert belt.place - per_poll <= halfway <= belt.place


@given(SPEEDS, st.integers(1, 400))
def test_an_edge_is_due_when_the_gate_that_is_written_then_meets_its_place(
    speeds: list[tuple[int, int]], ahead: int
) -> None:
    belt = Belt(0)
    front = 0
    for per_poll, polls in speeds:
        belt.run(per_poll, polls)
        here = belt.axis.here(belt.now_ns)
        assert here >= front, "the gate's place goes back"
        front = here
        due_ns = belt.axis.when_ns(here + ahead)
        if due_ns is not None:
            assert due_ns >= belt.now_ns
            assert belt.axis.here(due_ns) >= here + ahead
            front = belt.axis.here(due_ns)


def test_a_place_is_due_a_lead_before_the_belt_is_there() -> None:
    belt = Belt(0)
    belt.run(50, 10)  # 10 counts per ms
    due_ns = belt.axis.when_ns(belt.place + 300)
    assert due_ns == belt.now_ns + 30 * MS - SCALE.lead_ns


def test_nothing_is_due_while_the_belt_stands() -> None:
    belt = Belt(0)
    belt.run(50, 10)
    belt.run(0, 10)
    assert belt.axis.when_ns(belt.axis.here(belt.now_ns) + 1) is None
    assert not belt.axis.moves(belt.now_ns + SECOND)


def test_without_samples_the_belt_goes_on_for_as_long_as_one_is_good_for() -> None:
    belt = Belt(0)
    belt.run(50, 10)
    later_ns = belt.now_ns + SECOND
    assert belt.axis.stale_ns == belt.now_ns + SCALE.stale_ns
    assert belt.axis.place(later_ns) == belt.place + 600
    assert belt.axis.when_ns(belt.place + 2_000) is None


def test_a_jog_is_forgiven_and_serves_no_place_twice() -> None:
    belt = Belt(0)
    belt.run(40, 10)
    front = belt.axis.here(belt.now_ns)
    assert set(belt.run(-10, 4)) == {Seen.FINE}
    assert belt.axis.here(belt.now_ns) == front


def test_a_belt_that_runs_back_and_a_counter_that_begins_anew_go_on_ahead_of_all_that_was_planned() -> None:
    for what in (Seen.REVERSED, Seen.RESET):
        belt = Belt(30_000)
        belt.run(40, 10)
        front = belt.axis.here(belt.now_ns)
        if what is Seen.RESET:
            belt.counter += 20_000
        assert what in belt.run(-20, 3)
        assert belt.axis.place(belt.now_ns) >= front - 60
        belt.run(40, 20)
        assert belt.axis.here(belt.now_ns) > front


@pytest.mark.parametrize("gap_s", [2, 60])
def test_a_gap_in_which_the_counter_may_have_wrapped_is_a_new_beginning(gap_s: int) -> None:
    belt = Belt(0)
    belt.run(50, 10)
    belt.now_ns += gap_s * SECOND
    assert belt.step(50) is Seen.RESET


def test_counters_that_stand_at_the_same_value_after_a_restart_are_a_new_beginning_when_forgotten() -> None:
    belt = Belt(0)
    belt.run(50, 10)
    belt.axis.forget()
    assert belt.step(50) is Seen.RESET


def test_a_place_is_expected_not_later_than_the_fastest_belt_brings_it() -> None:
    belt = Belt(0)
    belt.run(10, 10)
    assert belt.axis.expected_ns(belt.place + 100, belt.now_ns) == belt.now_ns + 10 * MS


def test_on_a_timed_belt_places_are_instants() -> None:
    axis = TimeAxis()
    assert (axis.place(5), axis.here(5), axis.when_ns(5), axis.expected_ns(9, 5)) == (5, 5, 5, 9)
    assert not axis.measured and not axis.moves(5)


def test_a_belt_that_jogs_back_comes_by_places_where_it_has_been() -> None:
    belt = Belt(counter=0)
    belt.run(20, polls=10)
    furthest_ns = belt.now_ns
    belt.run(-10, polls=3)
    back_ns = belt.now_ns
    belt.run(20, polls=5)
    assert not belt.axis.ran_back(furthest_ns) and not belt.axis.ran_back(furthest_ns - POLL // 2)
    assert belt.axis.ran_back(back_ns) and belt.axis.ran_back(back_ns + POLL // 2)
    assert not belt.axis.ran_back(belt.now_ns) and not belt.axis.ran_back(belt.now_ns + POLL)
    assert not TimeAxis().ran_back(SECOND)


def test_a_belt_that_does_not_advance_stands_and_may_have_run_back_unseen() -> None:
    belt = Belt(counter=0)
    belt.run(20, polls=5)
    moving_ns = belt.now_ns
    belt.run(0, polls=5)
    assert not belt.axis.stood(moving_ns)
    assert belt.axis.stood(belt.now_ns)
    assert not TimeAxis().stood(SECOND)
