"""From student to bundle: quantize, judge on the locked set, choose what ships, and say why."""

from __future__ import annotations

import math
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

import edge
from calibration.evidence import Judged
from calibration.judging import STAND_INS, TARGET, judge_pictures
from calibration.leaks import Seen, refuse_leaks, seen_in, set_hash
from calibration.progress import watched
from calibration.sample import MOST, sample
from calibration.threshold import WorkingThreshold
from compile.agreement import agreement
from compile.coverage import coverage_of
from compile.detail import Detail, detail
from compile.drawn import LABEL as DRAWN
from compile.drawn import draw, has_defects
from compile.gallery import acceptance_pictures, stored
from compile.half import halve
from compile.layers import Layer, layers
from compile.lint import lint, refuse
from compile.quantize import EXTREMES, TENSORRT, quantize
from compile.ranges import Extremes, measure
from compile.report import Page, page
from compile.saturation import spread
from compile.search import Attempt, Search, best
from compile.speed import median_ms
from compile.stability import Stability, stability
from compile.student import Student
from compile.tables import class_table, missed_table, trial_table
from compile.verify import MOST_OVERKILL, Rule, Trial, choose, choose_untimed, trial
from edge.clock import SECOND
from edge.errors import BundleError, ConfigError
from edge.evidence import JudgedSet, column
from edge.manifest import PRODUCT_NAME, TOLERANCE, Manifest, ModelEntry
from edge.picture_set import GOOD, Picture, read_image
from edge.pixels import Image, to_input
from edge.records import Kind

FP32_FILE, INT8_FILE = "models/fp32.onnx", "models/int8-x86.onnx"
TRT_FP16_FILE, TRT_INT8_FILE = "models/fp16-trt.onnx", "models/int8-trt.onnx"

