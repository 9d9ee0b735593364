"""Recorded parts are judged again: the verdicts that change are found, worst first, and nothing else is touched."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from math import nan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.bundle import write_bundle
from edge.changed_verdicts import Compared, Replayed
from edge.cli import main
from edge.clock import SystemClock
from edge.errors import BundleError, ConfigError
from edge.install import install, open_active
from edge.journal.export import Wanted, export
from edge.journal.pictures import PictureStore
from edge.options import OvEngine
from edge.recorded import Said, read
from edge.records import Kind, Reason
from edge.replay import engine_of, open_other, replay
from edge.station import Station
from edge.threshold import move_to
from tests.bundles import KEY, MODEL, OTHER_KEY, a_manifest, png
from tests.eye.stations import BELT, BELT_TRIGGER, DARK, SPEC, Bench, bundle, lay_out
from tests.infer.students import student
from tests.journal.records import decided, ended, opened, part_id

# The installed student scores the mean over 255, and rejects from 0.5 on.
GOOD, SCRATCHED, BAD = 60, 140, 200  # 0.24, 0.55, 0.78


@pytest.fixture
def station(tmp_path: Path) -> Station:
    lay_out(tmp_path, gate='kind = "memory"', permit='kind = "memory"')
    return Bench(tmp_path, list, list).station


def grey(level: int) -> np.ndarray[Any, Any]:
    return np.full((96, 128, 3), level, np.uint8)


def journal(
    station: Station,
    *parts: tuple[int, Kind, Reason],
    recipe: int = 0,
    cameras: Sequence[str] = ("top",),
    model: str = "",
) -> Path:
    """A journal of parts of this brightness with their pictures; the student of today has judged them, or `model`."""
    folder, clock = station.journal.dir, SystemClock()
    store, writer = PictureStore(folder / "pictures", 100, 1, clock), opened(folder, clock)
    for number, (level, kind, reason) in enumerate(parts, 1):
        row = decided(number, kind, nan if reason is Reason.BAD_SCORE else level / 255, reason)
        verdict = replace(row.verdict, model=model or sha256(student(SPEC)).hexdigest())
        writer.commit([replace(row, part=replace(row.part, recipe=recipe), verdict=verdict), ended(number)])
        for camera in cameras:
            store.keep(part_id(number), kind, camera, grey(level))
    writer.close()
    return folder


SHIFT = (
    (GOOD, Kind.PASS, Reason.NONE),
    (SCRATCHED, Kind.REJECT, Reason.DEFECT),
    (BAD, Kind.REJECT, Reason.DEFECT),
)


def picture_set(folder: Path, **labelled: tuple[int, str]) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = ["file,label,group,mask"]
    for name, (level, label) in labelled.items():
        cv2.imwrite(str(folder / "images" / f"{name}.png"), grey(level))
        rows.append(f"images/{name}.png,{label},{name},")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def other(station: Station, threshold: float, **keys: Any) -> Path:
    return bundle(station.source.parent / "other.bundle", version=2, threshold=threshold, **keys)


def last(done: Replayed) -> str:
    return list(done.lines())[-1]


def furthest(done: Replayed) -> float:
    """The most that a score is from the journal's."""
    return max(abs(one.after.score - one.before.score) for one in done.compared)


def by(station: Station, folder: Path, path: Path | None, **engine: Any) -> Replayed:
    clock = SystemClock()
    opened = open_other(path, station, clock) if path else open_active(station, "cap-a")
    return replay(
        folder, station, opened, engine_of(station, engine.get("kind"), engine.get("precision")), clock, list
    )


# --- against the journal ----------------------------------------------------------------------------------------


def test_a_laxer_bundle_is_told_to_let_pass_what_was_rejected(station: Station, tmp_path: Path) -> None:
    export(journal(station, *SHIFT), tmp_path / "out", Wanted())
    done = by(station, tmp_path / "out", other(station, 0.6))
    (one,) = done.changed()
    assert one.name == f"images/{part_id(2):016x}_top_reject.jpg"
    assert (one.before.kind, one.before.threshold, one.after.kind, one.after.threshold) == (
        Kind.REJECT,
        0.5,
        Kind.PASS,
        0.6,
    )
    assert one.before.score == pytest.approx(SCRATCHED / 255) and one.after.score == pytest.approx(
        SCRATCHED / 255, abs=0.01
    )
    assert "version 2, ort fp32 WOULD LET 1 PASS THAT WERE REJECTED: 0 labelled as defects, 0 as ok, 1" in last(
        done
    )
    assert len(done.compared) == 3


