"""Why a claim could not hold for one part, for reasons outside the line's decisions: each is looked up in the world.

The line was stopped, killed or blocked by a device; an output did not obey; a person let parts pass;
no input could tell.
"""

from __future__ import annotations

from edge.clock import MS
from edge.line.messages import LineState
from edge.records import GateEvent, Reason
from tests.conveyor.actuator import Spans
from tests.conveyor.births import Births, Born
from tests.conveyor.floor import Floor
from tests.conveyor.item import Item, Lane
from tests.conveyor.plant import WAKE_MS

LIED = "the gate lied, or stuck"


class Excuses:
    """Each answer is a reason in words, empty when there is none."""

    def __init__(self, floor: Floor, births: Births) -> None:
        self._floor = floor
        self._plant = plant = floor.plant
        self._births = births
        self._lag_ns = round((plant.lead + plant.lag_error + WAKE_MS) * MS)
        self._act_ms = plant.write + plant.lead + plant.lag_error + 2
        self._missed: list[tuple[Item, int]] = []
        self._long: set[int] = set()
        self._bypass_mm = 0.0
        self._kicks: list[bool] = []
        self.bypassed = Spans()
        self.is_armed = False

    # --- what it must be told ---

    def bypass(self, for_ns: int) -> None:
        """A person lets parts pass for so long; those that passed the photo-eye until then may pass the gate later."""
        until_ms = min(for_ns / MS, self._plant.bypass_max)
        self.bypassed.add(self._floor.now_ns, self._floor.now_ns + round(until_ms * MS))
        self._floor.after(until_ms + 1, self._bypass_ends)

    def _bypass_ends(self) -> None:
        self._bypass_mm = self._floor.mm()

    def is_bypassed(self, front_mm: float) -> bool:
        """Whether a part whose front is here may pass because a person wanted it so."""
        now_ns = self._floor.now_ns
        return self.bypassed.touch(now_ns - self._lag_ns, now_ns) or front_mm < self._bypass_mm

    def missed(self, item: Item, counter: int) -> None:
        """Its edge is lost; the counter of a later one will tell."""
        item.unseen = "its edge was lost, and no later one told of it in time"
        self._missed.append((item, counter))

    def tell_missed(self, counter: int) -> None:
        """The line hears of those that this edge counts now, and then the gate must move."""
        for item, number in self._missed:
            if number <= counter:
                self._floor.after(self._act_ms, setattr, item, "unseen", "")

    def forget_missed(self, counter: int) -> None:
        """Of those that this edge counts nothing tells any more."""
        self._missed = [(item, number) for item, number in self._missed if number > counter]

    def is_long(self, part_id: int) -> None:
        """The line said that the part is longer than a part can be."""
        self._long.add(part_id)

    def gate_moved(self, active: bool) -> None:
        """The gate's coil changed: when it begins to reject, somebody must be due."""
        if active is not self._plant.rest_rejects:
            self._kicks.append(self._is_due())
            del self._kicks[:-4]

    def _is_due(self) -> bool:
        """Whether a part that was not promised its way is to be hit from about now on, or everything is."""
        floor, plant = self._floor, self._plant
        core = floor.line.core
        if core is None or core.state not in (LineState.READY, LineState.BYPASSED, LineState.STOPPING):
            return True
        if core.state is LineState.STOPPING and not core._readiness.zone_known:
            return True
        if floor.gate.blocks.touch(floor.now_ns - round((plant.write + 1) * MS), floor.now_ns):
            return True  # the device obeyed late, the line had told it in time
        here_mm = floor.mm() + floor.belt.speed * plant.lead - plant.gate_mm
        late_mm = (plant.tolerance + plant.write + 1) * plant.speed + plant.slack_mm
        return any(
            -plant.slack_mm <= here_mm - item.front_mm <= late_mm and self._is_to_be_hit(item)
            for item in floor.items[-60:]
        )

    def _is_to_be_hit(self, item: Item) -> bool:
        """What the second eye missed is rejected, whatever it was promised."""
        is_missed = self._plant.second_eye and item.lane is Lane.TAKEN
        return is_missed or not self._births.promised(item)

    # --- what it answers ---

    def for_escape(self, item: Item) -> str:
        """Why an item may have passed unproven."""
        seen = item.part_of or item  # what the line took it for
        from_ns = self._floor.now_ns - self._lag_ns
        if not self._plant.rest_rejects and item.near_ns:
            from_ns = min(from_ns, item.near_ns)  # a kick that would be late is not executed
        if self.is_bypassed(seen.front_mm):
            return "a person let parts pass"
        return self._outside(from_ns) or self._unknown(item) or item.mistaken

    def _outside(self, from_ns: int) -> str:
        """What outside the line's decisions went wrong since then."""
        floor, now_ns = self._floor, self._floor.now_ns
        if floor.line.down.touch(from_ns, now_ns):
            return "the line did not run"
        if floor.gate.blocks.touch(from_ns, now_ns) or floor.permit.blocks.touch(from_ns, now_ns):
            return "an output blocked the line"
        if floor.gate.disobeys.touch(from_ns, now_ns):
            return "the gate failed, and said so"
        if not self.is_armed and floor.permit.disobeys.touch(from_ns, now_ns):
            return "the permit failed while the outputs were being armed"
        if floor.encoder.dead.touch(from_ns, now_ns):
            return "the encoder stood while the belt ran"
        return LIED if self._lied(from_ns, now_ns) else ""

    def _lied(self, from_ns: int, to_ns: int) -> bool:
        return self._floor.gate.lied.touch(from_ns, to_ns) or self._floor.stuck.touch(from_ns, to_ns)

    def _unknown(self, item: Item) -> str:
        """Why the line could not know of it when it had to act; a gate that rests closed need not know."""
        if self._plant.rest_rejects:
            return ""
        known = [self._births.by_id[part_id] for part_id in item.part_ids]
        if any(born.told_ns > item.near_ns for born in known[:1]) or (item.births and not known):
            return "its edge was told too late"
        return item.unseen or (item.part_of.unseen if item.part_of else "")  # it is seen as what it touches

    def for_hit(self, promised: Born, item: Item) -> str:
        """Why an item that was promised its way may have been hit all the same."""
        floor, now_ns = self._floor, self._floor.now_ns
        if item.part_ids[-1] >> 32 != floor.line.session:
            return "its line ended"
        if self._plant.lengths and floor.photo_eye.told_late.touch(promised.born_ns, now_ns):
            return "it was told too late that it had left the photo-eye"
        if self._plant.lengths and item.mismeasured:
            return "the encoder lost pulses while it was measured"
        if floor.disturbed_ns > promised.born_ns:
            return "the belt was stopped"
        if self._plant.second_eye and self._near_a_hand(item):
            return "a hand put another part beside it"
        if floor.permit.disobeys.touch(promised.born_ns, now_ns):
            return "the permit failed"
        if floor.withdrawn_ns > promised.told_ns:
            return "the station itself was not well"
        purges = not self._plant.rest_rejects or self._plant.encoder or self._plant.lengths
        if purges and floor.unsure_ns > promised.told_ns:
            return "the zone was purged"
        if any(outcome.reason is Reason.STOPPING for outcome in self._births.outcomes_of(item)):
            return "the line was stopped with the part before the gate"
        if not self._plant.rest_rejects and floor.gate.disobeys.touch(promised.born_ns, now_ns):
            return "the gate failed, and said so"
        from_ns = min(now_ns - self._lag_ns, item.near_ns)
        if self._plant.heartbeat or self._plant.encoder or self._plant.lengths:
            from_ns = promised.born_ns  # without heartbeats, counts or edges the line takes back what it promised
        reason = self._outside(from_ns)
        late_kick = not self._plant.rest_rejects and not (self._kicks and self._kicks[-1])
        looks_long = any(part_id in self._long for part_id in item.part_ids)
        return "" if late_kick and not looks_long else reason

    def for_alarm(self, item: Item) -> bool:
        """Whether the line may take an item in the bin for one that nobody rejected."""
        return self._outside(min(item.decided_ns - self._lag_ns, item.near_ns)) != ""

    def _near_a_hand(self, item: Item) -> bool:
        near_mm = 2 * self._plant.pitch * self._plant.speed
        return any(
            other.unseen and abs(other.front_mm - item.front_mm) < near_mm for other in self._floor.items[-60:]
        )

    def for_record(self, item: Item, event: GateEvent) -> bool:
        """Whether a record may call an item rejected that passed: through a gate that lies nobody can see, and what
        stood before the gate can still be lost with the line."""
        lied = self._lied(item.decided_ns - self._lag_ns, item.decided_ns)
        stood = self._floor.disturbed_ns > event.born_ns or event.reason is Reason.STOPPING
        return lied or (bool(item.excuse) and stood)

    def for_overkill(self, item: Item) -> bool:
        """Whether a record may call an item released that was hit in the last moment."""
        floor = self._floor
        late = max(floor.disturbed_ns, floor.unsure_ns) > item.near_ns
        permit_failed = floor.permit.disobeys.touch(item.near_ns, floor.now_ns)
        return late or permit_failed or self._outside(item.near_ns) != ""

    def alone(self, item: Item) -> bool:
        """Whether no other item went into the bin near this one."""
        near_mm = self._plant.pitch * self._plant.speed * 3
        return not any(
            other.lane is Lane.BIN and abs(other.front_mm - item.front_mm) < near_mm
            for other in self._floor.items[-40:]
        )
