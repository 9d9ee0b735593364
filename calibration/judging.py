"""Judges picture sets with the device's own code: one way from a file to a verdict (law 4)."""

from __future__ import annotations

from collections.abc import Iterable

from calibration.evidence import Judged
from edge import options
from edge.infer.ort import OrtEngine
from edge.judge import judge
from edge.picture_set import Picture, read_image
from edge.pixels import STEP, Pixels

THREADS = 1  # as stations run it


def judge_pictures(model: bytes, pictures: Iterable[Picture], threshold: float) -> list[Judged]:
    """Every picture through `edge.pixels`, the ONNX Runtime engine and `edge.judge`, in order.

    Raises EngineError for a model that is no student, ConfigError for a picture that cannot be read or lacks the
    region of interest.
    """
    engine = OrtEngine(options.OrtEngine(kind="ort", threads=THREADS))
    engine.load(model)
    pixels = Pixels(engine.spec)
    shape = (engine.spec.height // STEP, engine.spec.width // STEP)
    judged = []
    for picture in pictures:
        pixels.to_input(read_image(picture.path), engine.input)
        scores = engine.infer()
        kind, _ = judge(scores, threshold, shape)
        judged.append(Judged(picture.name, picture.label, picture.group, scores.score, kind))
    engine.close()
    return judged
