"""Teachers: what `edge-train finetune` left in its folders, and what they say of pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from edge.errors import ConfigError
from edge.picture_set import Picture
from edge.pixels import STEP, InputSpec
from training.backbones import Start
from training.familiar import Familiar
from training.kept import FOLDER, WHOLE, of_fold, read_weights
from training.lesson import Said, agreed, say
from training.pictures import in_batches
from training.student import Network, Student

_AGAIN = "run the command that wrote it again"


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """One folder of `edge-train finetune`: the model that saw all labels, and one for each fold that did not see it.

    fold_of: of each labelled group. learnt: label and group of each labelled picture, by its name. models: by their
    names.
    """

    folder: Path
    backbone: str
    spec: InputSpec
    classes: tuple[str, ...]
    folds: int
    fold_of: Mapping[str, int]
    learnt: Mapping[str, tuple[str, str]]
    models: Mapping[str, Network]
    training: str  # the identity of what its models come from
    good_only: bool = False  # it learnt from good pictures alone


def read_teacher(folder: Path) -> Teacher:
    """The teacher in `folder`. Raises ConfigError where something of it is missing, damaged or of two trainings."""
    if not (folder / "training.json").is_file():
        raise ConfigError(f"{folder} holds no finished training: edge-train finetune SET -o {folder} makes one")
    try:
        told = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        spec, classes = InputSpec.from_dict(told["input"]), tuple(told["classes"])
        folds, fold_of = int(told["split"]["folds"]), dict(told["split"]["fold_of_group"])
        begin = Start(told["begin"]["backbone"], public=False)
        with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
            learnt = {row["file"]: (row["label"], row["group"]) for row in csv.DictReader(file)}
        good_only = bool(told.get("good_only"))
        models: dict[str, Network] = {}
        trainings = {told["models"]}
        for name in (WHOLE, *map(of_fold, range(folds))):
            weights, training = read_weights(folder / FOLDER / f"{name}.safetensors")
            models[name] = Familiar(spec, begin) if good_only else Student(spec, len(classes), begin)
            models[name].load_state_dict(weights)
            trainings.add(training)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"{folder} is no folder that edge-train finetune or distil finished ({error}): {_AGAIN}"
        ) from error
    if len(trainings) > 1:
        raise ConfigError(f"{folder} holds models of {len(trainings)} trainings: {_AGAIN}")
    return Teacher(folder, begin.backbone, spec, classes, folds, fold_of, learnt, models, told["models"], good_only)


def folds_of(teachers: Sequence[Teacher], known: Sequence[Picture]) -> dict[str, int]:
    """The fold of each labelled group. Raises ConfigError where the teachers learnt from other labels, groups or
    folds."""
    first = teachers[0]
    labels = {picture.name: (picture.label, picture.group) for picture in known}
    for teacher in teachers:
        if teacher.learnt != labels:
            raise ConfigError(f"{teacher.folder} learnt from other labels or groups than this set has: {_AGAIN}")
        if _view(teacher.spec) != _view(first.spec):
            raise ConfigError(
                f"{teacher.folder} and {first.folder} differ in --roi, --fit or --mono: train both alike"
            )
        if teacher.fold_of != first.fold_of:
            raise ConfigError(
                f"{teacher.folder} and {first.folder} held out other groups together: "
                "train both with the same --folds and --seed"
            )
    return dict(first.fold_of)


def _view(spec: InputSpec) -> tuple[object, ...]:
    return spec.roi, spec.fit, spec.channels


def ask(
    teachers: Sequence[Teacher], pictures: Sequence[Picture], spec: InputSpec, tick: Callable[[], None]
) -> dict[str, Said]:
    """What the models of every name say of the pictures together, on the heat map's grid of a student of `spec`.

    `tick` is called after each picture. Raises ConfigError for a picture that cannot be read.
    """
    said = [dict(_asked(teacher, pictures, tick)) for teacher in teachers]
    height, width = spec.height // STEP, spec.width // STEP
    return {name: agreed([each[name] for each in said], height, width) for name in said[0]}


def _asked(teacher: Teacher, pictures: Sequence[Picture], tick: Callable[[], None]) -> Iterator[tuple[str, Said]]:
    told: dict[str, list[Said]] = {name: [] for name in teacher.models}
    for images in in_batches(pictures, teacher.spec):
        for name, model in teacher.models.items():
            told[name].append(say(model, images))
        for _ in images:
            tick()
    for name, parts in told.items():
        yield name, Said(*(torch.cat(part) for part in zip(*parts, strict=True)))
