"""What can happen to the line, and what it can want done: the values between its core and its shell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from edge.line.messages import Message
from edge.line.schedule import GateEdge
from edge.records import Edge, GateEvent


class Which(Enum):
    """One of the two outputs."""

    GATE = "gate"
    PERMIT = "line permit"


# The inputs by name; an interlock goes by INTERLOCK and its own name.
TRIGGER = "trigger"
SECOND_EYE = "second_eye"
CONFIRM = "confirm"
MOTOR = "motor"
ENCODER = "encoder"
INTERLOCK = "interlock "
PLC_GATE = "plc gate"  # the PLC that owns the gate; lost and back as an input is
ENCODER_DEAD = "encoder dead"  # it is read, and stands while the motor runs


# --- what happens ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EdgeSeen:
    """An input saw an edge."""

    edge: Edge
    source: str = TRIGGER


@dataclass(frozen=True, slots=True)
class Counted:
    """The encoder's counter stood at `counter` at this instant."""

    counter: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class InputLost:
    """An input can no longer be read: parts pass unseen."""

    words: str
    source: str = TRIGGER


@dataclass(frozen=True, slots=True)
class InputBack:
    """An input is read from now on; `level` is what it said first."""

    source: str = TRIGGER
    level: bool = False


@dataclass(frozen=True, slots=True)
class EyeConnected:
    """A new eye, with the epoch of its connection."""

    epoch: int


@dataclass(frozen=True, slots=True)
class EyeGone:
    """The eye's connection ended."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the connected eye."""

    message: Message
    epoch: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Finish the parts in the zone and put the outputs to rest; `end`: then end the process."""

    words: str
    end: bool


@dataclass(frozen=True, slots=True)
class Armed:
    """All outputs are open and stand at rest."""


@dataclass(frozen=True, slots=True)
class ArmFailed:
    """An output could not be opened or brought to rest."""

    words: str


@dataclass(frozen=True, slots=True)
class GateWritten:
    """The write of an edge was issued at `issued_ns` and succeeded; `confirmed_ns` is 0 where the wire is mute.
    `returned_ns` is when the device's driver let go of it, 0 for at once."""

    edge: GateEdge
    issued_ns: int
    confirmed_ns: int
    returned_ns: int = 0


@dataclass(frozen=True, slots=True)
class PermitWritten:
    """The line permit stands at `on`."""

    on: bool


@dataclass(frozen=True, slots=True)
class OutputFailed:
    """A write that was issued at `issued_ns` failed; the level is unknown since then."""

    which: Which
    issued_ns: int
    words: str


@dataclass(frozen=True, slots=True)
class OutputRested:
    """The output was brought to rest."""

    which: Which


@dataclass(frozen=True, slots=True)
class PlcSaw:
    """The PLC that owns the gate saw a part come, as the edge that it gives this number. `session` names the
    conversation: numbers of another one are other parts."""

    session: int
    edge: int
    at_ns: int
    err_ns: int


@dataclass(frozen=True, slots=True)
class PlcDid:
    """The PLC rejected the part of this edge or let it pass, going by the word for `part_number` (0: it had none)."""

    session: int
    edge: int
    part_number: int
    passed: bool
    at_ns: int
    err_ns: int


Event: TypeAlias = (
    EdgeSeen
    | Counted
    | InputLost
    | InputBack
    | EyeConnected
    | EyeGone
    | Heard
    | StopAsked
    | Armed
    | ArmFailed
    | GateWritten
    | PermitWritten
    | OutputFailed
    | OutputRested
    | PlcSaw
    | PlcDid
)


# --- what is to be done ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arm:
    """Open all outputs at rest; answer with Armed or ArmFailed."""


@dataclass(frozen=True, slots=True)
class WriteGate:
    """Write the gate now; answer with GateWritten or OutputFailed."""

    edge: GateEdge


@dataclass(frozen=True, slots=True)
class WritePermit:
    """Write the line permit now; answer with PermitWritten or OutputFailed."""

    on: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """Bring an output to rest, reopening a lost device; answer with OutputRested or OutputFailed."""

    which: Which


@dataclass(frozen=True, slots=True)
class TellPlc:
    """The word for a part, for the PLC that saw it as this edge; it takes the place of an earlier one."""

    session: int
    edge: int
    part_number: int
    release: bool


@dataclass(frozen=True, slots=True)
class BeatPlc:
    """A sign of life for the PLC, with the bits of LineFlag."""

    flags: int


@dataclass(frozen=True, slots=True)
class Send:
    """A message to the connected eye."""

    message: Message


@dataclass(frozen=True, slots=True)
class Keep:
    """A part's end, for the outcome ring."""

    event: GateEvent


@dataclass(frozen=True, slots=True)
class Say:
    """Words for the log."""

    words: str


@dataclass(frozen=True, slots=True)
class End:
    """Everything is finished: put the outputs to rest, close them, end the process."""


Action: TypeAlias = Arm | WriteGate | WritePermit | Rest | TellPlc | BeatPlc | Send | Keep | Say | End
