"""Every backbone makes a student; weights that are public, an encoder's or new are trained accordingly."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from calibration.leaks import read_pretrained
from edge.errors import ConfigError
from edge.pixels import InputSpec
from tests.system.test_engines import STUDENTS
from tests.training.small import finetune
from tests.training.test_fit import spotted
from training.backbones import BACKBONES, Stages, Start, start
from training.encoder import FACTS, read_encoder, write_encoder
from training.export import parity, to_onnx
from training.finetune import begin_with
from training.fit import Recipe, fit
from training.student import Student

SPEC = InputSpec(64, 64)


def fitted(begin):
    torch.manual_seed(0)
    student = Student(SPEC, 1, begin)
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    fit(student, spotted(16, masks=True), torch.arange(16), Recipe(1, 8), 0, lambda: None)
    return before, student.state_dict()


def changed(before, after, part, of=""):
    return [name for name in before if name.startswith(part) and of in name
            and name.endswith(("weight", "running_mean")) and not torch.equal(before[name], after[name])]  # fmt: skip


@pytest.fixture
def encoder(tmp_path):
    """The weights of a resnet10t that was pretrained from scratch, in a file."""
    torch.manual_seed(1)
    stages = Stages(Start("resnet10t", public=False), 3)
    pool = ["0b" * 32, "0a" * 32, "0b" * 32]
    write_encoder(tmp_path / "encoder.safetensors", stages, SPEC, pool, {"pictures": 2})
    return tmp_path / "encoder.safetensors"


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_stages_are_of_the_strides_and_channels_that_the_table_says(name, channels):
    stages = Stages(start(name), channels).eval()
    kind = BACKBONES[name]
    with torch.no_grad():
        early = stages.see(torch.zeros(1, 64, 96, channels, dtype=torch.uint8))
        maps = stages.climb(early)
    assert [tuple(features.shape[1:]) for features in (early, *maps[:3])] == [
        (kind.early, 16, 24), (kind.fine, 8, 12), (kind.coarse, 4, 6), (kind.deep, 2, 3)]  # fmt: skip
    assert [tuple(features.shape[1:]) for features in maps[3:]] == ([(kind.top, 2, 3)] if kind.top else [])
    assert [features.shape[1] for features in maps] == list(kind.climbed)


@pytest.mark.parametrize("name", ["resnet18", "resnet10t"])
def test_the_resnets_export_and_answer_alike_at_odd_cells(name):
    spec = InputSpec(104, 72)
    student = Student(spec, 2, start(name))
    model = to_onnx(student, spec, ("a", "b"))
    assert parity(student, model, torch.randint(0, 256, (2, 72, 104, 3), dtype=torch.uint8)) <= 1e-4
    assert not {node.op_type for node in model.graph.node} & {"BatchNormalization", "Pad", "Shape", "If"}


def test_public_weights_keep_their_early_stage_and_every_statistic():
    before, after = fitted(start("lite0"))
    assert not changed(before, after, "early") and not changed(before, after, "", of="running_mean")
    assert changed(before, after, "fine")


def test_a_network_from_scratch_learns_everything_statistics_too():
    before, after = fitted(Start("resnet10t", public=False))
    for stage in ("early", "fine", "coarse"):
        assert changed(before, after, stage) and changed(before, after, stage, of="running_mean")


def test_an_encoder_from_scratch_is_trained_whole_but_keeps_its_statistics(encoder):
    begin = read_encoder(encoder, 3).begin
    before, after = fitted(begin)
    assert torch.equal(before["early.0.0.weight"], begin.weights["early.0.0.weight"])
    assert changed(before, after, "early") and not changed(before, after, "", of="running_mean")


def test_an_encoder_adapted_from_public_weights_keeps_its_early_stage(tmp_path):
    write_encoder(tmp_path / "e", Stages(start("lite0"), 3), SPEC, ["00" * 32], {})
    before, after = fitted(read_encoder(tmp_path / "e", 3).begin)
    assert not changed(before, after, "early") and changed(before, after, "coarse")


def test_the_file_tells_its_backbone_its_input_and_its_pool(encoder):
    found = read_encoder(encoder, 3)
    assert (found.begin.backbone, found.begin.public, found.spec) == ("resnet10t", False, SPEC)
    assert found.pool == {"0a" * 32, "0b" * 32}
    begin, pretrained = begin_with("", encoder, SPEC.channels)
    assert begin.to_dict()["encoder"]["sha256"] and pretrained == found.pool


def test_a_student_that_began_with_an_encoder_says_so(belt, encoder, tmp_path):
    done = finetune(belt, tmp_path / "out", "--encoder", str(encoder))
    assert done.exit_code == 0, done.output
    said = json.loads((tmp_path / "out" / "training.json").read_text())["begin"]
    assert (said["backbone"], said["weights"], said["encoder"]["pictures"]) == ("resnet10t", "scratch", 2)
    assert read_pretrained(tmp_path / "out") == read_encoder(encoder, 3).pool
    assert finetune(belt, tmp_path / "out").exit_code == 0
    assert read_pretrained(tmp_path / "out") == set()


def changed_file(encoder, **changes):
    """The encoder file again with other metadata."""
    from safetensors import safe_open

    with safe_open(encoder, "pt") as file:
        about = json.loads(file.metadata()[FACTS]) | changes
    save_file(load_file(encoder), encoder, {FACTS: json.dumps(about)})


def changed_tensors(encoder, change):
    tensors = load_file(encoder)
    change(tensors)
    from safetensors import safe_open

    with safe_open(encoder, "pt") as file:
        save_file(tensors, encoder, file.metadata())


def lose_a_weight(encoder):
    changed_tensors(encoder, lambda tensors: tensors.pop("fine.0.0.conv1.weight"))


def hold_digests_of_files(encoder):
    """As earlier versions did."""
    changed_tensors(encoder, lambda tensors: tensors.update(pool=torch.zeros(2, 16, dtype=torch.uint8)))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "cannot read"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot read"),
        (lambda path: path.write_bytes(b""), "damaged or no encoder"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged or no encoder"),
        (lambda path: save_file({"a": torch.zeros(1)}, path), "was not written by edge-train pretrain"),
        (lambda path: changed_file(path, backbone="vit"), "'vit', known are lite0"),
        (lambda path: changed_file(path, backbone="resnet18"), "does not fit resnet18"),
        (lambda path: changed_file(path, input=None), "pretrain again"),
        (lambda path: changed_file(path, input={"width": 64, "height": 64, "channels": 1}), "grey pictures"),
        (hold_digests_of_files, "lacks the fingerprints of its pictures; pretrain again"),
        (lose_a_weight, "does not fit resnet10t"),
    ],
)
def test_a_wrong_or_foreign_encoder_is_one_clear_line(encoder, spoil, words):
    spoil(encoder)
    with pytest.raises(ConfigError, match=words) as told:
        begin_with("", encoder, SPEC.channels)
    assert "\n" not in str(told.value)


def test_a_backbone_that_is_not_the_encoders_or_not_known_is_refused(encoder):
    with pytest.raises(ConfigError, match="holds resnet10t, not lite0"):
        begin_with("lite0", encoder, SPEC.channels)
    with pytest.raises(ConfigError, match="use one of lite0, resnet18, resnet10t"):
        begin_with("resnet50", None, SPEC.channels)
    with pytest.raises(ConfigError, match="has no public weights"):
        Start("resnet18")


def test_engines_are_built_of_each() -> None:
    assert set(STUDENTS) == set(BACKBONES)
