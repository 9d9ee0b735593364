"""INT8 where it pays, float where it counts, and the same bytes every time."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from compile.lint import lint
from compile.quantize import RECIPES, Recipe, _pool_first, float_nodes, quantize
from compile.student import check_student
from edge import options
from edge.infer.ort import OrtEngine
from edge.pixels import to_input
from tests.compile.students import SPEC, Graph, picture, spoiling, student


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(5)
    return [to_input(picture(rng, spot), SPEC) for spot in (0, 0, 0, 30, 60, 90) * 3]


def scores(model, inputs):
    engine = OrtEngine(options.OrtEngine(kind="ort"))
    engine.load(model)
    found = []
    for image in inputs:
        engine.input[...] = image
        found.append(engine.infer().score)
    return np.array(found)


def test_the_int8_model_is_a_student_with_nearly_the_same_scores(inputs):
    before = student()
    after = quantize(before, inputs, RECIPES[0])
    told, asked = check_student(after, "int8"), check_student(before, "fp32")
    assert (told.spec, told.classes) == (asked.spec, asked.classes)
    assert np.abs(scores(before, inputs) - scores(after, inputs)).max() < 0.03


def test_body_convolutions_are_int8_and_heads_float(inputs):
    model = onnx.load_model_from_string(quantize(student(), inputs, RECIPES[0]))
    by_output = {name: node for node in model.graph.node for name in node.output}
    feeds = {
        node.name: by_output[node.input[0]].op_type
        for node in model.graph.node
        if node.op_type in ("Conv", "GlobalAveragePool", "Mul")
    }
    assert feeds["n_c0"] == "Transpose"
    assert [feeds[name] for name in ("n_c3", "n_c4")] == ["DequantizeLinear"] * 2
    weights = {node.name: node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    assert by_output[weights["n_c3"]].op_type == "DequantizeLinear"
    assert weights["n_peak"] == "peak_w"  # the head's weights are as trained
    assert not [one for one in lint(model.SerializeToString()) if one.level == "error"]


def test_weights_leave_room_for_processors_that_add_two_products_in_16_bits(inputs):
    model = onnx.load_model_from_string(quantize(student(), inputs, RECIPES[0]))
    of_body = [numpy_helper.to_array(one) for one in model.graph.initializer if one.data_type == TensorProto.INT8]
    largest = [int(np.abs(weights.astype(int)).max()) for weights in of_body if weights.size > 1]
    assert largest and 60 <= max(largest) <= 64


def test_the_same_pictures_give_the_same_bytes_in_any_order(inputs):
    first = quantize(student(), inputs, RECIPES[0])
    assert first == quantize(student(), inputs, RECIPES[0])
    assert first == quantize(student(), inputs[::-1], RECIPES[0])
    assert first != quantize(student(), inputs[:2], RECIPES[0])


def test_an_outlier_channel_breaks_int8_and_a_float_tail_heals_it(inputs):
    model = student(trouble=spoiling)
    broken, healed = (
        np.abs(scores(model, inputs) - scores(quantize(model, inputs, one), inputs)) for one in RECIPES[:2]
    )
    assert broken.max() > 0.9
    assert healed.max() < 0.03


@pytest.mark.parametrize(
    ("recipe", "quantized"),
    [(Recipe(""), {0, 1, 2, 3, 4}), (Recipe("", 1), {1, 2, 3, 4}), (Recipe("", 1, 2), {1, 2})],
)
def test_a_recipe_says_which_convolutions_stay_in_float(recipe, quantized):
    model = onnx.load_model_from_string(student())
    kept = set(float_nodes(model, recipe))
    convolutions = {"n_peak", *(f"n_c{number}" for number in range(5))}
    assert convolutions - kept == {f"n_c{number}" for number in quantized}
    assert {"n_float", "n_scaled", "n_pooled", "n_logits", "n_heat_map", "n_score"} <= kept


@pytest.mark.parametrize(
    ("side", "at_most", "kept"), [(2, 1, 1), (2, 3, 1), (64, 1, 1), (64, 2, 2), (64, 3, 3), (64, 4, 3)]
)
def test_the_first_convolutions_stay_in_float_while_they_are_little_of_the_work(side, at_most, kept):
    """Three of 16 x 3 x 9 and 16 x 16 x 9 multiplications on 8 x 8 places, before one on as many with `side` times so
    many channels."""
    graph, channels = Graph(), 3
    tensor = "image"
    for step, width in enumerate((16, 16, 16, 16 * side)):
        weights = np.ones((width, channels, 3, 3))
        tensor = graph.conv(tensor, f"c{step}", weights, np.zeros(width), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        channels = width
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "first",
            [onnx.helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
            [onnx.helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None)],
            graph.weights,
        )
    )
    assert set(float_nodes(model, Recipe("", at_most))) == {f"n_c{number}" for number in range(kept)}


@pytest.fixture(scope="module")
def pooled():
    """A student that pools behind its first convolution, as a ResNet does."""

    def pooling(graph, tensor):
        return graph.node("MaxPool", [tensor], "pool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])

    return student(first=pooling)


def test_pooling_in_float_comes_before_its_activation_and_changes_no_number(pooled, inputs):
    apart = onnx.load_model_from_string(quantize(pooled, inputs, Recipe("", 1)))
    order = [node.name for node in apart.graph.node if node.name in ("n_c0", "n_pool", "n_r0", "n_c1")]
    assert order == ["n_c0", "n_pool", "n_r0", "n_c1"]
    model = onnx.load_model_from_string(pooled)
    before = scores(pooled, inputs)
    _pool_first(model.graph, {node.name for node in model.graph.node})
    assert [node.name for node in model.graph.node if node.name in ("n_pool", "n_r0")] == ["n_pool", "n_r0"]
    assert (scores(model.SerializeToString(), inputs) == before).all()
