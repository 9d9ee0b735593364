"""The student that ships is the file the rooms below expect, and answers what the trained network answers."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from edge.picture_set import read_image
from edge.pixels import InputSpec, to_input
from training.export import ParityError, parity, to_onnx
from training.student import Student, log_mean_exp
from training.weights import lite0


@pytest.fixture(scope="module")
def session(trained):
    return onnxruntime.InferenceSession(str(trained.out / "student.onnx"))


def test_one_uint8_picture_goes_in_and_score_map_embedding_and_classes_come_out(session):
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(uint8)", [1, 96, 96, 3])
    outputs = {output.name: (output.type, output.shape) for output in session.get_outputs()}
    assert outputs == {
        "score": ("tensor(float)", [1]),
        "heat_map": ("tensor(float)", [1, 12, 12]),
        "embedding": ("tensor(float)", [1, 1280]),
        "class_scores": ("tensor(float)", [1, 3]),
    }


def test_the_file_says_its_input_and_classes_and_old_runtimes_can_read_it(trained):
    model = onnx.load(trained.out / "student.onnx", load_external_data=False)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert InputSpec.from_json(said["kenpin.input"]) == InputSpec(96, 96)
    assert json.loads(said["kenpin.classes"]) == ["dent", "scratch", "stain"]
    assert 17 <= model.opset_import[0].version <= 20
    assert model.ir_version <= 10
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert [path.name for path in sorted(trained.out.iterdir())] == [
        "models", "pretrained.txt", "scores.csv", "student.onnx", "training.json"]  # fmt: skip


def test_the_graph_is_plain_layers_without_batch_norms_paddings_or_branches(trained):
    ops = {node.op_type for node in onnx.load(trained.out / "student.onnx").graph.node}
    assert not ops & {"BatchNormalization", "Pad", "If", "Loop", "Shape", "Slice", "Identity"}
    assert ops & {"Conv"}


def test_answers_lie_in_their_ranges(trained, session):
    for row in trained.scores[:5]:
        image = to_input(read_image(trained.pictures / row["file"]), InputSpec(96, 96))
        score, heat, embedding, classes = session.run(None, {"image": image})
        assert 0 <= score[0] <= 1
        assert heat.min() >= 0 and heat.max() <= 1
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
        assert classes.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("width", "height", "channels"), [(104, 72, 3), (64, 40, 1)])
def test_any_multiple_of_eight_and_a_single_class_export_alike(width, height, channels):
    spec = InputSpec(width, height, channels)
    student = Student(spec, 1)
    model = to_onnx(student, spec, ("ng",))
    images = torch.randint(0, 256, (3, height, width, channels), dtype=torch.uint8)
    assert parity(student, model, images) <= 1e-4
    shapes = {
        output.name: [axis.dim_value for axis in output.type.tensor_type.shape.dim] for output in model.graph.output
    }
    assert shapes == {"score": [1], "heat_map": [1, height // 8, width // 8], "embedding": [1, 1280]}


def test_an_export_that_answers_otherwise_is_refused():
    spec = InputSpec(64, 64)
    student = Student(spec, 1)
    model = to_onnx(student, spec, ("ng",))
    for tensor in model.graph.initializer:
        if tensor.name.endswith("to_heat.weight"):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.5, tensor.name))
    with pytest.raises(ParityError, match="do not ship"):
        parity(student, model, torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))


def test_a_grey_picture_means_the_same_to_the_mono_backbone():
    grey = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        mono, colour = lite0(1).eval()(grey), lite0(3).eval()(grey.expand(1, 3, 64, 64))
    torch.testing.assert_close(mono, colour, rtol=1e-3, atol=1e-3)


def test_the_backbone_carries_the_wheels_weights():
    first, second = lite0().state_dict(), lite0().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_hot_cell_lifts_the_pooled_score_nearly_as_much_as_many():
    cold = torch.full((3, 32, 32), -6.0)
    cold[1, 5, 7] = 6.0
    cold[2] = 6.0
    none, one, all_ = log_mean_exp(cold).tolist()
    assert (none, all_) == (pytest.approx(-6), pytest.approx(6))
    assert one > 4
