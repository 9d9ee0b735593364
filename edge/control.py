"""What a person may ask of a running station: typed requests and answers on its control socket, and their client.

One connection carries one request and one answer, each a JSON object in one packet; the kernel tells the station who
asks. No request names a part: whatever is asked here, parts are released by their verdicts, or pass in a bypass that
the station file allows and the line itself ends.
"""

from __future__ import annotations

import socket
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from edge.errors import ConfigError, ControlError, RefusedError
from edge.nearness import Drift, DriftOf, LimitNow
from edge.packet import Packet
from edge.station import Station

SOCKET = "control.sock"
SHOWN = "shown_"  # begins the name of a picture that was asked for
MAX_BYTES = 4_096  # of a request
ANSWER_BYTES = 65_536  # of an answer, at most
MOST_WORDS = 600  # of a threshold that is moved: with who and why they fit a packet
_PATIENCE_S = 6.0  # longer than the station waits for its journal


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text.strip()


def _said(text: str) -> str:
    if not text:
        raise ValueError("must say why, in a few words")
    return text


Why = Annotated[str, Field(max_length=200), AfterValidator(_printable), AfterValidator(_said)]
Name = Annotated[str, Field(max_length=60), AfterValidator(_printable)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


_DEFERRED = ConfigDict(defer_build=True)  # who asks needs one or two of all these validators


# --- requests ---------------------------------------------------------------------------------------------------


class AskStatus(Packet):
    """How is the station?"""

    ask: Literal["status"] = "status"


class AskFigures(Packet):
    """What has been counted and timed since the station began?"""

    ask: Literal["figures"] = "figures"


class AskDrift(Packet):
    """How far do live pictures lie from what the student learned, now and in the last hours?"""

    ask: Literal["drift"] = "drift"


class TellOutbox(Packet):
    """How many records wait for the broker, and how many left the journal unsent: from the outbox, which asks for the
    status with it."""

    ask: Literal["tell_outbox"] = "tell_outbox"
    waiting: int = Field(ge=0, lt=2**63)
    dropped: int = Field(ge=0, lt=2**63)


class Acknowledge(Packet):
    """Somebody looked at the line: end the stop of a limit, or the fault of an output that stands at rest again.

    `who` is the name a person gives; the kernel's name for the asking user is recorded beside it in every act.
    """

    ask: Literal["acknowledge"] = "acknowledge"
    why: Why
    who: Name = ""


class AskBypass(Packet):
    """Let parts pass uninspected for `for_s` seconds from now on; asked again, the time begins again."""

    ask: Literal["bypass"] = "bypass"
    for_s: Seconds
    why: Why
    who: Name = ""


class EndBypass(Packet):
    """Inspect again."""

    ask: Literal["end_bypass"] = "end_bypass"
    why: Why
    who: Name = ""


class BeginChallenge(Packet):
    """A guided reject test begins: the parts from now on may be test pieces."""

    ask: Literal["begin_challenge"] = "begin_challenge"
    who: Name = ""


class SealChallenge(Packet):
    """A guided reject test is over: record its result, and sign the SHA-256 of its report with the device's key."""

    ask: Literal["seal_challenge"] = "seal_challenge"
    result: Literal["passed", "failed", "incomplete"]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    who: Name = ""


class SetLot(Packet):
    """Parts that are born from now on, or pictures that edge collect records, are of this lot."""

    ask: Literal["set_lot"] = "set_lot"
    lot: Annotated[Name, Field(min_length=1)]
    who: Name = ""


class AskPicture(Packet):
    """Which judged or recorded picture of this camera lies in `run_dir`? The next one will, for being asked for."""

    ask: Literal["picture"] = "picture"
    camera: Annotated[Name, Field(min_length=1)]


class NoteAccess(Packet):
    """Who signed in at the panel, failed to, or may from now on: for the journal."""

    ask: Literal["note_access"] = "note_access"
    words: Annotated[str, Field(max_length=900), AfterValidator(_printable), Field(min_length=1)]
    who: Name = ""


class ChangeBundle(Packet):
    """Make another installed version the active one: a newer one as `edge install`, an older one as `edge rollback`."""

    ask: Literal["change_bundle"] = "change_bundle"
    product: Annotated[Name, Field(min_length=1)]
    version: int = Field(ge=1, lt=10**10)
    why: Why
    who: Name = ""


class MoveThreshold(Packet):
    """Move a product's threshold for the eye's next start as `edge threshold` does, where its evidence meets the
    target; without a `value` the bundle's own is in force again."""

    ask: Literal["move_threshold"] = "move_threshold"
    product: Annotated[Name, Field(min_length=1)]
    value: float | None = Field(gt=0, lt=1)
    why: Why
    who: Annotated[Name, Field(min_length=1)]


class NoteThreshold(Packet):
    """Somebody moves a threshold for the eye's next start: from what to what, with the evidence of both."""

    ask: Literal["note_threshold"] = "note_threshold"
    words: Annotated[str, Field(max_length=MOST_WORDS), AfterValidator(_printable), Field(min_length=1)]
    why: Why
    who: Annotated[Name, Field(min_length=1)]


class StartAgain(Packet):
    """End in order and be started again by the service manager, with the bundles that are active then."""

    ask: Literal["start_again"] = "start_again"
    why: Why
    who: Name = ""


Request: TypeAlias = (
    AskStatus
    | AskFigures
    | AskDrift
    | TellOutbox
    | Acknowledge
    | AskBypass
    | EndBypass
    | BeginChallenge
    | SealChallenge
    | SetLot
    | AskPicture
    | NoteAccess
    | ChangeBundle
    | MoveThreshold
    | NoteThreshold
    | StartAgain
)
_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="ask")], config=_DEFERRED)


