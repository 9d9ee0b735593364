"""The belt between trigger and gate: where a part must be decided and where the gate serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.clock import MS

if TYPE_CHECKING:
    from edge.station import Gate
    from edge.travel import EncoderTravel, TimeTravel

_VALVE_MS = 10  # no valve follows faster


@dataclass(frozen=True, slots=True)
class Zone:
    """Travel and gate in units of the line's axis: nanoseconds, or counts. `rest_rejects`: the gate rejects when nobody
    drives it.

    A part born at b is at the gate at b + trigger_to_gate; its slot begins `lead` earlier and lasts `pulse`. The gate
    does not leave a level for less than `valve`. `margin` is what a purge must travel beyond the gate.
    """

    trigger_to_gate: int
    decide_before: int
    lead: int
    pulse: int
    pitch: int
    tolerance: int
    rest_rejects: bool
    valve: int = _VALVE_MS * MS
    margin: int = 0

    @classmethod
    def of(cls, travel: TimeTravel | EncoderTravel, gate: Gate) -> Zone:
        """The zone that the sections [travel] and [gate] of a checked station describe."""
        if travel.mode == "encoder":
            return cls._in_counts(travel, gate)
        assert gate.pulse_ms is not None
        return cls(
            trigger_to_gate=round(travel.trigger_to_gate_ms * MS),
            decide_before=round(travel.decide_before_ms * MS),
            lead=round(travel.lead_ms * MS),
            pulse=round(gate.pulse_ms * MS),
            pitch=round(travel.pitch_ms * MS),
            tolerance=round(gate.late_tolerance_ms * MS),
            rest_rejects=gate.rest == "reject",
        )

    @classmethod
    def _in_counts(cls, travel: EncoderTravel, gate: Gate) -> Zone:
        """The lead is a time, so it is not in the zone: the axis looks ahead by it."""
        assert gate.pulse_counts is not None and gate.late_tolerance_counts is not None
        per_ms = travel.max_counts_per_s / 1_000
        return cls(
            trigger_to_gate=travel.trigger_to_gate_counts,
            decide_before=travel.decide_before_counts,
            lead=0,
            pulse=gate.pulse_counts,
            pitch=travel.pitch_counts,
            tolerance=gate.late_tolerance_counts,
            rest_rejects=gate.rest == "reject",
            valve=round(_VALVE_MS * per_ms),
            margin=round(travel.lead_ms * per_ms),
        )

    def gate(self, born: int) -> int:
        return born + self.trigger_to_gate

    def deadline(self, born: int) -> int:
        return self.gate(born) - self.decide_before

    def slot_start(self, born: int) -> int:
        return self.gate(born) - self.lead

    @property
    def transit(self) -> int:
        """After this way whatever was in the zone has left it."""
        return self.trigger_to_gate + self.pulse + self.margin

    @property
    def touching(self) -> int:
        """Parts born nearer than this are touching, or one of them is a bounce.

        Two thirds of the pitch, because then what two rejected neighbours leave of a part's slot is at least a
        third of the pulse and always holds the slot's middle (`gap` stays below it).
        """
        return self.pitch * 2 // 3

    @property
    def gap(self) -> int:
        """The gate does not leave a level for less than this: no valve could follow."""
        return min(self.valve, self.pulse // 4)
