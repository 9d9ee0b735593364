"""What a device could not run stops the build, what INT8 or TensorRT will not like is said, each with its remedy."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compile import cli
from compile.lint import lint
from compile.quantize import RECIPES, quantize
from edge.errors import ConfigError
from tests.compile.belts import run
from tests.compile.students import SPEC, student


def found(data, level="warning", targets=()):
    return [one.words for one in lint(data, targets) if one.level == level]


def with_body(*made):
    """A student with these operators between body and heads: (operator, attributes, further inputs)."""

    def trouble(graph, tensor):
        for number, (operator, attributes, more) in enumerate(made):
            weights = [graph.weight(f"x{number}_{place}", values) for place, values in enumerate(more)]
            tensor = graph.node(operator, [tensor, *weights], f"x{number}", **attributes)
        return tensor

    return student(trouble=trouble)


def gated(graph, tensor, gate):
    return graph.node("Mul", [tensor, graph.node("Sigmoid", [gate], "gate")], "gated")


def test_a_plain_student_is_found_fault_with_in_nothing():
    assert lint(student(), ("ort",)) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (("Elu", {}, []), "1 Elu: train with ReLU"),
        (
            ("InstanceNormalization", {}, [np.ones(16), np.zeros(16)]),
            "use batch norm, which folds into convolutions",
        ),
        (("LeakyRelu", {}, []), "1 LeakyRelu: train with ReLU"),
        (("ConvTranspose", {"kernel_shape": [1, 1]}, [np.ones((16, 16, 1, 1))]), "use Resize and a convolution"),
        (
            ("Conv", {"kernel_shape": [3, 3], "group": 16, "pads": [1] * 4}, [np.ones((16, 1, 3, 3))]),
            "1 depthwise convolution: INT8 gains little there",
        ),
    ],
)
def test_what_int8_does_not_like_is_a_warning_with_its_remedy(body, words):
    told = found(with_body(body))
    assert len(told) == 1
    assert words in told[0]


def test_channels_that_int8_kernels_fill_up_are_named():
    wide = ("Conv", {"kernel_shape": [1, 1]}, [np.ones((20, 16, 1, 1))])
    back = ("Conv", {"kernel_shape": [1, 1]}, [np.ones((16, 20, 1, 1))])
    assert found(with_body(wide, back)) == [
        "2 convolutions whose channels are no multiple of 8 (16 to 20, 20 to 16): INT8 kernels fill them up; "
        "use multiples of 16"
    ]


def test_a_silu_is_told_from_a_squeeze_and_excite_gate():
    silu = found(student(trouble=lambda graph, tensor: gated(graph, tensor, tensor)))
    pooled = found(
        student(
            trouble=lambda graph, tensor: gated(
                graph, tensor, graph.node("GlobalAveragePool", [tensor], "squeezed")
            )
        )
    )
    assert [words.partition(":")[0] for words in silu] == ["1 SiLU"]
    assert [words.partition(":")[0] for words in pooled] == ["1 gate by a sigmoid (squeeze and excite)"]


def test_tensorrt_is_told_of_what_it_takes_otherwise():
    def transposed_first(model):
        for node in model.graph.node:
            if node.output[0] == "float":
                node.input[0] = "turned"
        model.graph.node.insert(0, helper.make_node("Identity", ["image"], ["turned"]))

    changed = onnx.load_model_from_string(student())
    transposed_first(changed)
    assert found(changed.SerializeToString(), "advice") == [
        "TensorRT 10.3 (JetPack 6): takes uint8 only straight into a Cast; cast first, then transpose or crop"
    ]
    quantized = quantize(student(), [np.full(SPEC.shape(), value, np.uint8) for value in (90, 200)], RECIPES[0])
    assert any("symmetric int8 only" in words for words in found(quantized, "advice"))


def test_operators_that_tensorrt_does_not_parse_or_that_depend_on_the_picture_are_named():
    def odd(graph, tensor):
        graph.node("NonZero", [tensor], "where")
        graph.node("Det", [tensor], "determinant")
        return tensor

    told = found(student(trouble=odd), "advice")
    assert any("does not know Det; export without" in words for words in told)
    assert any("no CUDA graph, since NonZero depend on the picture" in words for words in told)


def test_all_errors_are_told_at_once():
    model = onnx.load_model_from_string(student())
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    model.graph.output[0].name = "points"
    model.opset_import[0].version = 13
    told = found(model.SerializeToString(), "error")
    assert [words.partition(":")[0] for words in told] == [
        "it has opset 13",
        "its input is float, not uint8",
        "it lacks the output score",
    ]
    assert all((": " in words and "export" in words) or "--outputs map.toml" in words for words in told)


def test_every_target_must_load_the_model():
    pytest.importorskip("edge.infer.ov")
    assert found(student(), "error", ("ort", "ov")) == []

    def misshapen(model):
        for tensor in model.graph.initializer:
            if tensor.name == "axis":
                tensor.CopyFrom(numpy_helper.from_array(np.asarray([2], np.int64), "axis"))

    model = onnx.load_model_from_string(student())
    misshapen(model)
    assert found(model.SerializeToString(), "error", ("ov",))
    with pytest.raises(ConfigError, match="tpu"):
        lint(student(), ("tpu",))


def test_the_command_says_what_it_found_and_ends_as_the_build_would(monkeypatch, capsys, tmp_path):
    (tmp_path / "fine.onnx").write_bytes(with_body(("Elu", {}, [])))
    assert run(monkeypatch, cli.main, "lint", tmp_path / "fine.onnx") == 0
    told = capsys.readouterr().out
    assert "warning: 1 Elu: train with ReLU" in told
    assert "can be compiled" in told
    (tmp_path / "text.onnx").write_text("no model")
    assert run(monkeypatch, cli.main, "lint", tmp_path / "text.onnx") == 78
    assert "is no student: it is no ONNX model" in capsys.readouterr().err
    assert run(monkeypatch, cli.main, "lint", tmp_path / "none.onnx") == 78