# --- answers ----------------------------------------------------------------------------------------------------


class Status(Packet):
    """The station as it stands.

    `level` is a name of edge.health.Level and `cause` its first cause; `line` a name of LineState, empty while no line
    is connected. `can_acknowledge`: there is something that an acknowledgement may end. `bypass_left_s` is 0 outside a
    bypass. `turned_away` counts peers that may not ask, `malformed` packets that were no request. `lot` is what
    parts are of from now on; the `parts` of edge collect are stored pictures. `likeness` says in what the pictures are
    no longer as they were when the student learned; empty while they are. `bundle` says which new one is watched, which
    the station has left by itself, and which becomes active at its next start. `versions` are the loaded bundles' by
    product.
    """

    answer: Literal["status"] = "status"
    station: str
    mode: str
    level: str
    cause: str
    line: str
    permit: bool
    can_acknowledge: bool
    product: str
    recipe: int
    bypass_left_s: float
    parts: int
    verdicts: dict[str, int]
    outcomes: dict[str, int]
    bypassed: int
    turned_away: int
    malformed: int
    pid: int
    lot: str = ""
    likeness: str = ""
    bundle: str = ""
    versions: dict[str, int] = Field(default={})
    unproven: list[str] = Field(default=[])  # products whose evidence misses its target at the threshold in force
    can_start_again: bool = False


class Histogram(Packet):
    """`bins` values up to each bound, above the one before, and last those beyond; `total_ns` is their sum."""

    bins: list[int]
    total_ns: int


class Figures(Packet):
    """What a station has counted and timed since it began, beside its status.

    `stages` are those of edge.timing, `gate_edges` the gate's writes after their planned time. Bounds in nanoseconds.
    `outbox_waiting` and `outbox_dropped` are records as the outbox told them last, `outbox_silent_s` seconds ago (since
    the eye began, where it never did); None without [mqtt]. `limits` are those of the station file;
    `views` each camera's distance from what was learned, with no spans.
    """

    answer: Literal["figures"] = "figures"
    status: Status
    unknown_reasons: dict[str, int]
    frames: dict[str, int]
    deadlines: dict[str, int]
    records: dict[str, int]
    unconfirmed: int
    stage_bounds_ns: list[int]
    stages: dict[str, Histogram]
    edge_bounds_ns: list[int]
    gate_edges: Histogram
    outbox_waiting: int = 0
    outbox_dropped: int = 0
    outbox_silent_s: float | None = None
    limits: list[LimitNow] = Field(default=[])
    views: list[DriftOf] = Field(default=[])


