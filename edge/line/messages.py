"""The eye-line protocol: fixed-size messages over a SEQPACKET Unix socket, an epoch per connection.

The line greets a new eye with State and a fresh random epoch; every message of both sides carries it, and
a message of another epoch is refused. Each begins with the protocol's VERSION: an eye hears no line of another one
(an upgrade leaves the line running), and says so. Times are CLOCK_MONOTONIC ns; both processes share the machine.

    line -> eye   Birth, Outcome, Inputs, State, LimitCounts, Ack (of a Release, Reject or Birth request)
    eye -> line   Birth (a request, part_id 0), Release, Reject, Keepalive, Limit, Bypass, Ack (of Outcomes), Stop
"""

from __future__ import annotations

import socket
import struct
from dataclasses import astuple, dataclass, fields
from enum import IntEnum
from typing import ClassVar, TypeAlias, get_type_hints

from edge.errors import DeviceError
from edge.records import GateEvent, GateOutcome, Kind, Part, Reason, Sensed

VERSION = 3  # another one with any change of what the messages hold, enums too: tests/line/test_messages.py
CAUSE_BYTES = 56
_MORE = "…".encode()
SIZE = 128
_MAGIC = b"KP"
_HEADER = struct.Struct("<2sBBIQ")  # magic, version, kind, payload bytes, epoch
_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid


class LineState(IntEnum):
    """What the line is doing; parts are released in READY only."""

    STARTING = 0
    PURGING = 1
    READY = 2
    STOPPED = 3  # a limit dropped the permit; acknowledge to go on
    FAULT = 4
    STOPPING = 5
    BYPASSED = 6  # a person lets parts pass uninspected for a limited time
    SUSPENDED = 7  # an interlock of the plant (bin full, next machine) holds the line until it is well
    HELD = 8  # an interlock of the station itself (air, gate not home) does


class AckStatus(IntEnum):
    """What became of a Release, Reject or Birth request."""

    ACCEPTED = 0
    LATE = 1  # after the part's deadline
    UNKNOWN_PART = 2
    NOT_RELEASABLE = 3  # purge, other epoch, or the line is not READY
    DUPLICATE = 4  # the first word for a part stands
    REFUSED = 5


class LimitAction(IntEnum):
    """What the eye asks for when one of its limits is reached, or when a person acknowledged."""

    WARN = 0
    STOP = 1
    CLEAR = 2


@dataclass(frozen=True, slots=True)
class Birth:
    """A part was born. From the eye with part_id 0 it asks for one; `token` comes back in the line's answer. A part
    that the photo-eye saw has that one's counter as its token."""

    part_id: int
    token: int
    born_ns: int
    born_err_ns: int
    position: int
    deadline_ns: int
    gate_ns: int
    recipe: int
    releasable: bool

    FORMAT: ClassVar[str] = "QQqqqqqI?"

    @classmethod
    def of(cls, part: Part) -> Birth:
        return cls(
            part.part_id,
            part.token,
            part.born_ns,
            part.born_err_ns,
            part.position,
            part.deadline_ns,
            part.gate_ns,
            part.recipe,
            part.releasable,
        )

    def part(self) -> Part:
        return Part(
            part_id=self.part_id,
            born_ns=self.born_ns,
            born_err_ns=self.born_err_ns,
            position=self.position,
            deadline_ns=self.deadline_ns,
            gate_ns=self.gate_ns,
            recipe=self.recipe,
            token=self.token,
            releasable=self.releasable,
        )


@dataclass(frozen=True, slots=True)
class Release:
    """Let this part pass; sent only after its PASS was committed to the journal. `born_ns` is as the line told it: an
    eye that was told of no birth, or means another part, does not know it."""

    part_id: int
    born_ns: int

    FORMAT: ClassVar[str] = "Qq"


