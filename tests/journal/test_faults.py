"""Whatever the disk does, what was acknowledged stands once, in an unbroken chain, and the journal goes on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from errno import EDQUOT, EFBIG, EIO, EMFILE, ENOSPC, EROFS
from pathlib import Path

import pytest

from edge.journal.heads import kept_head
from edge.journal.reading import read_notes, read_parts
from edge.journal.verify import verify
from tests.journal.records import KEY, outside, part_id
from tests.peers.faulty_disk import CREATE, RESIZE, SYNC, WRITE, FaultyDisk, name_of

KEYS = [KEY.public_key().public_bytes_raw()]


class Desk:
    """A clerk on a faulty disk, and what it acknowledged."""

    def __init__(self, folder: Path, disk: FaultyDisk) -> None:
        self.folder = folder
        self.disk = disk
        self.acknowledged = 0
        self.told = 0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.journal.clerk", str(self.folder)]
        environment = os.environ | self.disk.environment
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(command, **pipes, text=True, bufsize=1, env=environment)

    def say(self, *words: object) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        assert answer, "the clerk has crashed"
        return answer

    def commit(self, count: int = 1) -> str:
        """Tell of so many new parts; what failed before is told again with them."""
        answer = self.say("commit", self.told + 1, count)
        self.told += count
        if answer == "ok":
            self.acknowledged = self.told
        return answer

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def restart(self) -> None:
        """What was told and not acknowledged is forgotten by those who told it."""
        self.kill()
        self._process = self._start()
        assert self.say("open") == "ok"
        self.told = self.acknowledged = max((row.part_id & 0xFFFF for row in read_parts(self.folder)), default=0)

    def check(self, also: int = 0) -> None:
        """Everything acknowledged stands once; `also` as many more may."""
        found = verify(self.folder, KEYS, kept_head(outside(self.folder), self.folder))
        assert found.broken == []
        rows = read_parts(self.folder)
        assert [row.part_id for row in rows] == [part_id(number) for number in range(1, len(rows) + 1)]
        assert self.acknowledged <= len(rows) <= self.acknowledged + also
        assert all(row.decided is not None and row.outcome is not None for row in rows)
        notes = Counter(note.words for note in read_notes(self.folder) if note.kind == "test")
        assert notes == Counter(f"part {number}" for number in range(1, len(rows) + 1))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "journal"
    disk = FaultyDisk(folder, tmp_path / "faults")
    desk = Desk(folder, disk)
    assert desk.say("open") == "ok"
    yield desk
    desk.kill()
    disk.close()


FAULTS = [
    ("a failed sync", SYNC, EIO, False),
    ("a failed sync that forgets what was written", SYNC, EIO, True),
    ("a quota told at the sync", SYNC, EDQUOT, True),
    ("a full disk told at the sync", SYNC, ENOSPC, True),
    ("a failed write", WRITE, EIO, False),
    ("a full disk", WRITE, ENOSPC, False),
    ("a read-only disk", WRITE, EROFS, False),
    ("a file that may not grow", WRITE | RESIZE, EFBIG, False),
]


@pytest.mark.parametrize(
    ("calls", "error", "forgets"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_nothing_acknowledged_is_lost_or_doubled_by(desk: Desk, calls: int, error: int, forgets: bool) -> None:
    """The fault strikes each call of a commit in turn, once, some times, and for long."""
    hits = 0
    for suffix in ("-wal", ".sqlite", ""):
        for times in (1, 2, 7):
            for skip in range(4):
                assert desk.commit() == "ok"
                desk.disk.order(calls, error, skip=skip, times=times, forgets=forgets, suffix=suffix)
                answers = [desk.commit(), desk.commit(2), desk.say("tend")]
                hits += desk.disk.heal()
                assert all(answer == "ok" or " failed: " in answer for answer in answers), answers
                assert desk.commit() == "ok"
        desk.check()
    assert hits > 20
    assert desk.say("close") == "ok"
    desk.check()


def test_a_sync_that_failed_once_is_mended_at_once_and_on_record(desk: Desk) -> None:
    assert desk.commit() == "ok"
    desk.disk.order(SYNC, EIO, times=1, forgets=True, suffix="-wal")
    assert desk.commit() == "ok"
    assert desk.disk.heal() == 1
    desk.check()
    assert any(note.kind == "disk" and "opened again" in note.words for note in read_notes(desk.folder))


def test_while_the_disk_fails_every_commit_says_so_and_what_to_do(desk: Desk) -> None:
    assert desk.commit() == "ok"
    desk.disk.order(SYNC | WRITE, EIO, forgets=True)
    for _ in range(3):
        assert "check the disk" in desk.commit()
    assert desk.disk.heal() > 3
    assert desk.commit() == "ok"
    desk.check()


def test_a_disk_that_lost_what_it_had_confirmed_is_refused(desk: Desk) -> None:
    desk.commit()
    copy = {path.name: path.read_bytes() for path in desk.folder.glob("*.sqlite*")}
    desk.commit(3)
    desk.disk.order(SYNC, EIO, times=-1, suffix="-wal")
    assert "failed" in desk.commit()
    for name, data in copy.items():
        (desk.folder / name).write_bytes(data)
    desk.disk.heal()
    assert "the disk lost what it had confirmed" in desk.commit()
    desk.kill()


@pytest.mark.parametrize("error", [EMFILE, ENOSPC, EROFS], ids=name_of)
def test_a_day_whose_file_cannot_be_made_is_an_error_and_the_next_try_makes_it(desk: Desk, error: int) -> None:
    desk.commit()
    desk.say("day")
    desk.disk.order(CREATE, error)
    assert "failed" in desk.commit()
    desk.disk.heal()
    assert desk.commit() == "ok"
    desk.say("tend")
    desk.check()
    assert len(list(desk.folder.glob("*.sqlite"))) == 2


def random_fault(rng: random.Random, disk: FaultyDisk) -> None:
    calls = rng.choice([SYNC, WRITE, CREATE, RESIZE, SYNC | WRITE, WRITE | CREATE | RESIZE])
    error = rng.choice([EIO, ENOSPC, EROFS, EDQUOT])
    suffix = rng.choice(["", "-wal", ".sqlite"])
    times = rng.choice([1, 1, 2, 5, -1])
    disk.order(calls, error, skip=rng.randint(0, 12), times=times, forgets=rng.random() < 0.5, suffix=suffix)


@pytest.mark.parametrize("seed", range(int(os.environ.get("KENPIN_FAULT_SEEDS", "3"))))
def test_no_schedule_of_faults_days_and_kills_loses_or_doubles_anything(desk: Desk, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        if rng.random() < 0.6:
            random_fault(rng, desk.disk)
        for _ in range(rng.randint(1, 4)):
            what = rng.choice(["commit", "commit", "commit", "tend", "day"])
            _ = desk.commit(rng.randint(1, 3)) if what == "commit" else desk.say(what)
        desk.disk.heal()
        if rng.random() < 0.2:
            also = desk.told - desk.acknowledged
            desk.kill()
            desk.check(also)
            desk.restart()
        assert desk.commit() == "ok"
    desk.check()
