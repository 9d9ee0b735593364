"""What is recorded on day one is whole, counted and grouped, however the recording ends."""

from __future__ import annotations

import csv
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.collecting import Quota
from edge.control import SHOWN, Control
from edge.errors import ConfigError, ControlError, JournalError, RefusedError
from edge.eye import scribe as scribing
from edge.eye.choice import Choice
from edge.eye.lots import Lots, group_of, parse_shifts
from edge.eye.scribe import Scribe, Stored
from edge.picture_set import read_image, read_set
from edge.set_writer import NewPicture, PictureSetWriter, encoded
from edge.station import Station, load
from tests.eye.stations import DARK, EdgeProcess, draw, modbus_bench
from tests.peers import eventually
from tests.test_cli import edge

BELT = """
[station]
name = "line-3"
mode = "collect"
run_dir = "run"
[[camera]]
name = "top"
kind = "belt"
pitch_ms = 20
jitter_ms = 2
width = 160
height = 120
queue = 32
[trigger]
kind = "simulated"
pitch_ms = 20
jitter_ms = 2
"""
FREE = BELT.replace("queue = 32", "triggered = false\nfps = 100\ntrigger_to_frame_ms = 0\nwindow_ms = 20").replace(
    "pitch_ms = 20", "pitch_ms = 100"
)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def files(folder: Path) -> set[str]:
    return {f"images/{path.name}" for path in (folder / "images").iterdir()}


def stored(file: Path) -> int:
    try:
        return Control(load(file)).status().parts
    except ControlError:
        return 0


def is_consistent(folder: Path) -> list[dict[str, str]]:
    """Every row has its picture, whole, and no picture is listed twice; returns the rows."""
    found = rows(folder)
    assert len({row["file"] for row in found}) == len(found)
    for picture in read_set(folder):
        assert read_image(picture.path).shape == (120, 160, 3)
    return found


# --- whole processes ---


