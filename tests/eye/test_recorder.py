"""A disk that is slow, full or failing holds up nobody but the releases, and what it takes afterwards is complete."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from edge.clock import MS, SECOND, ManualClock
from edge.errors import JournalError
from edge.eye import recorder as module
from edge.eye.recorder import SLOW_NS, Recorder
from edge.health import Health, Level, Progress
from edge.journal.rows import Note, Record
from tests.journal.records import decided, ended
from tests.peers import eventually


class Disk:
    """Stands in for the journal: takes batches when it is let, and keeps their sizes."""

    def __init__(self) -> None:
        self.taken: list[Record] = []
        self.batches: list[int] = []
        self.refusal = ""
        self.shortage = ""
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.asked = threading.Event()

    def commit(self, records: Sequence[Record]) -> list[Record]:
        self.asked.set()
        assert self.goes_on.wait(30)
        if self.refusal:
            raise JournalError(self.refusal)
        self.taken += records
        self.batches.append(len(records))
        return []

    def tend(self) -> None:
        """Nothing to do."""


class Office:
    def __init__(self, stops: bool = True) -> None:
        self.disk = Disk()
        self.clock = ManualClock()
        self.health = Health()
        self.committed: list[Record] = []
        progress = Progress(self.clock, {"journal": SECOND})
        self.recorder = Recorder(
            self.disk,  # type: ignore[arg-type]
            self.clock,
            self.health,
            progress,
            self.committed.append,
            stops,
        )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self.recorder.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            self.disk.goes_on.set()
            stop.set()
            thread.join()


@pytest.fixture
def office() -> Office:
    return Office()


def holds(office: Office, test: Callable[[], bool], what: str) -> None:
    eventually(test, what, within_s=20)


@pytest.mark.parametrize("stops", [True, False])
def test_a_disk_that_hangs_is_told_by_who_does_not_wait_for_it(stops: bool) -> None:
    office = Office(stops)
    with office.at_work():
        office.disk.goes_on.clear()
        office.recorder.put(decided(1))
        assert office.disk.asked.wait(20)
        office.recorder.watch()
        assert office.recorder.failing == ""
        office.clock.advance(SLOW_NS + MS)
        office.recorder.watch()
        assert "not taken a record for 2 s" in office.recorder.failing
        assert office.health.is_ready is not stops
        office.recorder.put(ended(1))  # nobody waits
        office.disk.goes_on.set()
        holds(office, lambda: office.recorder.failing == "" and office.health.is_ready, "the disk has recovered")
    assert office.committed == [decided(1), ended(1)]


def test_an_idle_disk_is_not_slow(office: Office) -> None:
    office.clock.advance(SLOW_NS * 5)
    office.recorder.watch()
    assert office.recorder.failing == ""


def test_a_shortage_stops_the_station_while_records_still_go_through(office: Office) -> None:
    office.disk.shortage = "the disk is full; free disk space"
    office.recorder.put(decided(1))
    assert office.recorder._commit()
    assert office.committed == [decided(1)]
    assert office.recorder.failing and office.health.standing.level is Level.NOT_READY
    office.disk.shortage = ""
    assert office.recorder._commit()
    assert not office.recorder.failing and office.health.is_ready


def test_a_long_backlog_is_committed_in_pieces_and_in_order(office: Office) -> None:
    office.disk.refusal = "the disk is full"
    notes = [Note(number, "test", str(number)) for number in range(4_500)]
    for note in notes:
        office.recorder.put(note)
    assert not office.recorder._commit()
    office.disk.refusal = ""
    assert office.recorder.finish()
    assert office.committed == notes and office.disk.batches == [2_000, 2_000, 500]


def test_what_a_full_backlog_lost_is_counted_and_on_record(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    office.disk.refusal = "the disk is full"
    for number in range(14):
        office.recorder.put(Note(number, "test", str(number)))
    assert office.recorder.lost == 4
    office.disk.refusal = ""
    assert office.recorder.finish()
    last = office.committed[-1]
    assert isinstance(last, Note) and (last.kind, last.words.split(" ")[0]) == ("records lost", "4")
    assert len(office.committed) == 11


def test_what_the_disk_does_not_take_at_the_end_is_lost_and_counted(office: Office) -> None:
    office.disk.refusal = "the disk is full"
    office.recorder.put(decided(1))
    assert not office.recorder.finish(patience_ns=500 * MS)
    assert office.recorder.lost == 1


def test_records_come_while_others_are_taken_out(office: Office) -> None:
    """Threads put while the journal's thread gathers a batch; the interpreter changes threads as often as it can."""
    many, before = 10_000, sys.getswitchinterval()
    record = Note(0, "try", "")

    def put() -> None:
        for _ in range(many):
            office.recorder.put(record)

    threads = [threading.Thread(target=put) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert office.recorder._commit()
    finally:
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join()
    assert office.recorder.finish()
    assert len(office.committed) == 4 * many and not office.recorder.lost
