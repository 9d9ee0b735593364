"""Everything together: belt, sensors, gate, permit, line and eye move through one virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random

from edge.clock import MS
from edge.line.events import CONFIRM, SECOND_EYE, TRIGGER, EdgeSeen, InputBack
from edge.records import Edge, TimeSource
from tests.conveyor.actuator import Coil, Spans, Valve
from tests.conveyor.belt import NEVER, Belt
from tests.conveyor.encoder import Encoder
from tests.conveyor.eye import Eye
from tests.conveyor.faults import HAPPENINGS
from tests.conveyor.haul import Haul
from tests.conveyor.item import Item, Lane
from tests.conveyor.line_process import LineProcess
from tests.conveyor.oracle import Oracle, Violation
from tests.conveyor.photo_eye import PhotoEye, Sight
from tests.conveyor.plant import INTERLOCK_AIR, Plant
from tests.conveyor.script import Fault, Put, Step
from tests.conveyor.seeing_eye import SeeingEye

PATIENCE_NS = 40_000 * MS
_ENTRY_MS = 15.0  # parts are put on the belt so long before the photo-eye


class World:
    """A Floor in motion. `play` steps in order, then `settle`; Violation is raised where one shows. `seed` draws the
    small jitters."""

    def __init__(self, plant: Plant, seed: int = 0) -> None:
        self.plant = plant
        self.now_ns = 0
        self.dice = Random(seed)
        self.faults: Counter[str] = Counter()
        self.items: list[Item] = []
        self.on_belt: list[Item] = []
        self.unsure_mm, self.unsure_ns = 0.0, 0
        self.disturbed_ns = self.withdrawn_ns = 0
        self.stuck = Spans()
        self.restart_ms = 100.0
        self.air = True
        self._agenda: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = []
        self._entries = 0
        self._rear_mm = 0.0
        self.belt = Belt()
        self._build_outputs()
        self.oracle = Oracle(self)
        self.stepped, self.said = self.oracle.stepped, self.oracle.said
        self.sent, self.kept = self.oracle.sent, self.oracle.kept
        self.line = LineProcess(
            self, plant.settings(), self.gate, self.permit if plant.permits else None, self, self.dice
        )
        self.eye = self._build_eye()
        self._build_sensors()
        self.haul = Haul(self, self.belt, plant, self._belt_changes, self.line.tell, self.dice)
        self._pass = self._marks()
        self.start_line()
        self.eye.start()

    def _build_outputs(self) -> None:
        plant = self.plant
        write_ns = round(plant.write * MS)
        self.gate = Coil(self, write_ns, plant.confirms, plant.watchdog_ns, self._gate_moved)
        self.permit = Coil(self, write_ns, plant.confirms, plant.watchdog_ns, self._permit_moved)
        lags = [round((plant.lead + self.dice.uniform(-1, 1) * plant.lag_error) * MS) for _ in range(2)]
        self.valve = Valve(*lags)

    def _build_eye(self) -> Eye:
        person_ms = self.dice.uniform(30, 900)
        if self.plant.camera:
            return SeeingEye(self, self.oracle, self.dice, person_ms)
        return Eye(self, self.line, self.oracle, self.dice, person_ms)

    def _build_sensors(self) -> None:
        plant, tell, births = self.plant, self.line.tell, self.oracle.births
        first = Sight(births.shows, self.oracle.excuses.missed, births.looks_long, self.eye.trigger)
        again = Sight(births.shows_again)
        self.photo_eye = PhotoEye(self, TRIGGER, plant.birth_error, tell, first, self.dice)
        self.second_eye = PhotoEye(self, SECOND_EYE, plant.birth_error, tell, again, self.dice)
        self.encoder = Encoder(self, self.belt, plant, tell, self.line.stalled_until_ns)
        self.encoder.scale *= 1 + self.dice.uniform(-1, 1) * plant.speed_error

    def _marks(self) -> dict[str, Callable[[Item, bool], None]]:
        return {
            "covers": self.photo_eye.covers,
            "uncovers": self.photo_eye.uncovers,
            "covers second": self.second_eye.covers,
            "uncovers second": self.second_eye.uncovers,
            "near": self._near,
            "gate": self._at_gate,
        }

    # --- time ---

    def at(self, at_ns: int, happens: Callable[..., None], *values: object) -> None:
        """Let this happen then."""
        self._entries += 1
        heappush(self._agenda, (at_ns, self._entries, happens, values))

    def after(self, ms: float, happens: Callable[..., None], *values: object) -> None:
        """Let this happen so much later."""
        self.at(self.now_ns + round(ms * MS), happens, *values)

    def pass_ns(self, duration_ns: int) -> None:
        """The line is busy for so long; everything else goes on. Raises Killed when it does not survive that."""
        self.line.call()
        until_ns = self.now_ns + max(0, duration_ns)
        while (at_ns := min(self._agenda[0][0] if self._agenda else NEVER, self.belt.next_ns)) <= until_ns:
            self._happen(at_ns)
        self.now_ns = until_ns
        self.line.call()

    def run_to(self, until_ns: int) -> None:
        """Let everything happen up to this time."""
        agenda, belt, line = self._agenda, self.belt, self.line
        while True:
            at_ns = min(agenda[0][0] if agenda else NEVER, belt.next_ns)
            if line.wake_ns < at_ns and line.wake_ns <= until_ns:
                self.now_ns = max(self.now_ns, line.wake_ns)
                line.wake()
            elif at_ns <= until_ns:
                self._happen(at_ns)
            else:
                break
        self.now_ns = max(self.now_ns, until_ns)

    def _happen(self, at_ns: int) -> None:
        self.now_ns = max(self.now_ns, at_ns)
        if self.belt.next_ns <= at_ns:
            what, item, forwards = self.belt.pass_next()
            if item.lane is not Lane.TAKEN:
                self._pass[what](item, forwards)
        else:
            _, _, happens, values = heappop(self._agenda)
            happens(*values)

    # --- the script ---

    def play(self, step: Step) -> None:
        """Put a part on the belt as soon as there is room, or let a fault happen."""
        if isinstance(step, Put):
            self._put(step)
        else:
            self.after(step.after, self._fault, step)

    def _fault(self, fault: Fault) -> None:
        self.faults[fault.what] += 1
        HAPPENINGS[fault.what](self, fault.ms)

    def _put(self, put: Put) -> None:
        speed = self.plant.speed
        front_mm = self._rear_mm + put.gap * speed
        entry_mm = _ENTRY_MS * speed
        self._wait_for_belt(front_mm - entry_mm)
        if self.mm() + entry_mm > front_mm + speed / 2:  # nobody put it there in time
            front_mm = self.mm() + entry_mm
        length_mm = (self.plant.pulse + put.longer * self.plant.length_error) * speed
        item = Item(len(self.items), front_mm, length_mm, put.defect, put.says, put.after, put.trick, put.bounces)
        self._rear_mm = front_mm + length_mm
        self.lay(item)

    def lay(self, item: Item) -> None:
        """The item lies on the belt from now on; what it has passed already does not see it come."""
        front_mm, rear_mm = item.front_mm, item.front_mm + item.length_mm
        self.items.append(item)
        self.on_belt.append(item)
        self._mark(front_mm, "covers", item)
        self._mark(rear_mm, "uncovers", item)
        if self.plant.second_eye:
            self._mark(front_mm + self.plant.second_mm, "covers second", item)
            self._mark(rear_mm + self.plant.second_mm, "uncovers second", item)
            if front_mm + self.plant.second_mm <= self.mm() < rear_mm + self.plant.second_mm:
                self.second_eye.covers(item, True)
        self._mark(front_mm + self.plant.near_mm, "near", item)
        self._mark((front_mm + rear_mm) / 2 + self.plant.gate_mm, "gate", item)

    def take(self, item: Item) -> None:
        """A hand takes the item off the belt; what saw it sees it no more."""
        item.lane = Lane.TAKEN
        self.on_belt.remove(item)
        before_mm = self.mm() - item.front_mm
        for eye, at_mm in ((self.photo_eye, 0.0), (self.second_eye, self.plant.second_mm)):
            if at_mm <= before_mm < at_mm + item.length_mm and (at_mm == 0 or self.plant.second_eye):
                eye.uncovers(item, True)

    def _mark(self, at_mm: float, what: str, item: Item) -> None:
        """Fronts before rears, so that a sensor sees touching items as one."""
        self.belt.mark(at_mm, what, item, self.now_ns, rank=int(what.startswith("un")))

    def _wait_for_belt(self, at_mm: float) -> None:
        """Run until the belt is there; a line that does not come back by itself is a violation."""
        patience_ns = self.now_ns + PATIENCE_NS
        while self.mm() < at_mm:
            if self.gate.faults or self.permit.faults:
                patience_ns = self.now_ns + PATIENCE_NS  # each try uses one of them up
            reaches_ns = min(self.belt.reaches_ns(at_mm), self.now_ns + 20 * MS)
            self.run_to(max(reaches_ns, self.now_ns + 1))
            if self.now_ns > patience_ns:
                state = self.line.core.state.name if self.line.core else "dead"
                raise Violation(f"the belt stands and nothing brings it back; the line is {state}")

    def settle(self) -> None:
        """Let all parts reach their lanes and all words be said, then ask for what is missing."""
        self.run_to(self.now_ns + 3_000 * MS)
        self._wait_for_belt(self._rear_mm + self.plant.gate_mm + 3 * self.plant.pulse * self.plant.speed)
        self.run_to(self.now_ns + round(2 * self.plant.transit_ms * MS) + 3_000 * MS)
        self.oracle.finish()

    # --- the belt ---

    def mm(self) -> float:
        """Where the belt is now."""
        return self.belt.mm(self.now_ns)

    def unsure(self) -> None:
        """Something unseen may lie between trigger and gate from now on."""
        self.unsure_mm, self.unsure_ns = self.mm(), self.now_ns

    def withdraw(self) -> None:
        """The same, and the line takes back what it promised."""
        self.unsure()
        self.withdrawn_ns = self.now_ns

    def _belt_changes(self) -> None:
        if not self.plant.encoder:
            self.disturbed_ns = self.now_ns
            self.unsure()

    def _permit_moved(self, on: bool) -> None:
        self.haul.permit(on)

    # --- the gate ---

    def _gate_moved(self, active: bool) -> None:
        self.valve.follow(active, self.now_ns)
        self.oracle.excuses.gate_moved(active)

    def _near(self, item: Item, _forwards: bool) -> None:
        item.near_ns = item.near_ns or self.now_ns

    def _at_gate(self, item: Item, forwards: bool) -> None:
        if not forwards or item.lane is not Lane.BELT:
            return
        rejects = self.valve.active(self.now_ns) is not self.plant.rest_rejects
        self.on_belt.remove(item)
        self.oracle.decided(item, Lane.BIN if rejects else Lane.GOOD)
        if rejects and self.plant.chute:
            edge = Edge(True, self.now_ns + round(self.plant.chute * MS), 0, TimeSource.POLL, 0)
            self.after(self.plant.chute + 1, self.line.tell, EdgeSeen(edge, CONFIRM))

    # --- the line's process ---

    def start_line(self) -> None:
        """Somebody starts the line, and its inputs open a little later."""
        if self.line.lives:
            return
        self.line.start()
        self.unsure()
        self.after(self.dice.uniform(0.1, 30), self._open_inputs, self.line.session)

    def _open_inputs(self, session: int) -> None:
        if session != self.line.session:
            return
        plant = self.plant
        for eye in (self.photo_eye, self.second_eye) if plant.second_eye else (self.photo_eye,):
            if not eye.is_lost:
                eye.find()
        if plant.motor:
            self.haul.open()
        if plant.air:
            self.after(0, self.line.tell, InputBack(INTERLOCK_AIR, self.air))
        if plant.chute:
            self.after(0, self.line.tell, InputBack(CONFIRM))
        if plant.encoder:
            self.encoder.open()

    def line_down(self, session: int) -> None:
        """The line's process ended: what it held falls or stays, and somebody starts it again."""
        self.oracle.line_down(session)
        if self.plant.falls:
            self.gate.set(False)
            self.permit.set(False)
        self.after(self.restart_ms, self.start_line)