@dataclass(frozen=True, slots=True)
class Reject:
    """The booking stands: tells a REJECT or UNKNOWN verdict from silence. `born_ns` as in a Release."""

    part_id: int
    born_ns: int
    kind: Kind
    reason: Reason

    FORMAT: ClassVar[str] = "QqBB"


@dataclass(frozen=True, slots=True)
class Keepalive:
    """The eye lives; `ready` is False while it cannot inspect (camera away, journal failing). Parts born from now on
    carry `recipe`."""

    sent_ns: int
    ready: bool
    recipe: int = 0

    FORMAT: ClassVar[str] = "q?I"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A part's order ended; the fields of GateEvent. Also the body of a record in the outcome ring."""

    ring_seq: int
    part_id: int
    born_ns: int
    born_err_ns: int
    deadline_ns: int
    planned_ns: int
    written_ns: int
    confirmed_ns: int
    ended_wall_ns: int
    recipe: int
    outcome: GateOutcome
    verdict: Kind
    reason: Reason
    shadow: bool
    sensed: Sensed
    sensed_ns: int

    FORMAT: ClassVar[str] = "QQqqqqqqqIBBB?Bq"

    @classmethod
    def of(cls, event: GateEvent) -> Outcome:
        return cls(*astuple(event))

    def event(self) -> GateEvent:
        return GateEvent(*astuple(self))


@dataclass(frozen=True, slots=True)
class Inputs:
    """Levels of the station's inputs as bits (0 trigger, 1 confirm), when they last changed, and edges seen."""

    levels: int
    changed_ns: int
    trigger_edges: int
    lost_edges: int

    FORMAT: ClassVar[str] = "QqQQ"


@dataclass(frozen=True, slots=True)
class State:
    """The line's state with the words of its first cause (up to CAUSE_BYTES of UTF-8).

    `bypass_until_ns` is when a bypass ends by itself, 0 without one. `recipe` is what every part gets that is born at
    the trigger from now on. `station` is the first 8 bytes of the station file's SHA-256: an eye with another file must
    not go on.
    """

    state: LineState
    permit: bool
    pid: int
    station: bytes
    session: int
    next_ring_seq: int
    cause: bytes
    bypass_until_ns: int = 0
    recipe: int = 0

    FORMAT: ClassVar[str] = f"B?I8sIQ{CAUSE_BYTES}sqI"

    def words(self) -> str:
        """The cause as text, empty when there is none."""
        return self.cause.rstrip(b"\0").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the eye was reached (WARN, STOP), or a person acknowledged the stop (CLEAR)."""

    action: LimitAction
    count: int
    cause: bytes

    FORMAT: ClassVar[str] = f"BI{CAUSE_BYTES}s"


@dataclass(frozen=True, slots=True)
class Ack:
    """Line: what became of a message about `number` (part id, or the token of a Birth request).
    Eye: outcomes up to ring number `number` are in the journal."""

    number: int
    status: AckStatus
    at_ns: int

    FORMAT: ClassVar[str] = "QBq"


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish the parts in the zone, put the outputs to rest; a line that an eye started then ends."""

    sent_ns: int

    FORMAT: ClassVar[str] = "q"


@dataclass(frozen=True, slots=True)
class Bypass:
    """A person lets parts pass uninspected for `for_ns` from now, 0 ends it; sent only after the journal has it.
    It ends with the connection, and after the longest time that the station file allows."""

    for_ns: int

    FORMAT: ClassVar[str] = "q"


@dataclass(frozen=True, slots=True)
class LimitCounts:
    """How much of each limit of the station file is used up: `window_rejects` among the last parts, the others in a
    row. Told with each State."""

    consecutive_rejects: int
    unconfirmed_rejects: int
    unknown_in_a_row: int
    missed_deadlines: int
    window_rejects: int

    FORMAT: ClassVar[str] = "IIIII"


