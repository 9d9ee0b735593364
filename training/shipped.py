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


def told(model: bytes, pictures: Sequence[Picture]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What an ONNX model says of the pictures, as a device would: the scores, float32 N in [0, 1], and the likeliest
    class of each, int64 N, -1 where it tells none apart."""
    judged = judge_pictures(model, pictures, _ANY)
    return np.array([one.score for one in judged], np.float32), np.array(
        [one.likeliest for one in judged], np.int64
    )
