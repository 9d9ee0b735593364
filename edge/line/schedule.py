"""From the parts' slots to the gate's next level change: pure, and reject wins wherever slots overlap.

All places are those of the line's axis (edge/line/axis.py): nanoseconds, or counts of an encoder.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """The stretch [start, end) of the axis in which the gate belongs to one part; `released` lets it pass."""

    part_id: int
    start: int
    end: int
    released: bool


@dataclass(frozen=True, slots=True)
class Actuation:
    """The gate is energised during [start, end) for these parts."""

    start: int
    end: int
    part_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GateEdge:
    """The gate's level becomes `active` at `at`.

    `part_ids` are the parts that need this very edge. `refusable`: not executed when it is late by more than the
    tolerance, because it would hit the neighbour; a change back to rest is always executed.
    """

    at: int
    active: bool
    part_ids: tuple[int, ...] = ()
    refusable: bool = False


def actuations(slots: Iterable[Slot], rest_rejects: bool, gap: int) -> list[Actuation]:
    """When the gate is energised: for rejected parts where it rests open, for released ones where it rests closed.

    Actuations nearer than `gap` are one. An opening ends where a neighbour's reject slot begins, and begins
    where one ends; it is dropped when such a slot covers its middle.
    """
    ordered = sorted(slots, key=lambda slot: (slot.start, slot.part_id))
    if rest_rejects:
        return _merged(_openings(ordered), gap)
    return _merged((_whole(slot) for slot in ordered if not slot.released), gap)


def _whole(slot: Slot) -> Actuation:
    return Actuation(slot.start, slot.end, (slot.part_id,))


def _openings(ordered: Sequence[Slot]) -> Iterable[Actuation]:
    rejects = _merged((_whole(slot) for slot in ordered if not slot.released), 0)
    starts = [reject.start for reject in rejects]
    for slot in ordered:
        if slot.released:
            opening = _clipped(slot, rejects, starts)
            if opening is not None:
                yield opening


def _clipped(slot: Slot, rejects: Sequence[Actuation], starts: Sequence[int]) -> Actuation | None:
    """What the reject slots leave of a released part's slot around its middle."""
    middle = (slot.start + slot.end) // 2
    after = bisect_right(starts, middle)
    start, end = slot.start, slot.end
    if after > 0:
        if rejects[after - 1].end > middle:
            return None
        start = max(start, rejects[after - 1].end)
    if after < len(rejects):
        end = min(end, rejects[after].start)
    return Actuation(start, end, (slot.part_id,))


def _merged(ordered: Iterable[Actuation], gap: int) -> list[Actuation]:
    """Overlapping, adjoining and too near actuations made one; needs them in order of start."""
    merged: list[Actuation] = []
    for item in ordered:
        if merged and (item.start <= merged[-1].end or item.start - merged[-1].end < gap):
            last = merged[-1]
            merged[-1] = Actuation(last.start, max(last.end, item.end), last.part_ids + item.part_ids)
        else:
            merged.append(item)
    return merged


def next_edge(planned: Sequence[Actuation], active: bool, here: int, stay: int = 0) -> GateEdge | None:
    """The level change that is due next, or overdue, while the gate stands at `active`; None when there is none.

    An energised gate stays so when the next actuation begins within `stay`.

    An overdue activation comes back as long as its actuation lasts: it is the caller who refuses it
    (`overdue_parts`) and plans again without those parts.
    """
    for item in planned:
        if item.end <= here:
            continue
        if not active:
            return GateEdge(item.start, True, item.part_ids[:1], refusable=True)
        if item.start <= here + stay:
            return GateEdge(item.end, False)
        break
    return GateEdge(here, False) if active else None


def overdue_parts(slots: Iterable[Slot], here: int, tolerance: int) -> frozenset[int]:
    """The parts whose slot began more than the tolerance ago: an activation for them would now be late."""
    return frozenset(slot.part_id for slot in slots if slot.start + tolerance < here)
