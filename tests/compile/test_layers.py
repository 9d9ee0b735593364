"""The report tells what an engine runs in INT8, as the engine itself says."""

import numpy as np
import pytest

from compile.layers import layers, sentence
from compile.quantize import RECIPES, quantize
from tests.compile.students import SPEC, student


@pytest.fixture(scope="module")
def int8():
    return quantize(student(), [np.full(SPEC.shape(), value, np.uint8) for value in (90, 200)], RECIPES[0])


@pytest.mark.parametrize("target", ["ort", "ov"])
def test_the_layers_that_the_recipe_quantized_run_in_int8(int8, target):
    if target == "ov":
        pytest.importorskip("edge.infer.ov")
    found = layers(int8, target)
    assert [layer.int8 for layer in found] == [False, True, True, True, True, False]
    assert [layer.words for layer in found] == [
        "convolution 3 to 16, 2 x 2",
        "convolution 16 to 16, 2 x 2",
        "convolution 16 to 16, 2 x 2",
        "convolution 16 to 16, 1 x 1",
        "convolution 16 to 16, 1 x 1",
        "convolution 16 to 1, 1 x 1",
    ]
    assert sentence(found) == "4 of 6 convolutions and matrix products in INT8"
    assert sentence(layers(student(), target)) == "0 of 6 convolutions and matrix products in INT8"
