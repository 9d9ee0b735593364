"""The floor moves as a floor does: belt, sensors, valve and outputs, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS
from edge.errors import OutputError
from edge.line.events import ENCODER, TRIGGER, Counted, EdgeSeen, Event, InputBack, InputLost
from tests.conveyor.actuator import Coil, Spans, Valve
from tests.conveyor.belt import NEVER, Belt
from tests.conveyor.encoder import Encoder
from tests.conveyor.haul import Haul
from tests.conveyor.item import Item
from tests.conveyor.photo_eye import PhotoEye, Sight
from tests.conveyor.plant import Plant


class Hours:
    """A time with an agenda, and nothing else."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []

    def at(self, at_ns: int, happens: Callable[..., None], *values: object) -> None:
        self._agenda.append((at_ns, len(self._agenda), happens, values))

    def pass_ns(self, duration_ns: int) -> None:
        until_ns = self.now_ns + duration_ns
        while due := sorted(entry[:2] for entry in self._agenda if entry[0] <= until_ns)[:1]:
            entry = next(entry for entry in self._agenda if entry[:2] == due[0])
            self._agenda = [other if other is not entry else (NEVER, -1, print, ()) for other in self._agenda]
            self.now_ns = max(self.now_ns, entry[0])
            entry[2](*entry[3])
        self.now_ns = until_ns


def passed(belt: Belt, until_ns: int) -> list[tuple[int, str, bool]]:
    """What the belt passes until then: when (ms), what, and whether forwards."""
    found = []
    while belt.next_ns <= until_ns:
        at_ns = belt.next_ns
        what, _, forwards = belt.pass_next()
        found.append((at_ns // MS, what, forwards))
    return found


# --- the belt ------------------------------------------------------------------------------------------------------


def test_a_belt_passes_its_marks_at_their_places_whatever_its_speed() -> None:
    belt = Belt()
    for at_mm in (10, 30, 40):
        belt.mark(at_mm, f"{at_mm} mm", None, 0)
    assert belt.next_ns == NEVER, "it stands"
    belt.run(1.0, 0)
    assert passed(belt, 20 * MS) == [(10, "10 mm", True)]
    belt.run(0.5, 20 * MS)
    assert passed(belt, 41 * MS) == [(40, "30 mm", True)]
    belt.run(0.0, 50 * MS)
    assert belt.mm(90 * MS) == 35.0
    assert passed(belt, 90 * MS) == []


def test_a_belt_that_reverses_passes_its_marks_backwards_and_again() -> None:
    belt = Belt()
    belt.mark(10, "mark", None, 0)
    belt.run(1.0, 0)
    assert passed(belt, 15 * MS) == [(10, "mark", True)]
    belt.run(-1.0, 15 * MS)
    assert passed(belt, 25 * MS) == [(20, "mark", False)]
    belt.run(1.0, 25 * MS)
    assert passed(belt, 60 * MS) == [(30, "mark", True)]


def test_what_a_belt_has_passed_is_not_marked_any_more() -> None:
    belt = Belt()
    belt.run(1.0, 0)
    belt.mark(5, "behind", None, 10 * MS)
    belt.mark(15, "ahead", None, 10 * MS)
    assert passed(belt, 99 * MS) == [(15, "ahead", True)]


def test_marks_of_one_place_come_by_rank() -> None:
    belt = Belt()
    belt.mark(10, "rear", None, 0, rank=1)
    belt.mark(10, "front", None, 0, rank=0)
    belt.run(2.0, 0)
    assert [what for _, what, _ in passed(belt, 9 * MS)] == ["front", "rear"]


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.3, 2.0]), st.integers(1, 60)), max_size=20))
def test_forwards_and_backwards_passes_alternate_at_every_mark(legs: list[tuple[float, int]]) -> None:
    belt = Belt()
    for at_mm in range(3, 90, 7):
        belt.mark(at_mm, str(at_mm), None, 0)
    now_ms, last = 0, dict[str, bool]()
    for speed, lasts_ms in legs:
        belt.run(speed, now_ms * MS)
        now_ms += lasts_ms
        for _, what, forwards in passed(belt, now_ms * MS):
            assert last.get(what, False) is not forwards
            last[what] = forwards
    for what, ahead in last.items():
        beyond = belt.mm(now_ms * MS) - float(what)
        assert ahead is (beyond > 0) or abs(beyond) < 1e-3


