"""A threshold is moved on the device for one model of one bundle: on record first, whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge import threshold as command
from edge.bundle import write_bundle
from edge.cli import main
from edge.clock import SystemClock
from edge.errors import BundleError, ConfigError, JournalError, KenpinError
from edge.evidence import column
from edge.eye.lane import open_record
from edge.eye.student import students_of
from edge.install import install, installed, keep, open_active, rollback
from edge.journal.reading import read_notes
from edge.station import Station
from edge.threshold import move_to, reset_to_own, shown, tried
from tests.bundles import JUDGED, KEY, MODEL, a_manifest, judged_entry, png
from tests.eye.stations import DARK, SPEC, Bench, bundle, lay_out
from tests.infer.students import student

WHY = "too many scratches pass"


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """A station whose active version 2 holds the table of evidence, over a version 1 that does not."""
    lay_out(tmp_path, gate='kind = "memory"', permit='kind = "memory"')
    found = Bench(tmp_path, list, list).station
    install(bundle(tmp_path / "cap-a-2.bundle", version=2, is_judged=True), found)
    keep(found, "cap-a", 2)
    return found


def folder_of(station: Station) -> Path:
    return station.station.state_dir / "bundles" / "cap-a"


def move(station: Station, value: float, **more: Any) -> command.Choice:
    return move_to(station, "cap-a", value, "anna", WHY, **more)


def in_force(station: Station) -> tuple[float, bool]:
    """What a run would judge with, and whether it is proven."""
    (found,) = students_of([station], SystemClock())
    found[0].engine.close()
    return found[0].entry.threshold, found[0].entry.proven


def notes(station: Station) -> list[str]:
    return [note.words for note in read_notes(station.journal.dir) if note.kind == "threshold"]


def put(station: Station, version: int, **keys: Any) -> None:
    install(bundle(station.source.parent / f"{version}.bundle", version=version, **keys), station)


# --- what it does -----------------------------------------------------------------------------------------------


def test_a_moved_threshold_is_in_force_with_its_own_evidence_and_on_record(station: Station) -> None:
    choice = move(station, 0.42)
    assert in_force(station) == (0.42, True)
    (entry,) = open_active(station, "cap-a").manifest.models
    assert (entry.evidence.missed, entry.evidence.overkill) == (0, 3)
    assert choice.other == entry and choice.now.threshold == 0.5
    (words,) = notes(station)
    assert words.startswith(
        "cap-a version 2, ort fp32: from 0.5 (0 of 60 defects missed, escape rate <= 4.87%, 3 of"
    )
    assert " to 0.42 (0 of 60 defects missed" in words and words.endswith(f" as 'anna': {WHY}")


def test_another_run_shows_who_moved_it_beside_the_bundles_own(station: Station) -> None:
    move(station, 0.42)
    choice = shown(station, "cap-a")
    assert choice.other is not None and (choice.now.threshold, choice.other.threshold) == (0.42, 0.5)
    assert choice.words == (f"cap-a version 2 is judged at 0.42, not at its own 0.5: moved by anna: {WHY}")
    assert installed(station)[1].words == "threshold of ort fp32 moved to 0.42 by anna"


def test_it_may_be_moved_again_and_goes_back_to_the_bundles_own(station: Station) -> None:
    move(station, 0.42)
    move(station, 0.45)
    assert in_force(station) == (0.45, True)
    reset_to_own(station, "cap-a", "bert", "it was for one lot")
    assert in_force(station) == (0.5, True)
    assert [words.partition(": from ")[2][:4] for words in notes(station)] == ["0.5 ", "0.42", "0.45"]
    assert "to 0.5, the bundle's own, (" in notes(station)[-1]
    with pytest.raises(ConfigError, match=r"0\.5, is in force already"):
        reset_to_own(station, "cap-a", "bert", "again")


def test_what_is_tried_changes_nothing(station: Station) -> None:
    choice = tried(station, "cap-a", 0.7)
    assert choice.other is not None and choice.other.evidence.missed == 3 and not choice.other.proven
    assert in_force(station) == (0.5, True) and not list(folder_of(station).glob("*.threshold"))


def test_unproven_only_with_leave_and_then_marked_wherever_it_is_shown(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        ConfigError, match=r"at 0\.7 .*3 of 60 defects missed.* misses its target of 5\.0%.*--allow-un"
    ):
        move(station, 0.7)
    assert in_force(station) == (0.5, True) and notes_or_none(station) == []
    move(station, 0.7, allow_unproven=True)
    assert in_force(station) == (0.7, False)
    assert "UNPROVEN) at the eye's next start" in notes(station)[0]
    assert "UNPROVEN; moved by anna" in shown(station, "cap-a").words
    assert installed(station)[1].words == "threshold of ort fp32 moved to 0.7 by anna, UNPROVEN"
    put(station, 2, is_judged=True)
    assert "judged at 0.7, not at its own 0.5: UNPROVEN" in caplog.text


def notes_or_none(station: Station) -> list[str]:
    with suppress(JournalError):
        return notes(station)
    return []


# --- what it refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_what_nobody_can_mean_is_refused(station: Station, value: float) -> None:
    for act in (lambda: move(station, value, allow_unproven=True), lambda: tried(station, "cap-a", value)):
        with pytest.raises(ConfigError, match=r"is no threshold: write a number between 0 and 1, such as 0\.5"):
            act()
    assert notes_or_none(station) == []


def test_the_bundles_own_is_no_move(station: Station) -> None:
    with pytest.raises(ConfigError, match=r"the bundle's own threshold: --reset returns to it"):
        move(station, 0.5)


@pytest.mark.parametrize(
    ("by", "why", "words"),
    [("", WHY, "say who and why"), ("anna", "", "say who and why"), ("an\nna", WHY, "who: must be one line"),
     ("anna", "x" * 201, "why: ")],
)  # fmt: skip
def test_who_and_why_are_asked_for(station: Station, by: str, why: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        move_to(station, "cap-a", 0.42, by, why)
    assert in_force(station) == (0.5, True) and notes_or_none(station) == []


def test_a_bundle_without_the_table_allows_none(station: Station) -> None:
    rollback("cap-a", station)
    with pytest.raises(BundleError, match="allows no other threshold; compile it again"):
        move(station, 0.42)
    assert in_force(station) == (0.5, True) and notes_or_none(station) == []
    assert shown(station, "cap-a").now.threshold == 0.5


# --- whose it is ------------------------------------------------------------------------------------------------


def test_another_version_does_not_inherit_it_and_the_same_one_has_it_again(station: Station) -> None:
    move(station, 0.42)
    put(station, 3, is_judged=True)
    assert in_force(station) == (0.5, True)
    rollback("cap-a", station)
    assert in_force(station) == (0.42, True)


def test_another_bundle_with_the_same_number_does_not_inherit_it(station: Station) -> None:
    move(station, 0.42)
    stored = folder_of(station) / "2.bundle"
    stored.write_bytes(stored.read_bytes()[:-1])
    put(station, 2, is_judged=True, report="<p>another</p>")
    assert in_force(station) == (0.5, True)
    assert installed(station)[1].words == "", "nor is it listed any more"


def test_another_model_of_the_same_bundle_does_not_inherit_it(station: Station) -> None:
    other = student(SPEC, score=0.25)
    entries = [
        judged_entry(replace(a_manifest(model).models[0], precision=precision, file=file))
        for model, precision, file in (
            (student(SPEC), "fp32", MODEL),
            (other, "fp16", "models/fp16.onnx"),
        )
    ]
    manifest = a_manifest(version=3, input=SPEC, models=tuple(entries), classes=())
    path = station.source.parent / "3.bundle"
    models = {MODEL: student(SPEC), "models/fp16.onnx": other}
    said = {column(entry): JUDGED for entry in entries}
    write_bundle(path, manifest, models, {"ok.png": ("ok", png(DARK))}, "", KEY, said)
    install(path, station)
    move(station, 0.42)
    assert in_force(station) == (0.42, True)
    engine = station.engine.model_copy(update={"precision": "fp16"})
    other_engine = station.model_copy(update={"engine": engine})
    assert in_force(other_engine) == (0.5, True)
    words = "not in force, since another model runs: threshold of ort fp32 moved to 0.42 by anna"
    assert shown(other_engine, "cap-a").words == words
    first, second = open_active(station, "cap-a").manifest.models
    assert (first.threshold, second.threshold) == (0.42, 0.5)
    assert first.sha256 == sha256(student(SPEC)).hexdigest()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: b"",
        lambda data: data.replace(b"0.42", b"0.92"),
        lambda data: b"0" * 128 + data[128:],
        lambda data: b"\xff" * 300,
        lambda data: data + b"x" * 20_000,
    ],
)
def test_a_damaged_file_stops_the_start_until_a_person_decides(station: Station, damage: Any) -> None:
    move(station, 0.42)
    path = folder_of(station) / "2.threshold"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        BundleError, match=r"2\.threshold is damaged, or this device has not signed it; .*--reset` rem"
    ):
        in_force(station)
    assert "2.threshold is damaged" in installed(station)[1].words
    with pytest.raises(BundleError, match="is damaged"):
        put(station, 2, is_judged=True)
    reset_to_own(station, "cap-a", "anna", "the disk was damaged")
    assert in_force(station) == (0.5, True)
    assert "from one that could not be read to 0.5" in notes(station)[-1]


def test_a_file_of_another_device_or_of_another_version_is_refused(station: Station, tmp_path: Path) -> None:
    lay_out(tmp_path / "other", gate='kind = "memory"', permit='kind = "memory"')
    other = Bench(tmp_path / "other", list, list).station
    put(other, 2, is_judged=True)
    move(other, 0.42)
    shutil.copy(folder_of(other) / "2.threshold", folder_of(station) / "2.threshold")
    with pytest.raises(BundleError, match="damaged, or this device has not signed it"):
        in_force(station)
    put(other, 3, is_judged=True)
    shutil.copy(folder_of(other) / "2.threshold", folder_of(other) / "3.threshold")
    with pytest.raises(BundleError, match=r"3\.threshold is of cap-a version 2"):
        in_force(other)
    rollback("cap-a", other)
    assert in_force(other) == (0.42, True)


def test_a_version_whose_moved_threshold_is_damaged_is_passed_over_on_the_way_back(station: Station) -> None:
    move(station, 0.42)
    put(station, 3, is_judged=True)
    (folder_of(station) / "2.threshold").write_bytes(b"?")
    assert rollback("cap-a", station).version == 1


def test_it_goes_when_its_bundle_goes(station: Station) -> None:
    move(station, 0.42)
    for version in range(3, 9):
        put(station, version)
        keep(station, "cap-a", version)
    assert not (folder_of(station) / "2.bundle").exists() and not list(folder_of(station).glob("*.threshold"))


def test_stations_of_one_eye_keep_their_own(station: Station, tmp_path: Path) -> None:
    shutil.copytree(tmp_path, tmp_path / "right", symlinks=True, ignore=shutil.ignore_patterns("right"))
    right = Bench(tmp_path / "right", list, list).station
    move(station, 0.42)
    found = students_of([station, right], SystemClock())
    assert [known[0].entry.threshold for known in found] == [0.42, 0.5]
    for known in found:
        known[0].engine.close()


# --- on record first, and whole ---------------------------------------------------------------------------------


def test_what_cannot_be_recorded_is_not_done(station: Station) -> None:
    with ExitStack() as stack:
        open_record(station, SystemClock(), stack)  # as an eye that does not answer
        with pytest.raises(JournalError, match="no eye takes the record: no station answers"):
            move(station, 0.42)
    assert in_force(station) == (0.5, True)


def test_what_could_not_be_done_is_recorded_so(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = command._record

    def record(*given: Any) -> str:
        by = recorded(*given)
        if len(notes(station)) == 1:
            put(station, 3)
        return by

    monkeypatch.setattr(command, "_record", record)
    with pytest.raises(BundleError, match="another bundle of cap-a has become active meanwhile"):
        move(station, 0.42)
    assert in_force(station) == (0.5, True)
    _, second = notes(station)
    assert second.startswith("not done (another bundle of cap-a has become active meanwhile")


def killed_at_every_step(station_file: Path) -> None:
    """In a process of its own: a kill before each operation on a file of the bundles; what is in force then, and how
    many records there are."""
    station = Bench(station_file.parent, list, list).station
    for step in range(1, 60):
        before = len(notes_or_none(station))
        child = os.fork()
        if child == 0:
            left = [step]

            def kill(event: str, arguments: tuple[object, ...], left: list[int] = left) -> None:
                changes = event in ("os.rename", "os.remove", "os.chown")
                if changes or (event == "open" and "bundles" in str(arguments[0])):
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), 9)

            sys.addaudithook(kill)
            try:
                move(station, 0.42)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        (entry,) = open_active(station, "cap-a").manifest.models
        print(entry.threshold, len(notes_or_none(station)) - before, os.WIFSIGNALED(status), flush=True)
        if not os.WIFSIGNALED(status):
            return
        (folder_of(station) / "2.threshold").unlink(missing_ok=True)


def test_a_kill_at_any_instant_leaves_the_old_or_the_new_and_the_new_only_on_record(station: Station) -> None:
    code = "import sys, pathlib, tests.test_threshold as t; t.killed_at_every_step(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "ignore", "-c", code, str(station.source)]
    child = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert child.returncode == 0, child.stderr
    steps = [line.split() for line in child.stdout.splitlines()]
    assert {value for value, *_ in steps} == {"0.5", "0.42"}
    assert all(value == "0.5" or recorded == "1" for value, recorded, _ in steps)
    assert {(value, recorded) for value, recorded, _ in steps} >= {("0.5", "0"), ("0.5", "1"), ("0.42", "1")}
    assert [killed for *_, killed in steps] == ["True"] * (len(steps) - 1) + ["False"] and len(steps) > 6


# --- as it is typed ---------------------------------------------------------------------------------------------


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", ["edge", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_the_command_shows_tries_moves_and_resets(
    station: Station, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def says(*words: object, code: int = 0) -> str:
        assert typed(monkeypatch, "threshold", station.source, *words) == code
        told = capsys.readouterr()
        return " ".join((told.out + told.err).split())

    assert "cap-a version 2, ort fp32" in says()
    assert "nothing was changed: --by NAME --why" in says(0.42)
    assert "UNPROVEN" in says(0.7) and in_force(station) == (0.5, True)
    assert "--allow-unproven" in says(0.7, "--by", "anna", "--why", WHY, code=78)
    assert "systemctl restart kenpin-eye@test" in says(0.42, "--by", "anna", "--why", WHY)
    assert f"moved by anna: {WHY}" in says()
    assert in_force(station) == (0.42, True)
    assert "leave the number out" in says(0.42, "--reset", code=78)
    assert "choose one of cap-a" in says("--product", "cap-b", code=78)
    assert "say who and why" in says("--reset", code=78)
    assert "recorded as" in says("--reset", "--by", "anna", "--why", "over")
    assert in_force(station) == (0.5, True)


def test_every_error_is_one_a_person_can_act_on(station: Station) -> None:
    shutil.rmtree(station.station.state_dir / "bundles")
    for act in (lambda: move(station, 0.42), lambda: shown(station, "cap-a")):
        with pytest.raises(KenpinError, match=r"edge install X\.bundle"):
            act()
