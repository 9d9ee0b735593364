"""A student as one ONNX file, proven to answer what the trained network answers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import onnxslim
import torch
from torch import Tensor

from edge.errors import KenpinError
from edge.pixels import InputSpec
from training.student import Deployed, Network

OPSET = 18
NEWEST_IR = 10  # ONNX Runtime 1.20 reads this
TOLERANCE = 1e-4
OUTPUTS = ("score", "heat_map", "embedding", "class_scores")


class ParityError(KenpinError):
    """The exported student answers otherwise than the trained one."""


def to_onnx(student: Network, spec: InputSpec, classes: Sequence[str]) -> onnx.ModelProto:
    """The student with static shapes, batch 1: names, shapes and metadata as the rooms below expect them.

    Batch norms are folded and paddings are part of their convolutions; weights are inside.
    """
    deployed = Deployed(student)
    example = torch.zeros(spec.shape(), dtype=torch.uint8)
    names = list(OUTPUTS[: 4 if len(classes) > 1 else 3])
    with warnings.catch_warnings():
        # the exporter warns of its own deprecations
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            deployed, (example,), input_names=["image"], output_names=names, opset_version=OPSET, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
    assert program is not None
    model: onnx.ModelProto = onnxslim.slim(program.model_proto)
    _describe(model, spec, classes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _describe(model: onnx.ModelProto, spec: InputSpec, classes: Sequence[str]) -> None:
    model.ir_version = min(model.ir_version, NEWEST_IR)
    model.graph.name = "student"
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.helper.set_model_props(
        model, {"kenpin.input": spec.to_json(), "kenpin.classes": json.dumps(list(classes))}
    )


def parity(student: Network, model: onnx.ModelProto, images: Tensor) -> float:
    """The largest difference of any output over the `images` (uint8 N x H x W x C), torch against ONNX Runtime.

    Raises ParityError above 1e-4.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    deployed = Deployed(student)
    largest = 0.0
    for image in torch.split(images, 1):
        with torch.no_grad():
            told = deployed(image)
        answered = session.run(None, {"image": image.numpy()})
        gaps = [np.abs(mine.numpy() - theirs).max() for mine, theirs in zip(told, answered, strict=True)]
        largest = max(largest, *(float(gap) for gap in gaps))
    if not largest <= TOLERANCE:
        raise ParityError(
            f"the exported student differs by {largest:.2g} from the trained one (allowed {TOLERANCE:g}); "
            "report this with the versions of torch and onnxruntime, do not ship the file"
        )
    return largest


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(model.SerializeToString())
    partial.replace(path)
