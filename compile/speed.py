"""How fast models are on this machine: medians of runs taken in turns, so that a busy neighbour slows all alike."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from calibration.judging import engine_for
from edge.clock import MS, Clock, SystemClock
from edge.infer import Engine
from edge.pixels import to_input

ROUNDS = 20
RUNS = 5  # in a row, as on a line: a model that was just used finds its weights in the cache


def median_ms(
    models: Sequence[tuple[str, bytes]], picture: NDArray[np.uint8], clock: Clock | None = None
) -> list[float]:
    """The median time of one inference of each model on its target's engine, in milliseconds, on one thread.

    picture: uint8 H x W x 3 (BGR); each model sees it in its own geometry. Blocks for about 100 inferences of each.
    """
    clock = clock or SystemClock()
    engines = [_loaded(target, model, picture) for target, model in models]
    times: list[list[int]] = [[] for _ in engines]
    for _ in range(ROUNDS):
        for engine, taken in zip(engines, times, strict=True):
            taken.append(_fastest_ns(engine, clock))
    for engine in engines:
        engine.close()
    return [median(taken) / MS for taken in times]


def _loaded(target: str, model: bytes, picture: NDArray[np.uint8]) -> Engine:
    engine = engine_for(target)
    engine.load(model)
    to_input(picture, engine.spec, engine.input)
    return engine


def _fastest_ns(engine: Engine, clock: Clock) -> int:
    """The fastest of a few runs in a row: the others met an interruption or a cold cache."""
    best = 0
    for _ in range(RUNS):
        began_ns = clock.now_ns()
        engine.infer()
        took_ns = clock.now_ns() - began_ns
        best = min(best or took_ns, took_ns)
    return best
