"""Nothing that commit returned for is lost: not by kill -9, not by a full disk, not by a disk that refuses."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import ManualClock
from edge.errors import JournalError
from edge.journal.reading import read_notes, read_parts
from edge.journal.rows import Note
from edge.journal.verify import verify
from tests.journal.records import SMALL, decided, ended, opened, part_id
from tests.peers.disks import failing_disk, tmpfs
from tests.peers.disks import fill as fill_disk


def test_nothing_acknowledged_is_missing_after_kill_9(tmp_path):
    """Fifty kills: while the journal is opened, amid commits, at midnight, while a day is sealed, signed or dropped."""
    command = [sys.executable, "-m", "tests.journal.kills", str(tmp_path / "journal"), "50", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kills"] == 50 and seen["acknowledged"] > 300
    assert seen["before_the_first"] and seen["dropped"] and seen["days"] == 3


def fill(journal, first=1):
    """Commit until the disk refuses; the numbers that were acknowledged and the refusal."""
    done = []
    for number in range(first, first + 100_000):
        try:
            journal.commit([decided(number), ended(number)])
        except JournalError as error:
            return done, str(error)
        done.append(number)
    raise AssertionError("the disk never filled")


def check_all_there(folder, numbers):
    rows = {row.part_id: row for row in read_parts(folder)}
    assert sorted(rows) == [part_id(number) for number in numbers]
    assert all(row.decided and row.outcome for row in rows.values())


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    with tmpfs(tmp_path / "disk", "size=1m") as folder:
        yield folder


def test_a_full_disk_loses_nothing_and_the_journal_goes_on_when_there_is_room_again(small_disk):
    clock = ManualClock()
    (small_disk / "ballast").write_bytes(bytes(300_000))
    journal = opened(small_disk, clock)
    done, words = fill(journal)
    assert "disk is full; free disk space or lower keep_days, records_max_mb and pictures_max_mb" in words
    assert len(done) > 20
    with pytest.raises(JournalError):
        journal.commit([decided(done[-1] + 1), ended(done[-1] + 1)])
    (small_disk / "ballast").unlink()
    journal.commit([decided(done[-1] + 1), ended(done[-1] + 1)])  # the same batch again
    done.append(done[-1] + 1)
    journal.close()
    check_all_there(small_disk, done)


def test_a_full_disk_at_midnight_is_one_clear_error_and_harms_nothing(small_disk):
    clock = ManualClock()
    journal = opened(small_disk, clock)
    journal.commit([decided(1), ended(1)])
    ballast = fill_disk(small_disk)
    clock.advance(86_400 * 1_000_000_000)
    for _ in range(2):
        with pytest.raises(JournalError, match="free disk space"):
            journal.commit([decided(2), ended(2)])
    ballast.unlink()
    journal.commit([decided(1), decided(2), ended(2)])
    journal.close()
    check_all_there(small_disk, [1, 2])


def test_a_full_disk_takes_the_last_records_into_the_emergency_reserve(tmp_path):
    """The reserve is given up for them; it is held back again when there is room."""
    clock = ManualClock()
    with tmpfs(tmp_path / "disk", "size=8m") as disk:
        journal = opened(disk, clock, replace(SMALL, reserve_mb=2))
        ballast = fill_disk(disk, leave=300_000)
        done = 0
        while not journal.shortage:
            done += 1
            assert done < 10_000
            journal.commit([decided(done), ended(done)])
        last = [decided(done + 1), ended(done + 1), Note(1, "stop", "the last words")]
        journal.commit(last)
        assert "emergency reserve; free disk space" in journal.shortage
        assert "emergency reserve is given up" in " ".join(note.words for note in read_notes(disk))
        numbers, words = fill(journal, done + 2)
        assert len(numbers) > 100 and "free disk space" in words
        ballast.unlink()
        clock.advance(60_000_000_000)
        journal.tend()
        assert not journal.shortage and (disk / "journal.reserve").stat().st_blocks * 512 >= 2_000_000
        journal.close()
        check_all_there(disk, range(1, numbers[-1] + 1))
        assert verify(disk).broken == []


def test_a_disk_without_inodes_at_midnight_says_so_and_the_day_begins_when_there_are_some(tmp_path):
    clock = ManualClock()
    with tmpfs(tmp_path / "disk", "size=4m,nr_inodes=30") as disk:
        journal = opened(disk, clock)
        journal.commit([decided(1), ended(1)])
        crumbs = []
        with pytest.raises(OSError):
            for number in range(40):
                crumbs.append(disk / f"crumb{number}")
                crumbs[-1].touch()
        clock.advance(86_400 * 1_000_000_000)
        with pytest.raises(JournalError, match="can hold no more files: delete some"):
            journal.commit([decided(2), ended(2)])
        for crumb in crumbs[:-1]:
            crumb.unlink()
        journal.commit([decided(2), ended(2)])
        journal.close()
        check_all_there(disk, [1, 2])
        assert verify(disk).broken == []


def test_a_disk_that_turns_read_only_loses_nothing(tmp_path):
    clock = ManualClock()
    with failing_disk(tmp_path / "disk") as disk:
        folder = disk.folder / "journal"
        journal = opened(folder, clock)
        journal.commit([decided(1), ended(1)])
        disk.fail()
        for _ in range(2):
            with pytest.raises(JournalError, match=r"make the folder and the disk writable|check the disk"):
                journal.commit([decided(2), ended(2)])
        journal.close()
        disk.mend()
        journal = opened(folder, clock)
        journal.commit([decided(2), ended(2)])
        journal.close()
        check_all_there(folder, [1, 2])
        assert verify(folder).broken == []


def test_a_disk_that_refuses_to_write_loses_nothing(tmp_path):
    """The limit on file sizes stands in for a disk error: write() fails with EFBIG."""
    journal = opened(tmp_path, ManualClock())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        done, words = fill(journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "check the disk" in words
    check_all_there(tmp_path, done)
    journal.commit([decided(done[-1] + 1), ended(done[-1] + 1)])
    journal.close()
    check_all_there(tmp_path, [*done, done[-1] + 1])


READ_ONLY = """
import os, pathlib, sys
from edge.clock import SystemClock
from edge.errors import JournalError
from tests.journal.records import opened
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    opened(pathlib.Path(sys.argv[1]), SystemClock())
except JournalError as error:
    print(error)
"""


def test_a_read_only_folder_is_refused_with_what_to_do(tmp_path):
    folder = tmp_path / "journal"
    opened(folder, ManualClock()).close()
    for path in (tmp_path.parent.parent, tmp_path.parent, tmp_path):
        path.chmod(path.stat().st_mode | 0o055)
    (folder / "journal.lock").chmod(0o666)
    folder.chmod(0o555)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", READ_ONLY, str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    folder.chmod(0o755)
    assert "make the folder and the disk writable" in child.stdout or "this user may write it" in child.stdout, (
        child
    )
