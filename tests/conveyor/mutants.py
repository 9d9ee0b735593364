"""Lines with one thing wrong: each must make the oracle fail, or the oracle proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from edge.line.axis import EncoderAxis, Seen
from edge.line.confirm import Confirm
from edge.line.core import LineCore
from edge.line.drive import Drive
from edge.line.events import EdgeSeen, GateWritten, Heard, WriteGate
from edge.line.keeper import Keeper
from edge.line.level import Kept, LevelRecord
from edge.line.messages import AckStatus
from edge.line.readiness import Readiness
from edge.line.schedule import Slot
from edge.line.senses import Senses
from edge.line.tracker import Tracker
from edge.line.zone import Zone
from edge.pairing import _Triggered
from edge.records import GateOutcome, Kind, Reason

Patch: TypeAlias = pytest.MonkeyPatch
Mutant: TypeAlias = Callable[[Patch], None]


# --- trackers ------------------------------------------------------------------------------------------------------


def off_by_one_part(patch: Patch) -> None:
    """A release goes to the part after the one it was for."""
    release = Tracker.release
    patch.setattr(Tracker, "release", lambda self, part_id, *rest: release(self, part_id + 1, *rest))


def release_on_time_out(patch: Patch) -> None:
    """Silence counts as PASS when the deadline comes."""
    slots = Tracker.slots

    def waits_no_longer(self: Tracker) -> list[Slot]:
        for flight in self._flights.values():
            flight.released = flight.released or not flight.spoken
        return slots(self)

    patch.setattr(Tracker, "slots", waits_no_longer)


def late_word_counts(patch: Patch) -> None:
    """A release may come after its deadline."""
    patch.setattr(Zone, "deadline", lambda self, born: self.gate(born) + 10 * self.pulse)


def last_word_counts(patch: Patch) -> None:
    """A second word overrides the first."""
    release = Tracker.release

    def again(self: Tracker, part_id: int, *rest: Any) -> AckStatus:
        if part_id in self._flights:
            self._flights[part_id].spoken = False
        return release(self, part_id, *rest)

    patch.setattr(Tracker, "release", again)


def lost_birth(patch: Patch) -> None:
    """Every ninth part is not booked."""
    booked, birth = [0], LineCore._edge_birth

    def forgets(self: LineCore, *args: Any, **named: Any) -> int:
        booked[0] += 1
        return birth(self, *args, **named) if booked[0] % 9 else 0

    patch.setattr(LineCore, "_edge_birth", forgets)


def swallowed_outcome(patch: Patch) -> None:
    """Parts that end together leave one outcome."""
    ended = Tracker.ended
    patch.setattr(Tracker, "ended", lambda self, *args: ended(self, *args)[:1])


def swallowed_neighbour(patch: Patch) -> None:
    """A pulse in progress takes no further part: the next one within two pulses is not served."""
    whole = Tracker.slots

    def without_neighbours(self: Tracker) -> list[Slot]:
        kept: list[Slot] = []
        for slot in sorted(whole(self), key=lambda slot: slot.start):
            near = kept and not kept[-1].released and slot.start < kept[-1].end + 2 * self._zone.pulse
            kept.append(replace(slot, released=True) if near and not self._zone.rest_rejects else slot)
        return kept

    patch.setattr(Tracker, "slots", without_neighbours)


def ids_come_back(patch: Patch) -> None:
    """A new process numbers its parts from the last session on."""
    init = Tracker.__init__
    patch.setattr(Tracker, "__init__", lambda self, zone, session, axis: init(self, zone, 1, axis))


def releases_survive_the_belt(patch: Patch) -> None:
    """A belt that stopped, or a travel that was lost, takes no release back."""
    patch.setattr(Tracker, "withdraw", lambda self, reason: None)
    patch.setattr(Tracker, "lose", lambda self, here, reason: None)


def every_reject_is_fired(patch: Patch) -> None:
    """The record says what was ordered, not what the gate did."""

    def believes(self: Tracker, flight: Any, levels: LevelRecord) -> tuple[GateOutcome, Reason]:
        return (GateOutcome.RELEASED if flight.released else GateOutcome.FIRED), flight.reason

    patch.setattr(Tracker, "_judge", believes)


# --- cores ---------------------------------------------------------------------------------------------------------


def any_epoch_counts(patch: Patch) -> None:
    """A word of another connection counts."""
    heard = LineCore._heard

    def whoever(self: LineCore, event: Heard, now_ns: int) -> None:
        heard(self, replace(event, epoch=self._epoch), now_ns)

    patch.setitem(LineCore._HANDLERS, Heard, whoever)


def release_in_a_purge(patch: Patch) -> None:
    """Parts born while the zone is purged may be released."""
    patch.setattr(LineCore, "_held_back", lambda self: Reason.NONE)
    release = Tracker.release
    patch.setattr(Tracker, "release", lambda self, part_id, place, ready: release(self, part_id, place, True))


def no_purge(patch: Patch) -> None:
    """The zone is known as soon as the eye is."""
    patch.setattr(Readiness, "_purged", lambda self, now_ns: True)


def arrival_is_birth(patch: Patch) -> None:
    """A part is born when its edge is told."""
    seen = LineCore._edge_seen

    def now_instead(self: LineCore, event: EdgeSeen, now_ns: int) -> None:
        seen(self, replace(event, edge=replace(event.edge, at_ns=now_ns)), now_ns)

    patch.setitem(LineCore._HANDLERS, EdgeSeen, now_instead)


def lost_edges_are_forgiven(patch: Patch) -> None:
    """A jump of the photo-eye's counter means nothing."""
    patch.setattr(Senses, "_edges_lost", lambda self, count, now_ns: None)


