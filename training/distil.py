"""`edge-train distil`: teachers, labels and pictures that nobody has labelled -> a light student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calibration.leaks import fingerprint, read_pretrained
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture
from training.finetune import Settings, Tick, ticks, train
from training.lesson import Lessons
from training.pictures import labelled, see
from training.teachers import Teacher, ask, folds_of


def steps(pictures: Sequence[Picture], teachers: Sequence[Teacher], settings: Settings) -> int:
    """How many ticks `distil` will give."""
    known = labelled(pictures)
    fold_of = folds_of(teachers, known)
    folds = np.array([fold_of[picture.group] for picture in known])
    return ticks(known, folds, settings) + len(pictures) * len(teachers)


def refuse_strangers(teachers: Sequence[Teacher]) -> None:
    """Raises ConfigError for a teacher that knows no defect."""
    for teacher in teachers:
        if teacher.good_only:
            raise ConfigError(
                f"{teacher.folder} learnt from good pictures alone and teaches no defect: label some, and finetune"
            )


def distil(
    pictures: Sequence[Picture], teachers: Sequence[Teacher], settings: Settings, out: Path, tick: Tick
) -> dict[str, Any]:
    """Write what `finetune` writes, of a student that learns from `teachers` too; returns what training.json says.

    All pictures teach, labelled or not; no model, nor its teacher, saw the labels of the pictures it scores, nor any
    picture of their groups. Raises ConfigError as `finetune` does, and for teachers that learnt from other labels.
    """
    known = labelled(pictures)
    refuse_strangers(teachers)
    unlabelled = [picture for picture in pictures if not picture.label]
    everything = [*known, *unlabelled]
    fold_of = folds_of(teachers, known)
    folds = np.array([fold_of.get(picture.group, -1) for picture in everything])
    free = frozenset(fingerprint(picture) for picture in unlabelled)

    def teach() -> Lessons:
        """Each teacher's answers to every picture once; images uint8 N x H x W x C as the student will see them."""
        said = ask(teachers, everything, settings.spec, lambda: tick("teachers", 1))
        images = np.empty((len(everything), *settings.spec.shape()[1:]), np.uint8)
        for _ in see(everything, settings.spec, images):
            pass
        facts = {
            "pictures": len(everything),
            "unlabelled": len(unlabelled),
            "from": [
                {"folder": teacher.folder.name, "backbone": teacher.backbone, "input": teacher.spec.to_dict()}
                for teacher in teachers
            ],
        }
        pool = sha256(images.data).hexdigest(), sha256(folds.data).hexdigest()
        identity = " ".join((*pool, *(teacher.training for teacher in teachers)))
        goods = any(picture.label == GOOD for picture in known)
        return Lessons(
            torch.from_numpy(images), torch.from_numpy(folds), said, settings.recipe.batch, identity, facts, goods
        )

    before = settings.pretrained.union(free, *(read_pretrained(teacher.folder) or () for teacher in teachers))
    settings = replace(settings, folds=teachers[0].folds, pretrained=before)
    return train(known, folds[: len(known)], settings, out, tick, teach)
