"""A class that the whole would hide is told, and so are peaks that INT8 cuts before any verdict changes."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from compile import breakdown, peaks
from compile.breakdown import ABOVE, FEW, NAMELESS, PROVEN, by_class, by_group, few_goods, verdict
from compile.quantize import RECIPES, TENSORRT, quantize
from compile.saturation import Tensor, often, saturation, spread
from compile.tables import class_table
from edge.pixels import to_input
from edge.records import Kind
from tests.compile.students import SPEC, picture, student
from tests.compile.test_verify import rows, tried


def of_class(judged, name, places):
    """The same with another class of defect at these places."""
    return [replace(one, label=name) if place in places else one for place, one in enumerate(judged)]


def test_a_class_that_int8_misses_is_told_though_the_whole_is_proven():
    before = of_class(rows([0.9] * 200), "stain", range(12))
    after = of_class(rows([0.3] * 3 + [0.9] * 197), "stain", range(12))
    trials = [tried(before), tried(after, before, "int8")]
    assert trials[1].proven
    table = {
        row.name: [(one.missed, one.defects, verdict(one)) for one in row.evidence] for row in by_class(trials)
    }
    assert table["dent"] == [(0, 188, PROVEN)] * 2
    assert table["stain"] == [(0, 12, FEW), (3, 12, ABOVE)]
    columns = class_table(trials).columns
    assert list(columns[2].cells) == ["0 of 188 (<= 1.6%)", "3 of 12 (<= 52.7%)"]
    assert class_table(trials[:1]) is None, "nothing is missed"
    assert breakdown.notes(trials) == [
        "stain: INT8 on ort misses 3 of 12 (<= 52.7%), FP32 0",
        "too few held-out defects to say by class: stain (0 of 12 missed); it takes 59 of one class with none missed "
        "to prove <= 5.0% for it",
    ]


def test_a_lot_that_every_model_misses_is_told_once():
    judged = [
        replace(one, kind=Kind.PASS) if one.group == "lot-3" and one.defect else one for one in rows([0.9] * 200)
    ]
    assert breakdown.notes([tried(judged), tried(judged, judged, "int8")]) == [
        "lot-3: FP32 on ort misses 40 of 40 (<= 100.0%), above the target of 5.0%"
    ]


def test_a_class_is_no_news_where_there_is_but_one_and_nothing_is_missed():
    assert breakdown.notes([tried(rows([0.9] * 20))]) == []


def test_groups_are_told_for_every_model_the_worst_first_and_nameless_pictures_together():
    judged = rows([0.9] * 10, [0.1] * 10)
    judged[9:12] = [replace(one, group=one.name) for one in judged[9:12]]
    judged[3] = replace(judged[3], kind=Kind.PASS)
    found = by_group([tried(judged), tried(judged)])
    assert found[0].name == judged[3].group
    assert {row.name for row in found} == {NAMELESS, *(f"lot-{number}" for number in range(5))}
    nameless = next(row for row in found if row.name == NAMELESS)
    assert [(one.defects, one.goods) for one in nameless.evidence] == [(1, 2)] * 2
    assert few_goods(nameless.evidence[0]) and not few_goods(tried(rows([], [0.1] * 29)).evidence)


def test_scores_near_one_do_not_hide_that_peaks_are_cut():
    before, after = rows([0.9999] * 10), rows([0.97] * 9 + [0.8])
    assert not tried(after, before).changes
    (found,) = peaks.of_trials([tried(before), tried(after, before)], 0.4)[1:]
    assert found.cut and found.heat is None
    assert (found.defects, round(found.margin.median, 2), round(found.margin.least, 2)) == (10, 0.4, 0.19)
    assert found.margin.name == "009.png"


def test_the_heat_map_may_be_cut_where_the_score_is_not():
    before = [replace(one, peak=1.4) for one in rows([0.9] * 10)]
    after = [replace(one, peak=0.88) for one in before]
    trials = [tried(before), tried(after, before, "int8")]
    found = peaks.of_trials(trials, 0.4)
    assert [one.cut for one in found] == [False, True]
    assert round(found[1].heat.median, 2) == 0.63
    clipped = Tensor("relu_3", 0.0, 1.0, 0.01, 9, 1, 10, 10)
    assert peaks.notes(trials, found, [[], [clipped]]) == [
        "INT8 on ort cuts the peaks of 10 clear defects: of their margin 100% in the median, 100% at least (000.png), "
        "of the heat map's peaks 63% in the median, 63% at least (000.png); of its tensors 1 often at the end of their "
        "range, most of all relu_3 in 9 of 10 defects and 1 of 10 good ones: calibrate with more pictures of defects "
        "as strong as those of the acceptance set"
    ]
    assert "its steps are too coarse" in peaks.notes(trials, found, [[], []])[0]


def test_where_nothing_is_clear_nothing_is_said():
    faint = tried(rows([0.45] * 5))
    assert peaks.of_trials([faint, faint], 0.4) == [None, None]
    assert peaks.notes([faint], [None], [[]]) == []


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(5)
    return {spot: [to_input(picture(rng, spot), SPEC) for _ in range(8)] for spot in (0, 90)}


@pytest.mark.parametrize("shape", [{}, {"shape": TENSORRT}])
def test_ranges_of_good_parts_only_are_seen_to_clip_defects(inputs, shape):
    narrow = quantize(student(), inputs[0], RECIPES[0], **shape)
    found = saturation(narrow, inputs[90], inputs[0])
    assert found and {one.low for one in found} <= {0.0} | {-one.high for one in found}
    assert often(found)
    worst = often(found)[0]
    assert (worst.in_defects, worst.defects) == (8, 8) and worst.share > 0.01
    fine = saturation(quantize(student(), [*inputs[0], *inputs[90]], RECIPES[0], **shape), inputs[90], inputs[0])
    assert max(one.share for one in fine) < worst.share / 10


def test_a_model_in_float_has_no_quantized_tensor(inputs):
    assert saturation(student(), inputs[90], inputs[0]) == []


def test_a_network_that_came_with_other_pairs_is_left_alone(inputs):
    model = onnx.load_model_from_string(quantize(student(), inputs[0], RECIPES[0]))
    scales = [one for one in model.graph.initializer if one.name.endswith("_scale")]
    for one in scales:
        model.graph.initializer.remove(one)
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [one.name], value=one))
    assert saturation(model.SerializeToString(), inputs[90], inputs[0]) == []


def test_pictures_are_looked_at_at_equal_distances():
    assert list(spread(range(10), 4)) == [0, 3, 6, 9]
    assert list(spread(range(3), 4)) == [0, 1, 2]
