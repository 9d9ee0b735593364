"""A GPIO chip: a simulated one of the kernel where KENPIN_GPIO_CHIP names it, else a stand-in beneath gpiod itself.

The stand-in takes the place of gpiod's extension module, so that gpiod's own Python runs on it. It keeps what the
kernel was seen to keep: one owner a line, events numbered by line, the oldest dropped when the buffer is full, a
released output that follows its pull.

    KENPIN_GPIO_CHIP=/dev/gpiochip0         a chip of gpio-sim; its lines 0 and 1 are used
    KENPIN_GPIO_SIM=/sys/devices/platform/gpio-sim.0/gpiochip0     where its pulls are; without it that is looked up
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
import time
import types
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.peers.waiting import eventually, missing

LINES = 8
_DRIVER = Path("/sys/bus/platform/drivers/gpio-sim")


class GpioChip(Protocol):
    """What the tests do to a chip from outside. `path` is its device."""

    path: str

    def pull(self, line: int, level: bool) -> None:
        """Drive an input, or say what an output without owner follows."""
        ...

    def level(self, line: int) -> bool:
        """The pin, before `invert`."""
        ...

    def unplug(self) -> None: ...

    def plug(self) -> None: ...


@contextmanager
def gpio_chip() -> Iterator[GpioChip]:
    """The chip of this machine, or the stand-in."""
    path = os.environ.get("KENPIN_GPIO_CHIP")
    if path:
        chip = SimChip(path)
        for line in (0, 1):
            chip.pull(line, False)
        yield chip
        return
    with stand_in() as standing:
        yield standing


# --- the kernel's simulated chip --------------------------------------------------------------------------------------


class SimChip:
    """A chip of gpio-sim. It is unplugged by taking its device from the driver."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._name = Path(path).name
        told = os.environ.get("KENPIN_GPIO_SIM")
        found = [Path(told)] if told else list(Path("/sys/devices/platform").glob(f"gpio-sim.*/{self._name}"))
        if len(found) != 1 or not (found[0] / "sim_gpio0").exists():
            pytest.fail(f"KENPIN_GPIO_CHIP={path} is no chip of gpio-sim, or KENPIN_GPIO_SIM is missing: {found}")
        self._lines = found[0]
        self._device = found[0].parent.name

    def pull(self, line: int, level: bool) -> None:
        (self._lines / f"sim_gpio{line}" / "pull").write_text("pull-up" if level else "pull-down")
        time.sleep(0.001)  # the kernel's thread merges an edge with the one before that it has not taken yet

    def level(self, line: int) -> bool:
        return (self._lines / f"sim_gpio{line}" / "value").read_text().strip() == "1"

    def unplug(self) -> None:
        with suppress(OSError):  # away already
            (_DRIVER / "unbind").write_text(self._device)

    def plug(self) -> None:
        (_DRIVER / "bind").write_text(self._device)
        eventually(Path(self.path).exists, f"{self.path} is back")


# --- the stand-in -----------------------------------------------------------------------------------------------------


class Pin:
    """A line of the stand-in: its pull from outside, its owner, and the events that wait for that one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pulled = False
        self.owner: StandInRequest | None = None
        self.settings: Any = None
        self.value = False  # what an output drives, before `active_low` is undone
        self.number = 0


class StandInChip:
    """A chip whose kernel is this object. `deaf` stamps no edge, as an interrupt that came twice before it was
    looked at; `refuse` is the error number that the next request meets; `shorted` pins show their pull."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pins = [Pin(f"LINE{number}") for number in range(LINES)]
        self.gone = False
        self.deaf = False
        self.refuse = 0
        self.shorted = False
        self.requests: list[tuple[str | None, int | None, Any]] = []
        self.lock = threading.RLock()

    def pull(self, line: int, level: bool) -> None:
        with self.lock:
            pin = self.pins[line]
            changed = pin.pulled != level
            pin.pulled = level
            owner = pin.owner
            if changed and owner is not None and not self.deaf and pin.settings.edge_detection:
                owner.happened(line, level != pin.settings.active_low)

    def level(self, line: int) -> bool:
        with self.lock:
            pin = self.pins[line]
            driven = pin.owner is not None and pin.settings.direction == _ext().DIRECTION_OUTPUT
            return bool(pin.value != pin.settings.active_low if driven and not self.shorted else pin.pulled)

    def unplug(self) -> None:
        with self.lock:
            self.gone = True
            Path(self.path).unlink(missing_ok=True)
            for pin in self.pins:
                if pin.owner is not None:
                    pin.owner.hang_up()
                pin.owner = None

    def plug(self) -> None:
        Path(self.path).touch()
        self.gone = False


