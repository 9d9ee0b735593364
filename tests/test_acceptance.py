"""What a device computes otherwise than the host is borne near the threshold, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.acceptance import Accepted, Answer, changed, refusals, too_slow
from edge.judge import has_clear_margin
from edge.records import Kind, Reason
from tests.bundles import a_manifest

ENTRY = replace(a_manifest().models[0], threshold=0.4, tolerance=0.05)


def answer(label, stated, score, kind=None):
    decided = kind if kind is not None else (Kind.PASS if score < ENTRY.threshold else Kind.REJECT)
    return Answer("a.png", label, stated, score, decided, Reason.NONE)


def test_a_clear_margin_is_a_quarter_of_the_way_to_one():
    assert has_clear_margin(0.55, 0.4)
    assert not has_clear_margin(0.549, 0.4)


@pytest.mark.parametrize("one", [answer("dent", 0.42, 0.38), answer("ok", 0.38, 0.42)])
def test_a_verdict_that_changes_within_the_tolerance_is_told_and_borne(one):
    assert refusals([one], ENTRY) == []
    assert changed([one], ENTRY) == ("a.png",)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (answer("dent", 0.46, 0.40), "scores 0.4000, the bundle states 0.4600"),
        (answer("ok", 0.1, 0.2), "scores 0.2000, the bundle states 0.1000"),
        (answer("dent", 0.9, float("nan"), Kind.UNKNOWN), "no sound score (nan)"),
        (answer("dent", None, 0.1), "the defect of a.png passes"),
    ],
)
def test_more_than_the_tolerance_no_score_and_an_escape_are_refused(one, words):
    assert any(words in found for found in refusals([one], ENTRY))


def test_a_defect_with_a_clear_margin_never_passes_whatever_the_tolerance():
    generous = replace(ENTRY, tolerance=1.0)
    assert refusals([answer("dent", 0.9, 0.3)], generous) == ["the defect of a.png passes with 0.3000"]
    assert refusals([answer("dent", 0.5, 0.3)], generous) == []


def test_near_a_threshold_of_almost_nothing_means_near_in_odds():
    low = replace(ENTRY, threshold=0.012)
    assert refusals([answer("dent", 0.015, 0.011, Kind.PASS)], low) == []
    assert refusals([answer("dent", 0.05, 0.011, Kind.PASS)], low) == ["the defect of a.png passes with 0.0110"]


def test_without_stated_scores_a_good_part_that_is_rejected_is_told_only():
    one = answer("ok", None, 0.6)
    assert refusals([one], ENTRY) == []
    assert changed([one], ENTRY) == ("a.png",)


def test_time_counts_where_the_station_limits_it():
    assert too_slow(9.0, None) == too_slow(9.0, 9.0) == []
    assert too_slow(9.1, 9.0) == ["an inference takes 9.1 ms, engine.max_ms allows 9"]


def test_people_are_told_in_one_sentence():
    assert Accepted("int8", 12, 0.0123, 3.21, ("a.png",)).sentence() == (
        "accepted on this device: INT8, 12 pictures, scores within 0.0123 of the host's, 3.2 ms; "
        "another verdict, near the threshold: a.png"
    )
