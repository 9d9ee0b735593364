"""`python -m tests.system.default_student BACKBONE FILE`: a student of that backbone, untrained, as ONNX."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from edge.pixels import InputSpec
from training.backbones import start
from training.export import to_onnx
from training.student import Student

SPEC = InputSpec(256, 256)
CLASSES = ("scratch", "dent", "stain")


def main(backbone: str, file: str) -> None:
    """Public weights where the backbone has some, random ones from a seed elsewhere."""
    torch.manual_seed(1)
    student = Student(SPEC, len(CLASSES), start(backbone))
    Path(file).write_bytes(to_onnx(student, SPEC, CLASSES).SerializeToString())


if __name__ == "__main__":
    main(*sys.argv[1:])
