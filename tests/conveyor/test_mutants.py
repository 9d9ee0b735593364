"""The oracle is worth something: each broken line is found out within a few parts, and the whole one is not."""

from __future__ import annotations

from random import Random

import pytest

from tests.conveyor.mutants import MUTANTS
from tests.conveyor.oracle import Violation
from tests.conveyor.plants import PLANTS
from tests.conveyor.script import draw_steps
from tests.conveyor.world import World

PARTS = 80  # in a run
RUNS = 12


def runs(kind: str, only: str) -> list[tuple[str, int]]:
    """Plants of this kind and seeds, by turns."""
    names = [name for name in PLANTS if kind in name]
    return [(names[seed % len(names)], seed) for seed in range(RUNS)]


def play(name: str, seed: int, only: str) -> None:
    """One run; Violation is raised where it shows."""
    plant = PLANTS[name]
    world = World(plant, seed)
    for step in draw_steps(Random(seed), plant, PARTS, 10, only):
        world.play(step)
    world.settle()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_line_is_found_out_within_a_thousand_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate, kind, only = MUTANTS[name]
    mutate(monkeypatch)
    found = ""
    for plant, seed in runs(kind, only):
        try:
            play(plant, seed, only)
        except Violation as violation:
            found = str(violation)
            break
    monkeypatch.undo()
    assert found, f"{name} goes unnoticed"


def test_the_whole_line_passes_all_of_these_runs() -> None:
    asked = {(plant, seed, only) for _, kind, only in MUTANTS.values() for plant, seed in runs(kind, only)}
    for plant, seed, only in sorted(asked):
        play(plant, seed, only)
