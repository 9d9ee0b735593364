"""The belt between trigger and gate as times: when a part must be decided and when the gate serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.clock import MS

if TYPE_CHECKING:
    from edge.station import Gate, Travel


@dataclass(frozen=True, slots=True)
class Zone:
    """Travel and gate in nanoseconds. `rest_rejects`: the gate rejects when nobody drives it.

    A part born at b is at the gate at b + trigger_to_gate; its slot begins `lead` earlier and lasts `pulse`.
    """

    trigger_to_gate_ns: int
    decide_before_ns: int
    lead_ns: int
    pulse_ns: int
    pitch_ns: int
    tolerance_ns: int
    rest_rejects: bool

    @classmethod
    def of(cls, travel: Travel, gate: Gate) -> Zone:
        """The zone that the sections [travel] and [gate] of a checked station describe."""
        return cls(
            trigger_to_gate_ns=round(travel.trigger_to_gate_ms * MS),
            decide_before_ns=round(travel.decide_before_ms * MS),
            lead_ns=round(travel.lead_ms * MS),
            pulse_ns=round(gate.pulse_ms * MS),
            pitch_ns=round(travel.pitch_ms * MS),
            tolerance_ns=round(gate.late_tolerance_ms * MS),
            rest_rejects=gate.rest == "reject",
        )

    def gate_ns(self, born_ns: int) -> int:
        return born_ns + self.trigger_to_gate_ns

    def deadline_ns(self, born_ns: int) -> int:
        return self.gate_ns(born_ns) - self.decide_before_ns

    def slot_start_ns(self, born_ns: int) -> int:
        return self.gate_ns(born_ns) - self.lead_ns

    @property
    def transit_ns(self) -> int:
        """After this long whatever was in the zone has left it."""
        return self.trigger_to_gate_ns + self.pulse_ns

    @property
    def touching_ns(self) -> int:
        """Parts born nearer than this are touching, or one of them is a bounce.

        Two thirds of the pitch, because then what two rejected neighbours leave of a part's slot is at least a
        third of the pulse and always holds the slot's middle (`gap_ns` stays below it).
        """
        return self.pitch_ns * 2 // 3

    @property
    def gap_ns(self) -> int:
        """The gate does not leave a level for less than this: no valve could follow."""
        return min(10 * MS, self.pulse_ns // 4)
