"""What stands on the factory floor: belt, sensors and outputs with their true errors, and the station file."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from edge.clock import MS
from edge.line.axis import EncoderScale
from edge.line.events import INTERLOCK
from edge.line.limits import Bounds
from edge.line.messages import LineState
from edge.line.senses import Interlock, SecondEye, Sensors
from edge.line.settings import Settings
from edge.line.zone import Zone

WAKE_MS = 0.3  # the line process is never later than this unless it is made to stand still
TOLD_MS = 2.0  # the photo-eyes' edges are told within this, beside their error
AIR = "air"
_MEASURED_OVER_MS = 20.0  # the line takes the belt's speed from its travel in so long


@dataclass(frozen=True, slots=True)
class Plant:
    """Times in ms, speed in mm/ms; on a belt with an encoder times are distances at that speed, which is its highest.

    `tight` in [0, 1] is how much of the geometry's slack the true errors use up. `heartbeat` is how often outputs are
    written again, 0 never; their watchdog trips after three without one. `falls`: outputs go to rest when the line
    process dies. `confirms`: a write returns when the device obeyed. `chute`: a sensor sees rejected parts that long
    after the gate, 0 none does. `second_eye` stands `behind` ms before the gate. `camera`: the eye has one, else it
    knows.
    """

    rest_rejects: bool = True
    permits: bool = True
    speed: float = 1.0
    to_gate: float = 200.0
    before: float = 30.0
    lead: float = 10.0
    pulse: float = 40.0
    pitch: float = 60.0
    tolerance: float = 4.0
    write: float = 0.5
    confirms: bool = False
    heartbeat: float = 0.0
    falls: bool = True
    coast: float = 80.0
    tight: float = 0.5
    limits: int = 0
    bypass_max: float = 0.0
    lengths: bool = False
    motor: bool = False
    air: bool = False
    chute: float = 0.0
    second_eye: bool = False
    behind: float = 0.0
    camera: bool = False
    encoder: bool = False
    per_mm: float = 10.0
    bits: int = 32
    poll: float = 10.0
    stale: float = 100.0
    reverse: float = 10.0
    dead_after: float = 400.0

    # --- what is true ---

    @property
    def slack(self) -> float:
        """How far the truth may lie from the plan so that a part's middle is served at its own level, in ms.

        Neighbours two thirds of a pitch away may claim all of a slot but this around its middle.
        """
        claimed = max(0.0, self.pulse - self.pitch * 2 / 3)
        counts = 4 / (self.per_mm * self.speed) if self.encoder else 0.0
        return self.pulse / 2 - claimed - WAKE_MS - self.write - counts

    @property
    def birth_error(self) -> float:
        """By how much the photo-eye's times are off; a neighbour's count as well."""
        return self.tight * self.slack * 0.15

    @property
    def speed_error(self) -> float:
        """By how much the belt is faster, or the encoder's wheel larger, than the station file believes, as a share."""
        return self.tight * self.slack * (0.1 if self.encoder else 0.25) / (self.to_gate + self.pulse)

    @property
    def lag_error(self) -> float:
        """By how much valve and stroke differ from the stated lead."""
        return min(self.lead, self.tight * self.slack * 0.2)

    @property
    def length_error(self) -> float:
        """By how much parts are longer or shorter than the pulse."""
        return self.tight * self.slack * 0.3

    @property
    def jerk_error(self) -> float:
        """What a change of speed may cost a line that looks ahead by the last speed that it measured."""
        return self.tight * self.slack * 0.15

    @property
    def run_up(self) -> float:
        """How long the belt takes to its full speed: what this costs a timed belt must fit into the purge."""
        if not self.encoder:
            return self.tight * (self.pulse / 2 + self.lead - self.slack * 0.6)
        ahead = self.poll + 1 + self.lead
        return (_MEASURED_OVER_MS / 2 + self.poll + self.lead / 2) * ahead / self.jerk_error

    @property
    def run_down(self) -> float:
        """How long the belt takes to a stand."""
        return self.run_up if self.encoder else self.coast

    @property
    def ramp_steps(self) -> int:
        """In how many steps the speed changes between nothing and all."""
        return ceil((self.poll + 1 + self.lead) / self.jerk_error) if self.encoder else 4

    @property
    def slack_mm(self) -> float:
        return self.slack * self.speed

    @property
    def touching_mm(self) -> float:
        """Fronts that are nearer than this may look to the line as if parts touched."""
        return self.speed * (self.pitch * 2 / 3 + 3 * self.birth_error) + 4 / self.per_mm

    @property
    def slip_mm(self) -> float:
        """By so much the encoder may fall behind the belt: the second eye makes up for it."""
        return self.speed * self.pitch / 4

    @property
    def gate_mm(self) -> float:
        """Where the gate stands, behind the photo-eye."""
        return self.speed * self.to_gate

    @property
    def second_mm(self) -> float:
        """Where the second eye stands."""
        return self.speed * (self.to_gate - self.behind)

    @property
    def near_mm(self) -> float:
        """An item whose front is here will be served next: the line may act for it from now on."""
        ahead = self.lead + self.lag_error + 2 * WAKE_MS + self.write
        return self.gate_mm - self.speed * (ahead + self.slack)

    @property
    def transit_ms(self) -> float:
        return self.to_gate + self.pulse

    @property
    def watchdog_ns(self) -> int:
        """After so long without a write the outputs go to rest by themselves; 0 never."""
        return round(3 * self.heartbeat * MS)

    # --- what the station file says ---

    def settings(self) -> Settings:
        """The same as the line process reads it from its station file."""
        beat_ns = round(self.heartbeat * MS) or None
        return Settings(
            self._zone(),
            Bounds(4 * self.limits, self.limits, self.limits, not self.rest_rejects, int(self.chute > 0)),
            permits=self.permits,
            gate_heartbeat_ns=beat_ns,
            permit_heartbeat_ns=beat_ns if self.permits else None,
            bypass_max_ns=round(self.bypass_max * MS),
            encoder=self._scale() if self.encoder else None,
            sensors=self._sensors(),
            confirm=self._confirm(),
        )

    def places(self, ms: float) -> int:
        """A time or distance in units of the line's axis."""
        return round(ms * self.speed * self.per_mm) if self.encoder else round(ms * MS)

    def _zone(self) -> Zone:
        per_ms = self.speed * self.per_mm
        return Zone(
            trigger_to_gate=self.places(self.to_gate),
            decide_before=self.places(self.before),
            lead=0 if self.encoder else self.places(self.lead),
            pulse=self.places(self.pulse),
            pitch=self.places(self.pitch),
            tolerance=self.places(self.tolerance),
            rest_rejects=self.rest_rejects,
            valve=round(10 * per_ms) if self.encoder else 10 * MS,
            margin=round(self.lead * per_ms) if self.encoder else 0,
        )

    def _scale(self) -> EncoderScale:
        return EncoderScale(
            bits=self.bits,
            max_per_s=round(self.speed * self.per_mm * 1_020),
            lead_ns=round(self.lead * MS),
            reverse=self.places(self.reverse),
            stale_ns=round(self.stale * MS),
        )

    def _sensors(self) -> Sensors:
        second = None
        if self.second_eye:
            second = SecondEye(
                self.places(self.to_gate - self.behind), self.places(self.pitch / 2), self.places(self.pitch / 4)
            )
        # that a part has left is told a little later, and a belt that slows down is taken to be further than it is
        error = self.length_error + 3 * self.birth_error + TOLD_MS + 1
        error += 2 * self.jerk_error if self.encoder else 0.0
        return Sensors(
            length_min=self.places(self.pulse - error) if self.lengths else 0,
            length_max=self.places(self.pulse + error) if self.lengths else 0,
            second_eye=second,
            interlocks=(Interlock(AIR, True, LineState.HELD),) if self.air else (),
            motor=self.motor,
            dead_ns=round(self.dead_after * MS) if self.encoder and self.motor else 0,
        )

    def _confirm(self) -> tuple[int, int] | None:
        if not self.chute:
            return None
        return round((self.lead + self.pulse / 2 + self.chute) * MS), round((self.slack + self.tolerance + 2) * MS)


INTERLOCK_AIR = INTERLOCK + AIR
