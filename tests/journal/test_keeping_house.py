"""Heads are signed, days are sealed, old ones go with a note, and the clocks' leaps are on record."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.journal import files, stamps
from edge.journal.events import SIGN_NS, SIGN_ROWS
from edge.journal.heads import kept_head
from edge.journal.reading import read_notes
from edge.journal.retention import Dropped, Keep, dropped_from, too_many
from edge.journal.rows import Note
from edge.journal.verify import verify
from tests.journal.records import SMALL, decided, ended, opened, outside
from tests.peers.disks import tmpfs

DAY = 86_400 * SECOND
HOUR = 3_600 * SECOND
NOON = 1_790_337_600 * SECOND  # 2026-09-25 12:00 UTC
TODAY, TOMORROW = "2026-09-25.sqlite", "2026-09-26.sqlite"


@pytest.fixture
def clock():
    return ManualClock(now_ns=1_000 * SECOND, wall_ns=NOON)


@pytest.fixture
def journal(tmp_path, clock):
    journal = opened(tmp_path / "journal", clock)
    yield journal
    journal.close()


def heads(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as file:
        return [row[0] for row in file.execute("SELECT number FROM heads ORDER BY number")]


def notes(folder: Path, kind: str) -> list[str]:
    return [note.words for note in read_notes(folder) if note.kind == kind]


# --- heads ------------------------------------------------------------------------------------------------------


def test_a_head_is_signed_after_so_many_rows(tmp_path, journal):
    path = tmp_path / "journal" / TODAY
    for number in range(1, SIGN_ROWS // 2):
        journal.commit([decided(number), ended(number)])
        journal.tend()
    assert heads(path) == [0]
    journal.commit([decided(5_000), ended(5_000)])
    journal.tend()
    assert heads(path) == [0, SIGN_ROWS]
    kept = kept_head(outside(tmp_path / "journal"), tmp_path / "journal")
    assert kept is not None and kept.head.number == SIGN_ROWS


def test_a_head_is_signed_after_some_time_where_there_are_new_rows(tmp_path, journal, clock):
    path = tmp_path / "journal" / TODAY
    clock.advance(SIGN_NS)
    journal.tend()
    assert heads(path) == [0]
    journal.commit([decided(1), ended(1)])
    clock.advance(SIGN_NS)
    journal.tend()
    assert heads(path) == [0, 2]


def test_a_head_is_signed_at_midnight_and_at_the_end(tmp_path, journal, clock):
    journal.commit([decided(1), ended(1)])
    clock.advance(DAY)
    journal.commit([decided(2), ended(2)])
    assert heads(tmp_path / "journal" / TODAY) == [0, 2]
    assert heads(tmp_path / "journal" / TOMORROW) == [2]
    journal.close()
    assert heads(tmp_path / "journal" / TOMORROW) == [2, 4]


def test_rows_of_a_killed_writer_are_signed_by_the_next(tmp_path, journal, clock):
    journal.commit([decided(1), ended(1)])
    killed = tmp_path / "killed"
    killed.mkdir()
    for path in (tmp_path / "journal").glob("*.sqlite*"):
        (killed / path.name).write_bytes(path.read_bytes())
    clock.advance(DAY)
    opened(killed, clock).close()
    assert heads(killed / TODAY) == [0, 2]
    assert verify(killed).broken == []


def test_a_new_day_begins_though_nothing_is_told(tmp_path, journal, clock):
    clock.advance(DAY)
    journal.tend()
    assert files.is_sealed(tmp_path / "journal" / TODAY)
    assert (tmp_path / "journal" / TOMORROW).exists()


def test_somebody_who_reads_at_midnight_holds_up_nothing(tmp_path, journal, clock):
    folder = tmp_path / "journal"
    journal.commit([decided(1), ended(1)])
    with closing(sqlite3.connect(folder / TODAY, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM decided").fetchone() == (1,)
        clock.advance(DAY)
        journal.commit([decided(2), ended(2)])
        journal.tend()
        assert not files.is_sealed(folder / TODAY)
    clock.advance(HOUR)
    journal.tend()
    assert files.is_sealed(folder / TODAY)


def test_a_start_does_not_wait_for_whoever_reads_an_earlier_day(tmp_path, clock):
    folder = tmp_path / "journal"
    with closing(opened(folder, clock)) as journal:
        journal.commit([decided(1), ended(1)])
    clock.advance(DAY)
    with closing(sqlite3.connect(folder / TODAY, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM decided").fetchone()
        with closing(opened(folder, clock)) as journal:
            journal.commit([decided(2), ended(2)])
            assert not files.is_sealed(folder / TODAY)
    opened(folder, clock).close()
    assert files.is_sealed(folder / TODAY)
    assert verify(folder).broken == []


def test_a_copy_on_a_read_only_medium_can_be_verified(tmp_path, journal, clock):
    journal.commit([decided(1), ended(1)])
    clock.advance(DAY)
    journal.commit([decided(2), ended(2)])
    journal.close()
    with tmpfs(tmp_path / "disk", "size=4m") as disk:
        shutil.copytree(tmp_path / "journal", disk / "journal")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        found = verify(disk / "journal")
        assert found.broken == [] and found.head.number == 4


# --- clocks -----------------------------------------------------------------------------------------------------


def stepped(clock: ManualClock, by_ns: int) -> ManualClock:
    """The same monotonic time with another wall time."""
    return ManualClock(clock.now_ns(), clock.wall_ns() + by_ns)


@pytest.mark.parametrize(
    ("by_ns", "words"), [(HOUR, "+3,600.000 s"), (-HOUR, "-3,600.000 s"), (SECOND, "+1.000 s")]
)
def test_a_wall_clock_that_is_set_is_on_record_before_the_next_row(tmp_path, journal, clock, by_ns, words):
    journal.commit([Note(1, "test", "before")])
    journal.close()
    again = opened(tmp_path / "journal", stepped(clock, by_ns))
    again.commit([Note(1, "test", "after")])
    again.commit([Note(1, "test", "later")])
    again.close()
    told = read_notes(tmp_path / "journal")
    assert [note.kind for note in told] == ["test", "clock", "test", "test"]
    assert f"set by {words}" in told[1].words


def test_clocks_that_run_on_together_need_no_note(tmp_path, journal, clock):
    for number in range(1, 5):
        journal.commit([decided(number), ended(number)])
        clock.advance(6 * HOUR)
    journal.close()
    opened(tmp_path / "journal", stepped(clock, 50_000_000)).close()
    assert notes(tmp_path / "journal", "clock") == []


def test_a_start_of_the_machine_is_on_record_with_the_time_between(tmp_path, journal, clock, monkeypatch):
    journal.commit([decided(1)])
    journal.close()
    monkeypatch.setattr(stamps, "boot_id", lambda: "another-boot")
    again = opened(tmp_path / "journal", ManualClock(5 * SECOND, clock.wall_ns() + HOUR))
    again.commit([ended(1)])
    again.close()
    (words,) = notes(tmp_path / "journal", "clock")
    assert "started again: boot another-boot, +3,600.000 s of wall time" in words
    with closing(sqlite3.connect(tmp_path / "journal" / TODAY)) as file:
        row = file.execute("SELECT boot, mono_ns, wall_ns FROM outcomes").fetchone()
    assert row == ("another-boot", 5 * SECOND, NOON + HOUR)


def test_that_the_clock_is_synchronised_is_on_record_when_it_comes(tmp_path, clock, monkeypatch):
    synchronised = False
    monkeypatch.setattr(stamps, "is_synchronised", lambda: synchronised)
    journal = opened(tmp_path / "journal", clock)
    synchronised = True
    clock.advance(60 * SECOND)
    journal.tend()
    journal.close()
    assert notes(tmp_path / "journal", "clock") == ["the wall clock is synchronised"]


# --- what goes --------------------------------------------------------------------------------------------------


def test_the_oldest_go_by_count_and_by_bytes_and_the_newest_stays():
    assert too_many([1] * 5, Keep(days=5)) == 0
    assert too_many([1] * 5, Keep(days=3)) == 2
    assert too_many([600_000, 600_000, 600_000], Keep(max_mb=1)) == 2
    assert too_many([600_000, 300_000, 600_000], Keep(max_mb=1)) == 1
    assert too_many([5_000_000], Keep(max_mb=1)) == 0


def fill(folder: Path, clock: ManualClock, keep: Keep, days: int) -> None:
    journal = opened(folder, clock, keep)
    number = 0
    for _ in range(days):
        batch = range(number + 1, number + 801)
        journal.commit([record for part in batch for record in (decided(part), ended(part))])
        number += 800
        clock.advance(DAY)
        journal.tend()
    journal.close()


def test_sealed_days_go_by_bytes_with_a_note_and_the_rest_is_intact(tmp_path, clock):
    folder = tmp_path / "journal"
    fill(folder, clock, replace(SMALL, max_mb=2), 8)
    left = files.day_files(folder)
    assert 2 <= len(left) < 8
    assert sum(files.bytes_of(path) for path in left) <= 2_000_000
    gone = [dropped_from(words) for words in notes(folder, "dropped")]
    assert all(gone) and verify(folder).broken == []
    with closing(files.open_for_reading(left[0])) as first:
        newest = gone[-1]
        assert newest is not None and newest.head == files.first_head(first)


def test_a_day_that_somebody_leaves_open_goes_once_it_is_closed(tmp_path, clock):
    folder = tmp_path / "journal"
    with closing(opened(folder, clock, replace(SMALL, days=2))) as journal:
        journal.commit([decided(1), ended(1)])
        with closing(sqlite3.connect(folder / TODAY)) as reader:
            reader.execute("SELECT * FROM decided").fetchall()
            for number in range(2, 6):
                clock.advance(DAY)
                journal.commit([decided(number), ended(number)])
                journal.tend()
            assert (folder / TODAY).exists() and not files.is_sealed(folder / TODAY)
        clock.advance(HOUR)
        journal.tend()
        assert len(files.day_files(folder)) == 2
        assert not list(folder.glob(f"{TODAY}*"))
    assert verify(folder).broken == []


def test_a_clock_that_was_years_ahead_for_a_moment_does_not_make_the_journal_grow_for_ever(tmp_path, clock):
    folder, keep = tmp_path / "journal", replace(SMALL, days=4, max_mb=2)
    opened(folder, stepped(clock, 20 * 365 * DAY), keep).close()
    fill(folder, clock, keep, 8)
    left = files.day_files(folder)
    assert left[0].name > "2046" and len(left) <= 4
    assert sum(files.bytes_of(path) for path in left) <= 2_000_000
    assert verify(folder).broken == []


def test_what_a_note_says_of_a_dropped_day_can_be_read_again():
    dropped = Dropped("2026-09-25.sqlite", 1, files.Head(512, bytes(range(32))))
    assert dropped_from(dropped.words) == dropped
    assert dropped_from("something else") is None


def test_a_day_that_cannot_be_deleted_is_noted_once_and_tried_again(tmp_path, clock, monkeypatch):
    folder = tmp_path / "journal"
    journal = opened(folder, clock, replace(SMALL, days=1))
    journal.commit([decided(1), ended(1)])
    clock.advance(DAY)

    remove = files.remove_day

    def refuses(path: Path) -> None:
        if path.name == TODAY:
            raise PermissionError
        remove(path)

    with monkeypatch.context() as patched:
        patched.setattr(files, "remove_day", refuses)
        for _ in range(3):
            journal.tend()
            clock.advance(60 * SECOND)
    assert len(notes(folder, "dropped")) == 1 and len(files.day_files(folder)) == 2
    assert verify(folder).broken == [], "what was to go and is still there harms nothing"
    journal.tend()
    assert len(files.day_files(folder)) == 1
    journal.close()
    assert verify(folder).broken == []