def test_a_stricter_one_is_told_to_reject_what_passed(station: Station, tmp_path: Path) -> None:
    export(journal(station, *SHIFT), tmp_path / "out", Wanted())
    done = by(station, tmp_path / "out", other(station, 0.2))
    assert [(one.before.kind, one.after.kind) for one in done.changed()] == [(Kind.PASS, Kind.REJECT)]
    assert list(done.lines())[-2:] == [
        "cap-a version 2, ort fp32 would reject 1 that passed",
        "cap-a version 2, ort fp32 would let nothing pass that was rejected",
    ]


def test_the_same_bundle_agrees_with_the_record_wherever_its_pictures_are_read_from(
    station: Station, tmp_path: Path
) -> None:
    kept = journal(station, *SHIFT)
    export(kept, tmp_path / "out", Wanted())
    for folder in (tmp_path / "out", tmp_path / "out" / "pictures", kept, kept / "pictures"):
        done = by(station, folder, None)
        assert len(done.compared) == 3 and all(one.recorded is not None for one in done.compared), folder
        assert done.changed() == [] and furthest(done) < 0.01
        assert {one.label for one in done.compared} == {""}, "a day is no label"


def test_a_score_that_was_none_may_pass_by_another_bundle(station: Station) -> None:
    folder = journal(station, (GOOD, Kind.UNKNOWN, Reason.BAD_SCORE), model="one that is ill")
    done = by(station, folder, other(station, 0.6))
    (one,) = done.changed()
    assert one.is_let_pass and "UNKNOWN without a score" in one.line()
    assert "recorded" not in done.to_dict()["score_moved"] and json.dumps(done.to_dict(), allow_nan=False)


def test_what_was_rejected_for_another_reason_is_compared_with_the_active_bundle(
    station: Station, tmp_path: Path
) -> None:
    """LATE says nothing of the network: else every late part would be one that the other bundle lets pass."""
    kept = journal(station, *SHIFT, (GOOD, Kind.UNKNOWN, Reason.LATE))
    export(kept, tmp_path / "out", Wanted())
    for folder in (kept, tmp_path / "out"):
        done = by(station, folder, other(station, 0.6))
        assert [one.recorded is not None for one in done.compared] == [True, True, True, False]
        assert len(done.changed()) == 1
        assert "3 compared with the journal, 1 with the active" in "\n".join(done.lines())
        alone = by(station, folder, None)
        assert len(alone.compared) == 3
        assert alone.left_out == {"of which no verdict of a network is on record": 1}


def test_parts_of_another_product_are_left_out(station: Station) -> None:
    folder = journal(station, *SHIFT, recipe=2)
    both = station.model_copy(update={"recipes": {1: "cap-a", 2: "cap-b"}})
    with pytest.raises(ConfigError, match=r"nothing to compare .*3 of another product"):
        by(both, folder, None)
    assert len(by(station.model_copy(update={"recipes": {2: "cap-a"}}), folder, None).compared) == 3


def test_a_part_of_two_views_is_as_bad_as_its_worst_and_needs_both(tmp_path: Path) -> None:
    cameras = BELT + "\n" + BELT.replace('"top"', '"side"')
    lay_out(tmp_path, gate='kind = "memory"', permit='kind = "memory"', camera=cameras, trigger=BELT_TRIGGER)
    station = Bench(tmp_path, list, list).station
    folder = journal(station, *SHIFT, cameras=("top", "side"))
    (side,) = folder.glob(f"pictures/*/{part_id(3):016x}_side_*")
    cv2.imwrite(str(side), grey(GOOD))
    (folder / "pictures" / side.parent.name / f"{part_id(1):016x}_side_pass.jpg").unlink()
    done = by(station, folder, other(station, 0.6))
    assert [one.after.kind for one in done.compared] == [Kind.PASS, Kind.REJECT], "the view on top is as before"
    assert done.compared[1].name.count(".jpg") == 2
    assert done.left_out == {"without a picture of each of the 2 cameras": 1}


# --- against the active bundle ----------------------------------------------------------------------------------


def test_pictures_without_a_record_are_compared_with_the_active_bundle(station: Station, tmp_path: Path) -> None:
    pictures = picture_set(
        tmp_path / "set",
        good=(GOOD, "ok"),
        stained=(SCRATCHED, "ok"),
        scratched=(SCRATCHED, "scratch"),
        bad=(BAD, ""),
    )
    done = by(station, pictures, other(station, 0.6))
    assert [one.name for one in done.changed()] == ["images/scratched.png", "images/stained.png"], (
        "the defect first"
    )
    assert not any(one.recorded is not None for one in done.compared)
    said = "\n".join(done.lines())
    assert "of 1 labelled as defects 0 passed, 1 would now" in said
    assert "of 2 labelled ok 1 were rejected, 0 would be now" in said
    assert "WOULD LET 2 PASS THAT WERE REJECTED: 1 labelled as defects, 1 as ok, 0 without" in said