class Done(Packet):
    """It is in the journal and was done; `by` is what was recorded of who asked."""

    answer: Literal["done"] = "done"
    words: str
    by: str


class Statement(Packet):
    """What the device signs of a report: its hash, what the journal holds of it, and when that was written."""

    station: str
    result: str
    report_sha256: str
    by: str
    wall_ns: int

    def signed_bytes(self) -> bytes:
        """What the key signs; nothing else that it signs begins like this."""
        return b"kenpin challenge report\n" + packed(self)


class Sealed(Packet):
    """The journal holds the result; the device's key (`public_key`) signed the statement. Both in hex."""

    answer: Literal["sealed"] = "sealed"
    statement: Statement
    public_key: str
    signature: str


class Shown(Packet):
    """The part whose picture lies in `run_dir` under `picture_name`, what its view was judged to be and when; `part_id`
    is 0 before the first. Of what is recorded `part_id` is a number that counts up, and `kind` is empty."""

    answer: Literal["shown"] = "shown"
    part_id: int
    kind: str
    wall_ns: int


def picture_name(part_id: int, camera: str) -> str:
    """The file of a picture that was asked for."""
    return f"{SHOWN}{part_id:016x}_{camera}.jpg"


class Refused(Packet):
    """Nothing was done, for this reason."""

    answer: Literal["refused"] = "refused"
    words: str


Answer: TypeAlias = Status | Figures | Drift | Done | Sealed | Shown | Refused
_ANSWERS: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="answer")], config=_DEFERRED)


def build_for_eye() -> None:
    """Builds now what reads requests and writes answers, which would hold a running eye at the first request."""
    _REQUESTS.rebuild()
    for kind in Packet.__subclasses__():
        kind.model_rebuild()


