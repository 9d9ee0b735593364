"""Counts prove what exact binomial statistics say they prove."""

import pytest
from scipy.stats import binom

from calibration.bounds import lower_bound, most_events, trials_needed, upper_bound


@pytest.mark.parametrize(
    ("trials", "bounds"),
    [
        (10, (25.9, 39.4, 50.7, 77.8)),
        (20, (13.9, 21.6, 28.3, 45.6)),
        (30, (9.5, 14.9, 19.5, 31.9)),
        (50, (5.8, 9.1, 12.1, 19.9)),
        (100, (2.95, 4.7, 6.2, 10.2)),
        (300, (0.99, 1.6, 2.1, 3.5)),
        (1000, (0.30, 0.47, 0.63, 1.05)),
    ],
)
def test_the_bound_is_that_of_the_published_tables(trials, bounds):
    for events, percent in zip((0, 1, 2, 5), bounds, strict=True):
        digits = 2 if percent < 1 or percent in (2.95, 1.05) else 1
        assert round(100 * upper_bound(events, trials), digits) == percent


@pytest.mark.parametrize(("events", "trials", "confidence"), [(0, 7, 0.95), (3, 50, 0.9), (17, 200, 0.99)])
def test_at_the_bound_so_few_events_have_just_the_probability_that_is_left(events, trials, confidence):
    rate = upper_bound(events, trials, confidence)
    assert binom.cdf(events, trials, rate) == pytest.approx(1 - confidence)


def test_so_many_events_have_just_the_probability_that_is_left_at_the_lower_bound():
    rate = lower_bound(3, 12)
    assert binom.sf(2, 12, rate) == pytest.approx(0.05)
    assert (lower_bound(0, 12), lower_bound(0, 0)) == (0.0, 0.0)


def test_nothing_tried_proves_nothing():
    assert upper_bound(0, 0) == 1.0
    assert upper_bound(4, 4) == 1.0
    assert most_events(0, 0.05) == -1


@pytest.mark.parametrize(
    ("rate", "sizes"),
    [(0.1, (29, 22)), (0.05, (59, 45)), (0.03, (99, 76)), (0.02, (149, 114)), (0.01, (299, 230)),
     (0.005, (598, 460)), (0.001, (2995, 2302))],
)  # fmt: skip
def test_this_many_defects_without_a_miss_prove_a_rate(rate, sizes):
    assert (trials_needed(rate, 0.95), trials_needed(rate, 0.9)) == sizes
    assert upper_bound(0, sizes[0]) <= rate < upper_bound(0, sizes[0] - 1)


@pytest.mark.parametrize("trials", [58, 59, 92, 93, 160, 1000])
def test_one_miss_more_than_allowed_breaks_the_bound(trials):
    allowed = most_events(trials, 0.05)
    assert allowed == -1 or upper_bound(allowed, trials) <= 0.05
    assert upper_bound(allowed + 1, trials) > 0.05
    assert trials_needed(0.05, events=allowed + 1) > trials


@pytest.mark.parametrize(("events", "trials"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(events, trials):
    with pytest.raises(ValueError, match="events in"):
        upper_bound(events, trials)
