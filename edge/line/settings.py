"""What a station file says about its line, as the core wants it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.clock import MS
from edge.errors import ConfigError
from edge.line.limits import Bounds
from edge.line.zone import Zone

if TYPE_CHECKING:
    from edge.station import Station


@dataclass(frozen=True, slots=True)
class Settings:
    """What a station file says about its line.

    `permits`: a line permit is driven. `eye_births`: the eye sees the parts come. `child`: Stop ends the process.
    `digest` names the station file, `note` is told while there is no fault. Heartbeats in ns, None for an output
    that is written on change only. A bypass lasts `bypass_max_ns` at most; 0 allows none.
    """

    zone: Zone
    bounds: Bounds
    permits: bool
    shadow: bool = False
    eye_births: bool = False
    child: bool = False
    digest: bytes = bytes(8)
    pid: int = 0
    gate_heartbeat_ns: int | None = None
    permit_heartbeat_ns: int | None = None
    note: str = ""
    bypass_max_ns: int = 0

    @classmethod
    def of(cls, station: Station, child: bool = False, note: str = "") -> Settings:
        """The settings of a station that inspects or shadows. Raises ConfigError for one that has no line."""
        gate, travel = station.gate, station.travel
        if station.station.mode == "collect" or gate is None or travel is None:
            raise ConfigError(f"{station.source} describes no gate to drive: the line needs [travel] and [gate]")
        shadow = station.station.mode == "shadow"
        permit = None if shadow else station.line_permit
        limits = station.limits
        return cls(
            zone=Zone.of(travel, gate),
            bounds=Bounds(
                consecutive_rejects=limits.consecutive_rejects,
                unknown_in_a_row=limits.unknown_in_a_row,
                missed_deadlines=limits.missed_deadlines,
                escapes=gate.rest == "pass",
            ),
            permits=permit is not None,
            shadow=shadow,
            eye_births=station.trigger.kind in ("camera", "presence"),
            child=child,
            digest=station.digest,
            pid=os.getpid(),
            gate_heartbeat_ns=None if shadow else _ns(gate.output.heartbeat_ms),
            permit_heartbeat_ns=None if permit is None else _ns(permit.heartbeat_ms),
            note=note,
            bypass_max_ns=round(limits.bypass_max_min * 60_000 * MS),
        )


def _ns(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds * MS)
