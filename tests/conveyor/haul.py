"""What moves the belt: the line permit, the plant's own commands, and a motor that takes its time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from edge.clock import MS
from edge.line.events import MOTOR, EdgeSeen, Event, InputBack
from edge.records import Edge, TimeSource
from tests.conveyor.actuator import Time
from tests.conveyor.belt import Belt
from tests.conveyor.plant import Plant

_TOLD_NS = 3 * MS


class Haul:
    """The belt runs at `share` of its speed while the permit is on, and follows each change by its ramp.

    `changes` is called when the motor begins to change what the belt does. `tell` takes the motor's input.
    """

    def __init__(
        self,
        time: Time,
        belt: Belt,
        plant: Plant,
        changes: Callable[[], None],
        tell: Callable[[Event], None],
        dice: Random,
    ) -> None:
        self._time = time
        self._belt = belt
        self._plant = plant
        self._changes = changes
        self._tell = tell
        self._dice = dice
        self._permitted = not plant.permits
        self._wanted = 1.0
        self._share = 0.0
        self._ramp = 0
        self._error = 0.0
        self._told_ns = 0
        self.drift()
        if self._permitted:
            self._share = 1.0
            self._run()

    @property
    def target(self) -> float:
        return self._wanted if self._permitted else 0.0

    def drift(self) -> None:
        """The true speed is another one within its error."""
        if not self._plant.encoder:
            self._error = self._dice.uniform(-1, 1) * self._plant.speed_error
            self._run()

    def permit(self, on: bool) -> None:
        """The line permit changed."""
        self._command(on, self._wanted)

    def want(self, share: float) -> None:
        """The plant's own control wants this share of the speed; a negative one reverses."""
        self._command(self._permitted, share)

    def _command(self, permitted: bool, wanted: float) -> None:
        before = self.target
        self._permitted, self._wanted = permitted, wanted
        target = self.target
        if target == before:
            return
        self._changes()
        if (before == 0) is not (target == 0):
            self._tell_motor(target != 0)
        self._ramp += 1
        change = target - self._share
        whole_ms = (self._plant.run_up if target else self._plant.run_down) * min(1.0, abs(change))
        steps = max(1, round(self._plant.ramp_steps * min(1.0, abs(change))))
        for step in range(1, steps + 1):
            share = self._share + change * step / steps
            self._time.at(
                self._time.now_ns + round(whole_ms * MS * step / steps), self._ramp_step, self._ramp, share
            )

    def step(self, share: float) -> None:
        """The plant's control drives the belt by hand, without a ramp."""
        if self._permitted:
            self._wanted = share
            self._ramp += 1
            self._share = share
            self._run()

    def _ramp_step(self, ramp: int, share: float) -> None:
        if ramp == self._ramp:
            self._share = share
            self._run()

    def _run(self) -> None:
        self._belt.run(self._plant.speed * (1 + self._error) * self._share, self._time.now_ns)

    # --- its input ---

    def _tell_motor(self, runs: bool) -> None:
        if self._plant.motor:
            now_ns = self._time.now_ns
            self._told_ns = max(self._told_ns + 1, now_ns + self._dice.randint(0, _TOLD_NS))
            edge = Edge(runs, now_ns, 0, TimeSource.POLL, 0)
            self._time.at(self._told_ns, self._tell, EdgeSeen(edge, MOTOR))

    def open(self) -> None:
        """The line's process reads the input from now on."""
        self._told_ns = max(self._told_ns + 1, self._time.now_ns)
        self._time.at(self._told_ns, self._open)

    def _open(self) -> None:
        self._tell(InputBack(MOTOR, self.target != 0))