def test_another_precision_of_the_active_bundle(station: Station, tmp_path: Path) -> None:
    models = {MODEL: student(SPEC), "models/fp16.onnx": student(SPEC, score=0.25)}
    entry = a_manifest().models[0]
    entries = tuple(
        replace(entry, file=file, precision=file[7:11], sha256=sha256(model).hexdigest())
        for file, model in models.items()
    )
    path = tmp_path / "3.bundle"
    manifest = a_manifest(version=3, input=SPEC, models=entries, classes=())
    write_bundle(path, manifest, models, {"ok.png": ("ok", png(DARK))}, "", KEY)
    install(path, station)
    pictures = picture_set(tmp_path / "set", bad=(BAD, "scratch"))
    done = by(station, pictures, None, precision="fp16")
    assert (done.active, done.after) == ("cap-a version 3, ort fp32", "cap-a version 3, ort fp16")
    assert [one.after.score for one in done.changed()] == [0.25]
    with pytest.raises(
        ConfigError, match=r"there is nothing to compare .*another --bundle, --engine or --precision"
    ):
        by(station, pictures, None, precision="fp32")


def test_the_threshold_that_was_moved_here_is_the_one_that_counts(station: Station, tmp_path: Path) -> None:
    path = other(station, 0.5, is_judged=True)
    install(path, station)
    move_to(station, "cap-a", 0.6, "anna", "steel", allow_unproven=True)
    pictures = picture_set(tmp_path / "set", scratched=(SCRATCHED, "scratch"))
    (one,) = by(station, pictures, tmp_path / "cap-a-1.bundle").compared
    assert (one.before.threshold, one.before.kind, one.after.kind) == (0.6, Kind.PASS, Kind.REJECT)
    with pytest.raises(ConfigError, match="nothing to compare"):
        by(station, pictures, path)


def test_the_engine_is_the_stations_with_what_was_asked(station: Station) -> None:
    assert engine_of(station, None, None) == station.engine
    assert engine_of(station, "ort", "int8") == station.engine.model_copy(update={"precision": "int8"})
    own = station.engine.model_copy(update={"threads": 3, "precision": "int8"})
    assert engine_of(station.model_copy(update={"engine": own}), "ov", None) == OvEngine(kind="ov", threads=3)


# --- what is not as it should be --------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_read_is_told_and_the_rest_goes_on(station: Station, tmp_path: Path) -> None:
    pictures = picture_set(tmp_path / "set", a=(GOOD, ""), b=(GOOD, ""))
    (pictures / "images" / "a.png").write_bytes(b"no picture")
    done = by(station, pictures, other(station, 0.6))
    assert [one.name for one in done.compared] == ["images/b.png"] and list(done.unread) == ["images/a.png"]
    assert next(done.lines()).startswith(
        f"not judged: images/a.png: {pictures}/images/a.png is no readable picture"
    )
    (pictures / "images" / "b.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no picture of .*set can be judged: .*a\.png is no readable"):
        by(station, pictures, other(station, 0.6))


def test_a_bundle_that_is_not_trusted_is_refused(station: Station, tmp_path: Path) -> None:
    pictures = picture_set(tmp_path / "set", a=(GOOD, ""))
    path, models = tmp_path / "foreign.bundle", {MODEL: student(SPEC)}
    entry = replace(a_manifest().models[0], sha256=sha256(models[MODEL]).hexdigest())
    manifest = a_manifest(input=SPEC, models=(entry,), classes=())
    write_bundle(path, manifest, models, {"ok.png": ("ok", png(DARK))}, "", OTHER_KEY)
    with pytest.raises(BundleError, match="signed with the unknown key"):
        by(station, pictures, path)
    path.write_bytes(other(station, 0.6).read_bytes()[:-10])
    with pytest.raises(BundleError, match="truncated, damaged or was changed"):
        by(station, pictures, path)


@pytest.mark.parametrize("damage", [("REJECT", "EJECT"), ("part_id", "id"), ("0.5,", "half,")])
def test_a_table_that_somebody_has_damaged_is_refused(
    station: Station, tmp_path: Path, damage: tuple[str, str]
) -> None:
    export(journal(station, *SHIFT), tmp_path / "out", Wanted())
    table = tmp_path / "out" / "parts.csv"
    table.write_text(table.read_text().replace(*damage))
    with pytest.raises(ConfigError, match=r"parts\.csv .*take it out again with `edge journal export`"):
        read(tmp_path / "out")