Models = Mapping[str, tuple[str, bytes, str]]  # precision -> file, model, words
LIBRARIES = ("numpy", "onnx", "onnxruntime", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be compiled. `created_ns` is wall time; `acceptance_pictures` travel with the bundle at most; each of
    the `targets` (engine kinds) is judged on the acceptance set, and the first must be able to ship. A device accepts
    the bundle where its own scores are within `tolerance` of those found here. No model ships whose bound on the
    overkill rate is above `most_overkill` (None: 0.1 where no defect is held out, else no limit).

    Raises ConfigError for a product's name or an expiry that no bundle can carry.
    """

    student: Student
    threshold: WorkingThreshold
    threshold_sha256: str
    calibration: Sequence[Picture]
    acceptance: Sequence[Picture]
    product: str
    version: int
    created_ns: int
    expires: str | None = None
    int8_only: bool = False
    allow_unproven: bool = False
    acceptance_pictures: int = 12
    seed: int = 1
    targets: tuple[str, ...] = (TARGET,)
    tolerance: float = TOLERANCE
    most_overkill: float | None = None

    @property
    def rule(self) -> Rule:
        """What each model must meet."""
        usual = None if has_defects(self.acceptance) else MOST_OVERKILL
        return Rule(
            self.threshold.threshold,
            self.threshold.target_escape,
            self.threshold.confidence,
            self.allow_unproven,
            self.int8_only,
            usual if self.most_overkill is None else self.most_overkill,
        )

    def __post_init__(self) -> None:
        if not re.fullmatch(PRODUCT_NAME, self.product):
            raise ConfigError(
                f"product {self.product!r}: use up to 40 letters, digits, '-', '_' and '.', no dot first"
            )
        if self.expires is not None and not _is_moment(self.expires):
            raise ConfigError(f"expires {self.expires!r}: write a time with its zone, such as 2027-01-31T00:00:00Z")


def _is_moment(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except ValueError:
        return False
    return moment.tzinfo is not None


@dataclass(frozen=True, slots=True)
class Built:
    """All that `edge.bundle.write_bundle` takes but the key; `trials` are all models that were judged, `judged` what
    those that ship said of the acceptance set."""

    manifest: Manifest
    models: Mapping[str, bytes]
    pictures: Mapping[str, tuple[str, bytes]]
    report: str
    trials: Sequence[Trial]
    notes: Sequence[str]
    judged: Mapping[str, JudgedSet]


def build(job: Job, console: Console) -> Built:
    """Compile a job; the progress is shown on `console`. Blocks for about a minute.

    The working threshold is one for all models, chosen before the acceptance set was read; the recipe for INT8 is
    chosen on the calibration pictures. So the acceptance set is read once, for the evidence. Raises ConfigError for
    wrong input and BundleError where no model may ship.
    """
    check(job, console)
    with tempfile.TemporaryDirectory(prefix="kenpin-") as folder:
        return _build(job, _calibrating(job, Path(folder)), _held_out(job, Path(folder)), console)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What calibrates INT8: pictures, what the network sees of them (uint8 1 x H x W x C), what they reach in it."""

    pictures: Sequence[Picture]
    inputs: Sequence[Image]
    extremes: Extremes


def _build(job: Job, chosen: Sequence[Picture], held_out: Sequence[Picture], console: Console) -> Built:
    """With what calibrates and what is judged, drawn defects among them where there are no real ones."""
    with console.status("measuring ranges"):
        inputs = [to_input(read_image(picture.path), job.student.spec) for picture in chosen]
        calibration = Calibration(chosen, inputs, measure(job.student.model, inputs))
    int8, attempts, no_int8 = _quantized(job, calibration, console)
    trials = _trials(job, int8, calibration, held_out, console)
    tried = _timed(attempts, chosen[0])
    for table in (trial_table(trials), class_table(trials), missed_table(trials)):
        if table is not None:
            console.print(table)
    looked = detail(trials, held_out, job.student.spec, job.threshold.threshold, _redrawn(job, int8, calibration))
    try:
        shipped, notes = _chosen(job, trials, no_int8)
    except BundleError:
        for note in looked.notes:  # they may say why
            console.print(f"{note}.", soft_wrap=True)
        raise
    layered = [layers(one.model, one.target) for one in trials]
    notes = [*notes, *agreement(trials, layered, job.tolerance), *_of_drawn(chosen, trials), *looked.notes]
    return _built(job, chosen, held_out, tried, trials, layered, looked, shipped, notes)


def _calibrating(job: Job, folder: Path) -> list[Picture]:
    """The calibration pictures; where they show no defect, up to half as many as may be are drawn beside them."""
    if has_defects(job.calibration):
        return sample(job.calibration, seed=job.seed)
    chosen = sample(job.calibration, MOST // 2, job.seed)
    return chosen + draw(chosen, job.student.spec, folder / "calibration", job.seed)


def _held_out(job: Job, folder: Path) -> list[Picture]:
    """The acceptance set; where it holds no defect, a drawn one for each of its pictures."""
    if has_defects(job.acceptance):
        return list(job.acceptance)
    return [*job.acceptance, *draw(job.acceptance, job.student.spec, folder / "acceptance", job.seed)]


def _of_drawn(chosen: Sequence[Picture], trials: Sequence[Trial]) -> list[str]:
    """What is to be said of drawn defects."""
    drawn = sum(picture.label == DRAWN for picture in chosen)
    words = [f"{drawn} of the {len(chosen)} calibration pictures are drawn defects: the set holds no real one"]
    others = [one for one in trials[1:] if one.stand_ins]
    return words * (drawn > 0) + [
        one.stand_ins.sentence(f"{one.precision.upper()} on {one.target}") for one in others if one.stand_ins
    ]


def _chosen(job: Job, trials: Sequence[Trial], no_int8: str) -> tuple[list[Trial], list[str]]:
    """What ships for each target; a further target that cannot ship is left out with its reason."""
    shipped: list[Trial] = []
    notes: list[str] = []
    for target in job.targets:
        tried = {one.precision: one for one in trials if one.target == target}
        try:
            if target in STAND_INS:
                chosen, words = choose_untimed(tried, no_int8, job.rule)
            else:
                chosen, words = choose(tried["fp32"], tried.get("int8"), no_int8, job.rule)
        except BundleError as error:
            if target == job.targets[0]:
                raise
            chosen, words = [], [f"nothing ships: {error}"]
        shipped += chosen
        notes += words if len(job.targets) == 1 else [f"{target}: {word}" for word in words]
    return shipped, notes


def check(job: Job, console: Console) -> None:
    """Raise ConfigError for a threshold of another student, an acceptance set that was seen, or one without good
    pictures, and without defects unless the bundle may be unproven."""
    expected = job.threshold.student_sha256
    if expected is not None and expected != job.student.sha256:
        raise ConfigError(
            "the threshold was chosen for another student: run edge-calibrate threshold on the scores.csv of this one"
        )
    defects = sum(picture.label != GOOD for picture in job.acceptance)
    if defects == len(job.acceptance):
        raise ConfigError("the acceptance set needs labelled good pictures; hold out some")
    if not defects and not job.allow_unproven:
        raise ConfigError(
            "too few defects to say: the acceptance set holds none, so nothing is known of the escape rate (<= 100%); "
            "hold out labelled defects, or ship it marked as unproven with --allow-unproven"
        )
    if not job.calibration:
        raise ConfigError("the calibration set is empty; give the pictures that training has seen")
    trained = Seen(frozenset(job.threshold.seen_pictures), frozenset(job.threshold.seen_groups))
    refuse_leaks(trained, job.acceptance, "training")
    shown = watched(job.calibration, "comparing sets", console)
    refuse_leaks(seen_in(shown), job.acceptance, "calibration")


def _redrawn(job: Job, int8: Attempt | None, calibration: Calibration) -> Stability | None:
    """What other draws of the calibration pictures would change; None where ranges are no extremes, or none ships."""
    if int8 is None or int8.recipe.ranges != EXTREMES:
        return None
    few = spread(calibration.pictures)

    def judge(extremes: Extremes) -> list[Judged]:
        model = quantize(job.student.model, calibration.inputs, int8.recipe, extremes=extremes)
        return judge_pictures(model, few, job.threshold.threshold)

    names = [one.name for one in calibration.pictures]
    return stability(calibration.extremes, names, spread(int8.judged), judge, job.seed)


def _quantized(job: Job, calibration: Calibration, console: Console) -> tuple[Attempt | None, list[Attempt], str]:
    """The INT8 model, or None with the reason why there is none; and all attempts.

    The first that turns no calibration defect into a PASS; else the one that turns fewest, none of them with a clear
    margin.
    """
    threshold, chosen = job.threshold.threshold, calibration.pictures
    shown = watched(chosen, "calibration pictures, FP32", console)
    reference = judge_pictures(job.student.model, shown, threshold)
    with console.status("quantizing") as status:
        search = Search(
            job.student.model,
            calibration.inputs,
            reference,
            lambda model: judge_pictures(model, chosen, threshold),
            threshold,
            status.update,
            calibration.extremes,
        )
        attempts = search.run()
    found = best(attempts)
    if found.lost:
        return None, attempts, "with every recipe, calibration defects of clear margin turned PASS"
    refuse(lint(found.model), "the INT8 model")
    return found, attempts, ""


def _timed(attempts: Sequence[Attempt], picture: Picture) -> list[tuple[Attempt, float]]:
    """The attempts with the median ms of each on this machine, where there is more than one to compare."""
    if len(attempts) < 2:
        return []
    times = median_ms([(TARGET, one.model) for one in attempts], read_image(picture.path))
    return list(zip(attempts, times, strict=True))


def _trials(
    job: Job, int8: Attempt | None, calibration: Calibration, held_out: Sequence[Picture], console: Console
) -> list[Trial]:
    """Every precision on every target, judged on all that is held out; timed in turns where this machine has the
    engine."""
    picture = read_image(calibration.pictures[0].path)
    models = {target: _models(job, int8, calibration, target) for target in job.targets}
    each = [(target, precision) for target in job.targets for precision in models[target]]
    judged = [
        _accepted(models[target][precision][1], precision, target, job, held_out, console)
        for target, precision in each
    ]
    here = [one for one in each if one[0] not in STAND_INS]
    with console.status("timing"):
        timed = [(target, models[target][precision][1]) for target, precision in here]
        times = dict(zip(here, median_ms(timed, picture), strict=True))
    return [
        trial(
            precision,
            *models[target][precision],
            verdicts,
            judged[0],
            job.rule,
            times.get((target, precision)),
            target,
        )
        for (target, precision), verdicts in zip(each, judged, strict=True)
    ]


def _models(job: Job, int8: Attempt | None, calibration: Calibration, target: str) -> Models:
    """FP32 and what the engine of this target takes besides: TensorRT has pairs of its own, and FP16."""
    fp32 = {"fp32": (FP32_FILE, job.student.model, "the student as trained")}
    if target != "trt":
        return fp32 | ({"int8": (INT8_FILE, int8.model, int8.recipe.words)} if int8 else {})
    words = "the body in FP16, normalisation and heads in FP32"
    models = fp32 | {"fp16": (TRT_FP16_FILE, halve(job.student.model), words)}
    if int8 is None:
        return models
    shaped = quantize(job.student.model, calibration.inputs, int8.recipe, TENSORRT, calibration.extremes)
    return models | {"int8": (TRT_INT8_FILE, shaped, int8.recipe.words)}


def _accepted(
    model: bytes, precision: str, target: str, job: Job, held_out: Sequence[Picture], console: Console
) -> list[Judged]:
    shown = watched(held_out, f"acceptance, {precision.upper()} on {target}", console)
    return judge_pictures(model, shown, job.threshold.threshold, target)


def _built(
    job: Job,
    chosen: Sequence[Picture],
    held_out: Sequence[Picture],
    tried: Sequence[tuple[Attempt, float]],
    trials: Sequence[Trial],
    layered: Sequence[Sequence[Layer]],
    looked: Detail,
    shipped: Sequence[Trial],
    notes: Sequence[str],
) -> Built:
    told = [[*one.judged, *one.drawn] for one in shipped]
    kept = acceptance_pictures(held_out, told, job.threshold.threshold, job.acceptance_pictures)
    pictures = stored(kept, job.student.spec)
    manifest = Manifest(
        product=job.product,
        version=job.version,
        created=_moment(job.created_ns),
        expires=job.expires,
        min_runtime=edge.__version__,
        input=job.student.spec,
        models=tuple(_entry(one, job, kept, list(pictures), (chosen, held_out)) for one in shipped),
        classes=job.student.classes,
        provenance=_provenance(job, chosen),
    )
    report = page(
        Page(
            manifest,
            job.threshold,
            trials,
            shipped,
            notes,
            job.acceptance,
            len(chosen),
            looked,
            job.student.findings,
            layered,
            tried,
        )
    )
    models = {one.file: one.model for one in shipped}
    said = {column(entry): _said(one) for entry, one in zip(manifest.models, shipped, strict=True)}
    return Built(manifest, models, pictures, report, trials, notes, said)


def _said(one: Trial) -> JudgedSet:
    """What a device needs to recompute the evidence; an UNKNOWN passes at no threshold."""
    return JudgedSet(
        [judged.label for judged in one.judged],
        [judged.group for judged in one.judged],
        [math.nan if judged.kind is Kind.UNKNOWN else judged.score for judged in one.judged],
    )


def _entry(
    one: Trial,
    job: Job,
    kept: Sequence[Picture],
    names: Sequence[str],
    sets: tuple[Sequence[Picture], Sequence[Picture]],
) -> ModelEntry:
    """`kept` are the pictures that travel along, under these `names`; `sets` calibrate and are held out."""
    scores = {judged.name: judged.score for judged in (*one.judged, *one.drawn)}
    return ModelEntry(
        file=one.file,
        sha256=sha256(one.model).hexdigest(),
        target=one.target,
        precision=one.precision,
        threshold=job.threshold.threshold,
        evidence=one.evidence,
        proven=one.proven,
        scores={name: scores[picture.name] for picture, name in zip(kept, names, strict=True)},
        tolerance=job.tolerance,
        coverage=coverage_of(one.model, one.target, *sets, job.seed),
    )


def _provenance(job: Job, chosen: Sequence[Picture]) -> dict[str, str]:
    versions = {name: version(name) for name in LIBRARIES}
    return {
        "student_sha256": job.student.sha256,
        "threshold_sha256": job.threshold_sha256,
        "scores_sha256": job.threshold.scores_sha256,
        "calibration_sha256": set_hash(chosen),
        "acceptance_sha256": set_hash(job.acceptance),
        "kenpin": edge.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    } | versions


def _moment(wall_ns: int) -> str:
    moment = datetime.fromtimestamp(wall_ns // SECOND, timezone.utc)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def created_ns(wall_ns: int) -> int:
    """The wall time a bundle states: SOURCE_DATE_EPOCH (seconds) where it is set, for builds that repeat."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return wall_ns
    if not text.isdigit():
        raise ConfigError(f"SOURCE_DATE_EPOCH {text!r}: use whole seconds since 1970")
    return int(text) * SECOND
