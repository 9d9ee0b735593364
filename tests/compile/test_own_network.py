"""A network from elsewhere becomes a student by a small map, and then meets the same gate as any other."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
import timm
import torch
from torch import nn

from calibration import cli as calibrate
from calibration.judging import engine_for
from compile import cli
from compile.own_map import read_map
from compile.own_network import wrap
from compile.student import check_student
from edge.bundle import load_keys, read_bundle
from edge.errors import ConfigError
from tests.compile.belts import draw, run
from tests.compile.students import digest

IMAGENET = "mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\n"
SIZE = 64


def export(network, path, names, example=None, dynamic=False):
    """As people export: float32 NCHW in, a free batch where they asked for it."""
    example = torch.zeros(1, 3, SIZE, SIZE) if example is None else example
    shapes = ({0: torch.export.Dim("batch", min=1, max=8)},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), (example,), path, input_names=["input"], output_names=names, opset_version=18,
            dynamo=True, dynamic_shapes=shapes, verbose=False,
        )  # fmt: skip
    return path


def mapped(folder, text):
    (folder / "map.toml").write_text(text)
    return read_map(folder / "map.toml")


def answers(student, picture):
    engine = engine_for("ort")
    engine.load(student)
    engine.input[...] = picture
    scores = engine.infer()
    told = scores.score, scores.heat_map.copy(), scores.embedding.copy(), scores.class_scores.copy()
    engine.close()
    return told


def normalised(picture):
    scaled = torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    return (scaled - mean) / std


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(3).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A timm classifier of four classes, the first of them good, exported with a free batch."""
    torch.manual_seed(4)
    network = timm.create_model("resnet10t", num_classes=4, pretrained=False)
    folder = tmp_path_factory.mktemp("timm")
    return network, export(network, folder / "resnet.onnx", ["logits"], torch.zeros(2, 3, SIZE, SIZE), dynamic=True)


