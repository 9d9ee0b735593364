"""What happens on the floor, as values that can be drawn from a seed, printed, cut down and played again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

from tests.conveyor.plant import Plant


@dataclass(frozen=True, slots=True)
class Put:
    """A part is put on the belt, its front `gap` ms behind the rear of the one before; `longer` in [-1, 1] of it.

    The eye `says` the "truth", "nothing" or "unknown", when `after` of the time until its deadline has passed; more
    than 1 is too late. `trick` is what else it says.
    """

    gap: float
    longer: float = 0.0
    defect: bool = False
    says: str = "truth"
    after: float = 0.3
    trick: str = ""
    bounces: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """`what` happens `after` ms from now; `ms` is its duration, or its amount."""

    what: str
    after: float = 0.0
    ms: float = 0.0


Step: TypeAlias = Put | Fault

TRICKS = ("twice", "contradicts", "stale epoch", "unborn", "stranger", "former line")
# what, least and most ms, how often among faults
FAULTS: tuple[tuple[str, float, float, int], ...] = (
    ("line stalls", 1, 12, 6),
    ("line stalls", 12, 700, 6),
    ("line is killed", 1, 900, 3),
    ("line dies in a call", 1, 12, 4),
    ("line is stopped", 1, 600, 2),
    ("eye stops the line", 1, 600, 2),
    ("eye crashes", 1, 900, 4),
    ("eye hangs", 20, 1_200, 4),
    ("eye is not ready", 1, 700, 4),
    ("connection breaks", 0, 0, 4),
    ("gate write fails", 1, 3, 3),
    ("gate answer is lost", 1, 2, 3),
    ("gate write is slow", 1, 90, 4),
    ("gate lies", 1, 2, 1),
    ("gate is away", 1, 900, 2),
    ("permit write fails", 1, 3, 2),
    ("permit answer is lost", 1, 2, 2),
    ("permit write is slow", 1, 90, 2),
    ("permit is away", 1, 900, 1),
    ("trigger is lost", 5, 600, 4),
    ("edges are skipped", 1, 2, 4),
    ("rising edges are skipped", 1, 2, 2),
    ("edges are late", 1, 120, 4),
    ("part is taken", 0, 1, 5),
    ("part is added", 0, 1, 3),
    ("speed drifts", 0, 0, 5),
    ("belt stops", 1, 1_500, 5),
    ("belt is slow", 100, 1_500, 3),
    ("belt jogs", 0, 1, 3),
    ("belt runs back", 0, 1, 2),
    ("encoder is away", 1, 600, 2),
    ("encoder begins anew", 0, 0, 2),
    ("encoder stands", 0, 500, 2),
    ("encoder loses pulses", 0, 1, 4),
    ("second eye is lost", 5, 400, 2),
    ("air is low", 5, 700, 3),
    ("camera repeats frames", 1, 3, 3),
    ("camera fires alone", 0, 0, 4),
    ("gate sticks", 5, 500, 1),
    ("person lets pass", 100, 900, 1),
)


def draw_plant(dice: Random) -> Plant:
    """A plant that a station file may describe, with true errors that its geometry allows."""
    while True:
        plant = _with_sensors(dice, _any_plant(dice))
        if plant.encoder:
            plant = replace(plant, tolerance=max(plant.tolerance, plant.jerk_error + plant.write + 1))
        survives = plant.falls or plant.heartbeat  # a station file must say how outputs come to rest without us
        if plant.slack > 3 and plant.run_up >= 0 and survives and _has_room(plant):
            return plant


def _has_room(plant: Plant) -> bool:
    """What is seen between trigger and gate comes in time to act on it."""
    if plant.lengths and plant.to_gate - plant.before < plant.pulse * 1.6 + 20:
        return False
    return not plant.second_eye or plant.behind + plant.pitch < plant.to_gate


def _any_plant(dice: Random) -> Plant:
    rest_rejects = dice.random() < 0.5
    encoder = dice.random() < 0.35
    pitch = dice.uniform(40, 140)
    pulse = pitch * dice.uniform(0.35, 0.9)
    lead = dice.choice([0.0, dice.uniform(2, 25)])
    write = dice.uniform(0.02, 1.0)
    tight = dice.choice([0.6, 1.0] if encoder else [0.2, 0.6, 1.0])
    draft = Plant(pulse=pulse, pitch=pitch, write=write)
    tolerance = max(1.0, min(8.0, pulse / 2 - draft.slack * tight * 0.9 - write - 1))
    to_gate = max(pitch * dice.uniform(1.2, 7), lead + 40)
    return Plant(
        rest_rejects=rest_rejects,
        permits=not rest_rejects or dice.random() < 0.6,
        speed=dice.uniform(0.1, 2.5),
        to_gate=to_gate,
        before=lead + dice.uniform(2, 30),
        lead=lead,
        pulse=pulse,
        pitch=pitch,
        tolerance=max(write + 0.6, tolerance * dice.uniform(0.4, 1)),
        write=write,
        confirms=dice.random() < 0.4,
        heartbeat=dice.choice([0.0, 40.0, 100.0, 250.0]),
        falls=dice.random() < 0.5,
        coast=dice.uniform(5, to_gate + pulse),
        tight=tight,
        limits=dice.choice([0, 3, 5]),
        bypass_max=dice.choice([0.0, 600.0]),
        encoder=encoder,
    )


def _with_sensors(dice: Random, plant: Plant) -> Plant:
    """What else the station may have."""
    poll = dice.choice([8.0, 15.0, 20.0])
    behind = plant.before + plant.pitch * 0.5 + dice.uniform(5, 40)
    return replace(
        plant,
        lengths=dice.random() < 0.5,
        motor=dice.random() < 0.4,
        air=dice.random() < 0.3,
        camera=dice.random() < 0.4,
        chute=0.0 if plant.encoder or dice.random() < 0.6 else dice.uniform(5, 80),
        second_eye=dice.random() < 0.35,
        behind=behind,
        per_mm=dice.uniform(4, 30) / plant.speed / plant.slack * 4,
        bits=dice.choice([16, 24, 32]),
        poll=poll,
        stale=6 * poll,
        reverse=plant.slack * dice.uniform(0.3, 1),
    )


def draw_steps(dice: Random, plant: Plant, parts: int, calm: float, only: str = "") -> list[Step]:
    """So many parts, with a fault about every `calm` parts; `only` is what the faults' names contain."""
    happens = [fault for fault in FAULTS if only in fault[0] and can_happen(Fault(fault[0]), plant)]
    steps: list[Step] = []
    for _ in range(parts):
        steps.append(draw_part(dice, plant))
        if happens and dice.random() * calm < 1:
            steps += draw_faults(dice, plant, happens)
    return steps


