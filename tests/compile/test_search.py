"""INT8 is looked for until no calibration defect passes; ranges that clip what defects do are found out."""

import numpy as np
import pytest

from calibration.evidence import Judged
from compile.quantize import RECIPES, Recipe, int8_convolutions, quantize
from compile.search import Attempt, Search, best
from compile.verify import changes, refusal
from edge import options
from edge.infer.ort import OrtEngine
from edge.pixels import to_input
from edge.records import Kind
from tests.compile.students import SPEC, picture, spoiling, student
from tests.compile.test_cli import broken_twice

THRESHOLD = 0.5


@pytest.fixture(scope="module")
def pictures():
    """(is a defect, input): half of them with a clear spot."""
    rng = np.random.default_rng(5)
    return [(bool(number % 2), to_input(picture(rng, 70 * (number % 2)), SPEC)) for number in range(24)]


def judged(model, pictures):
    engine = OrtEngine(options.OrtEngine(kind="ort"))
    engine.load(model)
    rows = []
    for number, (bad, image) in enumerate(pictures):
        engine.input[...] = image
        score = engine.infer().score
        kind = Kind.PASS if score < THRESHOLD else Kind.REJECT
        rows.append(Judged(f"{number}.png", "spot" if bad else "ok", "lot", score, kind))
    engine.close()
    return rows


def search(model, pictures, tell=lambda words: None):
    reference = judged(model, pictures)
    inputs = [image for _, image in pictures]
    return Search(model, inputs, reference, lambda other: judged(other, pictures), THRESHOLD, tell)


def test_the_first_recipe_that_passes_no_defect_is_the_last_attempt(pictures):
    assert [one.recipe for one in search(student(), pictures).run()] == [RECIPES[0]]
    assert [one.recipe for one in search(student(trouble=spoiling), pictures).run()] == list(RECIPES[:2])


def test_where_every_recipe_fails_the_layers_that_move_scores_most_go_back_to_float(pictures):
    told = []
    attempts = search(student(trouble=broken_twice), pictures, told.append).run()
    assert [one.recipe.ranges for one in attempts[:4]] == ["extremes", "extremes", "entropy", "percentile"]
    assert all(one.lost == 12 for one in attempts[:-1])
    assert (attempts[-1].passed, attempts[-1].lost) == (0, 0)
    assert attempts[-1].moved < 0.01
    assert int8_convolutions(attempts[-1].model) == ["n_c1", "n_c2", "n_c3", "n_c4"], "what was sound stays in INT8"
    assert [len(one.recipe.float_also) for one in attempts] == [0, 0, 0, 0, 1, 2, 3, 4]
    assert "what n_kept costs in INT8" in told


def test_lost_defects_count_before_passed_ones_and_these_before_moved_scores():
    def attempt(lost, passed, moved):
        return Attempt(RECIPES[0], b"", passed, lost, moved)

    ordered = [attempt(0, 1, 0.2), attempt(0, 2, 0.1), attempt(1, 1, 0.0)]
    assert best(ordered[::-1]) is ordered[0]
    assert best([attempt(0, 1, 0.3), ordered[0]]) is ordered[0]


@pytest.mark.parametrize("ranges", ["extremes", "entropy", "percentile"])
def test_every_kind_of_ranges_keeps_the_scores_where_defects_are_among_the_calibration_pictures(pictures, ranges):
    inputs = [image for _, image in pictures]
    model = quantize(student(), inputs, Recipe("", 3, ranges=ranges))
    assert not changes(judged(student(), pictures), judged(model, pictures), THRESHOLD)


def test_percentiles_of_good_parts_only_clip_the_defects_and_the_gate_refuses_them(pictures):
    good = [image for bad, image in pictures if not bad]
    model = quantize(student(), good, Recipe("", 3, ranges="percentile"))
    before, after = judged(student(), pictures), judged(model, pictures)
    assert all(one.kind is Kind.PASS for one in after), "an average over all parts would look calm: no false alarm"
    found = changes(before, after, THRESHOLD)
    assert sum(change.lost for change in found) == 12

    class Proven:
        escape_upper, target_escape = 0.0, 0.05

    assert "12 defects with a clear margin turned PASS" in refusal(Proven, found, allow_unproven=True)
