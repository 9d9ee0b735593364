"""The demo's network by Kenpin, a plain script, anomalib's inferencer and roboflow's pipeline, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.results import ROOT, keep

COMMAND = (
    "python -m benchmarks.peers --bundle edge/demo/washer-1.bundle --keys edge/demo --rounds 4 --seconds 1.5 "
    "--other anomalib --other inference"
)


def test_every_peer_judges_the_same_pictures(tmp_path: Path) -> None:
    result = tmp_path / "peers.json"
    words = COMMAND.split()[1:]
    done = subprocess.run([sys.executable, *words, "--json", str(result)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(result.read_text())
    assert not told["left_out"]
    lines = [
        "The ratio is p50 over that of bare ONNX Runtime in the same round: median (least to most).",
        "Where the spreads overlap the run decides nothing: they say how busy the machine was.",
        "",
        "| peer | span | ratio | score off by | versions |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, one in told["peers"].items():
        ratio, versions = one["ratio"], ", ".join(f"{key} {value}" for key, value in one["versions"].items())
        spread = f"{ratio['median']} ({ratio['least']} to {ratio['most']})"
        lines.append(f"| {name} | {one['span']} | {spread} | {one['score_differs']} | {versions} |")
    keep("peers", "The same network by others", COMMAND, lines)
    for name in ("opencv script", "inference"):
        assert told["peers"][name]["score_differs"] < 0.02, "the same pixels and the same kind of engine"