def draw_part(dice: Random, plant: Plant) -> Put:
    spacing = plant.pitch * dice.uniform(1.0, 1.3)
    kind = dice.random()
    if kind < 0.12:
        spacing = plant.pitch * dice.uniform(0.667, 1.0)
    elif kind < 0.15:
        spacing = plant.pitch * dice.uniform(0.3, 0.667)
    elif kind < 0.18:
        spacing = plant.pitch * dice.uniform(1.3, 9)
    says = "truth" if dice.random() < 0.94 else dice.choice(["nothing", "unknown"])
    after = dice.uniform(0.02, 0.97) if dice.random() < 0.96 else dice.uniform(0.97, 2.5)
    trick = dice.choice(TRICKS) if dice.random() < 0.1 else ""
    gap = max(0.5, spacing - plant.pulse)
    if plant.lengths and dice.random() < 0.03:
        gap = 0.0  # the photo-eye sees one long part
    return Put(gap, dice.uniform(-1, 1), dice.random() < 0.3, says, after, trick, dice.random() < 0.02)


def draw_faults(dice: Random, plant: Plant, happens: Sequence[tuple[str, float, float, int]]) -> list[Step]:
    """One fault, and often more on top of it."""
    found: list[Step] = []
    weights = [weight for *_, weight in happens]
    while not found or dice.random() < 0.35:
        what, least, most, _ = dice.choices(happens, weights)[0]
        found.append(Fault(what, dice.uniform(0, 2.5 * plant.pitch), dice.uniform(least, most)))
    return found


def can_happen(fault: Fault, plant: Plant) -> bool:
    """Whether this plant has what fails, and its station can be asked to survive it."""
    what = fault.what
    needs = {
        "permit": plant.permits,
        "encoder": plant.encoder,
        "second eye": plant.second_eye,
        "air": plant.air,
        "camera": plant.camera,
        "person": plant.bypass_max > 0,
        "part is added": plant.rest_rejects,  # where the gate rests open nothing tells of it
        "belt stops": plant.encoder or (plant.motor and plant.coast < plant.transit_ms),
        "belt is": plant.encoder,
        "belt jogs": plant.encoder,
        "belt runs back": plant.encoder,
        "encoder stands": plant.motor,
        "encoder loses": plant.second_eye,
    }
    return all(has for begins, has in needs.items() if what.startswith(begins))
