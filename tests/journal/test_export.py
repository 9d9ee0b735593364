"""What is taken out of a journal is read by others: tables by anybody, pictures by edge-train. And `edge journal`."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.clock import SECOND, ManualClock
from edge.device_key import load_or_create
from edge.errors import ConfigError, JournalError
from edge.journal.export import NOTES, PARTS, Wanted, export
from edge.journal.heads import OUTSIDE, Heads
from edge.journal.pictures import PictureStore
from edge.journal.retention import Keep
from edge.journal.rows import Note
from edge.journal.tables import has_parquet
from edge.journal.verify import verify
from edge.picture_set import read_image, read_set
from edge.records import Kind
from tests.contracts.source_tree import ROOT
from tests.eye.stations import lay_out
from tests.journal.records import decided, ended, opened, part_id, refused, unknown
from tests.peers.waiting import missing

DAY = 86_400 * SECOND
NOON = 1_790_337_600 * SECOND  # 2026-09-25 12:00 UTC
FIRST, SECOND_DAY, THIRD = "2026-09-25", "2026-09-26", "2026-09-27"


def record(folder: Path) -> None:
    """Three days; part 3 is decided before midnight and ends after it; parts 2 and 5 are refused."""
    clock = ManualClock(wall_ns=NOON)
    journal = opened(folder, clock)
    store = PictureStore(folder / "pictures", 100, 1, clock)
    days = [
        [decided(1), ended(1), unknown(2), refused(2), decided(3), Note(NOON, "ack", "検品, looked at it")],
        [ended(3), decided(4), ended(4)],
        [unknown(5), refused(5)],
    ]
    pictures = {0: [(1, Kind.PASS), (2, Kind.UNKNOWN)], 1: [(4, Kind.PASS)], 2: [(5, Kind.UNKNOWN)]}
    for index, records in enumerate(days):
        journal.commit(records)
        journal.tend()
        for number, kind in pictures[index]:
            store.keep(part_id(number), kind, "top-left", np.full((32, 48, 3), 40 * number, np.uint8))
        clock.advance(DAY)
    journal.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record(tmp_path / "journal")
    return tmp_path / "journal"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def numbers(out: Path) -> list[int]:
    return [int(row["number"]) for row in table(out / "parts.csv")]


def test_every_part_is_a_line_with_all_that_is_known_of_it(folder: Path, tmp_path: Path) -> None:
    done = export(folder, tmp_path / "out", Wanted())
    assert (done.parts, done.notes, done.pictures) == (5, 1, 4)
    rows = table(tmp_path / "out" / "parts.csv")
    assert list(rows[0]) == list(PARTS) and [int(row["number"]) for row in rows] == [1, 2, 3, 4, 5]
    first, second, third = rows[:3]
    assert (first["session"], first["day"], first["verdict"], first["outcome"]) == ("7", FIRST, "PASS", "RELEASED")
    assert (first["score"], first["model"], first["ended_utc"][:4]) == ("0.25", "ab" * 32, "2023")
    assert (second["verdict"], second["verdict_reason"], second["score"]) == ("UNKNOWN", "NO_FRAME", "")
    assert (third["day"], third["verdict"], third["outcome"]) == (FIRST, "PASS", "RELEASED"), "over midnight"
    notes = table(tmp_path / "out" / "notes.csv")
    assert notes == [{"utc": "2026-09-25T12:00:00.000000+00:00", "kind": "ack", "words": "検品, looked at it"}]
    assert list(notes[0]) == list(NOTES)


@pytest.mark.parametrize(
    ("wanted", "parts", "pictures"),
    [
        (Wanted(first=SECOND_DAY), [4, 5], 2),
        (Wanted(last=FIRST), [1, 2, 3], 2),
        (Wanted(SECOND_DAY, SECOND_DAY), [4], 1),
        (Wanted(rejects=True), [2, 5], 2),
        (Wanted(first=SECOND_DAY, rejects=True), [5], 1),
        (Wanted(first="2030-01-01"), [], 0),
    ],
)
def test_days_and_rejects_can_be_chosen(folder: Path, tmp_path: Path, wanted: Wanted, parts, pictures) -> None:
    done = export(folder, tmp_path / "out", wanted)
    assert numbers(tmp_path / "out") == parts
    assert done.pictures == pictures


@pytest.mark.parametrize(("lot", "groups"), [("", ["part-7-1", "part-7-2"]), ("lot-9", ["lot-9", "lot-9"])])
def test_the_pictures_are_a_set_without_labels(folder: Path, tmp_path: Path, lot: str, groups: list[str]) -> None:
    export(folder, tmp_path / "out", Wanted(last=FIRST, lot=lot))
    pictures = read_set(tmp_path / "out" / "pictures")
    assert [picture.group for picture in pictures] == groups
    assert [picture.label for picture in pictures] == ["", ""], "what the student said is no label"
    assert abs(int(read_image(pictures[0].path).mean()) - 40) < 3


def test_parquet_holds_the_same_with_types(folder: Path, tmp_path: Path) -> None:
    if not has_parquet():
        missing("install pyarrow")
    import pyarrow.parquet as pq

    export(folder, tmp_path / "out", Wanted())
    read = pq.read_table(tmp_path / "out" / "parts.parquet").to_pylist()
    lines = table(tmp_path / "out" / "parts.csv")
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in read] == lines
    assert read[0]["score"] == 0.25 and read[1]["score"] is None and read[0]["shadow"] is True
    assert pq.read_table(tmp_path / "out" / "notes.parquet").num_rows == 1
    export(folder, tmp_path / "none", Wanted(first="2030-01-01"))
    assert pq.read_table(tmp_path / "none" / "parts.parquet").num_rows == 0


def test_a_folder_that_holds_something_is_not_written_into(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    with pytest.raises(ConfigError, match="is not empty; give"):
        export(folder, tmp_path, Wanted())
    with pytest.raises(JournalError, match="cannot write"):
        export(folder, tmp_path / "mine" / "out", Wanted())
    with pytest.raises(JournalError, match="holds no journal"):
        export(tmp_path / "none", tmp_path / "out", Wanted())


def test_it_can_be_taken_out_while_it_is_written(folder: Path, tmp_path: Path) -> None:
    journal = opened(folder, ManualClock(wall_ns=NOON + 5 * DAY))
    journal.commit([decided(6), ended(6)])
    assert export(folder, tmp_path / "out", Wanted()).parts == 6
    assert verify(folder).broken == []
    journal.commit([decided(7), ended(7)])
    journal.close()


# --- the commands -----------------------------------------------------------------------------------------------


def edge(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge.cli", "journal", *map(str, words)]
    environment = os.environ | {"COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def station(tmp_path: Path) -> Path:
    """A station with a journal of its own that its device has signed."""
    home = tmp_path / "station"
    lay_out(home, gate='kind = "memory"', permit='kind = "memory"')
    clock = ManualClock(wall_ns=NOON)
    from edge.journal.events import Journal

    heads = Heads(load_or_create(home / "state"), home / "state" / OUTSIDE)
    journal = Journal(home / "journal", clock, heads, Keep(reserve_mb=0))
    journal.commit([decided(1), ended(1), unknown(2), refused(2)])
    journal.close()
    return home / "station.toml"


def test_a_sound_journal_is_said_to_be_intact(station: Path) -> None:
    done = edge("verify", station)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "1 files, rows 1 to 4" and lines[-1] == "intact"
    assert lines[1].startswith("head 4:") and "signed 2026-09-25 12:00:00 UTC" in lines[1]
    assert "was not checked" not in done.stdout
    folder = edge("verify", station.parent / "journal")
    assert folder.returncode == 0 and "whose key this is was not checked" in folder.stdout
    head = lines[1].split(" ")[1].rstrip(",")
    assert edge("verify", station, "--anchor", head).returncode == 0
    assert (
        edge("verify", station.parent / "journal", "--key", station.parent / "state" / "device.pub").returncode == 0
    )


@pytest.mark.parametrize("command", [("verify",), ("export", "out")])
def test_before_the_first_run_it_is_said_that_there_was_none(tmp_path: Path, command: tuple[str, ...]) -> None:
    text = (ROOT / "examples" / "first-station.toml").read_text()
    text = text.replace("[station]", '[station]\nstate_dir = "state"', 1) + '\n[journal]\ndir = "journal"\n'
    (tmp_path / "station.toml").write_text(text)
    done = edge(command[0], tmp_path / "station.toml", *(tmp_path / word for word in command[1:]))
    assert done.returncode == 78 and "this station has not run yet" in done.stderr and "edge run" in done.stderr
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal/2026-01-01.sqlite").touch()
    done = edge(command[0], tmp_path / "station.toml", *(tmp_path / word for word in command[1:]))
    assert "has not run" not in done.stderr and "device.pub" in done.stderr, (
        "its key is lost: that is something else"
    )


def test_a_broken_journal_ends_with_74_and_names_row_and_file(station: Path) -> None:
    import sqlite3

    file = sqlite3.connect(station.parent / "journal" / f"{FIRST}.sqlite")
    file.execute("UPDATE outcomes SET outcome = 'FIRED' WHERE number = 2")
    file.commit()
    file.close()
    done = edge("verify", station)
    assert done.returncode == 74
    words = f"row 2 of {FIRST}.sqlite, in outcomes, is not what was written"
    assert f"BROKEN: {words}" in done.stdout and words in done.stderr and "keep a copy" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify", "STATION", "--anchor", "4:xyz"), "give a head as"),
        (("verify", "STATION", "--key", "STATION"), "is no public key"),
        (("export", "STATION", "OUT", "--from", "yesterday"), "give a day as"),
    ],
)
def test_a_wrong_argument_says_how_it_should_be(station: Path, tmp_path: Path, words, says: str) -> None:
    places = {"STATION": str(station), "OUT": str(tmp_path / "out")}
    done = edge(*(places.get(word, word) for word in words))
    assert done.returncode == 78 and says in done.stderr


def test_what_was_taken_out_is_said(station: Path, tmp_path: Path) -> None:
    done = edge("export", station, tmp_path / "out", "--rejects", "--to", FIRST)
    assert done.returncode == 0, done.stderr
    assert "1 parts, 0 notes and 0 pictures" in done.stdout
    assert numbers(tmp_path / "out") == [2]
    assert ("pip install" in done.stdout) is not has_parquet()