def read_request(data: bytes) -> Request:
    """The request in a packet. Raises ValueError for anything else."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return _REQUESTS.validate_json(data)


def packed(packet: Request | Answer | Statement) -> bytes:
    """The packet as JSON."""
    return packet.model_dump_json().encode()


# --- the client -------------------------------------------------------------------------------------------------

_Wanted = TypeVar("_Wanted", Status, Figures, Drift, Done, Sealed, Shown)


class Control:
    """Asks the running eye of a station; each call is one connection and waits up to 6 s.

    Every call raises ControlError when no eye answers and RefusedError, with the eye's words, when it refuses. What
    changes something is in the journal when the call returns.
    """

    def __init__(self, station: Station) -> None:
        self._path = station.station.run_dir / SOCKET

    def status(self) -> Status:
        """How the station is."""
        return self._ask(AskStatus(), Status)

    def figures(self) -> Figures:
        """What it has counted and timed."""
        return self._ask(AskFigures(), Figures)

    def drift(self) -> Drift:
        """How far live pictures lie from what was learned."""
        return self._ask(AskDrift(), Drift)

    def tell_outbox(self, waiting: int, dropped: int) -> Status:
        """How the station is, told how far its outbox is behind."""
        return self._ask(TellOutbox(waiting=waiting, dropped=dropped), Status)

    def acknowledge(self, why: str, who: str = "") -> Done:
        """End a stop or the fault of an output; the line purges its zone, then it is READY again."""
        return self._ask(_checked(Acknowledge, why=why, who=who), Done)

    def bypass(self, for_s: float, why: str, who: str = "") -> Done:
        """Let parts pass uninspected for so many seconds."""
        return self._ask(_checked(AskBypass, for_s=for_s, why=why, who=who), Done)

    def end_bypass(self, why: str, who: str = "") -> Done:
        """Inspect again."""
        return self._ask(_checked(EndBypass, why=why, who=who), Done)

    def begin_challenge(self, who: str = "") -> Done:
        """Record that a reject test begins."""
        return self._ask(_checked(BeginChallenge, who=who), Done)

    def seal_challenge(self, result: str, sha256: str, who: str = "") -> Sealed:
        """Record a reject test's result and get its report's hash signed."""
        return self._ask(_checked(SealChallenge, result=result, sha256=sha256, who=who), Sealed)

    def set_lot(self, lot: str, who: str = "") -> Done:
        """Name the lot of the parts, or of the pictures that edge collect records, from now on."""
        return self._ask(_checked(SetLot, lot=lot, who=who), Done)

    def picture(self, camera: str) -> Shown:
        """Which judged picture of this camera lies in `run_dir`; the next one will."""
        return self._ask(_checked(AskPicture, camera=camera), Shown)

    def note_access(self, words: str) -> Done:
        """Record who signed in, failed to, or may from now on."""
        return self._ask(_checked(NoteAccess, words=words), Done)

    def note_threshold(self, request: NoteThreshold) -> Done:
        """Record that a threshold is being moved."""
        return self._ask(request, Done)

    def change_bundle(self, product: str, version: int, why: str, who: str = "") -> Done:
        """Begin to make another installed version active; the status tells what came of it."""
        return self._ask(_checked(ChangeBundle, product=product, version=version, why=why, who=who), Done)

    def move_threshold(self, product: str, value: float | None, why: str, who: str) -> Done:
        """Begin to move a product's threshold, or to return to the bundle's own; the status tells what came of it."""
        return self._ask(_checked(MoveThreshold, product=product, value=value, why=why, who=who), Done)

    def start_again(self, why: str, who: str = "") -> Done:
        """End in order and be started again."""
        return self._ask(_checked(StartAgain, why=why, who=who), Done)

    def _ask(self, request: Request, wanted: type[_Wanted]) -> _Wanted:
        answer = self._answer(request)
        if isinstance(answer, Refused):
            raise RefusedError(answer.words)
        if not isinstance(answer, wanted):
            raise ControlError(f"the station answered {answer.answer!r}: restart it, its version is another")
        return answer

    def _answer(self, request: Request) -> Answer:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as eye:
                eye.settimeout(_PATIENCE_S)
                eye.connect(str(self._path))
                data = _exchange(eye, packed(request))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise ControlError(f"no station answers at {self._path}: is edge run up with this file?") from error
        except PermissionError as error:
            raise ControlError(
                f"you may not ask at {self._path}: be root, the station's user or a member of that folder's group"
            ) from error
        except OSError as error:
            raise ControlError(f"the station at {self._path} does not answer: {error}; see its log") from error
        if not data:
            raise ControlError(
                f"the station at {self._path} turned you away: be root, its user or a member of that folder's group"
            )
        try:
            return _ANSWERS.validate_json(data)
        except ValidationError as error:
            raise ControlError(
                "the station's answer is not understood: restart it, its version is another"
            ) from error


def _exchange(eye: socket.socket, request: bytes) -> bytes:
    """The answer; empty when the eye hung up instead."""
    try:
        eye.send(request)
        return eye.recv(ANSWER_BYTES)
    except (BrokenPipeError, ConnectionResetError):
        return b""


def threshold_note(words: str, why: str, who: str) -> NoteThreshold:
    """Raises ConfigError that says which of these it does not take."""
    return _checked(NoteThreshold, words=words, why=why, who=who)


_Made = TypeVar("_Made", bound=Packet)


def _checked(kind: type[_Made], **values: object) -> _Made:
    """A request of these values. Raises ConfigError that names what is wrong in one."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{first['loc'][0]}: {message[0].lower()}{message[1:]}; got {first['input']!r}"
        ) from error
