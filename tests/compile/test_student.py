"""What could not run on every device is refused before anything is built from it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compile.student import check_student, read_student
from edge.errors import ConfigError
from edge.pixels import InputSpec
from tests.compile.students import SPEC, digest, student


def changed(change):
    model = onnx.load_model_from_string(student())
    change(model)
    return model.SerializeToString()


def test_a_student_tells_its_geometry_and_classes(tmp_path):
    spec = InputSpec(96, 64, fit="letterbox")
    (tmp_path / "student.onnx").write_bytes(student(spec))
    found = read_student(tmp_path / "student.onnx")
    assert (found.spec, found.classes) == (spec, ("spot",))
    assert found.sha256 == digest(student(spec))


def external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="elsewhere")


def dynamic(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def foreign(model):
    model.graph.node[0].domain = "com.microsoft"


def without_metadata(model):
    del model.metadata_props[:]


def dangling(model):
    model.graph.node[0].input[0] = "nowhere"


def renamed(model):
    model.graph.node.append(helper.make_node("Identity", ["score"], ["points"]))
    model.graph.output[0].name = "points"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "keeps weights in another file"),
        (dynamic, "image has no fixed shape"),
        (foreign, r"uses operators of com\.microsoft"),
        (without_metadata, r"lacks kenpin\.input and kenpin\.classes"),
        (dangling, "is not valid ONNX"),
        (renamed, "is no student"),
    ],
)
def test_a_breach_of_the_contract_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        check_student(changed(change), "s.onnx")


@pytest.mark.parametrize(("words", "message"), [({"opset": 21}, "has opset 21"), ({"ir": 11}, "IR version 11")])
def test_a_model_newer_than_the_devices_is_refused(words, message):
    model = onnx.load_model_from_string(student())
    model.opset_import[0].version = words.get("opset", 17)
    model.ir_version = words.get("ir", 9)
    with pytest.raises(ConfigError, match=message):
        check_student(model.SerializeToString(), "s.onnx")


@pytest.mark.parametrize("data", [b"", b"\x00\x01 no model", b"PK\x03\x04"])
def test_another_file_is_no_student(tmp_path, data):
    (tmp_path / "s.onnx").write_bytes(data)
    with pytest.raises(ConfigError, match=r"s\.onnx"):
        read_student(tmp_path / "s.onnx")


def test_a_float_input_is_no_student():
    def to_float(model):
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT

    with pytest.raises(ConfigError, match="is no student"):
        check_student(changed(to_float), "s.onnx")


def test_a_student_that_scores_nan_still_loads_and_is_left_to_the_judge():
    def to_nan(model):
        for tensor in model.graph.initializer:
            if tensor.name == "steep":
                tensor.CopyFrom(numpy_helper.from_array(np.asarray(np.nan, np.float32), "steep"))

    assert check_student(changed(to_nan), "s.onnx").spec == SPEC
