"""Which edge belongs to which item, what the line made of it, and which outcomes it still owes."""

from __future__ import annotations

from dataclasses import dataclass

from edge.clock import MS
from edge.line.messages import Birth
from edge.records import GateEvent, GateOutcome, Kind
from tests.conveyor.floor import Floor
from tests.conveyor.item import Item


@dataclass(slots=True)
class Born:
    """A part as the line told it to the eye of `epoch`; `front_mm` is where its item truly is."""

    born_ns: int
    front_mm: float
    told_ns: int
    told_mm: float
    epoch: int
    word: Kind | None = None
    proven: bool = False  # a PASS for it was taken in time, from the eye that was told of it
    promised: bool = False  # the line said so
    purged: bool = False  # the zone was not known when that PASS came


class Births:
    """`owed` are the instants of birth that the line took in and has not ended, with their session; of those in
    `perhaps` it may make nothing. `orphans` are parts of ended lines, `forgotten` those that no journal knows."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._near_ns = round(floor.plant.pitch * MS * 2 / 3)
        self.by_id: dict[int, Born] = {}
        self.outcomes: dict[int, GateEvent] = {}
        self.owed: dict[int, int] = {}
        self.perhaps: dict[int, int] = {}
        self.orphans: set[int] = set()
        self.forgotten: set[int] = set()
        self.touched: set[int] = set()
        self._items: dict[int, Item] = {}
        self._ids: dict[int, int] = {}

    def shows(self, born_ns: int, item: Item) -> None:
        """A rising edge with this time belongs to this item."""
        self._items[born_ns] = item
        item.births.append(born_ns)
        if len(item.births) > 1:  # it looks like two
            self.touched |= set(item.births)

    def shows_again(self, seen_ns: int, item: Item) -> None:
        """The second eye saw this item then; the line may take it for a part that nobody saw come."""
        self._items[seen_ns] = item

    def looks_long(self, item: Item, other: Item) -> None:
        """Another item touches it: the line sees one long part."""
        self.touched |= set(item.births)
        if other is not item:
            other.part_of = item

    def item_of(self, born_ns: int) -> Item | None:
        return self._items.get(born_ns)

    def owe(self, born_ns: int, surely: bool, again: bool = False) -> None:
        """The line took in this edge; `again`: from the second eye."""
        for other_ns in () if again else self.owed:
            if abs(other_ns - born_ns) < self._near_ns or self._floor.plant.encoder:
                self._touch(other_ns, born_ns)
        (self.owed if surely else self.perhaps)[born_ns] = self._floor.line.session

    def _touch(self, one_ns: int, other_ns: int) -> None:
        """On a belt that stops, births are near each other by their places and not by their times."""
        one, other = self._items.get(one_ns), self._items.get(other_ns)
        if one is None or other is None:
            return
        if one is other or abs(one.front_mm - other.front_mm) < self._floor.plant.touching_mm:
            self.touched |= {one_ns, other_ns}

    def born(self, message: Birth, epoch: int) -> bool:
        """The line told of a part; False when it comes from nowhere or its id is used."""
        part_id, born_ns = message.part_id, message.born_ns
        session = self.owed.get(born_ns) or self.perhaps.pop(born_ns, None)
        if session is None or part_id in self.by_id or part_id in self.outcomes:
            return False
        self.owed[born_ns] = session
        self._ids[born_ns] = part_id
        floor, item = self._floor, self._items.get(born_ns)
        front_mm = item.front_mm if item is not None else floor.mm()
        self.by_id[part_id] = Born(born_ns, front_mm, floor.now_ns, floor.mm(), epoch)
        if item is not None:
            item.part_ids.append(part_id)
            if len(item.part_ids) > 1:
                self.touched |= set(item.births)
        return True

    def ended(self, event: GateEvent) -> bool:
        """The ring has this outcome; False when it has it already, or never was to have it."""
        owed = self.owed.pop(event.born_ns, None) or self.perhaps.pop(event.born_ns, None)
        if owed != self._floor.line.session or event.part_id in self.outcomes:
            return False
        self.outcomes[event.part_id] = event
        return True

    def line_down(self, session: int) -> int:
        """What this line still owed comes no more; returns how many of it no eye was ever told of."""
        self.perhaps.clear()
        left = [born_ns for born_ns, owed in self.owed.items() if owed == session]
        for born_ns in left:
            del self.owed[born_ns]
        told = [self._ids[born_ns] for born_ns in left if born_ns in self._ids]
        self.orphans |= set(told)
        return len(left) - len(told)

    def is_proven(self, item: Item) -> bool:
        return any(self.by_id[part_id].proven for part_id in item.part_ids)

    def promised(self, item: Item) -> Born | None:
        """The birth for which the line accepted a PASS, unless the item seemed to be two or to touch another."""
        if any(born_ns in self.touched for born_ns in item.births):
            return None
        return next((self.by_id[part_id] for part_id in item.part_ids if self.by_id[part_id].promised), None)

    def outcomes_of(self, item: Item) -> list[GateEvent]:
        return [self.outcomes[part_id] for part_id in item.part_ids if part_id in self.outcomes]

    def was_released(self, item: Item) -> bool:
        """Whether one of its births was; another one is then a ghost of it."""
        return any(outcome.outcome is GateOutcome.RELEASED for outcome in self.outcomes_of(item))

    def story(self, part_id: int) -> str:
        """In words."""
        born = self.by_id[part_id]
        word = "promised" if born.promised else "proven" if born.proven else f"word {born.word}"
        outcome = self.outcomes.get(part_id)
        ended = "open" if outcome is None else f"{outcome.outcome.name} {outcome.reason.name} {outcome.sensed.name}"
        return f"part {part_id & 0xFFFF_FFFF} born at {born.born_ns / MS:.3f} ms, {word}, {ended}"
