"""What the journal took is read again, once, whatever is told twice and whatever the clocks do."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.errors import JournalError
from edge.journal.reading import newest_outcome, read_notes, read_parts
from edge.journal.rows import Note
from edge.records import Kind, RingPlace
from tests.journal.records import SESSION, SMALL, decided, ended, opened, part_id, unknown

DAY = 86_400 * SECOND
NOON = 1_790_337_600 * SECOND  # 2026-09-25 12:00 UTC
TODAY, TOMORROW = "2026-09-25.sqlite", "2026-09-26.sqlite"


@pytest.fixture
def clock():
    return ManualClock(wall_ns=NOON)


@pytest.fixture
def journal(tmp_path, clock):
    journal = opened(tmp_path, clock)
    yield journal
    journal.close()


def files(folder):
    return sorted(path.name for path in folder.glob("*.sqlite*"))


def test_what_was_committed_is_read_while_it_is_still_open(tmp_path, journal):
    journal.commit([decided(1), ended(1), Note(5, "ack", "検品: looked at the line")])
    (row,) = read_parts(tmp_path)
    assert (row.part_id, row.decided, row.outcome) == (part_id(1), decided(1), ended(1))
    assert read_notes(tmp_path) == [Note(5, "ack", "検品: looked at the line")]


def test_a_part_without_a_score_is_kept_as_such(tmp_path, journal):
    journal.commit([unknown(1)])
    verdict = read_parts(tmp_path)[0].decided.verdict
    assert isnan(verdict.score)
    assert replace(verdict, score=0.0) == replace(unknown(1).verdict, score=0.0)


def test_parts_come_in_the_order_of_birth_with_what_is_known_of_them(tmp_path, journal):
    journal.commit([ended(3), decided(2)])
    journal.commit([decided(1), ended(1)])
    rows = read_parts(tmp_path)
    assert [row.part_id for row in rows] == [part_id(number) for number in (1, 2, 3)]
    assert [(row.decided is not None, row.outcome is not None) for row in rows] == [
        (True, True),
        (True, False),
        (False, True),
    ]


def test_what_is_told_again_is_not_doubled_and_the_first_word_stands(tmp_path, journal):
    journal.commit([decided(1), ended(1)])
    journal.commit([decided(1, Kind.REJECT), replace(ended(1), recipe=9), ended(2), ended(2)])
    rows = read_parts(tmp_path)
    assert [(row.decided, row.outcome) for row in rows] == [(decided(1), ended(1)), (None, ended(2))]


def test_an_outcome_told_again_after_midnight_is_not_doubled(tmp_path, journal, clock):
    journal.commit([decided(1), ended(1)])
    clock.advance(DAY)
    journal.commit([decided(1), ended(1), ended(2)])
    tomorrow = sqlite3.connect(tmp_path / TOMORROW)
    assert tomorrow.execute("SELECT part_id FROM outcomes").fetchall() == [(part_id(2),)]
    assert tomorrow.execute("SELECT count(*) FROM decided").fetchone() == (0,)
    tomorrow.close()


def test_the_newest_outcome_is_the_last_before_which_none_is_missing(tmp_path, clock):
    def newest_after(*records):
        journal = opened(tmp_path, clock)
        journal.commit(records)
        journal.close()
        return newest_outcome(tmp_path)

    assert newest_after() == RingPlace()
    assert newest_after(decided(1)) == RingPlace()
    assert newest_after(ended(1, seq=41), decided(2)) == RingPlace(41, part_id(1))
    assert newest_after(ended(1, seq=90)) == RingPlace(41, part_id(1)), "this part's outcome was there already"
    assert newest_after(ended(2, seq=44), ended(3, seq=42)) == RingPlace(42, part_id(3)), "one is missing yet"
    assert newest_after(ended(4, seq=0), ended(5, seq=43)) == RingPlace(44, part_id(2)), "0 is not from the ring"
    clock.advance(DAY)
    assert newest_after(ended(6, seq=47)) == RingPlace(44, part_id(2))
    assert newest_after(ended(7, seq=45), ended(8, seq=46)) == RingPlace(47, part_id(6))
    assert newest_after(other_line(1, seq=50)) == RingPlace(47, part_id(6)), "another line goes on with the numbers"
    assert newest_after(other_line(2, seq=1)) == RingPlace(1, other_line(2, 1).part_id), "it lost its ring"
    clock.advance(DAY)
    newest_after()
    journal = opened(tmp_path, clock)
    assert journal.newest_outcome == RingPlace(1, other_line(2, 1).part_id)
    journal.close()


def other_line(number, seq):
    return replace(ended(number, seq), part_id=SESSION + 1 << 32 | number)


def test_each_day_has_a_file_and_earlier_ones_are_sealed(tmp_path, journal, clock):
    journal.commit([ended(1)])
    assert files(tmp_path) == [TODAY, TODAY + "-shm", TODAY + "-wal"]
    clock.advance(DAY)
    journal.commit([ended(2)])
    journal.tend()
    assert files(tmp_path) == [TODAY, TOMORROW, TOMORROW + "-shm", TOMORROW + "-wal"]
    assert (tmp_path / TODAY).read_bytes()[18:20] == b"\x01\x01"
    assert [row.part_id for row in read_parts(tmp_path)] == [part_id(1), part_id(2)]


def test_a_day_that_ended_while_the_station_was_off_is_sealed_at_the_next_start(tmp_path, clock):
    journal = opened(tmp_path, clock)
    journal.commit([ended(1)])
    journal.close()
    clock.advance(DAY)
    opened(tmp_path, clock).close()
    assert (tmp_path / TODAY).read_bytes()[18:20] == b"\x01\x01"
    assert files(tmp_path) == [TODAY, TOMORROW]


def test_a_wall_clock_that_goes_back_changes_nothing(tmp_path, journal, clock):
    journal.commit([ended(1)])
    journal.close()
    early = ManualClock(wall_ns=NOON - 300 * DAY)
    again = opened(tmp_path, early)
    again.commit([ended(2)])
    again.close()
    assert files(tmp_path) == [TODAY]
    assert [row.part_id for row in read_parts(tmp_path)] == [part_id(1), part_id(2)]


def test_old_days_are_dropped_whole(tmp_path, clock):
    journal = opened(tmp_path, clock, replace(SMALL, days=2))
    for number in range(1, 5):
        journal.commit([ended(number)])
        journal.tend()
        clock.advance(DAY)
    assert [row.part_id for row in read_parts(tmp_path)] == [part_id(3), part_id(4)]
    journal.close()
    opened(tmp_path, clock, replace(SMALL, days=1)).close()
    assert files(tmp_path) == ["2026-09-29.sqlite"]


def test_a_journal_of_one_day_goes_on_after_midnight(tmp_path, clock):
    journal = opened(tmp_path, clock, replace(SMALL, days=1))
    for number in range(1, 4):
        journal.commit([ended(number)])
        journal.tend()
        clock.advance(DAY)
    assert [row.part_id for row in read_parts(tmp_path)] == [part_id(3)]
    journal.close()


def test_a_clock_that_jumps_ahead_erases_one_day_at_most(tmp_path, clock):
    for _ in range(3):
        journal = opened(tmp_path, clock, replace(SMALL, days=3))
        journal.close()
        clock.advance(DAY)
    clock.advance(20 * 365 * DAY)
    opened(tmp_path, clock, replace(SMALL, days=3)).close()
    assert len(files(tmp_path)) == 3
    assert files(tmp_path)[0] == TOMORROW


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path, journal):
    with pytest.raises(JournalError):
        journal.commit([ended(2), decided(2), Note(1, "a", "b"), replace(ended(3), recipe=1 << 70)])
    journal.commit([ended(1)])
    assert [row.part_id for row in read_parts(tmp_path)] == [part_id(1)]
    assert newest_outcome(tmp_path) == RingPlace(1, part_id(1))


def test_a_note_with_words_that_are_no_text_is_kept(tmp_path, journal):
    journal.commit([Note(1, "config", "file \udce4.toml")])
    assert read_notes(tmp_path)[0].words == "file ?.toml"


def test_an_empty_batch_is_nothing(tmp_path, journal):
    journal.commit([])
    assert read_parts(tmp_path) == []


def test_a_second_writer_is_refused(tmp_path, journal, clock):
    with pytest.raises(JournalError, match="written by another process; stop that one first"):
        opened(tmp_path, clock)
    command = [sys.executable, "-m", "tests.journal.writer", str(tmp_path), "1", "1", "0"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "written by another process" in child.stderr
    journal.close()
    opened(tmp_path, clock).close()


def test_another_program_that_holds_the_file_is_named_and_the_batch_can_be_told_again(tmp_path, journal):
    other = sqlite3.connect(tmp_path / TODAY, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked; close the other program"):
        journal.commit([ended(1)])
    other.execute("ROLLBACK")
    other.close()
    journal.commit([ended(1)])
    assert len(read_parts(tmp_path)) == 1


def test_a_file_that_is_no_journal_is_refused_with_what_to_do(tmp_path, clock):
    (tmp_path / TODAY).write_bytes(b"not a database" * 400)
    for _ in range(2):
        with pytest.raises(JournalError, match="the file is damaged: move it away"):
            opened(tmp_path, clock)
    with pytest.raises(JournalError, match="the file is damaged: move it away"):
        read_parts(tmp_path)
    (tmp_path / TODAY).rename(tmp_path / "away")
    opened(tmp_path, clock).close()


def test_a_damaged_earlier_day_is_named_too(tmp_path, clock):
    (tmp_path / "2026-09-01.sqlite").write_bytes(b"not a database" * 400)
    with pytest.raises(JournalError, match=r"2026-09-01\.sqlite failed: .*move it away"):
        opened(tmp_path, clock)


def test_a_journal_of_another_version_is_not_touched(tmp_path, clock):
    other = sqlite3.connect(tmp_path / TODAY)
    other.execute("PRAGMA user_version = 99")
    other.execute("CREATE TABLE things (x)")
    other.commit()
    other.close()
    with pytest.raises(JournalError, match=r"schema 99\); move it away, or install the version"):
        opened(tmp_path, clock)


def test_a_file_that_was_only_begun_is_taken_over(tmp_path, clock):
    """Its writer was killed before the tables were there."""
    for name in ("2026-09-24.sqlite", TODAY, f"{TODAY}.partial", f"{TODAY}.partial-wal"):
        (tmp_path / name).write_bytes(b"")
    assert read_parts(tmp_path) == []
    journal = opened(tmp_path, clock)
    journal.commit([ended(1)])
    journal.close()
    assert len(read_parts(tmp_path)) == 1
    assert not list(tmp_path.glob("*.partial*"))


def test_a_folder_without_a_journal_is_said_to_be_none(tmp_path):
    with pytest.raises(JournalError, match="holds no journal; give"):
        read_parts(tmp_path / "none")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, clock):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="check the disk and the folder's rights"):
        opened(tmp_path / "file" / "journal", clock)


def test_closing_twice_is_harmless_and_lets_others_write(tmp_path, clock):
    journal = opened(tmp_path, clock)
    journal.close()
    journal.close()
    opened(tmp_path, clock).close()


def test_every_commit_is_synchronous(journal):
    assert journal._file.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert journal._file.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_no_file_stays_open_when_opening_fails(tmp_path, clock):
    (tmp_path / TODAY).write_bytes(b"not a database" * 400)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(JournalError):
            opened(tmp_path, clock)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
