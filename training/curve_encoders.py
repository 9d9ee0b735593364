"""The encoders that a label curve pretrains itself: one for each seed, which has not seen that seed's test pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lightning_fabric import Fabric

from edge.errors import ConfigError
from edge.picture_set import Picture
from training import pretrain as room
from training.curve import Curve, alone, refuse_known
from training.curve_plan import SSL
from training.pool import Cached, Pool, without
from training.pretext import TERMS, USUAL
from training.pretrain_run import cache, launch, precision_of, pretrain
from training.results import make_folder

FOLDER = "encoders"
ALL_TERMS = "all-terms"

Terms = tuple[tuple[str, float], ...]
Tick = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Pretraining:
    """What to pretrain on, how many passes (0 = by their number), and with which terms by the names of the arms."""

    pictures: Sequence[Picture]
    passes: int
    arms: tuple[tuple[str, Terms], ...]


def arms(ablate: bool) -> tuple[tuple[str, Terms], ...]:
    """The usual terms; to `ablate` all of them, and without each."""
    if not ablate:
        return ((SSL, tuple(USUAL.items())),)
    every = tuple(TERMS.items())
    off = ((f"without-{name}", tuple(term for term in every if term[0] != name)) for name in TERMS)
    return ((ALL_TERMS, every), *off)


def pools(curve: Curve, made: Pretraining) -> list[Pool]:
    """What the encoders of each seed learn from: never a picture or a group that is tested with it.

    To a transfer all of it; there a picture of the curve's is refused when it is found. Raises ConfigError where
    nothing much is left.
    """
    return [
        without(made.pictures, [] if curve.settings.transfer else [curve.known[index] for index in one.test])
        for one in curve.draws.values()
    ]


def steps(each: Sequence[Pool], made: Pretraining) -> int:
    """How many ticks `encoders` will give."""
    recipes = [_recipe(terms, made.passes) for _, terms in made.arms]
    return sum(len(pool.paths) + sum(one.steps(len(pool.paths)) for one in recipes) for pool in each)


def encoders(
    curve: Curve, each: Sequence[Pool], made: Pretraining, out: Path, tick: Tick
) -> tuple[tuple[str, Path], ...]:
    """Pretrain what is not there yet; the names and the files as `CurveSettings` wants them.

    Killed and started again, it goes on from the last checkpoint. Raises ConfigError as `edge-train pretrain` does.
    """
    folder, precision = out / FOLDER, precision_of("auto")
    fabric = launch(precision)
    if fabric.world_size > 1:
        raise ConfigError("one process pretrains for a curve: use edge-train pretrain by torchrun, then --encoder")
    make_folder(folder)
    jobs: list[tuple[str, Cached, room.Settings, Path]] = []
    for seed, pool in zip(curve.draws, each, strict=True):
        with alone(folder / ".pool.lock", wait=True):
            cached = cache(fabric, pool, curve.settings.spec, folder, False, lambda: tick("read", 1))
        if curve.settings.transfer:
            refuse_known(frozenset(cached.fingerprints), curve.known)
        for name, terms in made.arms:
            begin, recipe = curve.starts[name][0], _recipe(terms, made.passes)
            settings = room.Settings(curve.settings.spec, recipe, begin, seed, precision=precision)
            jobs.append((name, cached, settings, folder / f"{name}-seed{seed}"))
    done: set[Path] = set()
    for wait in (False, True):  # what another run has in its hands comes last
        for name, cached, settings, mine in jobs:
            make_folder(mine)
            with alone(mine / ".lock", wait) as free:
                if free and mine not in done:
                    _pretrain(cached, settings, mine, fabric, curve.settings.threads, partial(tick, name))
                    done.add(mine)
    return tuple((name, mine / "encoder.safetensors") for name, _, _, mine in jobs)


def _recipe(terms: Terms, passes: int) -> room.Recipe:
    return room.Recipe(passes or None, terms=terms)


def _pretrain(
    cached: Cached, settings: room.Settings, out: Path, fabric: Fabric, threads: int, tick: Callable[[int], None]
) -> None:
    """Tick the steps of one pretraining, those of before too."""
    if room.is_there(cached, settings, out):
        tick(settings.recipe.steps(len(cached.images)))
        return
    done = 0

    def tell(progress: room.Progress) -> None:
        nonlocal done
        tick(progress.step - done)
        done = progress.step

    pretrain(cached, settings, out, fabric, threads, tell)
