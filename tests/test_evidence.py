"""A bundle's table of evidence gives the same figures on the device as on the host, at any threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edge import evidence
from edge.bounds import upper_bound
from edge.bundle import KeyRing, key_id, read_bundle, write_bundle
from edge.errors import BundleError
from edge.evidence import JudgedSet, column, is_proven, judged_of, table
from tests.bundles import (
    EVIDENCE,
    JUDGED,
    KEY,
    MODEL,
    PICTURES,
    a_bundle,
    a_judged_bundle,
    a_manifest,
    judged_entry,
)

KEYS = KeyRing({key_id(KEY.public_key()): KEY.public_key()})
ENTRY = judged_entry(a_manifest().models[0])
DATA = table({column(ENTRY): JUDGED})


@pytest.mark.parametrize(
    ("events", "trials", "percent"),
    [(0, 59, 4.95), (0, 60, 4.87), (1, 168, 2.79), (0, 299, 1.00), (5, 1_000, 1.05), (7, 7, 100), (0, 0, 100)],
)
def test_a_bound_is_that_of_the_published_tables(events, trials, percent):
    assert round(100 * upper_bound(events, trials, 0.95), 2) == percent


@pytest.mark.parametrize("wrong", [(-1, 3, 0.95), (4, 3, 0.95), (0, 3, 0.4), (0, 3, 1.0), (0, 3, math.nan)])
def test_a_bound_of_nothing_sensible_is_refused(wrong):
    with pytest.raises(ValueError, match=r"events|confidence"):
        upper_bound(*wrong)


@pytest.mark.parametrize(
    ("threshold", "missed", "overkill"), [(0.52, 0, 1), (0.5, 0, 3), (0.5201, 1, 1), (0.95, 60, 0), (0.05, 0, 200)]
)
def test_a_part_passes_below_the_threshold_and_not_at_it(threshold, missed, overkill):
    found = JUDGED.at(threshold, EVIDENCE)
    assert (found.missed, found.overkill) == (missed, overkill)
    assert (found.defects, found.goods, found.groups) == (60, 200, 20)
    assert found.escape_upper == upper_bound(missed, 60, 0.95)
    assert found.overkill_upper == upper_bound(overkill, 200, 0.95)


def test_what_was_unknown_on_the_host_passes_at_no_threshold():
    judged = JudgedSet(["dent", "ok"], ["a", "b"], [math.nan, math.nan])
    found = judged.at(1.0, EVIDENCE)
    assert (found.missed, found.overkill) == (0, 1)


def test_one_miss_too_many_is_not_proven():
    assert is_proven(JUDGED.at(0.52, EVIDENCE)) and not is_proven(JUDGED.at(0.53, EVIDENCE))


def test_without_a_defect_nothing_is_proven():
    judged = JudgedSet(["ok"], ["a"], [0.1])
    assert judged.at(0.5, EVIDENCE).escape_upper == 1.0


def test_every_score_comes_back_as_it_was():
    odd = JudgedSet(["ok", "dent"], ["", 'a "b",\nc'], [0.1 + 0.2, math.nan])
    of_odd = replace(ENTRY, evidence=odd.at(0.5, EVIDENCE))
    other = replace(odd, scores=[0.4, 0.6])
    found = judged_of(table({"ort int8": other, "ort fp32": odd}), of_odd, "x")
    assert (list(found.labels), list(found.groups)) == (odd.labels, odd.groups)
    assert found.scores[0] == 0.1 + 0.2 and math.isnan(found.scores[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.replace(b"ort fp32", b"ort int8"), "no column 'ort fp32'"),
        (lambda data: data.replace(b"0.52", b"0.43"), "disagree at 0.5"),
        (lambda data: data.replace(b"0.52", b"-1.0"), "score '-1.0'"),
        (lambda data: data.replace(b"0.52", b"none"), "could not convert"),
        (lambda data: data.replace(b"scratch,lot-0,0.52", b"scratch,0.52"), "row 1"),
        (lambda data: data + b"scratch,lot-1,0.9\n", "disagree"),
        (lambda data: data[:-5], "row 260"),
        (lambda data: b"", "no column"),
        (lambda data: data + b'"', "wrong"),
        (lambda data: data + b"\xff", "wrong"),
    ],
)
def test_a_table_that_is_wrong_is_refused(change, words):
    with pytest.raises(BundleError, match=words):
        judged_of(change(DATA), ENTRY, "x")


def test_sizes_are_bounded_in_both_directions(monkeypatch):
    monkeypatch.setattr(evidence, "MAX_ROWS", 259)
    with pytest.raises(BundleError, match="260 pictures, a bundle states at most 259; use fewer"):
        table({column(ENTRY): JUDGED})
    with pytest.raises(BundleError, match="row 260"):
        judged_of(DATA, ENTRY, "x")
    monkeypatch.undo()
    monkeypatch.setattr(evidence, "MAX_BYTES", len(DATA) - 1)
    for act in (lambda: table({column(ENTRY): JUDGED}), lambda: judged_of(DATA, ENTRY, "x")):
        with pytest.raises(BundleError, match="over "):
            act()


def test_a_bundle_holds_its_table_under_its_signature(tmp_path):
    bundle = read_bundle(a_judged_bundle(tmp_path / "x.bundle"), KEYS)
    (entry,) = bundle.manifest.models
    assert bundle.judged(entry).at(0.53, entry.evidence).missed == 1


def test_a_bundle_of_before_says_that_it_allows_no_other_threshold(tmp_path):
    bundle = read_bundle(a_bundle(tmp_path / "x.bundle"), KEYS)
    with pytest.raises(BundleError, match="allows no other threshold; compile it again"):
        bundle.judged(bundle.manifest.models[0])


def test_a_table_that_does_not_give_the_stated_evidence_is_not_written(tmp_path):
    manifest = a_manifest()  # states bounds with four digits
    with pytest.raises(BundleError, match="disagree"):
        write_bundle(tmp_path / "x", manifest, {MODEL: b"a student"}, PICTURES, "", KEY, {column(ENTRY): JUDGED})
    assert list(tmp_path.iterdir()) == []
