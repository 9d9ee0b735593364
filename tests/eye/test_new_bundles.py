"""A bundle that was good on the acceptance pictures and fails on the line gives way to the one of before by itself."""

from __future__ import annotations

import fcntl
import math
import signal
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge import install as installing
from edge.bundle import ModelEntry, write_bundle
from edge.clock import SystemClock
from edge.errors import BundleError, EngineError
from edge.eye import student as students
from edge.eye.inference import SOURCE
from edge.eye.new_bundles import NewBundles
from edge.eye.student import students_of
from edge.health import Health, Level
from edge.install import install, installed, open_active, probation_of, returned
from edge.journal.reading import read_notes
from edge.probation import MOST_UNCLEAN, Probation
from edge.records import Kind, Reason
from edge.station import Station
from tests.bundles import EVIDENCE, KEY, MODEL, a_manifest, png
from tests.eye.stations import (
    BRIGHT,
    DARK,
    SPEC,
    Bench,
    EdgeProcess,
    bundle,
    draw,
    lay_out,
    modbus_bench,
    run_to_end,
)
from tests.eye.test_operator import becomes
from tests.infer.students import student

CLOCK = SystemClock()


def blind_to_bright(model: bytes, most: float = 150 / 255) -> bytes:
    """The student, whose score is not a number where the picture's mean (0..1) is above `most`."""
    changed = onnx.load_model_from_string(model)
    graph = changed.graph
    place = next(number for number, node in enumerate(graph.node) if node.output[0] == "mean")
    graph.node[place].output[0] = "sound"
    for name, value in (("most", most), ("none", 0)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    made = [
        helper.make_node("Sub", ["most", "sound"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),
        helper.make_node("Mul", ["root", "none"], ["poison"]),
        helper.make_node("Add", ["sound", "poison"], ["mean"]),
    ]
    for step, node in enumerate(made, 1):
        graph.node.insert(place + step, node)
    return changed.SerializeToString()


def bad_bundle(path: Path, version: int = 2) -> Path:
    model = blind_to_bright(student(SPEC))
    entry = ModelEntry(MODEL, sha256(model).hexdigest(), "ort", "fp32", 0.5, EVIDENCE, proven=True)
    manifest = a_manifest(model, version=version, input=SPEC, models=(entry,), classes=(), product="cap-a")
    write_bundle(path, manifest, {MODEL: model}, {"ok.png": ("ok", png(DARK))}, "", KEY)
    return path


def watch(bench: Bench, parts: int, unknown: int) -> None:
    text = bench.file.read_text()
    bench.file.write_text(f"{text}[new_bundle]\nwatch_parts = {parts}\nunknown_max = {unknown}\n")


def bundle_notes(bench: Bench) -> list[str]:
    return [note.words for note in read_notes(bench.folder / "journal") if note.kind == "bundle"]


# --- on a line at work ------------------------------------------------------------------------------------------


def test_scores_that_are_no_numbers_on_the_line_bring_the_old_bundle_back(tmp_path: Path) -> None:
    draw(tmp_path, [BRIGHT, DARK] * 4)
    with modbus_bench(tmp_path, loop=True, transit=600) as bench:
        watch(bench, parts=500, unknown=2)
        install(bad_bundle(tmp_path / "cap-a-2.bundle"), bench.station)
        with EdgeProcess("run", bench.file) as edge:
            assert edge.ends() == 69, edge.output
        assert "cap-a is back at version 1: version 2 left 3 of its first" in edge.output
        assert "Traceback" not in edge.output
        assert not any(row.outcome is None for row in bench.rows())
        (words,) = bundle_notes(bench)
        assert words.startswith("cap-a is back at version 1")
        with EdgeProcess("run", bench.file) as edge:
            status = becomes(bench, lambda status: status.verdicts["pass"] > 0, "version 1 passes parts")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        assert status.bundle.startswith("cap-a is back at version 1: version 2 left 3")
        bench.check_gate(bench.rows())


def test_a_bundle_that_judges_its_first_parts_is_kept(tmp_path: Path) -> None:
    draw(tmp_path, [BRIGHT, DARK] * 8)
    with modbus_bench(tmp_path, transit=600) as bench:
        watch(bench, parts=6, unknown=100)
        install(bundle(tmp_path / "cap-a-2.bundle", version=2), bench.station)
        assert probation_of(bench.station, "cap-a") == Probation(version=2, back_to=1)
        run_to_end(bench)
        assert probation_of(bench.station, "cap-a") is None
        assert open_active(bench.station, "cap-a").manifest.version == 2
        (words,) = bundle_notes(bench)
        assert words.startswith("cap-a version 2 is kept after ")


# --- before the line runs ---------------------------------------------------------------------------------------


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """A station with version 2 installed over version 1."""
    lay_out(tmp_path, gate='kind = "memory"', permit='kind = "memory"')
    bench = Bench(tmp_path, list, list)
    install(bundle(tmp_path / "cap-a-2.bundle", version=2), bench.station)
    return bench.station


def begin_run(station: Station) -> int:
    """The version that a run takes up."""
    (found,) = students_of([station], CLOCK)
    found[0].engine.close()
    return found[0].version


def test_a_bundle_that_does_not_load_any_more_gives_way_at_the_start(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = students.load

    def fails(held: Any, *more: Any) -> Any:
        if held.manifest.version == 2:
            raise EngineError("the library was updated")
        return load(held, *more)

    monkeypatch.setattr(students, "load", fails)
    assert begin_run(station) == 1
    assert returned(station, "cap-a") == (
        "cap-a is back at version 1: version 2 does not load: the library was updated"
    )
    install(bundle(station.source.parent / "cap-a-3.bundle", version=3), station)
    assert returned(station, "cap-a") == ""


def test_an_engine_that_gives_no_proof_is_closed_before_the_other_one_loads(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    prove = students.prove

    def fails(tried: Any, clock: Any) -> None:
        happened.append(f"version {tried.version}")
        if tried.version == 2:
            monkeypatch.setattr(tried.engine, "close", lambda: happened.append("closed"))
            raise EngineError("no sound score")
        prove(tried, clock)

    monkeypatch.setattr(students, "prove", fails)
    assert begin_run(station) == 1
    assert happened == ["version 2", "closed", "version 1"]


def test_what_is_not_watched_fails_as_ever(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    installing.keep(station, "cap-a", 2)

    def fails(*_: Any) -> Any:
        raise EngineError("the library was updated")

    monkeypatch.setattr(students, "load", fails)
    with pytest.raises(EngineError, match="the library was updated"):
        begin_run(station)
    assert open_active(station, "cap-a").manifest.version == 2


def test_runs_that_are_killed_again_and_again_bring_the_old_bundle_back(station: Station) -> None:
    assert [begin_run(station) for _ in range(MOST_UNCLEAN + 2)] == [2] * MOST_UNCLEAN + [1, 1]
    assert "version 2 ended 3 runs out of order" in returned(station, "cap-a")


def test_runs_that_end_in_order_do_not_count_against_it(station: Station) -> None:
    for _ in range(MOST_UNCLEAN + 2):
        new_bundles = watching(station)  # as before the run began
        assert begin_run(station) == 2
        new_bundles.run_ended()
    assert probation_of(station, "cap-a") == Probation(version=2, back_to=1)


# --- part by part -----------------------------------------------------------------------------------------------


def watching(station: Station, health: Health | None = None) -> NewBundles:
    new_bundles = NewBundles(station, health or Health(), SOURCE, CLOCK)
    new_bundles.begin()
    return new_bundles


def end_parts(new_bundles: NewBundles, kind: Kind, reason: Reason, count: int) -> None:
    for _ in range(count):
        new_bundles.ended(SimpleNamespace(recipe=0), kind, reason, math.nan)  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [Reason.ENGINE_ERROR, Reason.BAD_SCORE, Reason.LATE, Reason.NO_VERDICT])
def test_more_unknown_parts_than_are_borne_end_it(station: Station, reason: Reason) -> None:
    new_bundles = watching(station)
    end_parts(new_bundles, Kind.PASS, Reason.NONE, 10)
    end_parts(new_bundles, Kind.UNKNOWN, reason, 5)
    assert list(new_bundles.settle()) == []
    assert new_bundles.words() == "cap-a version 2 is new: 15 of 200 parts watched"
    assert installed(station)[1].words == "new: watched, else back to 1"
    end_parts(new_bundles, Kind.UNKNOWN, reason, 1)
    with pytest.raises(EngineError, match="version 2 left 6 of its first 16 parts without a verdict; start"):
        new_bundles.settle()
    assert [(each.version, each.active, each.words) for each in installed(station)] == [
        (1, True, "version 2 left 6 of its first 16 parts without a verdict"),
        (2, False, "the station has gone back from it: it left 6 of its first 16 parts without a verdict"),
    ]


@pytest.mark.parametrize("reason", [Reason.NO_FRAME, Reason.BAD_FRAME, Reason.OVERRUN, Reason.JOURNAL])
def test_what_a_camera_or_a_disk_did_is_not_held_against_it(station: Station, reason: Reason) -> None:
    new_bundles = watching(station)
    end_parts(new_bundles, Kind.UNKNOWN, reason, 200)
    (words,) = new_bundles.settle()
    assert words == "cap-a version 2 is kept after 200 parts"


def test_parts_that_were_purged_or_lost_with_their_line_prove_nothing(station: Station) -> None:
    new_bundles = watching(station)
    for reason in (Reason.PURGE, Reason.LINE_LOST):
        end_parts(new_bundles, Kind.UNKNOWN, reason, 300)
    assert list(new_bundles.settle()) == []


def test_whoever_installs_another_bundle_meanwhile_holds_nothing_up(station: Station) -> None:
    new_bundles = watching(station)
    end_parts(new_bundles, Kind.PASS, Reason.NONE, 200)
    with (station.station.state_dir / "bundles" / "cap-a" / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert list(new_bundles.settle()) == [] and "200 of 200 parts watched" in new_bundles.words()
    (words,) = new_bundles.settle()
    assert words == "cap-a version 2 is kept after 200 parts"


def test_an_engine_that_fails_with_no_part_on_the_belt_ends_it_too(station: Station) -> None:
    health = Health()
    new_bundles = watching(station, health)
    health.report(SOURCE, Level.FAULT, "out of memory")
    with pytest.raises(EngineError, match="version 2 failed: out of memory"):
        new_bundles.settle()


def test_where_there_is_nothing_left_to_go_back_to_the_station_goes_on(station: Station) -> None:
    new_bundles = watching(station)
    (station.station.state_dir / "bundles" / "cap-a" / "1.bundle").unlink()
    end_parts(new_bundles, Kind.UNKNOWN, Reason.BAD_SCORE, 6)
    (words,) = new_bundles.settle()
    assert "and stays: no version of cap-a before 2 can be used" in words
    assert list(new_bundles.settle()) == []


def test_a_bundle_that_was_installed_meanwhile_is_not_touched(station: Station) -> None:
    new_bundles = watching(station)
    install(bundle(station.source.parent / "cap-a-3.bundle", version=3), station)
    end_parts(new_bundles, Kind.PASS, Reason.NONE, 200)
    new_bundles.settle()
    new_bundles.run_ended()
    assert probation_of(station, "cap-a") == Probation(version=3, back_to=1)
    with pytest.raises(BundleError, match="not active any more"):
        installing.give_up(station, "cap-a", Probation(2, 1), "failed", 0)
