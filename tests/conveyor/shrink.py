"""Cuts a failing script down to the steps that are needed for it to fail, and prints it as Python that plays it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from tests.conveyor.oracle import Violation
from tests.conveyor.plant import Plant
from tests.conveyor.script import Put, Step
from tests.conveyor.world import World


def violation(plant: Plant, steps: Sequence[Step], seed: int) -> str:
    """What this script violates, an empty string when nothing."""
    world = World(plant, seed)
    try:
        for step in steps:
            world.play(step)
        world.settle()
    except Violation as found:
        return str(found)
    return ""


def shrunk(plant: Plant, steps: Sequence[Step], seed: int) -> list[Step]:
    """A short script that still fails, not by the same words."""

    def fails(some: Sequence[Step]) -> bool:
        return violation(plant, some, seed) != ""

    found = _fewer(list(steps), fails)
    for index, step in enumerate(found):
        for plain in _plainer(step):
            attempt = [*found[:index], plain, *found[index + 1 :]]
            if fails(attempt):
                found = attempt
                step = plain
    return found


def _fewer(steps: list[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Leave out ever smaller pieces as long as it still fails."""
    size = max(1, len(steps) // 2)
    while True:
        start, removed = 0, False
        while start < len(steps):
            attempt = steps[:start] + steps[start + size :]
            if fails(attempt):
                steps, removed = attempt, True
            else:
                start += size
        if size == 1 and not removed:
            return steps
        size = max(1, size // 2)


def _plainer(step: Step) -> list[Step]:
    """The same step with one field at its default, or rounded."""
    if not isinstance(step, Put):
        return [replace(step, ms=float(round(step.ms))), replace(step, after=float(round(step.after)))]
    plain: list[Step] = [replace(step, gap=float(round(step.gap)))] if step.gap > 1 else []
    defaults = {field.name: field.default for field in fields(Put) if field.name != "gap"}
    return plain + [replace(step, **{name: default}) for name, default in defaults.items()]


def script_text(plant: Plant, steps: Sequence[Step], seed: int) -> str:
    """Python that plays it again."""
    listed = "".join(f"    {step!r},\n" for step in steps)
    return f"violation(\n{plant!r},\n[\n{listed}], seed={seed})"
