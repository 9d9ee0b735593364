"""`python anomalib_export.py PICTURES OUT SIDE`: a small PaDiM, fitted and exported to ONNX by anomalib itself.

Runs in anomalib's own environment. Its backbone has random weights: nothing is downloaded. Prints, as JSON in its last
line, the file and the scores that anomalib's own model gives all pictures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anomalib
import torch
from anomalib.data import Folder
from anomalib.deploy import ExportType
from anomalib.engine import Engine
from anomalib.models import Padim


def main(pictures: Path, out: Path, side: int) -> None:
    """Fit on `pictures/good`, export, and tell the scores of all PNG files below `pictures`."""
    torch.manual_seed(1)
    data = Folder(
        name="small",
        root=pictures,
        normal_dir="good",
        abnormal_dir="bad",
        train_batch_size=4,
        eval_batch_size=4,
        num_workers=0,
    )
    model = Padim(
        backbone="resnet18",
        layers=["layer1", "layer2"],
        pre_trained=False,
        n_features=16,
        pre_processor=Padim.configure_pre_processor((side, side)),
        visualizer=False,
    )
    engine = Engine(default_root_dir=out, accelerator="cpu", logger=False)
    engine.fit(model=model, datamodule=data)
    file = engine.export(model, ExportType.ONNX, export_root=out, input_size=(side, side))
    scores = {}
    for batch in engine.predict(model, dataset=None, data_path=pictures) or []:
        for path, score in zip(batch.image_path, batch.pred_score, strict=True):
            scores[Path(path).name] = float(score)
    print(json.dumps({"file": str(file), "scores": scores, "anomalib": anomalib.__version__}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
