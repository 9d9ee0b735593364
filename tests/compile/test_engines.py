"""What TensorRT is given, and that a machine without a GPU says so; the builder itself is in tests/system."""

from __future__ import annotations

import json
import sys
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from compile import confirm
from compile.engines import models_of, scores_of
from compile.half import halve
from compile.quantize import RECIPES, TENSORRT, int8_convolutions, quantize
from compile.rtx import PICTURES, REPORT
from edge.pixels import to_input
from tests.compile.students import SPEC, Graph, averaging, picture, student


def inputs(count=6):
    rng = np.random.default_rng(3)
    return [to_input(picture(rng, 15 * number), SPEC) for number in range(count)]


def makers(model):
    return {name: node for node in model.graph.node for name in node.output}


def test_each_precision_scores_as_the_student_does():
    models = models_of(student(), inputs())
    expected = scores_of(student(), inputs())
    assert np.ptp(expected) > 0.01, "pictures that are all alike prove nothing"
    assert scores_of(models["fp16"], inputs()) == pytest.approx(expected, abs=0.01)
    assert scores_of(models["int8"], inputs()) == pytest.approx(expected, abs=0.05)


def test_half_is_the_body_alone():
    model = onnx.load_model_from_string(halve(student()))
    onnx.checker.check_model(model, full_check=True)
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    convolutions = [weights[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions[:5] == [TensorProto.FLOAT16] * 5 and convolutions[5:] == [TensorProto.FLOAT]
    assert {output.type.tensor_type.elem_type for output in model.graph.output} == {TensorProto.FLOAT}
    told = {node.op_type: weights.get(node.input[1]) for node in model.graph.node if node.op_type in ("Sub", "Mul")}
    assert TensorProto.FLOAT16 not in told.values(), "the normalisation stays in FP32"


def test_tensorrt_gets_int8_around_zero_and_no_quantized_bias():
    model = onnx.load_model_from_string(quantize(student(), inputs(), RECIPES[0], TENSORRT))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [constants[node.input[2]] for node in pairs]
    assert pairs and all(zero.dtype == np.int8 and not zero.any() for zero in zeros)
    assert all("b" not in node.input[0].split("_")[-1] for node in pairs), "a bias is not quantized"
    assert int8_convolutions(model.SerializeToString())


def residual():
    """Two branches that meet in a sum, behind three convolutions that a recipe spares."""
    graph = Graph()
    image = graph.node("Cast", ["image"], "float", to=TensorProto.FLOAT)
    tensor = graph.node("Transpose", [image], "planes", perm=[0, 3, 1, 2])
    size = SPEC.channels
    for step in range(4):
        tensor = graph.conv(tensor, f"c{step}", averaging(16, size, 1), np.zeros(16), kernel_shape=[1, 1])
        tensor, size = graph.node("Relu", [tensor], f"r{step}"), 16
    inner = graph.conv(tensor, "inner", averaging(16, 16, 1), np.zeros(16), kernel_shape=[1, 1])
    joined = graph.node("Add", [inner, tensor], "joined")
    after = graph.conv(joined, "after", averaging(16, 16, 1), np.zeros(16), kernel_shape=[1, 1])
    graph.node("ReduceMean", [after, graph.weight("axes", [1, 2, 3], np.int64)], "score", keepdims=0)
    made = onnx.helper.make_graph(
        graph.nodes,
        "residual",
        [onnx.helper.make_tensor_value_info("image", TensorProto.UINT8, SPEC.shape())],
        [onnx.helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
        graph.weights,
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def test_a_sum_takes_its_convolution_as_it_is_and_its_other_branch_quantized():
    model = onnx.load_model_from_string(quantize(residual(), inputs(), RECIPES[0], TENSORRT))
    onnx.checker.check_model(model, full_check=True)
    (add,) = [node for node in model.graph.node if node.op_type == "Add"]
    kinds = Counter(makers(model)[name].op_type for name in add.input)
    assert kinds == {"Conv": 1, "DequantizeLinear": 1}


def test_a_folder_that_holds_no_engines_is_said_to(tmp_path, capsys):
    assert confirm.main([str(tmp_path)]) == 78
    assert "holds no engines" in capsys.readouterr().err


def test_what_is_missing_to_run_engines_is_named(tmp_path, capsys, monkeypatch):
    (tmp_path / REPORT).write_text(json.dumps({}))
    np.save(tmp_path / PICTURES, np.concatenate(inputs(2)))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    assert confirm.main([str(tmp_path)]) == 78
    assert "pip install tensorrt-rtx-cu13" in capsys.readouterr().err


def test_the_gap_of_two_lists_is_that_of_the_same_picture():
    assert confirm.largest_gap([0.1, 0.9], [0.2, 0.85]) == pytest.approx(0.1)
