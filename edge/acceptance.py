"""Accepts a bundle on this device: its engine must give the bundle's pictures the scores that they had on the host."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge.bundle import AcceptancePicture, Bundle
from edge.clock import MS, Clock
from edge.errors import BundleError, ConfigError, EngineError
from edge.infer import TABLE, Engine
from edge.judge import has_clear_margin, judge
from edge.kinds import find
from edge.manifest import ModelEntry
from edge.options import Engine as EngineOptions
from edge.picture_set import GOOD
from edge.pixels import STEP, Pixels
from edge.records import Kind, Reason

RUNS = 20  # at least, for the median time
NEAR = 0.5  # log-odds between a stated score and the threshold, up to which another verdict is borne


@dataclass(frozen=True, slots=True)
class Answer:
    """What this device says of one acceptance picture; `stated` is its score on the host, None where the bundle does
    not say."""

    name: str
    label: str
    stated: float | None
    score: float
    kind: Kind
    reason: Reason


@dataclass(frozen=True, slots=True)
class Accepted:
    """How a bundle's preferred model for this station's engine did: the largest difference of a score (None where the
    bundle states none), the median inference in ms, and the pictures near the threshold whose verdict changed."""

    precision: str
    pictures: int
    difference: float | None
    ms: float
    changed: tuple[str, ...]

    def sentence(self) -> str:
        """For people."""
        changed = f"; another verdict, near the threshold: {', '.join(self.changed)}" if self.changed else ""
        known = (
            "the bundle states no scores to compare"
            if self.difference is None
            else f"scores within {self.difference:.4f} of the host's"
        )
        return (
            f"accepted on this device: {self.precision.upper()}, {self.pictures} pictures, {known}, "
            f"{self.ms:.1f} ms{changed}"
        )


def accept(bundle: Bundle, options: EngineOptions, clock: Clock) -> Accepted:
    """Judge the bundle's pictures with the model that a station with this engine would run. Blocks for seconds.

    Raises BundleError that says what this device computes otherwise, or that it is too slow for `max_ms`; ConfigError
    where the engine's library is missing.
    """
    manifest = bundle.manifest
    entry = manifest.entry(options.kind, options.precision)
    pictures = bundle.acceptance()
    if not pictures:
        raise BundleError(f"{bundle.path} holds no acceptance picture: compile it again with some")
    engine: Engine = find(TABLE, options.kind, "engine")(options)
    try:
        engine.prepare(bundle.model(entry))
        engine.load(bundle.model(entry))
        if engine.spec != manifest.input:
            raise EngineError("the model's input is not the one of the manifest")
        answers, ms = _answers(engine, entry, pictures, clock)
    except (EngineError, ConfigError) as error:
        raise BundleError(
            f"{bundle.path} does not run on this device ({error}); compile it again, or choose another [engine]"
        ) from error
    finally:
        engine.close()
    refused = refusals(answers, entry) + too_slow(ms, options.max_ms)
    if refused:
        raise BundleError(
            f"{bundle.path} is not accepted on this device: {'; '.join(refused)}; nothing was changed. Compile it "
            "for this kind of device, or choose another [engine] or precision"
        )
    differences = [abs(one.score - one.stated) for one in answers if one.stated is not None]
    return Accepted(entry.precision, len(answers), max(differences, default=None), ms, changed(answers, entry))


def _answers(
    engine: Engine, entry: ModelEntry, pictures: Sequence[AcceptancePicture], clock: Clock
) -> tuple[list[Answer], float]:
    """What the engine says of every picture, and its median time in ms."""
    pixels, shape = Pixels(engine.spec), (engine.spec.height // STEP, engine.spec.width // STEP)
    answers, times = [], []
    for turn in range(max(RUNS, len(pictures))):
        picture = pictures[turn % len(pictures)]
        pixels.to_input(picture.image, engine.input)
        began_ns = clock.now_ns()
        scores = engine.infer()
        times.append(clock.now_ns() - began_ns)
        if turn < len(pictures):
            decision = judge(scores, entry.threshold, shape)
            stated: Mapping[str, float] = entry.scores
            answers.append(Answer(picture.name, picture.label, stated.get(picture.name), scores.score, *decision))
    return answers, float(np.median(times)) / MS


def refusals(answers: Sequence[Answer], entry: ModelEntry) -> list[str]:
    """Why a model with these answers must not run here: none where it may.

    Every score must be sound and within the bundle's tolerance of the stated one; no defect may pass, unless its stated
    score is near the threshold and has no clear margin.
    """
    found = []
    for one in answers:
        if one.kind is Kind.UNKNOWN:
            found.append(f"{one.name} gets no sound score ({one.score:g})")
        elif one.stated is not None and abs(one.score - one.stated) > entry.tolerance:
            found.append(
                f"{one.name} scores {one.score:.4f}, the bundle states {one.stated:.4f} +- {entry.tolerance:g}"
            )
        elif _is_lost(one, entry.threshold):
            found.append(f"the defect of {one.name} passes with {one.score:.4f}")
    return found


def _is_lost(one: Answer, threshold: float) -> bool:
    if one.label == GOOD or one.kind is not Kind.PASS:
        return False
    if one.stated is not None and one.stated < threshold:
        return False  # the host passes it too, and the evidence counts it as missed
    return one.stated is None or has_clear_margin(one.stated, threshold) or not _is_near(one.stated, threshold)


def _is_near(score: float, threshold: float) -> bool:
    """By log-odds: where a threshold lies near 0, a score of twice as much is not near."""
    return abs(_log_odds(score) - _log_odds(threshold)) <= NEAR


def _log_odds(score: float) -> float:
    kept = min(1 - 1e-9, max(1e-9, score))
    return math.log(kept / (1 - kept))


def too_slow(ms: float, max_ms: float | None) -> list[str]:
    """The words against a model that takes longer than the station bears; none where it does not."""
    if max_ms is None or ms <= max_ms:
        return []
    return [f"an inference takes {ms:.1f} ms, engine.max_ms allows {max_ms:g}"]


def changed(answers: Sequence[Answer], entry: ModelEntry) -> tuple[str, ...]:
    """The pictures whose verdict is another one than on the host, near enough to the threshold to be borne."""
    host = [(one.stated >= entry.threshold) if one.stated is not None else one.label != GOOD for one in answers]
    return tuple(
        one.name for one, rejected in zip(answers, host, strict=True) if (one.kind is Kind.REJECT) is not rejected
    )
