"""A model ships with evidence of its own, or not at all."""

import pytest

from calibration.evidence import Judged
from compile.gallery import acceptance_pictures
from compile.verify import Rule, changes, choose, trial
from edge.errors import BundleError
from edge.picture_set import Picture
from edge.records import Kind

RULE = Rule(threshold=0.4, target_escape=0.05, confidence=0.95)


def rows(defect_scores, good_scores=(0.1,) * 20):
    pairs = [("dent", score) for score in defect_scores] + [("ok", score) for score in good_scores]
    return [
        Judged(f"{number:03d}.png", label, f"lot-{number % 5}", score, Kind.PASS if score < 0.4 else Kind.REJECT)
        for number, (label, score) in enumerate(pairs)
    ]


def tried(judged, reference=None, precision="fp32", ms=2.0, rule=RULE):
    return trial(precision, f"models/{precision}.onnx", b"x", "words", judged, reference or judged, rule, ms)


FINE = rows([0.9] * 70)


def test_int8_ships_first_with_its_own_evidence_and_fp32_beside_it():
    int8 = tried(rows([0.8] * 69 + [0.5]), FINE, "int8", ms=1.0)
    shipped, notes = choose(tried(FINE), int8, "", RULE)
    assert [one.precision for one in shipped] == ["int8", "fp32"]
    assert notes == ["INT8 takes 1.00 ms, FP32 2.00 ms (2.0 x) on one thread of this machine"]


def test_int8_that_misses_the_bound_leaves_fp32_alone():
    fine = rows([0.9] * 69 + [0.45])
    int8 = tried(rows([0.9] * 69 + [0.39]), fine, "int8", ms=1.0)
    shipped, notes = choose(tried(fine), int8, "", RULE)
    assert [one.precision for one in shipped] == ["fp32"]
    assert "1 of 70 held-out defects missed prove <= 6.6%" in notes[0]


def test_a_defect_with_clear_margin_that_turns_pass_refuses_int8_whatever_the_bound_says():
    many = rows([0.56] * 200)
    int8 = tried(rows([0.56] * 199 + [0.3]), many, "int8", ms=1.0)
    assert int8.proven
    assert "1 defects with a clear margin turned PASS (199.png)" in int8.refusal
    barely = tried(rows([0.56] * 199 + [0.3]), rows([0.56] * 199 + [0.54]), "int8", ms=1.0)
    assert (barely.refusal, len(barely.changes)) == ("", 1)


def test_a_clear_defect_is_never_excused_as_unproven():
    rule = Rule(0.4, 0.05, 0.95, allow_unproven=True)
    lost = tried(rows([0.9] * 69 + [0.1]), FINE, "int8", rule=rule)
    assert "clear margin" in lost.refusal
    missed = tried(rows([0.5] * 69 + [0.1]), rows([0.5] * 69 + [0.45]), "int8", rule=rule)
    assert (missed.refusal, missed.proven) == ("", False)


def test_int8_that_is_hardly_faster_is_not_worth_it():
    shipped, notes = choose(tried(FINE), tried(FINE, None, "int8", ms=1.9), "", RULE)
    assert [one.precision for one in shipped] == ["fp32"]
    assert "INT8 is not worth it here" in notes[0]


def test_a_build_fails_where_nothing_may_ship():
    few = rows([0.9] * 58)
    with pytest.raises(BundleError, match="FP32 does not ship: too few defects to say: 58 with none missed"):
        choose(tried(few), tried(few, None, "int8", ms=1.0), "", RULE)
    with pytest.raises(BundleError, match=r"INT8 does not ship: no recipe; leave --int8-only away"):
        choose(tried(FINE), None, "no recipe", Rule(0.4, 0.05, 0.95, int8_only=True))


def test_a_better_int8_may_ship_without_fp32():
    worse = rows([0.9] * 69 + [0.39])
    for ms in (1.0, 2.0):
        shipped, notes = choose(tried(worse), tried(FINE, worse, "int8", ms=ms), "", RULE)
        assert [one.precision for one in shipped] == ["int8"]
        assert "FP32 does not ship" in notes[1]


def test_int8_only_ships_even_where_it_is_slow_and_says_so():
    rule = Rule(0.4, 0.05, 0.95, int8_only=True)
    shipped, notes = choose(tried(FINE), tried(FINE, None, "int8", ms=3.0), "", rule)
    assert [one.precision for one in shipped] == ["int8"]
    assert "not worth it" in notes[1]


def test_every_changed_verdict_is_listed():
    before, after = rows([0.9, 0.5], [0.1, 0.39]), rows([0.9, 0.3], [0.1, 0.41])
    found = changes(before, after, 0.4)
    assert [(one.before.name, one.after.kind, one.lost) for one in found] == [
        ("001.png", Kind.PASS, False),
        ("003.png", Kind.REJECT, False),
    ]


def test_a_device_is_accepted_with_pictures_near_the_threshold_and_clear_ones_of_each_label():
    judged = rows([0.9, 0.8, 0.41, 0.2], [0.1, 0.05, 0.39, 0.6])
    set_of = [Picture(None, one.label, one.group, None, one.name) for one in judged]
    kept = acceptance_pictures(set_of, [judged, judged], 0.4, 4)
    assert [picture.name for picture in kept] == ["000.png", "002.png", "004.png", "006.png"]
    assert acceptance_pictures(set_of, [judged], 0.4, 0) == []
    everything = [picture.name for picture in acceptance_pictures(set_of, [judged], 0.4, 100)]
    assert everything == ["000.png", "001.png", "002.png", "004.png", "005.png", "006.png"]  # not the misjudged