# --- the gate ------------------------------------------------------------------------------------------------------


def test_a_valve_follows_its_coil_by_its_lags() -> None:
    valve = Valve(10 * MS, 4 * MS)
    valve.follow(True, 100 * MS)
    assert [valve.active(at * MS) for at in (109, 110)] == [False, True]
    valve.follow(False, 150 * MS)
    assert [valve.active(at * MS) for at in (153, 154)] == [True, False]


def test_a_pulse_shorter_than_the_valve_moves_nothing() -> None:
    valve = Valve(10 * MS, 4 * MS)
    valve.follow(True, 100 * MS)
    valve.follow(False, 101 * MS)
    assert not any(valve.active(at * MS) for at in range(100, 130))


def test_a_stuck_valve_stays_and_goes_where_the_coil_stands_when_it_is_loose() -> None:
    valve = Valve(0, 0)
    valve.stick(10 * MS)
    valve.follow(True, 20 * MS)
    assert not valve.active(30 * MS)
    valve.loosen(True, 40 * MS)
    assert valve.active(41 * MS)


def coil(confirms: bool = True, watchdog_ms: int = 0) -> tuple[Coil, Hours, list[bool]]:
    hours, moves = Hours(), list[bool]()
    return Coil(hours, 2 * MS, confirms, watchdog_ms * MS, moves.append), hours, moves


def test_a_coil_that_confirms_returns_when_it_has_obeyed() -> None:
    device, hours, moves = coil()
    assert device.write(True) == hours.now_ns == 2 * MS
    assert moves == [True]
    mute, hours, moves = coil(confirms=False)
    assert (mute.write(True), hours.now_ns, moves) == (0, 2 * MS, [True])


@pytest.mark.parametrize(("fault", "obeys"), [("fails", False), ("loses", True)])
def test_a_write_that_fails_may_have_been_obeyed(fault: str, obeys: bool) -> None:
    device, hours, _ = coil()
    device.faults.append(fault)
    with pytest.raises(OutputError):
        device.write(True)
    assert device.level is obeys
    assert device.disobeys.touch(hours.now_ns, hours.now_ns)
    device.rest()
    assert not device.disobeys.touch(hours.now_ns + 1, hours.now_ns + 1)


def test_a_coil_that_lies_says_that_it_obeyed() -> None:
    device, hours, moves = coil()
    device.faults.append("lies")
    assert device.write(True) == hours.now_ns
    assert not moves
    assert device.lied.touch(hours.now_ns, hours.now_ns)


def test_a_watchdog_trips_when_nobody_writes() -> None:
    device, hours, moves = coil(watchdog_ms=100)
    device.write(True)
    hours.pass_ns(90 * MS)
    device.write(True)
    hours.pass_ns(97 * MS)
    assert moves == [True]
    hours.pass_ns(5 * MS)
    assert moves == [True, False]


def test_spans_know_what_they_touch() -> None:
    spans = Spans()
    spans.begin(10)
    assert spans.touch(20, 30)
    assert not spans.touch(5, 9)
    spans.end(40)
    assert spans.touch(40, 50)
    assert not spans.touch(41, 50)


# --- the sensors ---------------------------------------------------------------------------------------------------


def photo_eye() -> tuple[PhotoEye, Hours, list[Event], list[str]]:
    hours, told, seen = Hours(), list[Event](), list[str]()
    sight = Sight(
        shows=lambda at_ns, item: seen.append(f"shows {item.number}"),
        missed=lambda item, counter: seen.append(f"missed {item.number} as {counter}"),
        touched=lambda item, by: seen.append(f"{by.number} touches {item.number}"),
    )
    return PhotoEye(hours, TRIGGER, 0.0, told.append, sight, Random(1)), hours, told, seen


def levels(told: list[Event]) -> list[tuple[bool, int]]:
    return [(event.edge.level, event.edge.counter) for event in told if isinstance(event, EdgeSeen)]


def passes(eye: PhotoEye, hours: Hours, item: Item) -> None:
    eye.covers(item, True)
    hours.pass_ns(30 * MS)
    eye.uncovers(item, True)
    hours.pass_ns(30 * MS)


