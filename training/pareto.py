"""`edge-train pareto`: what finished students are worth after INT8, and what each costs; the best of every speed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.judging import TARGET
from compile.speed import median_ms
from edge import __version__
from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture, read_image
from edge.report import host
from training.kept import WHOLE, of_fold
from training.located import pixel_precision
from training.pictures import labelled
from training.ranking import ACCURACY, MEASURES, middle_of, ranked, resampled, sorted_right
from training.results import versions
from training.shipped import CALIBRATION, Told, in_fp32, in_int8, nothing_told, told
from training.teachers import Teacher, folds_of, read_teacher

DRAWS = 1_000
PRECISIONS = ("fp32", "int8")
PIXELS = "pixel_ap"
VERSIONS = ("torch", "onnx", "onnxruntime", "numpy")

Tick = Callable[[str, int], None]


def steps(pictures: Sequence[Picture], runs: Sequence[Path]) -> int:
    """How many ticks `pareto` will give."""
    return len(runs) * 2 * len(labelled(pictures))


def pareto(pictures: Sequence[Picture], runs: Sequence[Path], seed: int, tick: Tick) -> dict[str, Any]:
    """What pareto.json says of the students in `runs`, folders of finetune or distil on these pictures.

    Every labelled picture is scored by a model that did not see its group, before and after INT8 that was calibrated
    without its group. All measures at once come with 95 % intervals over groups that are drawn again. Times are of
    one inference on this machine. The accuracy on defects is among them where all students tell classes apart, and
    alone where no picture is good; the average precision of pixels where defects have masks. Raises ConfigError for
    folders that are not finished or learnt from other labels.
    """
    known = labelled(pictures)
    students = [read_teacher(folder) for folder in runs]
    names = [student.folder.resolve().name for student in students]
    if len(set(names)) < len(names):
        raise ConfigError(f"two of the folders have one name ({', '.join(names)}): rename one")
    bad = np.array([picture.label != GOOD for picture in known])
    classes = students[0].classes if all(len(student.classes) > 1 for student in students) else ()
    truth = np.array([classes.index(picture.label) if picture.label in classes else -1 for picture in known])
    weights = resampled([picture.group for picture in known], DRAWS, seed)
    rows: list[dict[str, Any]] = []
    shipped: list[tuple[str, bytes]] = []
    for name, student in zip(names, students, strict=True):
        fold_of = folds_of([student], known)
        folds = np.array([fold_of[picture.group] for picture in known])
        answers = _held_out(student, known, folds, partial(tick, name))
        whole = _exported(student, WHOLE, known)
        shipped += [(TARGET, model) for model in whole.values()]
        rows.append(
            {
                "student": name,
                "backbone": student.backbone,
                "input": f"{student.spec.width}x{student.spec.height}",
                "bytes": {precision: len(model) for precision, model in whole.items()},
            }
            | {precision: measured(answers[precision], bad, truth, weights) for precision in PRECISIONS}
        )
    taken = iter(median_ms(shipped, read_image(known[0].path)))
    for row in rows:
        row["ms"] = {precision: round(next(taken), 3) for precision in PRECISIONS}
    titles = MEASURES | {ACCURACY: ACCURACY, PIXELS: "average precision of pixels"}
    measures = {name: title for name, title in titles.items() if name in rows[0]["int8"]}
    return {
        "kenpin": __version__,
        "versions": versions(*VERSIONS),
        "host": host(),
        "pictures": {"ok": int((~bad).sum()), "defects": int(bad.sum())},
        "groups": len({picture.group for picture in known}),
        "calibration_pictures": CALIBRATION,
        "students": rows,
        "measures": measures,
        "best": {measure: front(rows, measure) for measure in measures},
    }


def front(rows: Sequence[Mapping[str, Any]], measure: str) -> list[str]:
    """The students that no other one beats in both INT8 time and `measure` after INT8; the fastest first."""
    best: list[str] = []
    highest = -1.0
    for row in sorted(rows, key=lambda row: (row["ms"]["int8"], -row["int8"][measure]["value"])):
        if row["int8"][measure]["value"] > highest:
            highest = row["int8"][measure]["value"]
            best.append(row["student"])
    return best


def taught_by(student: Teacher, pictures: Sequence[Picture]) -> list[Picture]:
    """Those of the labelled pictures that a student learns from."""
    return [picture for picture in pictures if picture.label == GOOD or not student.good_only]


def measured(
    answers: Told, bad: NDArray[np.bool_], truth: NDArray[np.int64], weights: NDArray[np.float64]
) -> dict[str, Any]:
    """Every measure that these N pictures allow, with its interval over the draws of `weights` (B x N).

    truth: the class of each defect, -1 where it is good or classes are not told apart.
    """
    values = {} if bad.all() else dict(ranked(answers.scores, bad, weights))
    if truth.max() >= 0:
        values[ACCURACY] = sorted_right((answers.kinds == truth)[bad], weights[:, bad])
    if answers.pixels[:, 0].any():
        values[PIXELS] = pixel_precision(answers.pixels, weights)
    return {
        name: {"value": round(float(of[0]), 4), "over_groups": _rounded(middle_of(of[1:]))}
        for name, of in values.items()
    }


def _rounded(span: tuple[float, float] | None) -> list[float] | None:
    return None if span is None else [round(end, 4) for end in span]


def _held_out(
    student: Teacher, known: Sequence[Picture], folds: NDArray[np.int64], tick: Callable[[int], None]
) -> dict[str, Told]:
    """What the model of its fold says of every picture, in each precision."""
    answers = {precision: nothing_told(len(known)) for precision in PRECISIONS}
    for fold in range(student.folds):
        held = np.flatnonzero(folds == fold)
        some = [known[index] for index in held.tolist()]
        rest = [known[index] for index in np.flatnonzero(folds != fold).tolist()]
        models = _exported(student, of_fold(fold), rest)
        for precision, model in models.items():
            whole, part = answers[precision], told(model, student.spec, some)
            whole.scores[held], whole.kinds[held], whole.pixels[held] = part.scores, part.kinds, part.pixels
            tick(len(held))
    return answers


def _exported(student: Teacher, name: str, pictures: Sequence[Picture]) -> dict[str, bytes]:
    """The model of that name in both precisions, INT8 calibrated on some of the pictures that it learnt from."""
    fp32 = in_fp32(student.models[name], student.spec, student.classes)
    return {"fp32": fp32, "int8": in_int8(fp32, student.spec, taught_by(student, pictures))}
