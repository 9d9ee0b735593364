"""What oracle and devices know in common of the factory floor: time, belt, devices, and what made the zone unknown."""

from __future__ import annotations

from typing import Protocol

from tests.conveyor.actuator import Coil, Spans, Valve
from tests.conveyor.belt import Belt
from tests.conveyor.encoder import Encoder
from tests.conveyor.item import Item
from tests.conveyor.line_process import LineProcess
from tests.conveyor.photo_eye import PhotoEye
from tests.conveyor.plant import Plant


class Floor(Protocol):
    """`unsure_mm` is where the belt was when something last made the zone between trigger and gate unknown, and
    `unsure_ns` when. `disturbed_ns` is when a belt that nobody measures last changed what it does, `withdrawn_ns` when
    the line last heard of something for which it takes back what it promised."""

    now_ns: int
    plant: Plant
    belt: Belt
    valve: Valve
    gate: Coil
    permit: Coil
    line: LineProcess
    encoder: Encoder
    photo_eye: PhotoEye
    items: list[Item]
    on_belt: list[Item]
    unsure_mm: float
    unsure_ns: int
    disturbed_ns: int
    withdrawn_ns: int
    stuck: Spans

    def mm(self) -> float:
        """Where the belt is now."""
        ...

    def unsure(self) -> None:
        """Something unseen may lie between trigger and gate from now on."""
        ...

    def withdraw(self) -> None:
        """The same, and the line takes back what it promised."""
        ...

    def after(self, ms: float, happens: object, *values: object) -> None:
        """Let this happen so much later."""
        ...
