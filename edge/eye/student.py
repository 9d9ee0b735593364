"""A loaded student with all that judging with it takes: the engine, its threshold and the geometry of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge.bundle import Bundle
from edge.capture.appraisal import Look, look_as_seen
from edge.clock import Clock
from edge.coverage import Outside
from edge.errors import ConfigError, EngineError
from edge.eye.new_bundles import go_back, take_up
from edge.infer import TABLE, Engine
from edge.install import open_active
from edge.judge import Decision, judge
from edge.kinds import find
from edge.manifest import ModelEntry
from edge.moved import Moved, moved_for
from edge.options import Engine as EngineOptions
from edge.pixels import STEP, Image, Pixels
from edge.records import Kind, Reason, Scores
from edge.station import Station
from edge.timing import Stamps


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """One product's network, warm. Used by one thread."""

    product: str
    version: int
    entry: ModelEntry  # with the threshold in force, the same for as long as this student is loaded
    moved: Moved | None = field(default=None, kw_only=True)  # who has moved that on this device
    engine: Engine
    pixels: Pixels
    sample: Image  # an acceptance picture for keep-warm runs: uint8 H x W x 3 (BGR)
    learned: tuple[Look, ...]  # the acceptance pictures as the network sees them
    outside: Outside | None  # tells pictures of something else; a bundle may not

    def look(self, image: Image, stamps: Stamps, clock: Clock) -> Scores:
        """The scores of one picture (uint8 H x W x 3 BGR, or H x W). Raises ConfigError, EngineError."""
        self.pixels.to_input(image, self.engine.input)
        stamps.pixels_ns = clock.now_ns()
        scores = self.engine.infer()
        stamps.engine_ns = clock.now_ns()
        return scores

    def judge(self, scores: Scores) -> Decision:
        """The decision at the threshold in force."""
        spec = self.pixels.spec
        return judge(scores, self.entry.threshold, (spec.height // STEP, spec.width // STEP))


Loaded = dict[tuple[str, Moved | None, EngineOptions], Student]


def load(bundle: Bundle, options: EngineOptions, clock: Clock) -> Student:
    """Load the bundle's preferred model for this engine and prove it on an acceptance picture.

    Raises BundleError when the bundle has none, EngineError when it does not load or gives no sound score.
    """
    entry = bundle.manifest.entry(options.kind, options.precision)
    engine: Engine = find(TABLE, options.kind, "engine")(options)
    try:
        engine.load(bundle.model(entry))
        student = replace(_fitted(bundle, entry, engine), moved=moved_for(bundle, entry))
        prove(student, clock)
    except BaseException:
        engine.close()  # another version may be loaded next, and a GPU need not hold both
        raise
    return student


def _fitted(bundle: Bundle, entry: ModelEntry, engine: Engine) -> Student:
    manifest, pictures = bundle.manifest, bundle.acceptance()
    if engine.input.shape != manifest.input.shape():
        raise EngineError(
            f"the model of {manifest.product} takes {engine.input.shape}, its bundle says {manifest.input.shape()}: "
            "compile the bundle again"
        )
    if not pictures:
        raise EngineError(
            f"the bundle of {manifest.product} holds no acceptance picture: compile it again with some"
        )
    pixels = Pixels(manifest.input)
    learned = tuple(look_as_seen(pixels.to_input(picture.image)) for picture in pictures)
    outside = None if entry.coverage is None else entry.coverage.outside()
    return Student(manifest.product, manifest.version, entry, engine, pixels, pictures[0].image, learned, outside)


def students_of(stations: Sequence[Station], clock: Clock) -> list[dict[int, Student]]:
    """Each station's students by recipe number; those that run the same model of the same bundle at the same threshold
    share one. A new bundle that does not load, or that has ended earlier runs out of order, gives way to the one of
    before.

    Raises ConfigError, BundleError, EngineError.
    """
    loaded: Loaded = {}
    for station in stations:
        for product in dict.fromkeys(station.products().values()):
            take_up(station, product, clock)
    return [
        {recipe: _shared(loaded, station, product, clock) for recipe, product in station.products().items()}
        for station in stations
    ]


def _shared(loaded: Loaded, station: Station, product: str, clock: Clock) -> Student:
    bundle = open_active(station, product)
    key = bundle.sha256, bundle.moved, station.engine
    if key not in loaded:
        try:
            loaded[key] = load(bundle, station.engine, clock)
        except EngineError as error:
            if not go_back(station, product, f"does not load: {error}", clock):
                raise
            return _shared(loaded, station, product, clock)
    return loaded[key]


def prove(student: Student, clock: Clock) -> None:
    """One inference on the acceptance picture; also keeps an idle engine warm. Raises EngineError."""
    try:
        scores = student.look(student.sample, Stamps(), clock)
    except ConfigError as error:
        raise EngineError(f"the acceptance picture of {student.product} does not fit its model: {error}") from error
    if student.outside is not None and scores.embedding.shape != student.outside.mean.shape:
        raise EngineError(
            f"the model of {student.product} gives an embedding of {scores.embedding.size}, and its bundle's "
            f"coverage is of {student.outside.mean.size}: compile the bundle again"
        )
    if student.judge(scores) == (Kind.UNKNOWN, Reason.BAD_SCORE):
        raise EngineError(f"the model of {student.product} gives no sound score: install a bundle that does")