class Detector(nn.Module):
    """Shaped like the exports of anomalib: normalisation inside, a score for the picture, a map of its size, a mask."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 1, 1)
        )

    def forward(self, image):
        raw = torch.nn.functional.interpolate(self.body(image), size=image.shape[-2:], mode="bilinear")
        anomaly_map = raw.abs() * 20
        pred_score = anomaly_map.amax((1, 2, 3))
        return pred_score, pred_score > 5, anomaly_map, anomaly_map > 5


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    torch.manual_seed(5)
    network = Detector()
    folder = tmp_path_factory.mktemp("detector")
    names = ["pred_score", "pred_label", "anomaly_map", "pred_mask"]
    return network, export(network, folder / "model.onnx", names)


def test_a_classifier_becomes_a_student_with_the_shares_of_its_softmax(tmp_path, classifier, picture):
    network, path = classifier
    told = mapped(
        tmp_path,
        f'classes = ["scratch", "dent", "stain"]\n[input]\nwidth = {SIZE}\nheight = {SIZE}\n{IMAGENET}'
        '[score]\noutput = "logits"\nkind = "softmax"\ngood = 0\n'
        '[embedding]\noutput = "logits"\n[class_scores]\noutput = "logits"\ncolumns = [1, 2, 3]\n',
    )
    data = wrap(path, told)
    student = check_student(data, "wrapped")
    assert (student.spec.width, student.spec.height, student.classes) == (SIZE, SIZE, ("scratch", "dent", "stain"))
    score, heat_map, embedding, classes = answers(data, picture)
    logits = network(normalised(picture)).detach()[0]
    assert score == pytest.approx(1 - float(logits.softmax(0)[0]), abs=1e-4)
    assert np.allclose(heat_map, score), "it knows no place, so every place has the score"
    assert np.allclose(embedding, logits, atol=1e-3)
    assert np.allclose(classes, logits[1:].softmax(0), atol=1e-4)
    assert wrap(path, told) == data, "the same bytes each time: a threshold names its student"


def test_a_detector_becomes_a_student_by_min_max(tmp_path, detector, picture):
    network, path = detector
    told = mapped(
        tmp_path,
        '[score]\noutput = "pred_score"\nkind = "min_max"\nlow = 2.0\nhigh = 12.0\n'
        '[heat_map]\noutput = "anomaly_map"\nkind = "min_max"\nlow = 2.0\nhigh = 12.0\n',
    )
    score, heat_map, embedding, _ = answers(wrap(path, told), picture)
    with torch.no_grad():
        raw, _, places, _ = network(torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255)
    assert score == pytest.approx(float(((raw - 2) / 10).clip(0, 1)), abs=1e-4)
    cells = torch.nn.functional.max_pool2d(((places - 2) / 10).clip(0, 1), 8)[0, 0]
    assert heat_map.shape == (SIZE // 8, SIZE // 8)
    assert np.allclose(heat_map, cells, atol=1e-4)
    assert heat_map.max() == pytest.approx(score, abs=1e-4), "a small peak is not averaged away"
    assert embedding.shape == (1,)


@pytest.mark.parametrize(("order", "layout"), [("BGR", "NCHW"), ("RGB", "NHWC"), ("GREY", "NCHW")])
def test_order_and_layout_of_the_channels_are_those_of_the_map(tmp_path, order, layout):
    class Weighted(nn.Module):
        """A logit that tells its channels apart."""

        def forward(self, image):
            means = image.mean((2, 3) if layout == "NCHW" else (1, 2))
            weights = torch.arange(1, means.shape[1] + 1)
            return (means * weights).sum(1, keepdim=True) - 1

    channels = 1 if order == "GREY" else 3
    shape = (1, channels, 16, 24) if layout == "NCHW" else (1, 16, 24, channels)
    path = export(Weighted(), tmp_path / "w.onnx", ["logit"], torch.zeros(shape))
    told = mapped(
        tmp_path, f'[input]\norder = "{order}"\nlayout = "{layout}"\n[score]\noutput = "logit"\nkind = "logit"'
    )
    picture = np.zeros((1, 16, 24, channels), np.uint8)
    picture[..., 0] = 255  # red
    weight = 3 if order == "BGR" else 1
    assert answers(wrap(path, told), picture)[0] == pytest.approx(1 / (1 + np.exp(1 - weight)), abs=1e-4)


def test_it_meets_the_same_gate_and_ships_with_evidence(monkeypatch, tmp_path):
    """A network that sees something: how far the brightest place stands out of grey, in a float NCHW export."""

    class Bright(nn.Module):
        def __init__(self):
            super().__init__()
            layers = []
            for inputs, stride in ((3, 2), (16, 2), (16, 2), (16, 1)):
                conv = nn.Conv2d(inputs, 16, stride, stride)
                nn.init.constant_(conv.weight, 1 / (inputs * stride * stride))
                nn.init.zeros_(conv.bias)
                layers += [conv, nn.ReLU()]
            self.body = nn.Sequential(*layers)

        def forward(self, image):
            places = self.body(image).mean(1, keepdim=True) * 20
            return places.amax((1, 2, 3)), places

    path = export(Bright(), tmp_path / "bright.onnx", ["pred_score", "anomaly_map"])
    grey = 100 / 255
    (tmp_path / "map.toml").write_text(
        f"[input]\nmean = [{grey}]\nstd = [0.5]\n"
        '[score]\noutput = "pred_score"\nkind = "min_max"\nlow = 0.0\nhigh = 12.0\n'
        '[heat_map]\noutput = "anomaly_map"\nkind = "min_max"\nlow = 0.0\nhigh = 12.0\n'
    )
    for name, seed in (("seen", 1), ("held", 2), ("locked", 3)):
        draw(tmp_path / name, 20, 62, seed, lot=name)
    assert run(monkeypatch, cli.main, "keygen", tmp_path / "acme") == 0
    student, scores, threshold = (tmp_path / name for name in ("student.onnx", "scores.csv", "threshold.json"))
    assert run(monkeypatch, cli.main, "wrap", path, "--outputs", tmp_path / "map.toml", "-o", student) == 0
    assert run(monkeypatch, calibrate.main, "score", student, tmp_path / "held", "-o", scores) == 0
    words = ("--student", student, "--pictures", tmp_path / "held", "--escape", 0.05, "-o", threshold)
    assert run(monkeypatch, calibrate.main, "threshold", scores, *words) == 0
    sets = ("--calibration", tmp_path / "seen", "--acceptance", tmp_path / "locked", "--threshold", threshold)
    out = tmp_path / "cap-1.bundle"
    named = ("--outputs", tmp_path / "map.toml", "--product", "cap", "--version", 1, "--key", tmp_path / "acme.key")
    assert run(monkeypatch, cli.main, path, *named, *sets, "-o", out) == 0
    manifest = read_bundle(out, load_keys(tmp_path)).manifest
    assert manifest.models[0].proven
    assert manifest.models[0].evidence.missed == 0
    assert manifest.provenance["student_sha256"] == digest(student.read_bytes())


# --- what is wrong ----------------------------------------------------------------------------------------------

SCORE = '[score]\noutput = "pred_score"\nkind = "probability"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[score]\noutput = "score"\nkind = "logit"\n', "has no output 'score', only pred_score, pred_label"),
        ('[score]\noutput = "anomaly_map"\nkind = "logit"\n', "anomaly_map has 4096 values: say which"),
        ('[score]\noutput = "pred_score"\nkind = "logit"\ncolumn = 1\n', "has 1 columns, the map names 1"),
        ('[score]\noutput = "pred_label"\nkind = "logit"\n', "pred_label is no float32"),
        (
            f'{SCORE}[heat_map]\noutput = "pred_score"\nkind = "probability"\n',
            "it must be one map of rows and columns",
        ),
        (f"[input]\nwidth = 96\n{SCORE}", "input has width 64, input.width says 96"),
        (f'[input]\norder = "GREY"\n{SCORE}', "has 3 channels in NCHW, input.order GREY has 1"),
        (f'[input]\nlayout = "NHWC"\n{SCORE}', "has 64 channels in NHWC"),
        (f'[input]\nname = "picture"\n{SCORE}', "takes input: name the one picture as input.name"),
    ],
)
def test_a_map_that_does_not_fit_the_network_is_told_so(tmp_path, detector, text, message):
    with pytest.raises(ConfigError, match=message):
        wrap(detector[1], mapped(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "score: Field required"),
        ("[score", "is no TOML"),
        (f"surprise = 1\n{SCORE}", "surprise"),
        ('[score]\noutput = "x"\nkind = "softmax"\n', "needs either column"),
        ('[score]\noutput = "x"\nkind = "min_max"\nlow = 2\nhigh = 1\n', "needs low and a higher high"),
        (f"[input]\nmean = [0.5, 0.5]\n{SCORE}", "mean needs one value, or 3"),
        (f"[input]\nstd = [0.0]\n{SCORE}", "greater than 0"),
        (f'classes = ["a", "b"]\n{SCORE}', "name one, or give"),
    ],
)
def test_a_map_that_says_nothing_sensible_is_told_so(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        mapped(tmp_path, text)


def test_a_network_that_leaves_its_size_open_needs_it_in_the_map(tmp_path, classifier):
    def free(model):
        for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            size.dim_param = "side"

    model = onnx.load(classifier[1])
    free(model)
    onnx.save(model, tmp_path / "free.onnx")
    text = '[score]\noutput = "logits"\nkind = "softmax"\ngood = 0\n'
    with pytest.raises(ConfigError, match=r"has no fixed width: set input\.width"):
        wrap(tmp_path / "free.onnx", mapped(tmp_path, text))


def test_a_file_that_is_no_network_is_told_so(tmp_path):
    (tmp_path / "x.onnx").write_text("no model")
    told = mapped(tmp_path, SCORE)
    for name in ("x.onnx", "none.onnx"):
        with pytest.raises(ConfigError, match="as ONNX"):
            wrap(tmp_path / name, told)
