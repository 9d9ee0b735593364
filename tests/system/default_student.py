"""`python -m tests.system.default_student BACKBONE FILE [SET]`: a student of that backbone as ONNX, untrained, or with
its heads fitted to the set."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from edge.picture_set import read_set
from edge.pixels import InputSpec
from training.backbones import start
from training.export import to_onnx
from training.pictures import load
from training.probe import probe
from training.student import Student

SPEC = InputSpec(256, 256)
CLASSES = ("scratch", "dent", "stain")


def main(backbone: str, file: str, pictures: str = "") -> None:
    """Public weights where the backbone has some, random ones from a seed elsewhere."""
    torch.manual_seed(1)
    classes: tuple[str, ...] = CLASSES
    data = load(read_set(Path(pictures)), SPEC, lambda: None) if pictures else None
    if data is not None:
        classes = data.classes
    student = Student(SPEC, len(classes), start(backbone))
    if data is not None:
        probe(student, data, torch.arange(len(data.pictures)))
    Path(file).write_bytes(to_onnx(student, SPEC, classes).SerializeToString())


if __name__ == "__main__":
    main(*sys.argv[1:])
