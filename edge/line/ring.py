"""The last outcomes in a preallocated memory-mapped file: the line writes, a restarted eye reads with distrust.

    header (128 bytes)   two copies of: magic, record size, capacity, session, next sequence number, CRC-32
    records              ring_seq n is at place (n - 1) modulo capacity: the body of an Outcome message, CRC-32

What a killed process wrote stays in the file. Sequence numbers begin at 1; 0 is an empty place.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError, DeviceError
from edge.line.messages import RECORD_SIZE, ProtocolError, pack_record, unpack_record
from edge.records import GateEvent, RingPlace

CAPACITY = 65_536
_MAGIC = b"KPRING1\n"
_HEAD = struct.Struct("<8sIIIQ")
_CRC = struct.Struct("<I")
_COPY_SIZE = 64
_HEADER_SIZE = 2 * _COPY_SIZE
_PLACE_SIZE = RECORD_SIZE + _CRC.size


@dataclass(frozen=True, slots=True)
class RingRead:
    """What a reader found: `events` in order, how many asked-for ones are gone or damaged, and where to go on."""

    events: tuple[GateEvent, ...]
    overwritten: int
    damaged: int
    next_seq: int
    session: int


@dataclass(frozen=True, slots=True)
class _Head:
    session: int
    next_seq: int


def _pack_head(head: _Head, capacity: int) -> bytes:
    body = _HEAD.pack(_MAGIC, _PLACE_SIZE, capacity, head.session, head.next_seq)
    return (body + _CRC.pack(zlib.crc32(body))).ljust(_COPY_SIZE, b"\0")


def _capacity_of(size: int) -> int:
    return max(0, (size - _HEADER_SIZE) // _PLACE_SIZE)


def _read_head(data: mmap.mmap | bytes, capacity: int) -> _Head | None:
    """The newer valid copy of the header; None when both are damaged or of another shape."""
    heads = []
    for offset in (0, _COPY_SIZE):
        body = bytes(data[offset : offset + _HEAD.size])
        crc = bytes(data[offset + _HEAD.size : offset + _HEAD.size + _CRC.size])
        if len(crc) < _CRC.size or _CRC.unpack(crc)[0] != zlib.crc32(body):
            continue
        magic, place_size, places, session, next_seq = _HEAD.unpack(body)
        if (magic, place_size, places) == (_MAGIC, _PLACE_SIZE, capacity) and next_seq > 0:
            heads.append(_Head(session, next_seq))
    return max(heads, key=lambda head: (head.session, head.next_seq), default=None)


def _offset(seq: int, capacity: int) -> int:
    return _HEADER_SIZE + (seq - 1) % capacity * _PLACE_SIZE


def _record_at(data: mmap.mmap | bytes, offset: int) -> GateEvent | None:
    """The record at this place, None when it is empty or damaged."""
    place = bytes(data[offset : offset + _PLACE_SIZE])
    body, crc = place[:RECORD_SIZE], place[RECORD_SIZE:]
    if len(place) < _PLACE_SIZE or _CRC.unpack(crc)[0] != zlib.crc32(body):
        return None
    try:
        event = unpack_record(body)
    except ProtocolError:
        return None
    return event if event.ring_seq > 0 else None


def _all_records(data: mmap.mmap | bytes, capacity: int) -> Iterator[GateEvent]:
    for place in range(capacity):
        event = _record_at(data, _HEADER_SIZE + place * _PLACE_SIZE)
        if event is not None and (event.ring_seq - 1) % capacity == place:
            yield event


def _recovered_head(data: mmap.mmap | bytes, capacity: int) -> _Head | None:
    """The header as the records tell it; None when there are none."""
    newest = max(_all_records(data, capacity), key=lambda event: event.ring_seq, default=None)
    return None if newest is None else _Head(newest.part_id >> 32, newest.ring_seq + 1)


def _true_next(data: mmap.mmap | bytes, capacity: int, next_seq: int) -> int:
    """The header's number, or more: a process can be killed between a record and its header."""
    while (event := _record_at(data, _offset(next_seq, capacity))) is not None and event.ring_seq == next_seq:
        next_seq += 1
    return next_seq


