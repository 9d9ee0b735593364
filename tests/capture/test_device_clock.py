"""A camera's stamps come to our clock with an error that holds, whatever its clock does."""

from __future__ import annotations

import random

import pytest

from edge.capture.device_clock import DeviceClock, Latch, WallStamps
from edge.clock import MS, SECOND, ManualClock
from edge.records import TimeSource

STATED_NS = 1 * MS
ZERO_NS = 1_700_000_000 * SECOND  # where the device's clock is when ours is 0


def stamp(at_ns: int, ppm: float = 0.0) -> int:
    """The device's clock at our `at_ns`."""
    return ZERO_NS + at_ns + round(at_ns * ppm / 1e6)


def latch(at_ns: int, round_trip_ns: int, share: float = 0.5, ppm: float = 0.0) -> Latch:
    """A latch whose command reaches the device after `share` of the way."""
    return Latch(at_ns, stamp(at_ns + round(share * round_trip_ns), ppm), at_ns + round_trip_ns)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_latched_clock_is_right_within_half_a_round_trip(share: float) -> None:
    clock = DeviceClock(STATED_NS)
    clock.set_by([latch(SECOND, 9 * MS), latch(SECOND + 20 * MS, 2 * MS, share), latch(SECOND + 40 * MS, 8 * MS)])
    exposed_ns = SECOND + 50 * MS
    captured = clock.captured(stamp(exposed_ns), exposed_ns + 7 * MS)
    assert captured.source is TimeSource.SENSOR
    assert abs(captured.at_ns - exposed_ns) <= captured.err_ns <= MS + 10_000


@pytest.mark.parametrize("ppm", [-90, 90])
def test_the_error_grows_with_the_drift_since_the_latch(ppm: float) -> None:
    clock = DeviceClock(STATED_NS)
    clock.set_by([latch(SECOND, 100_000, ppm=ppm)])
    for seconds in (1, 10, 60):
        exposed_ns = SECOND + seconds * SECOND
        captured = clock.captured(stamp(exposed_ns, ppm), exposed_ns + 12 * MS)
        assert abs(captured.at_ns - exposed_ns) <= captured.err_ns <= 50_000 + seconds * 110_000 + 2_000


def test_frames_by_another_clock_than_the_latched_one_are_noticed() -> None:
    clock = DeviceClock(STATED_NS)
    clock.set_by([Latch(SECOND, 5 * SECOND, SECOND + MS)])
    captured = clock.captured(stamp(2 * SECOND), 2 * SECOND + 3 * MS)
    assert captured.source is TimeSource.DEVICE
    assert not clock.is_latched
    assert captured.at_ns == 2 * SECOND + 3 * MS


def test_without_a_latch_the_fastest_frame_of_the_last_seconds_sets_the_clock() -> None:
    clock, luck = DeviceClock(STATED_NS), random.Random(1)
    ways = [4 * MS + luck.randrange(0, 30 * MS) for _ in range(400)]
    ways[0] = 4 * MS
    errors = []
    for number, way_ns in enumerate(ways):
        exposed_ns = SECOND + number * 20 * MS
        captured = clock.captured(stamp(exposed_ns, 80), exposed_ns + way_ns)
        assert captured.source is TimeSource.DEVICE
        assert captured.err_ns == STATED_NS
        errors.append(captured.at_ns - exposed_ns - 4 * MS)
    assert max(map(abs, errors)) <= STATED_NS


def test_time_rises_and_what_a_faster_frame_corrects_is_in_the_error() -> None:
    clock = DeviceClock(STATED_NS)
    first = clock.captured(stamp(SECOND), SECOND + 40 * MS)
    second = clock.captured(stamp(SECOND + 10 * MS), SECOND + 12 * MS)
    assert second.at_ns > first.at_ns
    assert abs(second.at_ns - (SECOND + 10 * MS + 2 * MS)) <= second.err_ns
    third = clock.captured(stamp(SECOND + 60 * MS), SECOND + 63 * MS)
    assert (third.at_ns, third.err_ns) == (SECOND + 62 * MS, STATED_NS)


def test_a_camera_whose_clock_was_set_is_followed() -> None:
    clock = DeviceClock(STATED_NS)
    clock.captured(stamp(SECOND), SECOND + MS)
    after = clock.captured(stamp(2 * SECOND) - 3_600 * SECOND, 2 * SECOND + 5 * MS)
    assert after.at_ns == 2 * SECOND + 5 * MS


def test_a_frame_without_a_stamp_counts_as_captured_when_it_arrived() -> None:
    captured = DeviceClock(STATED_NS).captured(0, 3 * SECOND)
    assert (captured.at_ns, captured.err_ns, captured.source) == (3 * SECOND, STATED_NS, TimeSource.ARRIVAL)


def test_a_stamp_of_the_wall_clock_keeps_its_age() -> None:
    clock = ManualClock(10 * SECOND)
    stamps = WallStamps(clock)
    then_ns = clock.wall_ns()
    clock.advance(80 * MS)
    assert stamps.monotonic_ns(then_ns) == 10 * SECOND


@pytest.mark.parametrize("step_ns", [-3_600 * SECOND, -40 * MS, 40 * MS, 3_600 * SECOND])
def test_a_wall_clock_that_was_set_makes_no_frame_older(step_ns: int) -> None:
    clock = ManualClock(10 * SECOND)
    stamps = WallStamps(clock)
    then_ns = clock.wall_ns()
    clock.advance(5 * MS)
    clock._wall_offset_ns += step_ns
    assert stamps.monotonic_ns(then_ns) == clock.now_ns()
    then_ns = clock.wall_ns()
    clock.advance(MS)
    assert stamps.monotonic_ns(then_ns) == clock.now_ns() - MS
