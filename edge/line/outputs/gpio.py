"""A GPIO line as an output: quick, read back after each change, and left to its driver when we die."""

from __future__ import annotations

from edge import options
from edge.clock import MS, Clock
from edge.errors import OutputError
from edge.line.gpio_line import Line, drive
from edge.line.outputs.level import LevelOutput

_SETTLES_NS = MS  # a pad may rise more slowly than the kernel answers


class GpioWire:
    """The line's levels are after `invert`, so that gpioinfo shows what is meant. No opening moves it from rest."""

    def __init__(self, options: options.GpioOutput, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._line: Line | None = None

    def connect(self) -> None:
        self._line = drive(self._options, OutputError)

    def put(self, level: bool) -> int:
        """Set the line and read it back; returns when it stood so, CLOCK_MONOTONIC ns. Raises OutputError."""
        line = self._opened()
        try:
            line.drive(level)
            shown = self._settled(line, level)
        except OSError as error:
            raise self._lost(error) from error
        if not shown:
            raise OutputError(
                f"{self._name()} was set to {int(level)} but shows {int(not level)}: look for a short circuit or a "
                f"device that drives against it"
            )
        return self._clock.now_ns()

    def get(self) -> bool | None:
        try:
            return self._opened().level()
        except OSError as error:
            raise self._lost(error) from error

    def drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.release()

    def _settled(self, line: Line, level: bool) -> bool:
        until_ns = self._clock.now_ns() + _SETTLES_NS
        while line.level() is not level:
            if self._clock.now_ns() > until_ns:
                return False
        return True

    def _opened(self) -> Line:
        if self._line is None:
            raise OutputError(f"{self._name()} is not open: arm its output first")
        return self._line

    def _lost(self, cause: OSError) -> OutputError:
        return OutputError(f"{self._name()} failed ({cause}): check that its chip is still there (gpiodetect)")

    def _name(self) -> str:
        return f"GPIO line {self._options.line} of {self._options.chip}"


class GpioOutput(LevelOutput):
    """`write` returns when the kernel set the line and it shows the level: on most chips its pin, on some only what
    it was told. What is wired to the pin confirms nothing."""

    def __init__(self, options: options.GpioOutput, clock: Clock) -> None:
        super().__init__(GpioWire(options, clock), f"GPIO line {options.line} of {options.chip}", invert=False)
