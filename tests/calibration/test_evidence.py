"""Evidence says in one sentence what was counted, and no more than it proves."""

from calibration.evidence import Judged, count_by_group, evidence_of, group_sentence, sentence, shortfall
from edge.evidence import is_proven
from edge.records import Kind


def judged(label, kind, group, count):
    return [Judged(f"{label}-{kind}-{group}-{n}", label, group, 0.5, kind) for n in range(count)]


def test_the_sentence_names_defects_groups_misses_and_bounds():
    rows = [row for n in range(8) for row in judged("dent", Kind.REJECT, f"lot{n}", 8)]
    rows += judged("ok", Kind.PASS, "lot1", 995) + judged("ok", Kind.REJECT, "lot20", 7)
    evidence = evidence_of(rows, 0.95, 0.05)
    assert sentence(evidence) == (
        "On 64 held-out defects from 8 groups, 0 missed: escape rate <= 4.6% with 95% confidence; "
        "overkill 0.7% (<= 1.3%)."
    )
    assert is_proven(evidence)


def test_a_defect_that_is_unknown_is_not_missed_and_a_good_part_that_is_unknown_is_overkill():
    rows = (
        judged("dent", Kind.UNKNOWN, "a", 3)
        + judged("dent", Kind.PASS, "a", 1)
        + judged("ok", Kind.UNKNOWN, "b", 2)
    )
    evidence = evidence_of(rows, 0.95, 0.05)
    assert (evidence.defects, evidence.missed, evidence.goods, evidence.overkill) == (4, 1, 2, 2)


def test_groups_that_hold_a_miss_are_counted_apart():
    rows = judged("dent", Kind.PASS, "a", 2) + judged("dent", Kind.REJECT, "b", 9) + judged("ok", Kind.PASS, "c", 4)
    counts = count_by_group(rows)
    assert [(one.group, one.defects, one.missed, one.goods) for one in counts] == [
        ("a", 2, 2, 0),
        ("b", 9, 0, 0),
        ("c", 0, 0, 4),
    ]
    assert "in 1 of 2, so <= 97.5% of groups" in group_sentence(counts, 0.95)


def test_no_good_parts_claim_no_overkill():
    assert "overkill not measured (<= 100.0%)" in sentence(
        evidence_of(judged("dent", Kind.REJECT, "a", 1), 0.95, 0.05)
    )


def test_the_shortfall_says_how_many_defects_it_takes():
    few = evidence_of(judged("dent", Kind.REJECT, "a", 20), 0.95, 0.05)
    assert "too few defects to say: 20 with none missed prove <= 13.9%" in shortfall(few)
    assert "takes 59" in shortfall(few)
    missed = evidence_of(judged("dent", Kind.REJECT, "a", 60) + judged("dent", Kind.PASS, "a", 1), 0.95, 0.05)
    assert "1 of 61 held-out defects missed prove <= 7.5%" in shortfall(missed)
    assert "93 defects" in shortfall(missed)
