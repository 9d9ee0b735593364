"""edge doctor --engines times what the bundle holds, and advises what is faster here."""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import pytest

from edge.bundle import ModelEntry, load_keys, read_bundle, write_bundle
from edge.clock import SystemClock
from edge.doctor import engines, needs
from edge.doctor.finding import Finding, Here
from edge.station import load
from tests.bundles import EVIDENCE, KEY, MODEL, a_manifest, png
from tests.eye.stations import SPEC, relay_bench
from tests.infer.students import student

OV = "models/ov.onnx"


def with_both(path: Path) -> Path:
    """A bundle with one model for each of two engines."""
    model = student(SPEC)
    digest = sha256(model).hexdigest()
    entries = (
        ModelEntry(MODEL, digest, "ort", "fp32", 0.5, EVIDENCE, proven=True),
        ModelEntry(OV, digest, "ov", "fp32", 0.5, EVIDENCE, proven=True),
    )
    manifest = a_manifest(model, version=2, input=SPEC, models=entries, classes=())
    write_bundle(path, manifest, {MODEL: model, OV: model}, {"ok.png": ("ok", png(10))}, "<p>report</p>", KEY)
    return path


def examined(folder: Path, monkeypatch: pytest.MonkeyPatch, taken: dict[str, float] | None = None) -> Finding:
    with relay_bench(folder) as rig:
        station = load(rig.file)
        file = with_both(folder / "both.bundle")
        held = read_bundle(file, load_keys(station.station.keys_dir))
        monkeypatch.setattr(engines, "open_active", lambda *_: held)
        if taken is not None:
            monkeypatch.setattr(
                engines, "_timed", lambda students, _clock: {kind: taken[kind] for kind in students}
            )
        return next(engines.examine(station, SystemClock()))


def test_every_engine_of_the_bundle_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(tmp_path, monkeypatch)
    assert found.topic == "engine" and "ort " in found.words and "ov " in found.words


def test_a_faster_engine_is_advised_and_a_little_faster_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examined(tmp_path, monkeypatch, {"ort": 8.0, "ov": 5.0})
    assert found.grade == "advice" and found.remedy == 'engine.kind = "ov" is 1.6 times as fast here'
    (tmp_path / "again").mkdir()
    assert examined(tmp_path / "again", monkeypatch, {"ort": 5.2, "ov": 5.0}).grade == "well"


def unasked(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    both: bool = False,
    machine: str = "x86_64",
    openvino: bool = True,
    engine: str = "ort",
) -> list[Finding]:
    """What the examination without --engines says of engines."""
    folder.mkdir(exist_ok=True)
    with relay_bench(folder) as rig:
        station = load(rig.file)
        options = station.engine.model_copy(update={"kind": engine})
        station = station.model_copy(update={"engine": options})
        if both:
            held = read_bundle(with_both(folder / "both.bundle"), load_keys(station.station.keys_dir))
            monkeypatch.setattr(needs, "open_active", lambda *_: held)
        monkeypatch.setattr("platform.machine", lambda: machine)
        monkeypatch.setattr(needs, "find_spec", lambda name: object() if openvino or name != "openvino" else None)
        return [found for found in needs.examine(station, Here(), SystemClock()) if found.topic == "engine"]


def test_a_bundle_for_one_engine_alone_is_told_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = unasked(tmp_path, monkeypatch)
    assert found.grade == "advice" and "no model for OpenVINO" in found.words
    assert "--target ort --target ov" in found.remedy and "--engines" in found.remedy
    assert "pip install" not in found.remedy


def test_what_is_not_installed_is_named_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = unasked(tmp_path, monkeypatch, openvino=False)
    assert found.remedy.startswith(f"{sys.prefix}/bin/pip install 'kenpin[openvino]'")


def test_nothing_is_said_where_it_is_no_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unasked(tmp_path / "both", monkeypatch, both=True) == []
    assert unasked(tmp_path / "arm", monkeypatch, machine="aarch64") == []
    assert unasked(tmp_path / "chosen", monkeypatch, engine="ov") == []
