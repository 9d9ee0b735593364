"""A student as it ships: the ONNX model in INT8 beside the one that it is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.judging import judge_pictures
from calibration.sample import sample
from compile.quantize import RECIPES, quantize
from edge.picture_set import Picture, read_image
from edge.pixels import InputSpec, to_input
from training.export import to_onnx
from training.student import Network

CALIBRATION = 100  # pictures for INT8
_ANY = 0.5  # a threshold must be given; only scores are looked at


def in_int8(fp32: bytes, spec: InputSpec, pictures: Sequence[Picture]) -> bytes:
    """The ONNX model in INT8, calibrated on some of the pictures that it learnt from."""
    inputs = [to_input(read_image(picture.path), spec) for picture in sample(pictures, CALIBRATION)]
    return quantize(fp32, inputs, RECIPES[0])


def in_fp32(student: Network, spec: InputSpec, classes: Sequence[str]) -> bytes:
    """The ONNX model as `finetune` writes it."""
    model: bytes = to_onnx(student, spec, classes).SerializeToString()
    return model


def told(model: bytes, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """What an ONNX model says of the pictures, as a device would; float32 N in [0, 1]."""
    return np.array([one.score for one in judge_pictures(model, pictures, _ANY)], np.float32)
