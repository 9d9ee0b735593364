"""[travel] of station.toml: how far it is from trigger to gate, in time or in counts of an encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.section import Milliseconds, Options

Counts = Annotated[int, Field(ge=1, le=1_000_000_000)]


class TimeTravel(Options):
    """[travel] of a belt of constant speed. The verdict must exist `decide_before_ms` before the part is at the gate;
    the gate is written `lead_ms` before it, for valve and wire; parts are at least `pitch_ms` apart. A part that the
    trigger sees for longer than `length_max_ms` or shorter than `length_min_ms` is rejected (0: any length)."""

    mode: Literal["time"] = "time"
    trigger_to_gate_ms: Milliseconds
    decide_before_ms: Milliseconds
    lead_ms: float = Field(default=0.0, ge=0)
    pitch_ms: Milliseconds
    length_min_ms: float = Field(default=0.0, ge=0)
    length_max_ms: float = Field(default=0.0, ge=0)

    @property
    def shortest_pitch_ms(self) -> float:
        return self.pitch_ms

    @property
    def longest_transit_ms(self) -> float:
        return self.trigger_to_gate_ms


class EncoderTravel(Options):
    """[travel] of a belt that may stop, jog and change its speed: the same in counts of the [encoder], of which there
    are `max_counts_per_s` at the belt's highest speed. The lead stays a time: the line looks that far ahead."""

    mode: Literal["encoder"]
    trigger_to_gate_counts: Counts
    decide_before_counts: Counts
    lead_ms: float = Field(default=0.0, ge=0)
    pitch_counts: Counts
    max_counts_per_s: int = Field(ge=10, le=10_000_000)
    length_min_counts: int = Field(default=0, ge=0)
    length_max_counts: int = Field(default=0, ge=0)

    def in_ms(self, counts: float) -> float:
        """How long these counts take at the highest speed."""
        return counts * 1_000 / self.max_counts_per_s

    @property
    def shortest_pitch_ms(self) -> float:
        """At the highest speed."""
        return self.in_ms(self.pitch_counts)

    @property
    def longest_transit_ms(self) -> float:
        """At a twentieth of the highest speed; a belt that is slower is taken to stand."""
        return 20 * self.in_ms(self.trigger_to_gate_counts)


Travel = Annotated[TimeTravel | EncoderTravel, Field(discriminator="mode")]
