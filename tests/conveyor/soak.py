"""`python -m tests.conveyor.soak --parts 1000000 --seed N`: the conveyor under random faults for as many parts.

Each episode has a plant and a script of its own, drawn from the seed and the episode's number; processes share the
episodes. A violation is told at once; the first one of each process is cut down to the steps that it needs and printed
as Python that plays it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.conveyor.oracle import Violation
from tests.conveyor.plant import Plant
from tests.conveyor.script import Step, draw_plant, draw_steps
from tests.conveyor.shrink import script_text, shrunk
from tests.conveyor.world import World

EPISODE = 500  # parts
CALMS = (8.0, 20.0, 60.0)  # parts between faults


@dataclass
class Tally:
    """What a number of episodes came to."""

    parts: int = 0
    items: int = 0
    simulated_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    plants: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)  # of the first violation of each process

    def add(self, other: Tally) -> None:
        """Take in another one's figures."""
        self.parts += other.parts
        self.items += other.items
        self.simulated_s += other.simulated_s
        self.faults += other.faults
        self.counts += other.counts
        self.excused += other.excused
        self.plants += other.plants
        self.violations += other.violations
        self.scripts += other.scripts


def draw(seed: int, number: int) -> tuple[Plant, list[Step], int]:
    """The plant, the script and the jitters' seed of one episode."""
    dice = Random(f"{seed}.{number}")
    plant = draw_plant(dice)
    return plant, draw_steps(dice, plant, EPISODE, dice.choice(CALMS)), dice.randrange(1 << 32)


def run(seed: int, number: int) -> Tally:
    """One episode."""
    plant, steps, jitters = draw(seed, number)
    world = World(plant, jitters)
    tally = Tally(plants=Counter(_features(plant)))
    try:
        for step in steps:
            world.play(step)
        world.settle()
    except Violation as violation:
        tally.violations.append(f"seed {seed} episode {number}: {violation}")
    tally.parts = len(world.oracle.births.outcomes) + world.oracle.counts["LATE LINE_LOST"]
    tally.items = len(world.items)
    tally.simulated_s = world.now_ns / 1e9
    tally.faults, tally.counts, tally.excused = world.faults, world.oracle.counts, world.oracle.excused
    return tally


def _features(plant: Plant) -> list[str]:
    rest = "gate rests closed" if plant.rest_rejects else "gate rests open"
    names = ["permits", "encoder", "camera", "lengths", "motor", "air", "second_eye", "confirms"]
    return [rest, *(name for name in names if getattr(plant, name)), *(["chute"] if plant.chute else [])]


def share(seed: int, parts: int, first: int, step: int, results: multiprocessing.Queue[Tally]) -> None:
    """Every `step`-th episode from `first` on, until these many items went by."""
    total, number = Tally(), first
    while total.items < parts:
        tally = run(seed, number)
        for words in tally.violations:
            print(words, file=sys.stderr, flush=True)
        if tally.violations and not total.violations:
            plant, steps, jitters = draw(seed, number)
            tally.scripts.append(script_text(plant, shrunk(plant, steps, jitters), jitters))
        total.add(tally)
        number += step
    results.put(total)


def soak(parts: int, seed: int, processes: int) -> Tally:
    """These many parts, shared by the processes."""
    results: multiprocessing.Queue[Tally] = multiprocessing.Queue()
    workers = [
        multiprocessing.Process(target=share, args=(seed, -(-parts // processes), first, processes, results))
        for first in range(processes)
    ]
    for worker in workers:
        worker.start()
    total = Tally()
    for _ in workers:
        total.add(results.get())
    for worker in workers:
        worker.join()
    return total


def told(total: Tally, seed: int, took_s: float) -> list[str]:
    """The figures as lines of Markdown."""
    lines = [
        f"- seed {seed}: {total.items:,} parts on the belt in {total.simulated_s / 3600:,.0f} hours of its time, "
        f"{sum(total.faults.values()):,} faults; {total.items / took_s:,.0f} parts/s",
        f"- **violations: {len(total.violations)}**",
    ]
    for title, figures in (
        ("faults", total.faults),
        ("outcomes and lanes", total.counts),
        ("excused, for reasons outside the line's decisions", total.excused),
        ("episodes with", total.plants),
    ):
        lines += ["", f"| {title} | |", "| --- | --- |"]
        lines += [f"| {name} | {count:,} |" for name, count in sorted(figures.items()) if count]
    return lines


def main() -> int:
    """The exit code: 0 without a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.conveyor.soak", description=__doc__)
    parser.add_argument("--parts", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    total = soak(options.parts, options.seed, options.processes)
    print("\n".join(told(total, options.seed, time.monotonic() - began)))
    print("\n".join([*total.violations, *total.scripts]))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
