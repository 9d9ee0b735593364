"""Asks the kernel for a GPIO line of our own. The only file in the line process that knows gpiod."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import gpiod
from gpiod.line import Bias, Direction, Value
from gpiod.line import Clock as StampClock
from gpiod.line import Edge as Detect

from edge.errors import DeviceError
from edge.options import GpioInput, GpioLine, GpioOutput

_CONSUMER = "kenpin"  # what gpioinfo says of our lines
EVENTS_KEPT = 1_024  # by the kernel for a reader that is late: the most it grants
_BIAS = {
    "as_is": Bias.AS_IS,
    "disabled": Bias.DISABLED,
    "pull_up": Bias.PULL_UP,
    "pull_down": Bias.PULL_DOWN,
}
_NO_RIGHT = (errno.EACCES, errno.EPERM)
_NOT_SUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, 524)  # 524: the kernel's own ENOTSUPP


class Line:
    """One requested line, in levels after `invert`, which the kernel applies. Methods raise OSError when it is lost.

    `fileno` is readable while edges wait.
    """

    def __init__(self, request: gpiod.LineRequest, line: int | str) -> None:
        self._request = request
        self._line = line

    def fileno(self) -> int:
        return self._request.fd

    def level(self) -> bool:
        return self._request.get_value(self._line) is Value.ACTIVE

    def drive(self, level: bool) -> None:
        self._request.set_value(self._line, Value.ACTIVE if level else Value.INACTIVE)

    def edges(self) -> list[tuple[bool, int, int]]:
        """(level, CLOCK_MONOTONIC ns, number since the request) of those that wait; call it only when some do."""
        rising = gpiod.EdgeEvent.Type.RISING_EDGE
        return [
            (event.event_type is rising, event.timestamp_ns, event.line_seqno)
            for event in self._request.read_edge_events(EVENTS_KEPT)
        ]

    def release(self) -> None:
        """May be called twice."""
        self._request.release()


def drive(options: GpioOutput, error: type[DeviceError]) -> Line:
    """The line as an output, inactive from its first moment on. Raises `error`."""
    settings = gpiod.LineSettings(
        direction=Direction.OUTPUT,
        output_value=Value.INACTIVE,
        active_low=options.invert,
        bias=_BIAS[options.bias],
    )
    return _requested(options, settings, None, error)


def listen(options: GpioInput, error: type[DeviceError]) -> Line:
    """The line as an input with both its edges. Raises `error`."""
    settings = gpiod.LineSettings(
        direction=Direction.INPUT,
        edge_detection=Detect.BOTH,
        event_clock=StampClock.MONOTONIC,
        active_low=options.invert,
        bias=_BIAS[options.bias],
        debounce_period=timedelta(milliseconds=options.kernel_debounce_ms),
    )
    return _requested(options, settings, EVENTS_KEPT, error)


def _requested(options: GpioLine, settings: gpiod.LineSettings, kept: int | None, error: type[DeviceError]) -> Line:
    try:
        request = gpiod.request_lines(
            options.chip, {options.line: settings}, consumer=_CONSUMER, event_buffer_size=kept
        )
    except (OSError, ValueError) as cause:
        raise error(_refusal(options, cause)) from cause
    return Line(request, options.line)


def _refusal(options: GpioLine, cause: Exception) -> str:
    chip, number = options.chip, getattr(cause, "errno", None)
    line = f"GPIO line {options.line} of {chip}"
    if number == errno.EBUSY:
        return f"{line} is in use by another owner: see whose it is with gpioinfo, and stop that one"
    if number in _NO_RIGHT:
        return f"no right to use {line}: add the user to its group (ls -l {chip})"
    if number == errno.ENOENT and not Path(chip).exists():
        return f"there is no GPIO chip {chip}: list them with gpiodetect, and check that its driver is loaded"
    if number == errno.ENOENT or isinstance(cause, ValueError):
        return f"there is no line {options.line} on {chip}: list its lines with gpioinfo"
    if number in _NOT_SUPPORTED:
        return f'{line} refuses these settings ({cause}): try bias = "as_is", and kernel_debounce_ms = 0'
    return f"cannot use {line} ({cause}): check the chip and its name with gpiodetect"
