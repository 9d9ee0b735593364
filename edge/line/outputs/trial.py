"""Brings a station's outputs to rest and reads them back, to see whether they answer; fires nothing."""

from __future__ import annotations

from collections.abc import Iterator

from edge.clock import Clock
from edge.errors import OutputError
from edge.kinds import find
from edge.line.outputs import TABLE, Output
from edge.station import Station


def read_back(station: Station, clock: Clock) -> Iterator[tuple[str, OutputError | None]]:
    """For gate and line permit: what it answered, and the error if it did not."""
    assert station.gate is not None
    for name, options in (("gate", station.gate.output), ("line_permit", station.line_permit)):
        if options is None:
            continue
        output: Output = find(TABLE, options.kind, name)(options, clock)
        try:
            output.arm()
            yield f"{name}: {options.kind} answers and stands at rest", None
        except OutputError as error:
            yield f"{name}: {error}", error
        finally:
            output.close()
