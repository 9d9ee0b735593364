"""What two engines say of the same pictures is compared, and a larger difference is explained."""

from dataclasses import replace

from compile.agreement import agreement
from compile.layers import Layer
from tests.compile.test_verify import rows, tried

BODY = (Layer("c1", "convolution", True), Layer("c2", "convolution", True))


def on(target, scores, file="models/int8-x86.onnx"):
    return replace(tried(rows(scores), precision="int8"), target=target, file=file)


def test_what_lies_within_the_tolerance_is_said_to():
    words = agreement([on("ort", [0.9, 0.8]), on("ov", [0.91, 0.8])], [BODY, BODY], 0.05)
    assert words == ["INT8 scores differ by at most 0.0100 between ort and ov, within the tolerance of 0.05"]


def test_more_is_told_with_pictures_and_the_layers_that_only_one_runs_in_int8():
    trials = [on("ort", [0.9, 0.8]), on("ov", [0.8, 0.8])]
    (words,) = agreement(trials, [BODY, (BODY[0], replace(BODY[1], int8=False))], 0.05)
    assert "1 by more than the tolerance of 0.05 (000.png 0.9000 and 0.8000)" in words
    assert words.endswith("only one of them runs c2 in INT8; each was judged by itself")
    (words,) = agreement(trials, [BODY, BODY], 0.05)
    assert "round between them in another order" in words


def test_another_model_and_a_score_that_is_none_are_explained_too():
    trials = [on("ort", [0.9]), on("trt", [0.8], "models/int8-trt.onnx")]
    assert "trt has a model of its own" in agreement(trials, [BODY, BODY], 0.05)[0]
    assert "by more than the tolerance" in agreement([trials[0], on("ov", [float("nan")])], [BODY, BODY], 0.05)[0]


def test_models_of_one_engine_are_not_compared():
    assert agreement([on("ort", [0.9]), replace(on("ort", [0.9]), precision="fp32")], [BODY, BODY], 0.05) == []