Message: TypeAlias = (
    Birth | Release | Reject | Keepalive | Outcome | Inputs | State | Limit | Ack | Stop | Bypass | LimitCounts
)
_KINDS: tuple[type[Message], ...] = (
    Birth,
    Release,
    Reject,
    Keepalive,
    Outcome,
    Inputs,
    State,
    Limit,
    Ack,
    Stop,
    Bypass,
    LimitCounts,
)
_BODIES = {kind: struct.Struct("<" + kind.FORMAT) for kind in _KINDS}


def _enum_fields(kind: type[Message]) -> dict[int, type[IntEnum]]:
    hints = get_type_hints(kind)
    return {
        index: hints[field.name]
        for index, field in enumerate(fields(kind))
        if isinstance(hints[field.name], type) and issubclass(hints[field.name], IntEnum)
    }


_ENUMS = {kind: _enum_fields(kind) for kind in _KINDS}


def cause_of(words: str) -> bytes:
    """As much of the words as State and Limit hold; points stand for the rest, so that nobody takes it for all."""
    whole = words.encode()
    if len(whole) <= CAUSE_BYTES:
        return whole
    return whole[: CAUSE_BYTES - len(_MORE)].decode("utf-8", "ignore").encode() + _MORE


class ProtocolError(DeviceError):
    """The peer's bytes are not a message of this protocol, or carry another epoch."""


class VersionError(ProtocolError):
    """The peer speaks another `version` of this protocol: none of its messages can be read."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version} of the eye-line protocol, not {VERSION}: restart the older process")
        self.version = version


def pack(message: Message, epoch: int) -> bytes:
    """The message as exactly SIZE bytes."""
    kind = type(message)
    body = _BODIES[kind].pack(*(getattr(message, field.name) for field in fields(message)))
    header = _HEADER.pack(_MAGIC, VERSION, _KINDS.index(kind), len(body), epoch)
    return (header + body).ljust(SIZE, b"\0")


def unpack(data: bytes) -> tuple[Message, int]:
    """The message and its epoch. Raises VersionError for one of another version, whatever its size, and ProtocolError
    for anything else than what `pack` writes."""
    if data[:2] == _MAGIC and len(data) > 2 and data[2] != VERSION:
        raise VersionError(data[2])
    if len(data) != SIZE:
        raise ProtocolError(f"message of {len(data)} bytes, expected {SIZE}: are eye and line of one version?")
    magic, _, number, length, epoch = _HEADER.unpack_from(data)
    if magic != _MAGIC or number >= len(_KINDS):
        raise ProtocolError(f"unknown message {magic!r} kind {number}: restart both processes")
    kind = _KINDS[number]
    body = _BODIES[kind]
    if length != body.size:
        raise ProtocolError(f"{kind.__name__} of {length} bytes, expected {body.size}: restart both processes")
    values = list(body.unpack_from(data, _HEADER.size))
    try:
        for index, enum in _ENUMS[kind].items():
            values[index] = enum(values[index])
    except ValueError as error:
        raise ProtocolError(f"{kind.__name__} with {error}: restart both processes") from error
    return kind(*values), epoch


def pack_record(event: GateEvent) -> bytes:
    """A gate event as the outcome ring stores it: the body of an Outcome message."""
    return _BODIES[Outcome].pack(*astuple(event))


def unpack_record(data: bytes) -> GateEvent:
    """The reverse of `pack_record`; raises ProtocolError when the bytes are no outcome."""
    try:
        message, _ = unpack(
            (_HEADER.pack(_MAGIC, VERSION, _KINDS.index(Outcome), len(data), 0) + data).ljust(SIZE, b"\0")
        )
    except struct.error as error:
        raise ProtocolError("the outcome record is damaged") from error
    assert isinstance(message, Outcome)
    return message.event()


RECORD_SIZE = _BODIES[Outcome].size


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """(pid, uid) of the process at the other end, as the kernel knows them."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, uid, _ = _PEER.unpack(data)
    return pid, uid