class StandInRequest:
    """Lines with one owner, as gpiod's extension module hands them out."""

    def __init__(self, chip: StandInChip, config: dict[int, Any], kept: int) -> None:
        self._chip = chip
        self._released = False
        self.offsets = list(config)
        self.num_lines = len(config)
        self.chip_name = Path(chip.path).name
        self._events: deque[Any] = deque(maxlen=kept)
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for offset, settings in config.items():
            pin = chip.pins[offset]
            pin.owner, pin.settings, pin.number = self, settings, 0
            pin.value = settings.output_value == _ext().VALUE_ACTIVE

    def happened(self, line: int, rising: bool) -> None:
        from gpiod import EdgeEvent

        pin = self._chip.pins[line]
        pin.number += 1
        kind = _ext().EDGE_EVENT_TYPE_RISING if rising else _ext().EDGE_EVENT_TYPE_FALLING
        at_ns = time.monotonic_ns() + pin.settings.debounce_period * 1_000  # stamped when the debounce ends
        self._events.append(EdgeEvent(kind, at_ns, line, pin.number, pin.number))
        os.eventfd_write(self.fd, 1)

    def hang_up(self) -> None:
        """The chip went: waiting ends, and the next call fails."""
        os.eventfd_write(self.fd, 1)

    def get_values(self, offsets: list[int], values: list[Any]) -> None:
        from gpiod.line import Value

        self._must_be_there()
        for place, offset in enumerate(offsets):
            active = self._chip.level(offset) != self._chip.pins[offset].settings.active_low
            values[place] = Value.ACTIVE if active else Value.INACTIVE

    def set_values(self, values: dict[int, Any]) -> None:
        self._must_be_there()
        with self._chip.lock:
            for offset, value in values.items():
                if self._chip.pins[offset].settings.direction != _ext().DIRECTION_OUTPUT:
                    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
                self._chip.pins[offset].value = bool(value)

    def read_edge_events(self, most: int | None) -> list[Any]:
        with self._chip.lock:
            self._must_be_there()
            count = min(len(self._events), 64 if most is None else most)
            events = [self._events.popleft() for _ in range(count)]
            if not self._events:
                os.eventfd_read(self.fd)
        return events

    def release(self) -> None:
        with self._chip.lock:
            if self._released:
                return
            self._released = True
            for pin in self._chip.pins:
                if pin.owner is self:
                    pin.owner = None
            os.close(self.fd)

    def _must_be_there(self) -> None:
        if self._chip.gone or self._chip.pins[self.offsets[0]].owner is not self:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


class StandInLineConfig:
    def __init__(self) -> None:
        self.lines: dict[int, Any] = {}

    def add_line_settings(self, offsets: list[int], settings: Any) -> None:
        self.lines |= dict.fromkeys(offsets, settings)


def _opener(chip: StandInChip) -> type[Any]:
    """The extension module's Chip, for the one path that there is."""

    class Opened:
        def __init__(self, path: str) -> None:
            if path != chip.path or not Path(path).exists():
                known = Path(path).exists()
                number = errno.ENODEV if known else errno.ENOENT
                raise OSError(number, os.strerror(number))
            self.path = path

        def close(self) -> None: ...

        def get_info(self) -> Any:
            return types.SimpleNamespace(name=Path(self.path).name, label="stand-in", num_lines=LINES)

        def get_line_name(self, offset: int) -> str:
            return chip.pins[offset].name

        def line_offset_from_id(self, name: str) -> int:
            for offset, pin in enumerate(chip.pins):
                if pin.name == name:
                    return offset
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        def request_lines(self, config: StandInLineConfig, consumer: str | None, kept: int | None) -> Any:
            with chip.lock:
                number, chip.refuse = chip.refuse, 0
                if any(chip.pins[offset].owner is not None for offset in config.lines):
                    number = errno.EBUSY
                if number:
                    raise OSError(number, os.strerror(number))
                chip.requests.append((consumer, kept, config.lines))
                return StandInRequest(chip, config.lines, min(kept or 16 * len(config.lines), 1_024))

    return Opened


def _ext() -> Any:
    import gpiod

    return gpiod._ext


@contextmanager
def stand_in() -> Iterator[StandInChip]:
    """gpiod on a stand-in chip until the end of the context."""
    try:
        import gpiod.chip
        import gpiod.line_settings
    except ModuleNotFoundError:
        missing("no gpiod: pip install 'kenpin[gpio]'")
    with tempfile.TemporaryDirectory(prefix="kenpin-gpio-") as folder, pytest.MonkeyPatch.context() as patch:
        chip = StandInChip(str(Path(folder) / "gpiochip0"))
        Path(chip.path).touch()
        real = {name: getattr(gpiod._ext, name) for name in dir(gpiod._ext) if not name.startswith("__")}
        border = types.SimpleNamespace(
            **real | {"Chip": _opener(chip), "LineConfig": StandInLineConfig, "LineSettings": types.SimpleNamespace}
        )
        for module in (gpiod.chip, gpiod.line_settings):
            patch.setattr(module, "_ext", border)
        yield chip
