"""The gate's schedule: no unreleased part uncovered, no released part's core hit, whatever births and releases come.

The property is checked on the real planner and on deliberate mutants of it, which it must catch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from edge.line.schedule import Actuation, GateEdge, Slot, actuations, next_edge, overdue_parts

Planner = Callable[[Iterable[Slot], bool, int], list[Actuation]]
PULSE = 40
GAP = PULSE // 4
TOLERANCE = 3


def slots_of(births: list[tuple[int, bool]]) -> list[Slot]:
    """Slots from (distance to the part before, released)."""
    slots, start = [], 1_000
    for number, (distance, released) in enumerate(births, 1):
        start += distance
        slots.append(Slot(number, start, start + PULSE, released))
    return slots


BIRTHS = st.lists(st.tuples(st.integers(0, 3 * PULSE), st.booleans()), min_size=1, max_size=12)


def play(planner: Planner, slots: list[Slot], rest_rejects: bool) -> list[tuple[int, int]]:
    """The energised times when every edge that the planner asks for is written at its instant."""
    energised: list[tuple[int, int]] = []
    active, now, since = False, 0, 0
    while True:
        stay = 0 if rest_rejects else GAP
        edge = next_edge(planner(slots, rest_rejects, GAP), active, now, stay)
        if edge is None:
            return energised
        assert edge.at >= now, "an edge lies in the past"
        assert edge.active is not active, "an edge changes nothing"
        now, active = edge.at, edge.active
        if active:
            since = now
        else:
            energised.append((since, now))


def covered(start: int, end: int, energised: list[tuple[int, int]]) -> bool:
    return any(on <= start and end <= off for on, off in energised)


def touched(start: int, end: int, energised: list[tuple[int, int]]) -> bool:
    return any(on < end and start < off for on, off in energised)


def violation(planner: Planner, slots: list[Slot], rest_rejects: bool) -> str:
    """Why this plan breaks the law, or an empty string."""
    try:
        energised = play(planner, slots, rest_rejects)
    except AssertionError as error:
        return str(error)
    for slot in slots:
        if not slot.released:
            if rest_rejects and touched(slot.start, slot.end, energised):
                return f"unreleased part {slot.part_id} was let through"
            if not rest_rejects and not covered(slot.start, slot.end, energised):
                return f"unreleased part {slot.part_id} was not rejected"
        elif not any(near(slot, other) for other in slots if not other.released):
            core = slot.start + PULSE // 4, slot.end - PULSE // 4
            if rest_rejects and not covered(*core, energised):
                return f"released part {slot.part_id} found a closed gate"
            if not rest_rejects and touched(*core, energised):
                return f"released part {slot.part_id} was hit"
    return ""


def near(slot: Slot, other: Slot) -> bool:
    return other.start < slot.end and slot.start < other.end


@pytest.mark.parametrize("rest_rejects", [False, True])
@settings(max_examples=600, deadline=None)
@given(births=BIRTHS)
def test_no_unreleased_part_passes_and_no_released_part_is_hit(
    rest_rejects: bool, births: list[tuple[int, bool]]
) -> None:
    assert violation(actuations, slots_of(births), rest_rejects) == ""


def off_by_one(slots: Iterable[Slot], rest_rejects: bool, gap: int) -> list[Actuation]:
    """Each verdict acts on the next part."""
    ordered = list(slots)
    shifted = [
        Slot(slot.part_id, slot.start, slot.end, before.released)
        for before, slot in zip([ordered[-1], *ordered], ordered, strict=False)
    ]
    return actuations(shifted, rest_rejects, gap)


def released_on_time_out(slots: Iterable[Slot], rest_rejects: bool, gap: int) -> list[Actuation]:
    """Parts nobody spoke for are let pass: every third stands for them."""
    silent = [Slot(s.part_id, s.start, s.end, s.released or s.part_id % 3 == 0) for s in slots]
    return actuations(silent, rest_rejects, gap)


def neighbour_swallowed(slots: Iterable[Slot], rest_rejects: bool, gap: int) -> list[Actuation]:
    """A part whose slot overlaps the one before is forgotten, as a controller does that ignores busy triggers."""
    kept: list[Slot] = []
    for slot in slots:
        if not kept or slot.start >= kept[-1].end:
            kept.append(slot)
    return actuations(kept, rest_rejects, gap)


def opening_not_clipped(slots: Iterable[Slot], rest_rejects: bool, gap: int) -> list[Actuation]:
    """Release wins where slots overlap."""
    chosen = [slot for slot in slots if slot.released is rest_rejects]
    return actuations([Slot(s.part_id, s.start, s.end, rest_rejects) for s in chosen], rest_rejects, gap)


def pulse_not_extended(slots: Iterable[Slot], rest_rejects: bool, gap: int) -> list[Actuation]:
    """Merged pulses end with the first one."""
    return [Actuation(a.start, a.start + PULSE, a.part_ids) for a in actuations(slots, rest_rejects, gap)]


@pytest.mark.parametrize(
    ("mutant", "rest_rejects"),
    [
        (off_by_one, False),
        (off_by_one, True),
        (released_on_time_out, False),
        (released_on_time_out, True),
        (neighbour_swallowed, False),
        (neighbour_swallowed, True),
        (opening_not_clipped, True),
        (pulse_not_extended, False),
    ],
)
def test_the_property_catches_a_wrong_planner(mutant: Planner, rest_rejects: bool) -> None:
    try:
        find(BIRTHS, lambda births: violation(mutant, slots_of(births), rest_rejects) != "")
    except NoSuchExample:
        pytest.fail(f"the property accepts {mutant.__name__}")


def test_two_rejects_close_together_are_one_pulse() -> None:
    slots = slots_of([(0, False), (PULSE + GAP - 1, False)])
    assert actuations(slots, False, GAP) == [Actuation(1_000, 1_000 + 2 * PULSE + GAP - 1, (1, 2))]


def test_two_rejects_far_apart_are_two_pulses() -> None:
    slots = slots_of([(0, False), (PULSE + GAP, False)])
    assert len(actuations(slots, False, GAP)) == 2


def test_an_opening_is_clipped_on_both_sides_by_rejected_neighbours() -> None:
    slots = slots_of([(0, False), (30, True), (30, False)])
    assert actuations(slots, True, GAP) == [Actuation(1_040, 1_060, (2,))]


def test_an_opening_whose_middle_a_reject_covers_is_dropped() -> None:
    slots = slots_of([(0, True), (PULSE // 2, False)])
    assert actuations(slots, True, GAP) == []


def test_an_energised_gate_with_nothing_to_do_goes_to_rest_now() -> None:
    assert next_edge([], active=True, here=77) == GateEdge(77, False)


def test_an_overdue_activation_names_its_part_until_it_is_refused() -> None:
    slots = slots_of([(0, False), (PULSE, False)])
    planned = actuations(slots, False, GAP)
    edge = next_edge(planned, active=False, here=1_000 + TOLERANCE + 1)
    assert edge == GateEdge(1_000, True, (1,), refusable=True)
    assert overdue_parts(slots, 1_000 + TOLERANCE + 1, TOLERANCE) == {1}
    assert overdue_parts(slots, 1_000 + TOLERANCE, TOLERANCE) == frozenset()
