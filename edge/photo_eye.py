"""The line's inputs without the line: the photo-eye of a recording, and any of them to be tried by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

from edge.clock import Clock
from edge.kinds import find
from edge.line.events import CONFIRM, ENCODER, MOTOR, SECOND_EYE, TRIGGER, Counted, EdgeSeen, Event, InputLost
from edge.line.inputs import ENCODERS, TABLE, Input, Position
from edge.line.watch import Counts, Edges, Watch
from edge.options import Encoder, LineInput
from edge.records import Edge
from edge.station import Station

if TYPE_CHECKING:
    from edge.eye.collect import PhotoEye


def photo_eye_of(station: Station, clock: Clock) -> PhotoEye | None:
    """The station's trigger as a context that tells its edges, as `watching`; None where the trigger is a camera."""
    chosen = inputs_of(station).get(TRIGGER)
    return None if chosen is None else partial(watching, device_of(chosen, clock))


def inputs_of(station: Station) -> dict[str, LineInput]:
    """The line's digital inputs by their names."""
    found: dict[str, LineInput] = {}
    if station.trigger.kind in TABLE:
        found[TRIGGER] = cast(LineInput, station.trigger)
    for name in (SECOND_EYE, CONFIRM, MOTOR):
        section = getattr(station, name)
        if section is not None:
            found[name] = section.input
    return found | {each.name: each.input for each in station.interlock}


def device_of(chosen: LineInput, clock: Clock) -> Input:
    """The device of these options, not yet opened. Raises ConfigError for a missing library."""
    device: Input = find(TABLE, chosen.kind, "input")(chosen, clock)
    return device


@contextmanager
def watching(device: Input, came: Callable[[Edge], None], state: Callable[[str], None]) -> Iterator[None]:
    """Tell each edge to `came` while the context lasts, and to `state` why there are none ("": there are again).

    Both are called by the input's own thread. An input that is lost is opened again, for ever.
    """

    def tell(event: Event) -> None:
        if isinstance(event, EdgeSeen):
            came(event.edge)
        else:
            state(event.words if isinstance(event, InputLost) else "")

    with _running(Watch(Edges(device, TRIGGER), TRIGGER, tell)):
        yield


@contextmanager
def counting(
    encoder: Encoder, clock: Clock, came: Callable[[Counted], None], state: Callable[[str], None]
) -> Iterator[None]:
    """Tell each sample of the belt's encoder to `came` while the context lasts; `state` and threads as `watching`."""
    device: Position = find(ENCODERS, encoder.kind, "encoder")(encoder, clock)

    def tell(event: Event) -> None:
        if isinstance(event, Counted):
            came(event)
        else:
            state(event.words if isinstance(event, InputLost) else "")

    with _running(Watch(Counts(device, encoder.poll_ms, clock), ENCODER, tell)):
        yield


@contextmanager
def _running(watch: Watch) -> Iterator[None]:
    watch.start()
    try:
        yield
    finally:
        watch.stop()
