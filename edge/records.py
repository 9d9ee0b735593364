"""The values that cross borders inside the device: frozen, checked once, without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Kind(IntEnum):
    """A verdict's kind; the larger value wins when several views judge one part."""

    PASS = 0
    REJECT = 1
    UNKNOWN = 2


class Reason(IntEnum):
    """Why a verdict is UNKNOWN, or why an order ended as it did."""

    NONE = 0
    DEFECT = 1  # the score reached the threshold
    LATE = 2  # the verdict came after the part's deadline
    NO_FRAME = 3
    STALE_FRAME = 4  # older than the part, or the same picture again
    BAD_FRAME = 5  # black, saturated, blurred or of the wrong shape
    ENGINE_ERROR = 6
    BAD_SCORE = 7  # NaN, infinite, out of range or of the wrong shape
    OVERRUN = 8  # a bounded queue was full
    NO_VERDICT = 9  # nobody spoke for the part before its deadline
    PURGE = 10  # born in the unknown zone after start, restart or a lost edge
    OTHER_EPOCH = 11  # born before this eye connected
    JOURNAL = 12  # the verdict could not be made durable
    STOPPING = 13
    STATION_STOPPED = 14  # a limit holds the line until it is acknowledged
    OUTPUT_ERROR = 15  # the gate write failed or was not confirmed
    LATE_WRITE = 16  # the write could not be issued within its tolerance
    TOUCHING = 17  # born nearer to a neighbour than parts can be: touching parts or a bouncing photo-eye
    AMBIGUOUS = 18  # two parts fit one frame, or two frames one part: nobody gets it
    LINE_LOST = 19  # the line process ended with the part in its zone: what the gate did is not known
    BYPASS = 20  # a person let parts pass uninspected for a limited time
    LENGTH = 21  # longer or shorter at the trigger than a part can be: touching parts, or debris
    UNTRACKED = 22  # seen before the gate without a birth: put on the belt by hand, or missed by the trigger
    MISSING = 23  # not seen before the gate: taken off the belt by hand, or slipped
    INTERLOCK = 24  # an interlock of the line (air, bin, gate home, motor) is not as it must be


class GateOutcome(IntEnum):
    """How a part's order ended; every part has exactly one."""

    FIRED = 1  # rejected, on time
    RELEASED = 2  # let pass, on time
    LATE = 3  # the action failed, or was not issued (or confirmed, where the wire can) within its tolerance


class Sensed(IntEnum):
    """What the confirm sensor behind the gate said of a part."""

    UNWATCHED = 0  # no sensor, or none is asked of this part
    SEEN = 1
    MISSED = 2  # it should have seen the part and did not


class TimeSource(IntEnum):
    """Where a time stamp was taken."""

    SENSOR = 1
    DRIVER = 2
    KERNEL = 3
    DEVICE = 4
    ARRIVAL = 5
    POLL = 6


@dataclass(frozen=True, slots=True)
class Part:
    """One product item, born at the trigger edge. Times are CLOCK_MONOTONIC ns.

    `part_id` is unique over restarts: line session << 32 | number. `position` is its place on the line's axis:
    `born_ns` in time mode, encoder counts in encoder mode; there `deadline_ns` and `gate_ns` are what the fastest belt
    would make of them.
    A part that is not `releasable` (purge, shadowed zone) is rejected whatever the verdict says.
    """

    part_id: int
    born_ns: int
    born_err_ns: int
    position: int
    deadline_ns: int
    gate_ns: int
    recipe: int = 0
    token: int = 0
    releasable: bool = True


@dataclass(frozen=True, slots=True)
class Edge:
    """A change of an input: `level` after the edge, `counter` counts the rising edges seen by the source."""

    level: bool
    at_ns: int
    err_ns: int
    source: TimeSource
    counter: int


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: `image` is uint8 H x W x 3 (BGR) or H x W (mono), valid until the camera's next read.

    `frame_id` is the camera's own count, `trigger_counter` the trigger it answers (-1 when it does not
    say), `lost` the frames the camera lost since it opened. `copies`: how often the pixels were copied or converted
    between the driver's buffer and `image`. `name` is the file a replayed picture came from.
    """

    image: NDArray[np.uint8]
    camera: str
    frame_id: int
    captured_ns: int
    captured_err_ns: int
    source: TimeSource
    trigger_counter: int = -1
    lost: int = 0
    name: str = ""
    copies: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the engine says of one image.

    score: float in [0, 1]; heat_map: float32 H/8 x W/8; embedding: float32 D; class_scores: float32 C or empty.
    Arrays are the engine's fixed buffers: copy what must outlive the next `infer`.
    """

    score: float
    heat_map: NDArray[np.float32]
    embedding: NDArray[np.float32]
    class_scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided for one part. `score` is NaN when there is none; `model` is the model file's SHA-256."""

    part_id: int
    kind: Kind
    reason: Reason
    score: float
    threshold: float
    model: str
    decided_ns: int


@dataclass(frozen=True, slots=True)
class GateEvent:
    """The end of a part's order. Times are CLOCK_MONOTONIC ns, 0 where they do not apply.

    `planned_ns` is when the gate's level should change for this part (as expected at its birth, where no write was
    needed), `written_ns` when the write was
    issued, `confirmed_ns` when the wire confirmed it. A part that needs no write has 0 in the last two.
    `ring_seq` numbers the line's outcomes without gaps, over restarts. `sensed_ns` is when the confirm sensor saw
    the part.
    """

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
    shadow: bool = False
    sensed: Sensed = Sensed.UNWATCHED
    sensed_ns: int = 0


@dataclass(frozen=True, slots=True)
class RingPlace:
    """An outcome by its number in the line's ring and its part; (0, 0) before the first."""

    ring_seq: int = 0
    part_id: int = 0