def lengths_mean_nothing(patch: Patch) -> None:
    """One long edge is one part."""
    patch.setattr(Senses, "_hold_long", lambda self, part_id, length: None)


def a_long_part_is_seen_once(patch: Patch) -> None:
    """The second of two parts that touch is nobody's at the sensor behind the gate."""
    patch.setattr(Confirm, "goes_on", lambda *args: None)


def a_counter_may_jump(patch: Patch) -> None:
    """A counter that begins anew has only travelled far."""
    patch.setattr(EncoderAxis, "_reach", lambda self, within_ns: 1 << 60)
    sample = EncoderAxis.sample
    patch.setattr(EncoderAxis, "sample", lambda self, counter, at_ns: sample(self, counter, at_ns) and Seen.FINE)


def slip_is_ignored(patch: Patch) -> None:
    """The second eye sees, and nothing follows."""
    patch.setattr(Tracker, "see_again", lambda self, born, window, max_drift: 0)
    patch.setattr(Tracker, "miss", lambda self, born: [])


def a_dead_encoder_is_a_standing_belt(patch: Patch) -> None:
    """Counts that do not come mean that the belt stands."""
    patch.setattr(Senses, "_dead_ns", lambda self: None)
    patch.setattr(Senses, "_stale_ns", lambda self: None)


def air_means_nothing(patch: Patch) -> None:
    """An interlock is told and nothing follows; its outage is no reason to purge."""
    patch.setattr(Senses, "_interlock", lambda self, source, level, now_ns: None)


# --- drives --------------------------------------------------------------------------------------------------------


def late_kick_is_executed(patch: Patch) -> None:
    """An activation that is overdue is done as soon as it can be, for as long as it was to last."""
    plan = Drive.plan

    def later(self: Drive, now_ns: int) -> None:
        here = self._axis.here(now_ns)
        for flight in self._tracker._flights.values():
            late = here - self._tracker._slot(flight, False).start
            if self._tracker._energises(flight) and not flight.written_ns and late > self._zone.tolerance:
                flight.shift += late
        plan(self, now_ns)

    patch.setattr(Drive, "plan", later)


