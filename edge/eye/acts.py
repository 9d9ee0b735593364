"""What people may do to the running station: recorded first, then done, and not done when it cannot be recorded."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.clock import MS, SECOND, Clock
from edge.control import (
    Acknowledge,
    Answer,
    AskBypass,
    AskDrift,
    AskFigures,
    AskPicture,
    AskStatus,
    BeginChallenge,
    ChangeBundle,
    Done,
    EndBypass,
    Figures,
    Histogram,
    MoveThreshold,
    NoteAccess,
    NoteThreshold,
    Refused,
    Request,
    SealChallenge,
    Sealed,
    SetLot,
    StartAgain,
    Statement,
    Status,
    TellOutbox,
)
from edge.eye.bundle_changes import BundleChanges, Change, threshold_of
from edge.eye.current_lot import CurrentLot
from edge.eye.desk import Desk
from edge.eye.held import Held
from edge.eye.reception import Peer
from edge.eye.shown import Shown
from edge.eye.student import Student
from edge.eye.supervision import Supervision
from edge.journal.completeness import name_of
from edge.journal.lots import KIND as LOT
from edge.journal.lots import NamedLot
from edge.line.messages import LineState
from edge.line_link import LineLink
from edge.records import GateOutcome, Kind, Reason
from edge.report import FRAMES, Counts
from edge.station import Station
from edge.timing import BOUNDS_NS, STAGES, Series, Timing

ACTS_A_MINUTE = 30
ACCESS_A_MINUTE = 12  # a note of 900 letters each at most
_MINUTE_NS = 60 * SECOND
_MOST_WORDS = 500
_MOST_PRODUCTS = 30  # in a status: it is one packet
ACKNOWLEDGED = (LineState.STOPPED, LineState.FAULT)
_CAN_BYPASS = (LineState.READY, LineState.PURGING, LineState.BYPASSED)


class RecordedAct:
    """Done by the journal's thread once the record is on the disk, or given up: whoever comes first decides."""

    def __init__(self, do: Callable[[], Answer], given_up: Callable[[str], None]) -> None:
        self._do = do
        self._given_up = given_up
        self._lock = threading.Lock()
        self.answer: Answer | None = None

    def recorded(self) -> None:
        """The record is on the disk."""
        with self._lock:
            if self.answer is None:
                self.answer = self._do()

    def give_up(self, words: str) -> Answer:
        """Never do it; where it is done already, that is the answer."""
        with self._lock:
            if self.answer is not None:
                return self.answer
            self.answer = Refused(words=words)
        self._given_up(words)
        return self.answer


class Door(Protocol):
    """Who is kept out of the control socket; told in the status."""

    turned_away: int
    malformed: int


