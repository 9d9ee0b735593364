"""The outcome ring keeps what was appended through kills and damage, counts what it lost, and invents nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.errors import ConfigError, DeviceError
from edge.line import ring as ring_module
from edge.line.messages import RECORD_SIZE
from edge.line.ring import OutcomeRing, read_from
from edge.records import GateEvent, GateOutcome, Kind, Reason

CAPACITY = 16
HEADER, PLACE = 128, RECORD_SIZE + 4


def event(seq: int, session: int = 1) -> GateEvent:
    return GateEvent(
        seq, session << 32 | seq, seq, 0, 0, 0, 0, 0, 0, 0, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT
    )


def filled(path: Path, count: int) -> OutcomeRing:
    ring = OutcomeRing(path, CAPACITY)
    for _ in range(count):
        ring.append(event(ring.next_seq, ring.session))
    return ring


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "outcomes.ring"


def numbers(path: Path, seq: int = 1) -> list[int]:
    return [kept.ring_seq for kept in read_from(path, seq).events]


def damage(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def place(seq: int) -> int:
    return HEADER + (seq - 1) % CAPACITY * PLACE


def test_what_was_appended_is_read_in_order_from_any_number(path: Path) -> None:
    filled(path, 5).close()
    found = read_from(path, 3)
    assert found.events == (event(3), event(4), event(5))
    assert (found.overwritten, found.damaged, found.next_seq, found.session) == (0, 0, 6, 1)
    assert numbers(path, 6) == numbers(path, 99) == []


def test_a_new_ring_is_empty_and_a_missing_one_is_an_error(path: Path) -> None:
    with pytest.raises(DeviceError, match="was a line started"):
        read_from(path, 1)
    OutcomeRing(path, CAPACITY).close()
    assert read_from(path, 1).events == ()


def test_each_opening_is_a_new_session_and_numbers_go_on(path: Path) -> None:
    for session in (1, 2, 3):
        ring = OutcomeRing(path, CAPACITY)
        assert (ring.session, ring.next_seq) == (session, 1 + 2 * (session - 1))
        ring.append(event(ring.next_seq, session))
        ring.append(event(ring.next_seq, session))
        ring.close()
        ring.close()
    assert [kept.part_id >> 32 for kept in read_from(path, 1).events] == [1, 1, 2, 2, 3, 3]


def test_numbers_out_of_order_are_a_defect(path: Path) -> None:
    ring = filled(path, 2)
    for seq in (2, 4):
        with pytest.raises(ValueError, match="out of order"):
            ring.append(event(seq))
    ring.close()


def test_overwritten_outcomes_are_counted(path: Path) -> None:
    filled(path, CAPACITY + 5).close()
    found = read_from(path, 1)
    assert found.overwritten == 5
    assert [kept.ring_seq for kept in found.events] == list(range(6, CAPACITY + 6))
    assert read_from(path, 8).overwritten == 0


def test_a_kill_between_record_and_header_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = filled(path, 3)
    monkeypatch.setattr(ring, "_write_head", lambda copy: None)
    ring.append(event(4))
    ring.close()
    assert numbers(path) == [1, 2, 3, 4]
    again = OutcomeRing(path, CAPACITY)
    assert (again.next_seq, again.session) == (5, 2)
    again.close()


def test_a_torn_last_record_is_not_read_and_its_number_is_used_again(path: Path) -> None:
    ring = filled(path, 3)
    ring.close()
    damage(path, place(4), b"\1" * (PLACE // 2))  # half a record, no header for it
    assert numbers(path) == [1, 2, 3]
    again = OutcomeRing(path, CAPACITY)
    assert again.next_seq == 4
    again.append(event(4, 2))
    again.close()
    assert numbers(path) == [1, 2, 3, 4]


def test_a_damaged_record_is_skipped_and_counted(path: Path) -> None:
    filled(path, 5).close()
    damage(path, place(2) + 20, b"\xff")
    found = read_from(path, 1)
    assert [kept.ring_seq for kept in found.events] == [1, 3, 4, 5]
    assert found.damaged == 1


@pytest.mark.parametrize("copy", [0, 1])
def test_one_damaged_header_copy_changes_nothing(path: Path, copy: int) -> None:
    filled(path, 5).close()
    damage(path, copy * 64 + 16, b"\xff" * 4)
    assert numbers(path) == [1, 2, 3, 4, 5]
    ring = OutcomeRing(path, CAPACITY)
    assert (ring.next_seq, ring.session) == (6, 2)
    ring.close()


def test_without_a_header_the_records_tell_where_to_go_on(path: Path) -> None:
    filled(path, CAPACITY + 3).close()
    damage(path, 0, bytes(HEADER))
    assert numbers(path) == list(range(4, CAPACITY + 4))
    ring = OutcomeRing(path, CAPACITY)
    assert (ring.next_seq, ring.session) == (CAPACITY + 4, 2)
    ring.close()


def test_a_file_of_noise_begins_a_session_that_never_was(path: Path) -> None:
    filled(path, 2).close()
    damage(path, 0, os.urandom(path.stat().st_size))
    found = read_from(path, 1)
    assert (found.events, found.next_seq) == ((), 1)
    ring = OutcomeRing(path, CAPACITY, lost_session=60_000)
    assert (ring.session, ring.next_seq) == (60_001, 1)
    ring.close()


def test_a_truncated_file_is_read_with_distrust(path: Path) -> None:
    filled(path, 3).close()
    for size in (0, 10, HEADER, HEADER + PLACE // 2, HEADER + 2 * PLACE):
        path.write_bytes(path.read_bytes()[:size])
        assert all(number <= 3 for number in numbers(path))


def test_another_file_in_the_rings_place_is_not_overwritten(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"x" * 100_000)
    with pytest.raises(ConfigError, match="move that file away"):
        OutcomeRing(path, CAPACITY)
    assert path.read_bytes() == b"x" * 100_000


def test_a_ring_that_cannot_be_made_is_a_device_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot make the outcome ring"):
        OutcomeRing(tmp_path / "file" / "outcomes.ring", CAPACITY)


def test_reading_while_the_line_writes_gives_true_records_only(path: Path) -> None:
    ring = filled(path, 1)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            ring.append(event(ring.next_seq))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seq, overwritten, read = 1, 0, 0
        for _ in range(200):
            found = read_from(path, seq)
            for kept in found.events:
                assert kept == event(kept.ring_seq)
            assert [kept.ring_seq for kept in found.events] == sorted(kept.ring_seq for kept in found.events)
            assert found.next_seq - seq == len(found.events) + found.overwritten + found.damaged
            seq, overwritten, read = found.next_seq, overwritten + found.overwritten, read + len(found.events)
    finally:
        stop.set()
        writer.join()
        ring.close()
    assert read > 0


_WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from tests.line.test_ring import CAPACITY, event
from edge.line.ring import OutcomeRing
from pathlib import Path
ring = OutcomeRing(Path(sys.argv[1]), CAPACITY)
while True:
    ring.append(event(ring.next_seq, ring.session))
    print(ring.next_seq - 1, flush=True)
"""


def test_a_killed_writer_leaves_every_outcome_it_told_of(path: Path) -> None:
    root = str(Path(__file__).parents[2])
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(path), root], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(40):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in writer.stdout.read().split())])
        found = read_from(path, told - 3)
        assert found.damaged == 0
        assert found.next_seq - 1 in (told, told + 1)
        assert {told - 3, told - 2, told - 1, told} <= {kept.ring_seq for kept in found.events}


def test_the_devices_ring_holds_hours_of_parts() -> None:
    assert ring_module.CAPACITY >= 65_536