def test_what_was_acknowledged_survives_kills_and_nothing_is_doubled(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(BELT)
    into, told = tmp_path / "set", 0
    for _ in range(4):
        with EdgeProcess("collect", tmp_path / "station.toml", "--into", into) as process:
            eventually(lambda: stored(tmp_path / "station.toml") > 5, "five pictures")
            before = told + stored(tmp_path / "station.toml")
            process.signal(signal.SIGKILL)
            process.ends()
        found = is_consistent(into)
        assert len(found) >= before
        told = len(found)
    code, said = edge("collect", tmp_path / "station.toml", "--into", into, "--pictures", "10")
    assert code == 0, said
    assert len(is_consistent(into)) == told + 10
    assert files(into) == {row["file"] for row in rows(into)}, "what a kill left is swept"


def test_a_replay_that_is_killed_again_and_again_ends_with_each_picture_once(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, mode="collect", rate=200.0) as bench:
        draw(tmp_path, [DARK] * 60)
        into = tmp_path / "set"
        for count in (10, 30):
            with EdgeProcess("collect", bench.file, "--into", into) as process:
                eventually(
                    lambda count=count: (into / "labels.csv").exists() and len(rows(into)) > count, "pictures", 20.0
                )
                process.signal(signal.SIGKILL)
                process.ends()
        assert edge("collect", bench.file, "--into", into)[0] == 0
    assert sorted(row["file"] for row in rows(into)) == [f"images/top-{number:04}.png" for number in range(60)]
    assert files(into) == {row["file"] for row in rows(into)}


def shows_what_it_records(station: Station) -> None:
    """Who asks for a picture finds the next one that was recorded, small, and later another one."""
    control, folder = Control(station), station.station.run_dir
    first = control.picture("top").part_id
    eventually(lambda: control.picture("top").part_id > first + 1, "pictures that are asked for")
    assert control.picture("top").kind == ""
    eventually(lambda: any(cv2.imread(str(path)) is not None for path in folder.glob(f"{SHOWN}*")), "its file")
    with pytest.raises(RefusedError, match="no camera"):
        control.picture("side")


def test_a_person_names_another_lot_while_it_runs_and_it_stays(tmp_path: Path) -> None:
    file, into = tmp_path / "station.toml", tmp_path / "set"
    file.write_text(BELT)
    with EdgeProcess("collect", file, "--into", into, "--lot", "monday 1") as process:
        eventually(lambda: stored(file) > 3, "pictures")
        code, said = edge("lot", file, "monday 2")
        assert code == 0 and "of lot 'monday 2'" in said
        assert Control(load(file)).status().lot == "monday 2"
        shows_what_it_records(load(file))
        code, said = edge("ack", file, "--why", "try")
        assert code == 69 and "only collects" in said
        code, said = edge("collect", file, "--into", tmp_path / "other")
        assert code == 69 and "stop it first" in said
        before = stored(file)
        eventually(lambda: stored(file) > before + 20, "more pictures")
        process.signal(signal.SIGTERM)
        assert process.ends() == 0
    assert edge("collect", file, "--into", into, "--pictures", "3")[0] == 0
    groups = [row["group"] for row in is_consistent(into)]
    assert groups == sorted(groups) and set(groups) == {"monday 1", "monday 2"}
    assert groups[-3:] == ["monday 2"] * 3
    code, said = edge("lot", file, "tuesday")
    assert code == 69 and "no station answers" in said


@pytest.mark.parametrize("trigger", ["photo-eye", "a line in the picture"])
def test_a_part_that_is_seen_to_come_gets_one_picture_and_a_group_of_its_own(tmp_path: Path, trigger: str) -> None:
    text, _, eye = FREE.partition("[trigger]")
    presence = '\nkind = "presence"\ncamera = "top"\n'
    (tmp_path / "station.toml").write_text(f"{text}[trigger]{eye if trigger == 'photo-eye' else presence}")
    into = tmp_path / "set"
    words = ("--at-trigger", "--group", "part", "--lot", "a", "--pictures", "12", "--as", "jpeg")
    code, said = edge("collect", tmp_path / "station.toml", "--into", into, *words)
    assert code == 0, said
    found = is_consistent(into)
    assert len({row["group"] for row in found}) == 12
    assert all(row["file"].endswith(".jpg") and row["group"].startswith("a ") for row in found)
    # a part's birth is in its name; parts are 100 ms apart, two pictures of one part have much less between them
    born = [datetime.strptime(row["file"].split("-")[1], "%Y%m%dT%H%M%S%f") for row in found]
    gaps = [(after - before).total_seconds() for before, after in pairwise(born)]
    assert min(gaps) > 0.05


@pytest.mark.parametrize("when", ["stop", "oldest"])
def test_a_set_keeps_to_its_quota(tmp_path: Path, when: str) -> None:
    (tmp_path / "station.toml").write_text(BELT)
    into = tmp_path / "set"
    ends = ("--pictures", "80") if when == "oldest" else ()
    words = ("--max-mb", "1", "--when-full", when, "--as", "bmp", *ends)
    code, said = edge("collect", tmp_path / "station.toml", "--into", into, *words)
    assert code == 0, said
    assert ("dropped for newer" in said) == (when == "oldest")
    assert ("1 MB that --max-mb allows" in said) == (when == "stop")
    found = is_consistent(into)
    assert sum((into / row["file"]).stat().st_size for row in found) <= 1_000_000
    assert 10 < len(found) <= 17  # of 57,654 bytes
    assert files(into) == {row["file"] for row in found}


def test_a_disk_that_records_need_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(BELT + "[journal]\nfree_min_mb = 1_000_000_000\n")
    code, said = edge("collect", tmp_path / "station.toml", "--into", tmp_path / "set", "--for", "20s")
    assert code == 74 and "journal.free_min_mb" in said and "--when-full oldest" in said


def test_two_recordings_do_not_share_a_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(BELT.replace('"run"', f'"{name}"'))
    with EdgeProcess("collect", tmp_path / "one.toml", "--into", tmp_path / "set") as process:
        eventually(lambda: stored(tmp_path / "one.toml") > 0, "a picture")
        code, said = edge("collect", tmp_path / "two.toml", "--into", tmp_path / "set")
        assert code == 78 and "another edge collect" in said
        process.signal(signal.SIGTERM)
        assert process.ends() == 0


# --- which pictures ---


def scene(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 190, (240, 320, 3), np.uint8)


def test_at_most_one_picture_comes_in_the_time() -> None:
    choice = Choice(100, 0.0)
    assert [choice.wants(scene(), at) for at in (0, 50, 99, 100, 150, 250)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_only_what_has_changed_is_kept_and_light_is_no_change() -> None:
    rng, belt = np.random.default_rng(3), np.full((240, 320, 3), 90, np.float32)
    part = belt.copy()
    part[80:160, 100:200] = 140

    def picture(scene: np.ndarray, light: float = 1.0) -> np.ndarray:
        return np.clip(scene * light + rng.normal(0, 4, scene.shape), 0, 255).astype(np.uint8)

    choice = Choice(0, 0.02)
    seen = [picture(belt), picture(belt), picture(belt, 1.3), picture(part), picture(part, 0.8), picture(belt)]
    assert [choice.wants(image, number) for number, image in enumerate(seen)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


# --- lots ---


@pytest.mark.parametrize(
    ("lot", "shifts", "hour", "group"),
    [
        ("", "", 9, "2026-03-01T09"),
        ("monday", "", 9, "monday"),
        ("", "06:00,14:00,22:00", 9, "2026-03-01T06:00"),
        ("monday", "22:00,06:00,14:00", 14, "monday 2026-03-01T14:00"),
        ("", "06:00,14:00,22:00", 3, "2026-02-28T22:00"),
    ],
)
def test_lot_and_shift_make_the_group(lot: str, shifts: str, hour: int, group: str) -> None:
    moment = datetime(2026, 3, 1, hour, 0, tzinfo=timezone.utc)
    assert group_of(lot, parse_shifts(shifts), moment) == group


@pytest.mark.parametrize("text", ["6", "25:00", "06:60", "early"])
def test_a_shift_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"06:00,14:00,22:00"):
        parse_shifts(text)


def test_the_lot_is_kept_beside_the_pictures_until_another_is_named(tmp_path: Path) -> None:
    Lots(tmp_path, "", (), "lot").change("b")
    assert Lots(tmp_path, "", (), "lot").now == "b"
    assert Lots(tmp_path, "c", (), "lot").now == Lots(tmp_path, "", (), "lot").now == "c"


# --- the disk ---


def filled(folder: Path, labels: list[str]) -> PictureSetWriter:
    writer = PictureSetWriter(folder)
    data = encoded(scene())
    writer.add_all([NewPicture(f"top-{n}", data, label, "lot, 1") for n, label in enumerate(labels)])
    return writer


def test_the_oldest_go_with_their_rows_but_never_a_labelled_one(tmp_path: Path) -> None:
    writer = filled(tmp_path, ["", "ok", "", "", ""])
    size = writer.bytes // 5
    assert writer.drop_oldest(size + 1) == 2
    assert [picture.name for picture in read_set(tmp_path)] == [f"images/top-{n}.png" for n in (1, 3, 4)]
    assert files(tmp_path) == {f"images/top-{n}.png" for n in (1, 3, 4)}
    assert writer.drop_oldest(10 * size) == 2 and writer.bytes == size
    assert writer.drop_oldest(1) == 0
    assert read_set(tmp_path)[0].group == "lot, 1"


def test_a_kill_while_the_oldest_go_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = filled(tmp_path, [""] * 4)

    def killed(_writer: PictureSetWriter) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PictureSetWriter, "_finish_drop", killed)
    with pytest.raises(KeyboardInterrupt):
        writer.drop_oldest(1)
    monkeypatch.undo()
    assert len(read_set(tmp_path)) == 3 and len(files(tmp_path)) == 4
    assert len(PictureSetWriter(tmp_path)) == 3 and len(files(tmp_path)) == 3


def test_only_what_a_kill_left_is_swept(tmp_path: Path) -> None:
    filled(tmp_path, [""] * 2)
    images = tmp_path / "images"
    for name in ("top-9.png", "top-8.png.partial", "side-1.png"):
        (images / name).write_bytes(b"torn")
    (images / "top-old.png").write_bytes(b"a row taken out by hand")
    long_ago = time.time() - 60
    os.utime(images / "top-old.png", (long_ago, long_ago))
    assert PictureSetWriter(tmp_path).sweep(["top-"]) == 2
    assert files(tmp_path) == {f"images/{n}" for n in ("top-0.png", "top-1.png", "side-1.png", "top-old.png")}


def test_files_whose_rows_a_power_cut_has_torn_are_swept_too(tmp_path: Path) -> None:
    filled(tmp_path, [""] * 4)
    table = tmp_path / "labels.csv"
    table.write_bytes(table.read_bytes()[:-40])  # the last row is torn, and the one before it is gone
    assert PictureSetWriter(tmp_path).sweep(["top-"]) == 4 - len(rows(tmp_path))
    assert files(tmp_path) == {row["file"] for row in rows(tmp_path)}


@pytest.mark.parametrize("encoding", ["png", "bmp"])
def test_every_bit_is_kept_where_the_encoding_promises_it(tmp_path: Path, encoding: str) -> None:
    for image in (scene(), scene()[..., 0]):
        folder = tmp_path / f"{image.ndim}"
        PictureSetWriter(folder, encoding).add_all(  # type: ignore[arg-type]
            [NewPicture("a", encoded(image, encoding), "", "")]  # type: ignore[arg-type]
        )
        assert np.array_equal(read_image(read_set(folder)[0].path, mono=image.ndim == 2), image)


def scribe_of(folder: Path, so_far: Stored, most: int | None = None, quota: Quota | None = None) -> Scribe:
    return Scribe(PictureSetWriter(folder), folder, "png", quota or Quota(), most, so_far)


def running(scribe: Scribe, then: Callable[[], None]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=scribe.run, args=(stop,))
    thread.start()
    try:
        then()
    finally:
        stop.set()
        thread.join()


def test_pictures_that_the_disk_cannot_follow_are_counted_and_a_replay_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribing, "MAX_WAITING_BYTES", 3 * scene().nbytes)
    so_far = Stored()
    scribe = scribe_of(tmp_path, so_far)
    for number in range(5):
        scribe.offer(scene(), f"top-{number}", "")
    assert (so_far.waiting, so_far.lost) == (3, 2)
    never = threading.Event()
    running(scribe, lambda: [scribe.offer(scene(), f"top-{n}", "", never) for n in range(8)] and None)
    assert (so_far.stored, so_far.skipped, so_far.lost, so_far.waiting) == (8, 3, 2, 0)
    assert len(read_set(tmp_path)) == 8


def test_as_many_as_were_asked_for_come_and_no_more(tmp_path: Path) -> None:
    so_far = Stored()
    scribe = scribe_of(tmp_path, so_far, most=5)
    running(scribe, lambda: [scribe.offer(scene(), f"top-{n}", "") for n in range(40)] and None)
    assert so_far.stored == 5 and scribe.has_enough
    assert Counter(picture.group for picture in read_set(tmp_path)).total() == 5


def test_a_full_disk_ends_the_recording(tmp_path: Path) -> None:
    scribe = scribe_of(tmp_path, Stored(), quota=Quota(free_min_mb=10**9))
    scribe.offer(scene(), "top-1", "")
    with pytest.raises(JournalError, match=re.escape("journal.free_min_mb")):
        scribe.run(threading.Event())