def gate_opens_early(patch: Patch) -> None:
    """Slots begin a pulse and a half early."""
    start = Zone.slot_start
    patch.setattr(Zone, "slot_start", lambda self, born: start(self, born) - self.pulse * 3 // 2)


def nothing_holds_an_open_gate(patch: Patch) -> None:
    """A gate that rests open stays so while the zone is unknown."""
    patch.setattr(Drive, "_holds", lambda self, now_ns: False)


def a_stopped_belt_stands_at_once(patch: Patch) -> None:
    """No belt coasts, whatever made it stop and whoever had let it run."""
    patch.setattr(Drive, "_runs_down", lambda self, now_ns: None)


def the_belt_waits_for_no_blade(patch: Patch) -> None:
    """The belt starts with the gate's command."""
    patch.setattr(Drive, "_gate_stands_ready", lambda self, now_ns: True)


def heartbeats_are_not_watched(patch: Patch) -> None:
    """What a watchdog did while this process stood still is nobody's business."""
    patch.setattr(Drive, "_starved", lambda self, which, now_ns: False)


def failed_writes_are_believed(patch: Patch) -> None:
    """A write that failed was done all the same."""
    write = Keeper._write_gate

    def believes(self: Keeper, action: WriteGate) -> list[Any]:
        now_ns = self._clock.now_ns()
        return [GateWritten(action.edge, now_ns, 0)] if write(self, action) else []

    patch.setitem(Keeper._DOINGS, WriteGate, believes)


def unknown_levels_are_as_wanted(patch: Patch) -> None:
    """Nobody can say that the gate did not obey, so it did."""
    kept = LevelRecord.kept

    def trusts(self: LevelRecord, active: bool, start: int, end: int) -> Kept:
        found = kept(self, active, start, end)
        return Kept.YES if found is Kept.UNKNOWN else found

    patch.setattr(LevelRecord, "kept", trusts)


# --- eyes ----------------------------------------------------------------------------------------------------------


def any_frame_will_do(patch: Patch) -> None:
    """Frames go to the parts in their order: one that is lost moves all that follow."""

    def oldest(self: _Triggered, frame: Any) -> list[Any]:
        opened = self._open()
        return [self._pair(opened[0], frame)] if opened else self._keep(frame)

    patch.setattr(_Triggered, "_seen", oldest)


def no_score_is_a_good_score(patch: Patch) -> None:
    """What cannot be judged passes."""
    patch.setattr("tests.conveyor.seeing_eye.judge", lambda *args: (Kind.PASS, Reason.NONE))


# what is wrong, on which plants, among which faults
MUTANTS: dict[str, tuple[Mutant, str, str]] = {
    "off by one part": (off_by_one_part, "", "none"),
    "release on time-out": (release_on_time_out, "", "none"),
    "late word counts": (late_word_counts, "", "none"),
    "last word counts": (last_word_counts, "", "none"),
    "lost birth": (lost_birth, "", "none"),
    "swallowed outcome": (swallowed_outcome, "", "line stalls"),
    "swallowed neighbour": (swallowed_neighbour, "open gate", "none"),
    "ids come back": (ids_come_back, "", "line"),
    "releases survive the belt": (releases_survive_the_belt, "permit", "eye is not ready"),
    "every reject is fired": (every_reject_is_fired, "open gate", "gate"),
    "any epoch counts": (any_epoch_counts, "", "none"),
    "release in a purge": (release_in_a_purge, "", "none"),
    "no purge": (no_purge, "open gate", "none"),
    "arrival is birth": (arrival_is_birth, "", "none"),
    "lost edges are forgiven": (lost_edges_are_forgiven, "open gate", "edges are skipped"),
    "lengths mean nothing": (lengths_mean_nothing, "open gate, second eye, lengths", "none"),
    "a long part is seen once": (a_long_part_is_seen_once, "lengths, motor", "none"),
    "a counter may jump": (a_counter_may_jump, "encoder", "encoder begins anew"),
    "slip is ignored": (slip_is_ignored, "encoder and second eye", "encoder loses pulses"),
    "a dead encoder is a standing belt": (a_dead_encoder_is_a_standing_belt, "encoder", "encoder stands"),
    "air means nothing": (air_means_nothing, "air", "air is low"),
    "late kick is executed": (late_kick_is_executed, "crowded", "line stalls"),
    "gate opens early": (gate_opens_early, "", "none"),
    "nothing holds an open gate": (nothing_holds_an_open_gate, "open gate", "eye is not ready"),
    "a stopped belt stands at once": (a_stopped_belt_stands_at_once, "open gate", "is not ready"),
    "the belt waits for no blade": (the_belt_waits_for_no_blade, "slow valve", "eye is not ready"),
    "heartbeats are not watched": (heartbeats_are_not_watched, "heartbeats", "line stalls"),
    "failed writes are believed": (failed_writes_are_believed, "open gate", "gate"),
    "unknown levels are as wanted": (unknown_levels_are_as_wanted, "open gate", "gate"),
    "any frame will do": (any_frame_will_do, "camera", "none"),
    "no score is a good score": (no_score_is_a_good_score, "camera", "none"),
}
