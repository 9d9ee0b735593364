"""A student as it ships: the ONNX model in INT8 beside the one that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.judging import judge_pictures
from calibration.sample import sample
from compile.quantize import RECIPES, quantize
from edge.picture_set import Picture, read_image
from edge.pixels import Image, InputSpec, to_input
from edge.records import Scores
from training.export import to_onnx
from training.located import BINS, Counts, counted
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


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What a model said of N pictures: scores, float32 N in [0, 1]; the likeliest class of each, int64 N, -1 where it
    tells none apart; how hot pixels are in and out of masks, int64 N x 2 x BINS (`training.located`)."""

    scores: NDArray[np.float32]
    kinds: NDArray[np.int64]
    pixels: Counts


def nothing_told(count: int) -> Told:
    """Of so many pictures, to be filled in."""
    return Told(np.full(count, np.nan, np.float32), np.full(count, -1), np.zeros((count, 2, BINS), np.int64))


def told(model: bytes, spec: InputSpec, pictures: Sequence[Picture]) -> Told:
    """What an ONNX model says of the pictures, as a device would."""
    pixels: list[Counts] = []

    def see(picture: Picture, image: Image, scores: Scores) -> None:
        pixels.append(counted(scores.heat_map, picture, image.shape[:2], spec))

    judged = judge_pictures(model, pictures, _ANY, see=see)
    return Told(
        np.array([one.score for one in judged], np.float32),
        np.array([one.likeliest for one in judged], np.int64),
        np.stack(pixels),
    )
