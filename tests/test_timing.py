"""Percentiles are of what was measured, in memory that does not grow."""

from edge.clock import MS
from edge.timing import STAGES, Series, Stamps, Timing, percentile


def test_a_percentile_is_the_smallest_value_that_its_share_does_not_exceed() -> None:
    ordered = list(range(1, 101))
    assert [percentile(ordered, share) for share in (0.5, 0.99, 0.999, 1.0)] == [50, 99, 100, 100]
    assert percentile([7], 0.5) == 7


def test_the_summary_of_nothing_is_none_and_not_zero() -> None:
    assert Series().summary(MS) == {"p50": None, "p90": None, "p99": None, "p999": None, "max": None}


def test_a_full_series_keeps_the_newest_and_the_maximum_of_all() -> None:
    series = Series(capacity=4)
    for value in (90, 1, 2, 3, 4, 5):
        series.add(value)
    assert series.newest() == [2, 3, 4, 5]
    assert series.newest(3) == [3, 4, 5]
    assert (series.count, series.summary(1)["max"]) == (6, 90)


def test_the_newest_values_are_found_across_the_end_of_the_memory() -> None:
    series = Series(capacity=5)
    for value in range(7):
        series.add(value)
    assert series.newest(3) == [4, 5, 6]
    assert series.newest(1) == [6]


def test_a_maximum_below_zero_is_reported_as_it_is() -> None:
    series = Series()
    series.add(-5)
    assert series.summary(1)["max"] == -5


def test_every_stage_of_a_part_is_measured_in_milliseconds() -> None:
    timing = Timing()
    timing.view(Stamps(MS, 3 * MS, 7 * MS // 2, 4 * MS, 5 * MS, 9 * MS, 10 * MS))
    timing.free(4 * MS, 21 * MS // 2)
    timing.decided(3 * MS, 11 * MS)
    timing.released(3 * MS, 15 * MS)
    p50 = {stage: numbers["p50"] for stage, numbers in timing.summary().items()}
    assert tuple(p50) == STAGES
    assert list(p50.values()) == [2, 0.5, 1, 4, 1, 1.5, 6.5, 8, 12]
    assert timing.recent_ms("engine", 0.99) == 4
    assert Timing().recent_ms("engine", 0.99) is None
