"""Which engine `edge doctor --engines` finds faster here: the demo's student in a bundle for both."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median

import cv2

from edge.bundle import load_keys, read_bundle, write_bundle
from edge.clock import SystemClock
from edge.demo.run import HERE, station_text
from edge.install import install
from edge.relay_board import RelayBoard
from edge.station import load
from tests.bundles import KEY, store_key
from tests.system.calm import watched
from tests.system.results import ROOT, keep

RUNS = 7
COMMAND = "python -m pytest tests/system/test_doctor_engines.py"


@contextmanager
def station(folder: Path) -> Iterator[Path]:
    """The demo's station with its student installed for both engines: one model, as both read it."""
    demo = read_bundle(next(HERE.glob("*.bundle")), load_keys(HERE))
    entry = demo.manifest.entry("ort")
    manifest = replace(demo.manifest, models=(entry, replace(entry, target="ov", file="models/ov.onnx")))
    model = demo.model(entry)
    pictures = {each.name: (each.label, bytes(cv2.imencode(".png", each.image)[1])) for each in demo.acceptance()}
    write_bundle(folder / "both.bundle", manifest, {entry.file: model, "models/ov.onnx": model}, pictures, "", KEY)
    with RelayBoard(SystemClock()) as board:
        file = folder / "station.toml"
        file.write_text(station_text(board.port, 10.0), encoding="utf-8")
        store_key(folder / "keys")
        install(folder / "both.bundle", load(file))
        yield file


def test_both_engines_are_timed_and_the_faster_one_is_named(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "edge.cli", "doctor"]
    rows, ratios = [], []
    with station(tmp_path) as file, watched() as machine:
        for number in range(RUNS):
            done = subprocess.run(
                [*words, str(file), "--engines", "--json"], cwd=ROOT, capture_output=True, text=True
            )
            (found,) = [each for each in json.loads(done.stdout) if each["topic"] == "engine"]
            ort, ov = (float(re.search(rf"\b{kind} ([\d.]+) ms", found["words"])[1]) for kind in ("ort", "ov"))
            ratios.append(ov / ort)
            rows.append(f"| {number + 1} | {ort} | {ov} | {ov / ort:.2f} | {found['remedy'] or 'stay with ort'} |")
    keep(
        "doctor-engines",
        "ONNX Runtime and OpenVINO, timed by edge doctor --engines",
        COMMAND,
        [
            "The demo's student in INT8, picture to scores, one thread, the two in turns;",
            f"OpenVINO {version('openvino')}.",
            "Where the other engine is less than 1.15 times as fast, `edge doctor` advises no change.",
            "",
            "| run | ort ms | ov ms | ov over ort | advice |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"OpenVINO over ONNX Runtime: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}).",
            machine.words(),
        ],
    )
    assert len(ratios) == RUNS
    if machine.is_calm:
        assert max(ratios) < 1.15 * min(ratios), "on a calm machine it says the same each time"
