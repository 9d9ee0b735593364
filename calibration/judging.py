"""Judges picture sets with the device's own code: one way from a file to a verdict (law 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from calibration.evidence import Judged
from edge import options
from edge.infer import TABLE, Engine
from edge.judge import judge
from edge.kinds import find
from edge.picture_set import Picture, read_image
from edge.pixels import STEP, Image, InputSpec, Pixels
from edge.records import Scores

THREADS = 1  # as stations run it
TARGET = "ort"  # what judges where nobody chose: it runs everywhere
OPTIONS = {"ort": options.OrtEngine, "ov": options.OvEngine}
# What judges here for an engine that only the device has: the same models, which the device then accepts by itself.
STAND_INS = {"trt": "ort"}


def engine_for(target: str) -> Engine:
    """The device's engine of this kind, or what stands in for it here, on one thread. Raises ConfigError for an unknown
    one or a missing library."""
    kind = STAND_INS.get(target, target)
    made: type[Engine] = find(TABLE, kind, "target")
    return made(OPTIONS[kind](kind=kind, threads=THREADS))


def judge_pictures(
    model: bytes,
    pictures: Iterable[Picture],
    threshold: float,
    target: str = TARGET,
    see: Callable[[Picture, Image, Scores], object] | None = None,
) -> list[Judged]:
    """Every picture through `edge.pixels`, the engine of this target and `edge.judge`, in order; `see` may look at each
    with its scores, which live until it returns.

    Raises EngineError for a model that is no student, ConfigError for a picture that cannot be read or lacks the
    region of interest.
    """
    judged = []
    for picture, image, scores, spec in _scored(model, pictures, target):
        if see is not None:
            see(picture, image, scores)
        kind, _ = judge(scores, threshold, (spec.height // STEP, spec.width // STEP))
        likeliest = int(scores.class_scores.argmax()) if scores.class_scores.size else -1
        peak = float(scores.heat_map.max())
        judged.append(Judged(picture.name, picture.label, picture.group, scores.score, kind, likeliest, peak))
    return judged


def embeddings(model: bytes, pictures: Iterable[Picture], target: str = TARGET) -> NDArray[np.float32]:
    """N x D, in order. Raises as `judge_pictures`."""
    return np.array([scores.embedding.copy() for _, _, scores, _ in _scored(model, pictures, target)])


def _scored(
    model: bytes, pictures: Iterable[Picture], target: str
) -> Iterator[tuple[Picture, Image, Scores, InputSpec]]:
    engine = engine_for(target)
    engine.load(model)
    pixels = Pixels(engine.spec)
    for picture in pictures:
        image = read_image(picture.path)
        pixels.to_input(image, engine.input)
        yield picture, image, engine.infer(), engine.spec
    engine.close()