def test_a_photo_eye_tells_each_part_once_and_a_bounce_twice() -> None:
    eye, hours, told, seen = photo_eye()
    passes(eye, hours, Item(1, 0.0, 30.0))
    assert levels(told) == [(True, 1), (False, 1)]
    passes(eye, hours, Item(2, 0.0, 30.0, bounces=True))
    assert levels(told)[2:] == [(True, 2), (False, 2), (True, 3), (False, 3)]
    assert seen == ["shows 1", "shows 2", "shows 2"]


def test_a_photo_eye_sees_parts_that_touch_as_one() -> None:
    eye, hours, told, seen = photo_eye()
    first, second = Item(1, 0.0, 30.0), Item(2, 30.0, 30.0)
    eye.covers(first, True)
    eye.covers(second, True)
    eye.uncovers(first, True)
    hours.pass_ns(30 * MS)
    eye.uncovers(second, True)
    hours.pass_ns(30 * MS)
    assert levels(told) == [(True, 1), (False, 1)]
    assert seen == ["shows 1", "2 touches 1"]


def test_a_missed_part_shows_in_the_counter_of_the_next() -> None:
    eye, hours, told, seen = photo_eye()
    eye.skips = 1
    passes(eye, hours, Item(1, 0.0, 30.0))
    passes(eye, hours, Item(2, 0.0, 30.0))
    assert levels(told) == [(True, 2), (False, 2)]
    assert seen == ["missed 1 as 1", "shows 2"]


def test_a_part_that_is_only_seen_to_go_shows_in_the_counter_at_once() -> None:
    eye, hours, told, seen = photo_eye()
    eye.skips, eye.tells_going = 1, True
    passes(eye, hours, Item(1, 0.0, 30.0))
    passes(eye, hours, Item(2, 0.0, 30.0))
    assert levels(told) == [(False, 1), (True, 2), (False, 2)]
    assert seen == ["missed 1 as 1", "shows 2"]


def test_a_lost_photo_eye_tells_nothing_but_that() -> None:
    eye, hours, told, _ = photo_eye()
    eye.lose(told_after_ms=20)
    passes(eye, hours, Item(1, 0.0, 30.0))
    eye.find()
    hours.pass_ns(MS)
    assert [type(event) for event in told] == [InputLost, InputBack]


def test_an_encoder_counts_the_belt_wraps_loses_and_freezes() -> None:
    hours, belt, told = Hours(), Belt(), list[Event]()
    plant = Plant(encoder=True, per_mm=1_000.0, bits=16, poll=10.0)
    encoder = Encoder(hours, belt, plant, told.append, lambda: 0)
    belt.run(1.0, 0)
    encoder.open()
    hours.pass_ns(101 * MS)
    counts = [event.counter for event in told if isinstance(event, Counted)]
    assert told[0] == InputBack(ENCODER)
    assert counts == [number * 10_000 % 65_536 for number in range(11)]
    encoder.lose(1.0)
    assert encoder.counter() == (101_000 - 1_000) % 65_536
    encoder.begin_anew()
    assert encoder.counter() == 0
    encoder.freeze()
    hours.pass_ns(50 * MS)
    assert encoder.counter() == 0
    encoder.thaw()
    hours.pass_ns(10 * MS)
    assert encoder.counter() == 10_000


def test_an_encoder_that_was_not_read_for_long_is_lost_and_opened_again() -> None:
    hours, belt, told = Hours(), Belt(), list[Event]()
    stopped_ns = [0]
    encoder = Encoder(hours, belt, Plant(encoder=True, poll=10.0), told.append, lambda: stopped_ns[0])
    encoder.open()
    hours.pass_ns(15 * MS)
    stopped_ns[0] = 150 * MS
    hours.pass_ns(300 * MS)
    assert [type(event) for event in told if not isinstance(event, Counted)] == [InputBack, InputLost, InputBack]


def test_a_belt_follows_the_permit_by_its_ramps() -> None:
    hours, belt, changes = Hours(), Belt(), list[int]()
    plant = Plant(permits=True, coast=40.0, tight=1.0)
    haul = Haul(hours, belt, plant, lambda: changes.append(hours.now_ns // MS), lambda event: None, Random(1))
    assert belt.speed == 0
    haul.permit(True)
    hours.pass_ns(round(plant.run_up + 1) * MS)
    full = belt.speed
    assert full == pytest.approx(plant.speed, rel=plant.speed_error)
    haul.permit(False)
    hours.pass_ns(20 * MS)
    assert 0 < belt.speed < full
    hours.pass_ns(21 * MS)
    assert belt.speed == 0
    assert len(changes) == 2
