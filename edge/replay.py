"""Judges recorded parts again by another bundle or engine, as the eye would, from files alone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import isnan, nan
from pathlib import Path

from pydantic import TypeAdapter

from edge import moved
from edge.bundle import Bundle, load_keys, read_bundle
from edge.changed_verdicts import Compared, Replayed
from edge.clock import Clock
from edge.errors import ConfigError
from edge.eye.student import Student, load
from edge.install import moved_of, open_active
from edge.judge import worst
from edge.options import Engine as EngineOptions
from edge.picture_set import read_image
from edge.pixels import Image
from edge.recorded import Recorded, Said, read
from edge.station import Station
from edge.timing import Stamps

log = logging.getLogger(__name__)

# Passes the parts on one by one, and may show how many are left.
Follow = Callable[[Sequence[Recorded]], Iterable[Recorded]]
_Model = tuple[Bundle, EngineOptions]


def engine_of(station: Station, kind: str | None, precision: str | None) -> EngineOptions:
    """The station's engine, or another kind with as many threads; of another precision where one is given."""
    own = station.engine
    if kind in (None, own.kind):
        return own.model_copy(update={"precision": precision}) if precision else own
    values = {"kind": kind, "precision": precision, "threads": own.threads}
    other: EngineOptions = TypeAdapter(EngineOptions).validate_python(values)
    return other


def open_other(path: Path, station: Station, clock: Clock) -> Bundle:
    """A bundle that need not be installed, verified as by `edge install`, with the threshold that it would have here.

    Raises BundleError.
    """
    bundle = read_bundle(path, load_keys(station.station.keys_dir))
    manifest = bundle.manifest
    if manifest.has_expired(clock.wall_ns()):
        log.warning("%s expired at %s: `edge install` would refuse it", path, manifest.expires)
    return moved.in_force(bundle, moved_of(station, manifest.product, manifest.version))


def replay(
    folder: Path, station: Station, bundle: Bundle, engine: EngineOptions, clock: Clock, follow: Follow
) -> Replayed:
    """Judge what `folder` holds (see `edge.recorded`) by this bundle and engine. Blocks for all pictures.

    It is compared with what the journal recorded; where that tells nothing, with what the station's active bundle says.
    That is asked of all, since a kept picture (JPEG) is not quite the one that was judged. Raises ConfigError where
    there is nothing to compare, or no picture can be judged; BundleError, EngineError, JournalError.
    """
    product = bundle.manifest.product
    active = open_active(station, product), station.engine
    is_active = _network(active) == _network((bundle, engine))
    parts, left_out = _of_product(read(folder), station, product)
    if is_active:
        on_record = [part for part in parts if part.said is not None]
        left_out["of which no verdict of a network is on record"] += len(parts) - len(on_record)
        parts = on_record
    left_out = +left_out
    if not parts:
        listed = "; ".join(f"{count} {why}" for why, count in left_out.items())
        raise ConfigError(
            f"there is nothing to compare in {folder} ({listed}): judge by another --bundle, --engine or --precision"
        )
    with ExitStack() as stack:
        after = stack.enter_context(_loaded((bundle, engine), clock))
        before = after if is_active else stack.enter_context(_loaded(active, clock))
        compared, unread = _judged(follow(parts), before, after, clock)
    if not compared:
        raise ConfigError(f"no picture of {folder} can be judged: {next(iter(unread.values()))}")
    return Replayed(_name(after), _name(before), compared, unread, left_out)


def _of_product(parts: Sequence[Recorded], station: Station, product: str) -> tuple[list[Recorded], Counter[str]]:
    """The parts that this product's bundle may be asked about; how many it may not, by the reason."""
    products, left_out = station.products(), Counter[str]()
    found = []
    for part in parts:
        if part.recipe is not None and products.get(part.recipe, product) != product:
            left_out["of another product"] += 1
        elif part.said is not None and len(part.views) < len(station.camera):
            left_out[f"without a picture of each of the {len(station.camera)} cameras"] += 1
        else:
            found.append(part)
    return found, left_out


def _network(model: _Model) -> tuple[object, ...]:
    """Equal for what gives equal scores and verdicts."""
    bundle, engine = model
    entry = bundle.manifest.entry(engine.kind, engine.precision)
    return engine.kind, entry.sha256, entry.threshold, bundle.manifest.input


def _name(student: Student) -> str:
    entry = student.entry
    return f"{student.product} version {student.version}, {entry.target} {entry.precision}"


@contextmanager
def _loaded(model: _Model, clock: Clock) -> Iterator[Student]:
    student = load(*model, clock)
    try:
        yield student
    finally:
        student.engine.close()


def _judged(
    parts: Iterable[Recorded], before: Student, after: Student, clock: Clock
) -> tuple[list[Compared], dict[str, str]]:
    """Each part by both networks; and by name, why one could not be judged."""
    compared, unread = [], {}
    for part in parts:
        try:
            images = [read_image(path) for path in part.views]
            active = _say(before, images, clock)
            said = active if after is before else _say(after, images, clock)
        except ConfigError as error:
            unread[part.name] = str(error)
        else:
            compared.append(Compared(part.name, part.label, part.said, active, said))
    return compared, unread


def _say(student: Student, images: Sequence[Image], clock: Clock) -> Said:
    """What a network says of all views of a part. Raises ConfigError for a picture that does not fit; EngineError."""
    decisions, highest = [], nan
    for image in images:
        scores = student.look(image, Stamps(), clock)
        decisions.append(student.judge(scores))
        highest = scores.score if isnan(highest) else max(highest, scores.score)
    return Said(worst(decisions)[0], highest, student.entry.threshold, student.entry.sha256)