class Acts:
    """Answers the requests of the control socket; its thread calls `ask`, which never blocks.

    At most 30 acts a minute are taken, so that nobody fills the journal; who signs in is noted beside them.
    """

    def __init__(
        self,
        station: Station,
        clock: Clock,
        link: LineLink,
        desk: Desk,
        counts: Counts,
        held: Held,
        key: Ed25519PrivateKey,
        supervision: Supervision,
        timing: Timing,
        new_bundles: Callable[[], str],
        students: Mapping[int, Student],
        changes: BundleChanges,
        shown: Shown,
        lot: CurrentLot,
    ) -> None:
        self._new_bundles = new_bundles
        self._students = students
        self._changes = changes
        self._shown = shown
        self._lot = lot
        self._timing = timing
        self._supervision = supervision
        self._station = station
        self._clock = clock
        self._link = link
        self._desk = desk
        self._counts = counts
        self._held = held
        self._key = key
        self._acted_ns: deque[int] = deque(maxlen=ACTS_A_MINUTE)
        self._noted_ns: deque[int] = deque(maxlen=ACCESS_A_MINUTE)
        self._outbox, self._outbox_ns = TellOutbox(waiting=0, dropped=0), clock.now_ns()
        self.door: Door | None = None

    def ask(self, request: Request, peer: Peer) -> Answer | RecordedAct:
        """The answer, or the act that has it once its record is on the disk."""
        if isinstance(request, AskStatus):
            return self._status()
        if isinstance(request, TellOutbox):
            self._outbox, self._outbox_ns = request, self._clock.now_ns()
            return self._status()
        if isinstance(request, AskFigures):
            return self._figures()
        if isinstance(request, AskDrift):
            return self._supervision.drift(self._recipe())
        if isinstance(request, AskPicture):
            return self._shown.ask(request.camera)
        now_ns, before = self._clock.now_ns(), self._noted_ns if isinstance(request, NoteAccess) else self._acted_ns
        if len(before) == before.maxlen and now_ns - before[0] < _MINUTE_NS:
            return Refused(words=f"more than {before.maxlen} acts in a minute: wait, then ask again")
        before.append(now_ns)
        return self._HANDLERS[type(request)](self, request, by_of(peer, request.who))

    # --- status ---

    def _status(self) -> Status:
        line, standing, counts = self._desk.line, self._desk.standing(), self._counts
        recipe = self._recipe()
        left_ns = 0 if line is None or not line.bypass_until_ns else line.bypass_until_ns - self._clock.now_ns()
        return Status(
            station=self._station.station.name,
            mode=self._station.station.mode,
            level=standing.level.name,
            cause=_plain(standing.cause),
            line="" if line is None else line.state.name,
            permit=line is not None and line.permit,
            can_acknowledge=line is not None and line.state in ACKNOWLEDGED,
            product=self._station.products()[recipe],
            recipe=recipe,
            bypass_left_s=round(max(0, left_ns) / SECOND, 1),
            parts=counts.parts,
            verdicts={kind.name.lower(): counts.verdicts[kind] for kind in Kind},
            outcomes={outcome.name.lower(): counts.outcomes[outcome] for outcome in GateOutcome},
            bypassed=counts.bypassed,
            turned_away=0 if self.door is None else self.door.turned_away,
            malformed=0 if self.door is None else self.door.malformed,
            pid=os.getpid(),
            likeness=_plain(self._supervision.words()),
            bundle=_plain("; ".join(words for words in self._bundle_words() if words)),
            versions={each.product: each.version for each in self._loaded()},
            unproven=[each.product for each in self._loaded() if not each.entry.proven],
            can_start_again=not self._changes.why_not_again(),
            lot=self._lot.now,
        )

    def _recipe(self) -> int:
        """What parts are from now on, as far as the line says."""
        products, chosen = self._station.products(), self._desk.recipe
        return chosen if chosen in products else min(products)

    def _loaded(self) -> list[Student]:
        return list(dict.fromkeys(self._students.values()))[:_MOST_PRODUCTS]

    def _bundle_words(self) -> list[str]:
        moved = [each.moved.sentence() for each in self._loaded() if each.moved is not None]
        return [self._new_bundles(), self._changes.words, *moved]

    def _figures(self) -> Figures:
        counts = self._counts
        return Figures(
            status=self._status(),
            unknown_reasons={reason.name: counts.reasons[reason] for reason in Reason if counts.reasons[reason]},
            frames={what: counts.frames[what] for what in FRAMES},
            deadlines={"met": counts.met, "missed": counts.missed},
            records={"committed": counts.committed, "lost": counts.records_lost},
            unconfirmed=counts.unconfirmed,
            stage_bounds_ns=list(BOUNDS_NS),
            stages={stage: _histogram(self._timing.series(stage)) for stage in STAGES},
            edge_bounds_ns=list(counts.edge_errors.bounds),
            gate_edges=_histogram(counts.edge_errors),
            outbox_waiting=self._outbox.waiting,
            outbox_dropped=self._outbox.dropped,
            outbox_silent_s=self._silent_s(),
            limits=self._supervision.limits(),
            views=self._supervision.views(self._recipe()),
        )

    def _silent_s(self) -> float | None:
        silent_ns = self._clock.now_ns() - self._outbox_ns
        return None if self._station.mqtt is None else round(silent_ns / SECOND, 1)

    # --- acts ---

    def _acknowledge(self, request: Acknowledge, by: str) -> Answer | RecordedAct:
        line = self._desk.line
        if line is None:
            return Refused(words=self._no_line())
        if line.state not in ACKNOWLEDGED:
            return Refused(words=f"there is nothing to acknowledge: the line is {line.state.name}")
        cause = line.words()
        done = Done(words=f"acknowledged: {cause}", by=by)
        return self._recorded("acknowledge", f"{cause!r} by {by}: {request.why}", self._clear_stop, done)

    def _no_line(self) -> str:
        return _plain(f"no line is connected: {self._desk.standing().cause}")

    def _clear_stop(self) -> bool:
        """No longer held first, or the desk would stop a line that has just begun again; but what the line could not
        be told is still to be acknowledged."""
        cause = self._held.cause
        self._held.acknowledge()
        if self._link.clear_stop():
            return True
        if cause:
            self._held.stopped(cause)
            self._held.keep()
        return False

    def _bypass(self, request: AskBypass, by: str) -> Answer | RecordedAct:
        refusal = self._why_no_bypass(request.for_s)
        if refusal:
            return Refused(words=refusal)
        for_ns = round(request.for_s * SECOND)
        done = Done(words=f"parts pass uninspected for {_length(for_ns)}", by=by)
        words = f"for {_length(for_ns)} by {by}: {request.why}"
        return self._recorded("bypass", words, lambda: self._link.bypass(for_ns), done)

    def _why_no_bypass(self, for_s: float) -> str:
        longest_min, line = self._station.limits.bypass_max_min, self._desk.line
        if longest_min == 0:
            return "this station allows no bypass: its [limits] bypass_max_min is 0"
        if for_s > longest_min * 60:
            return f"this station allows a bypass of {longest_min:g} min at most: its [limits] bypass_max_min"
        if self._station.station.mode == "shadow":
            return "a station in shadow mode lets every part pass already"
        if line is None:
            return self._no_line()
        if line.state in ACKNOWLEDGED:
            return f"the line is {line.state.name}: {line.words()}; acknowledge that first"
        return "" if line.state in _CAN_BYPASS else f"the line is {line.state.name}: wait, then ask again"

    def _end_bypass(self, request: EndBypass, by: str) -> Answer | RecordedAct:
        line = self._desk.line
        if line is None or not line.bypass_until_ns:
            return Refused(words="there is no bypass to end")
        done = Done(words="the bypass is over", by=by)
        return self._recorded("bypass", f"ended by {by}: {request.why}", lambda: self._link.bypass(0), done)

    def _set_lot(self, request: SetLot, by: str) -> Answer | RecordedAct:
        if self._lot.is_changing:
            return Refused(words="another lot is being recorded just now: ask again")
        named = NamedLot(request.lot, self._desk.newest_part + 1)
        self._lot.begin(named)
        done = Done(words=f"parts from {name_of(named.first)} on are of lot {request.lot!r}", by=by)
        return self._recorded(LOT, named.words(f"by {by}"), self._lot.recorded, done, self._lot.given_up)

    def _begin_challenge(self, _request: BeginChallenge, by: str) -> Answer | RecordedAct:
        return self._recorded(
            "challenge", f"begun by {by}", _nothing, Done(words="the challenge test begins", by=by)
        )

    def _seal_challenge(self, request: SealChallenge, by: str) -> Answer | RecordedAct:
        statement = Statement(
            station=self._station.station.name,
            result=request.result,
            report_sha256=request.sha256,
            by=by,
            wall_ns=self._clock.wall_ns(),
        )
        sealed = Sealed(
            statement=statement,
            public_key=self._key.public_key().public_bytes_raw().hex(),
            signature=self._key.sign(statement.signed_bytes()).hex(),
        )
        words = f"{request.result} by {by}, report sha256 {request.sha256}"
        return self._recorded("challenge", words, _nothing, sealed)

    def _note_access(self, request: NoteAccess, by: str) -> Answer | RecordedAct:
        return self._recorded("access", f"{request.words}; told by {by}", _nothing, Done(words="noted", by=by))

    def _note_threshold(self, request: NoteThreshold, by: str) -> Answer | RecordedAct:
        done = Done(words="noted", by=by)
        return self._recorded("threshold", threshold_words(request, by), _nothing, done)

    def _change_bundle(self, request: ChangeBundle, by: str) -> Answer | RecordedAct:
        what = f"{request.product} version {request.version}"
        return self._begun(
            "bundle", f"{what} is to be active", f"{what} is being tried on this device", request, by
        )

    def _move_threshold(self, request: MoveThreshold, by: str) -> Answer | RecordedAct:
        what = f"the threshold of {request.product} is to be {threshold_of(request)}"
        return self._begun("threshold", what, what, request, by)

    def _begun(self, kind: str, asked: str, said: str, request: Change, by: str) -> Answer | RecordedAct:
        """A change that goes on beside the inspection: one at a time."""
        if self._changes.is_busy:
            words = "another bundle or threshold is being made active just now: wait until that has ended"
            return Refused(words=words)
        done = Done(words=f"{said}; what comes of it is noted", by=by)
        words = f"{asked}, asked by {by}: {request.why}"
        return self._recorded(kind, words, lambda: self._changes.begin(request), done)

    def _start_again(self, request: StartAgain, by: str) -> Answer | RecordedAct:
        refusal = self._changes.why_not_again()
        if refusal:
            return Refused(words=refusal)
        done = Done(words="the eye ends and starts again; parts are rejected meanwhile", by=by)
        return self._recorded("start again", f"by {by}: {request.why}", self._changes.start_again, done)

    def _recorded(
        self,
        kind: str,
        words: str,
        do: Callable[[], bool],
        done: Answer,
        not_done: Callable[[str], str] = "not done: {}".format,
    ) -> RecordedAct:
        def act() -> Answer:
            if do():
                return done
            self._desk.note(kind, "not done: the line could not be told")
            return Refused(words="the line could not be told: it has just gone away; ask again when it is back")

        recorded = RecordedAct(act, lambda why: self._desk.note(kind, not_done(why)))
        self._desk.note(kind, words, recorded.recorded)
        return recorded

    _HANDLERS: ClassVar[dict[type[Any], Callable[[Acts, Any, str], Answer | RecordedAct]]] = {
        Acknowledge: _acknowledge,
        AskBypass: _bypass,
        EndBypass: _end_bypass,
        SetLot: _set_lot,
        BeginChallenge: _begin_challenge,
        SealChallenge: _seal_challenge,
        NoteAccess: _note_access,
        ChangeBundle: _change_bundle,
        MoveThreshold: _move_threshold,
        NoteThreshold: _note_threshold,
        StartAgain: _start_again,
    }


def _histogram(series: Series) -> Histogram:
    return Histogram(bins=list(series.bins), total_ns=series.total)


def _nothing() -> bool:
    """The record is all that is asked for."""
    return True


def threshold_words(request: NoteThreshold, by: str) -> str:
    """What the journal holds of a threshold that is moved."""
    return f"{request.words}; by {by}: {request.why}"


def by_of(peer: Peer, who: str) -> str:
    """The name that the kernel knows, and after it the one that the person gave, if any."""
    return f"{peer.name} as {who!r}" if who else peer.name


def _plain(words: str) -> str:
    """Words that every packet can carry: a file name in them may hold what is no text."""
    return words.encode(errors="replace").decode()[:_MOST_WORDS]


def _length(for_ns: int) -> str:
    minutes, rest_ns = divmod(for_ns, 60 * SECOND)
    seconds = f"{rest_ns / SECOND:g} s"
    if not minutes:
        return seconds
    return f"{minutes} min {seconds}" if rest_ns >= MS else f"{minutes} min"