class OutcomeRing:
    """The writer's side; one process at a time (the line holds its lock file).

    Opening begins a new session, on disk before this returns. `append` never waits for the disk by itself.
    Raises DeviceError when the file cannot be made or mapped.
    """

    def __init__(self, path: Path, capacity: int = CAPACITY, lost_session: int = 0) -> None:
        """`lost_session` is what the session counts on from when the file exists but tells nothing any more."""
        self._capacity = capacity
        self._file, self._map = _map_for_writing(path, capacity)
        head = _read_head(self._map, capacity) or _recovered_head(self._map, capacity)
        if head is None:
            blank = not any(self._map[:_HEADER_SIZE])
            head = _Head(0 if blank else lost_session, 1)
        self.session = head.session + 1
        self.next_seq = _true_next(self._map, capacity, head.next_seq)
        for copy in (0, 1):
            self._write_head(copy)
        self._map.flush()
        os.fsync(self._file)

    def append(self, event: GateEvent) -> None:
        """Keep an event; its `ring_seq` must be `next_seq` (ValueError: a defect)."""
        if event.ring_seq != self.next_seq:
            raise ValueError(f"outcome {event.ring_seq} out of order, expected {self.next_seq}")
        body = pack_record(event)
        offset = _offset(event.ring_seq, self._capacity)
        self._map[offset : offset + _PLACE_SIZE] = body + _CRC.pack(zlib.crc32(body))
        self.next_seq += 1
        self._write_head(self.next_seq % 2)

    def _write_head(self, copy: int) -> None:
        offset = copy * _COPY_SIZE
        head = _Head(self.session, self.next_seq)
        self._map[offset : offset + _COPY_SIZE] = _pack_head(head, self._capacity)

    def close(self) -> None:
        """Flush and unmap; may be called twice."""
        if not self._map.closed:
            self._map.flush()
            self._map.close()
            os.close(self._file)


def _map_for_writing(path: Path, capacity: int) -> tuple[int, mmap.mmap]:
    size = _HEADER_SIZE + capacity * _PLACE_SIZE
    descriptor = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if os.fstat(descriptor).st_size > size:
            raise ConfigError(f"{path} is larger than an outcome ring: move that file away")
        os.ftruncate(descriptor, size)
        os.posix_fallocate(descriptor, 0, size)
        return descriptor, mmap.mmap(descriptor, size)
    except (OSError, ConfigError) as error:
        if descriptor >= 0:
            os.close(descriptor)
        if isinstance(error, ConfigError):
            raise
        raise DeviceError(f"cannot make the outcome ring {path}: {error.strerror}; check the disk") from error


def read_from(path: Path, seq: int) -> RingRead:
    """The outcomes from number `seq` on that the ring at `path` still holds; also while the line is writing.

    Damaged records are skipped and counted, also a torn last one. Raises DeviceError when the file is absent
    or unreadable.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeviceError(f"cannot read the outcome ring {path}: {error.strerror}; was a line started?") from error
    capacity = _capacity_of(len(data))
    head = _read_head(data, capacity) or _recovered_head(data, capacity) if capacity else None
    if head is None:
        return RingRead((), 0, 0, max(1, seq), 0)
    next_seq = _true_next(data, capacity, head.next_seq)
    return _collect(data, capacity, max(1, seq), next_seq, head.session)


def resume_seq(path: Path, newest: RingPlace) -> int:
    """The number with which a reader goes on that has everything up to `newest`: the next one where the ring still
    tells the same, and the ring's oldest where it does not.

    A power cut can set the ring back behind what its reader had made durable; its numbers come again then, with other
    parts. A ring that is absent, unreadable or empty changes nothing.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return newest.ring_seq + 1
    capacity = _capacity_of(len(data))
    head = _read_head(data, capacity) or _recovered_head(data, capacity) if capacity else None
    if head is None:
        return newest.ring_seq + 1
    next_seq = _true_next(data, capacity, head.next_seq)
    oldest = max(1, next_seq - capacity)
    if newest.ring_seq < oldest:
        return newest.ring_seq + 1
    event = _record_at(data, _offset(newest.ring_seq, capacity)) if newest.ring_seq < next_seq else None
    if event is not None and (event.ring_seq, event.part_id) == (newest.ring_seq, newest.part_id):
        return newest.ring_seq + 1
    return oldest


def _collect(data: bytes, capacity: int, seq: int, next_seq: int, session: int) -> RingRead:
    oldest = max(1, next_seq - capacity)
    events = []
    damaged = 0
    overwritten = max(0, min(oldest, next_seq) - seq)
    for number in range(max(seq, oldest), next_seq):
        event = _record_at(data, _offset(number, capacity))
        if event is not None and event.ring_seq == number:
            events.append(event)
        elif event is not None and event.ring_seq > number:
            overwritten += 1  # by the line, while this was reading
        else:
            damaged += 1
    return RingRead(tuple(events), overwritten, damaged, next_seq, session)