def test_a_folder_with_nothing_to_judge_says_what_is_missing(station: Station, tmp_path: Path) -> None:
    folder = journal(station)
    with pytest.raises(ConfigError, match=r"keeps no pictures: set journal\.pictures_max_mb"):
        read(folder)
    with pytest.raises(ConfigError, match=r"labels\.csv"):
        read(tmp_path / "state")


# --- the order --------------------------------------------------------------------------------------------------


def one(
    name: str, label: str, before: tuple[Kind, float], now: Kind, active: Kind | None = None, by: str = "old"
) -> Compared:
    kind, score = before
    said = (
        Said(kind, score, 0.5, by),
        Said(kind if active is None else active, score, 0.5, "old"),
        Said(now, 0.4, 0.5, "new"),
    )
    return Compared(name, label, *said)


REJECTED, PASSED = (Kind.REJECT, 0.6), (Kind.PASS, 0.4)


def test_what_is_worst_stands_first() -> None:
    ordered = [
        one("a defect", "scratch", REJECTED, Kind.PASS),
        one("no score before", "", (Kind.UNKNOWN, nan), Kind.PASS),
        one("a clear reject", "", (Kind.REJECT, 0.9), Kind.PASS),
        one("a reject", "", REJECTED, Kind.PASS),
        one("a reject now", "", PASSED, Kind.REJECT),
        one("a good part", "ok", REJECTED, Kind.PASS),
        one("by the picture", "scratch", REJECTED, Kind.PASS, Kind.PASS),
    ]
    same = one("the same", "", PASSED, Kind.PASS)
    assert Replayed("b", "a", [same, *reversed(ordered)], {}, {}).changed() == ordered


def test_what_the_kept_picture_changes_is_not_put_on_the_bundle() -> None:
    done = Replayed("b", "a", [one("p", "", REJECTED, Kind.PASS, Kind.PASS)], {}, {})
    assert last(done) == "b would let nothing pass that was rejected"
    assert "1 of them by the kept picture (JPEG)" in list(done.lines())[-2]


def test_the_same_model_on_another_engine_is_not_taken_for_what_judged_then() -> None:
    rejects, passes = Said(Kind.REJECT, 0.6, 0.5, "same"), Said(Kind.PASS, 0.4, 0.5, "same")
    done = Replayed("b", "a", [Compared("p", "", rejects, rejects, passes)], {}, {})
    assert last(done).startswith("b WOULD LET 1 PASS THAT WERE REJECTED")


def test_that_the_active_bundle_lets_it_pass_too_is_no_excuse_where_another_one_judged_then() -> None:
    done = Replayed("b", "a", [one("p", "", REJECTED, Kind.PASS, Kind.PASS, by="older")], {}, {})
    assert last(done).startswith("b WOULD LET 1 PASS THAT WERE REJECTED")
    assert list(done.lines())[-2].startswith("1 of them another bundle or threshold judged then")


# --- as it is typed ---------------------------------------------------------------------------------------------


def test_the_command_says_it_and_leaves_everything_as_it_is(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given_way: list[int] = []
    monkeypatch.setattr(os, "nice", given_way.append)
    journal(station, *SHIFT)
    path = other(station, 0.6)

    def says(*words: object, code: int = 0) -> str:
        line = ["edge", "replay", station.journal.dir, "--station", station.source, *words]
        monkeypatch.setattr(sys, "argv", list(map(str, line)))
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert int(ended.value.code or 0) == code, told.err
        return told.out + told.err

    def files() -> dict[Path, bytes]:
        """Without those in which SQLite notes that somebody reads."""
        found = [each for each in tmp_path.rglob("*") if each.is_file()]
        return {each: each.read_bytes() for each in found if not each.name.endswith(("-shm", "-wal"))}

    before = files()
    said = says("--bundle", path)
    assert files() == before, "nothing was written"
    assert "3 parts judged again by cap-a version 2, ort fp32, where cap-a version 1, ort fp32 is active" in said
    assert "before: 1 PASS, 2 REJECT, 0 UNKNOWN" in said and "now: 2 PASS, 1 REJECT, 0 UNKNOWN" in said
    assert "_top_reject.jpg: REJECT 0.54902 (threshold 0.5) -> PASS 0.549015 (threshold 0.6)" in said
    assert "WOULD LET 1 PASS" in said.splitlines()[-1] and given_way == [19]
    assert "changed verdicts: 0" in says("--report", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["on_record"] == 3
    assert "holds no model for ov, only ort fp32" in says("--engine", "ov", code=65)
    assert "choose one of cap-a" in says("--product", "cap-b", code=78)
    assert "leave --product out" in says("--bundle", path, "--product", "cap-a", code=78)
    assert "cannot read" in says("--bundle", tmp_path / "none.bundle", code=65)
    assert says("--engine", "magic", code=2)
