"""A serial port that one process owns and its devices may share, as two relays of one board do.

The only file in the line process that opens pyserial's ports.
"""

from __future__ import annotations

import errno
import fcntl
import os
import termios
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import serial

from edge.clock import MS, SECOND, Clock
from edge.errors import DeviceError, OutputError
from edge.line.turns import Turns

# What pyserial and the ioctls under it raise; termios.error is not an OSError.
_FAILURES = (OSError, termios.error, ValueError)
_BITS_PER_BYTE = 10  # with start and stop bit
_DRAIN_NS = 100 * MS  # how long after its time a last command may still leave
_TAKEN = (errno.EWOULDBLOCK, errno.EBUSY)


@dataclass(frozen=True, slots=True)
class PortSettings:
    """How a port is opened. `rts` and `dtr` are the levels of the modem lines from the opening on;
    `hang_up` lets the kernel drop both when the last owner closes or dies. `parity` is N, E or O."""

    baud: int
    parity: str = "N"
    stop_bits: int = 1
    rts: bool = True
    dtr: bool = True
    hang_up: bool = True


class SerialPort:
    """An open port. Any failure closes it for all its users: what stands in its queue must not act later.

    Users in one thread just use it; those in several threads take `turns`, and say in `heard_ns` when the wire was
    last busy.
    """

    def __init__(
        self, path: str, settings: PortSettings, clock: Clock, error: type[DeviceError] = OutputError
    ) -> None:
        self.path = path
        self.settings = settings
        self.users = 0
        self.turns = Turns()
        self.heard_ns = clock.now_ns()
        self._clock = clock
        self._sent_by_ns = 0  # when what was written should have left, at the port's speed
        self._serial: serial.Serial | None = _opened(path, settings, error)

    def lend(self) -> serial.Serial | None:
        """pyserial's port for a library that speaks on it; None when it was lost."""
        return self._serial

    def write(self, data: bytes, timeout_s: float) -> None:
        """Hand all bytes to the driver within the time. Raises OutputError."""
        port = self._usable()
        try:
            self._must_flow(port, timeout_s)
            port.write_timeout = timeout_s
            port.write(data)
        except _FAILURES as error:
            raise self._lost(error) from error
        wire_ns = len(data) * _BITS_PER_BYTE * SECOND // self.settings.baud
        self._sent_by_ns = max(self._sent_by_ns, self._clock.now_ns()) + wire_ns

    def read_until(self, end: bytes, timeout_s: float) -> bytes:
        """What arrives up to and with `end`, or what came within the time. Raises OutputError."""
        port = self._usable()
        try:
            port.timeout = timeout_s
            return bytes(port.read_until(end, 256))
        except _FAILURES as error:
            raise self._lost(error) from error

    def forget_input(self) -> None:
        """Throw away what was received so far. Raises OutputError."""
        port = self._usable()
        try:
            port.reset_input_buffer()
        except _FAILURES as error:
            raise self._lost(error) from error

    def set_line(self, line: str, level: bool) -> None:
        """Raise or drop the modem line "rts" or "dtr". Raises OutputError."""
        port = self._usable()
        try:
            setattr(port, line, level)
        except _FAILURES as error:
            no_lines = getattr(error, "errno", None) in (errno.ENOTTY, errno.EINVAL)
            raise (self._without_lines() if no_lines else self._lost(error)) from error

    def finish(self) -> None:
        """Let what was written leave, no longer than it should take, then close; never raises."""
        port = self._serial
        if port is not None:
            with suppress(*_FAILURES):
                self._drain(port)
                # not `close`: it would discard what an adapter, or a pseudo-terminal's reader, still holds
                _give_up(port)
                self._serial = None
        self.close()

    def _drain(self, port: serial.Serial) -> None:
        """Raises SerialTimeoutException when the driver still holds bytes long after they should have left."""
        while port.out_waiting:
            now_ns = self._clock.now_ns()
            if now_ns > self._sent_by_ns + _DRAIN_NS:
                raise serial.SerialTimeoutException("the last command still waits in the driver")
            self._clock.sleep_until(now_ns + MS)

    def close(self) -> None:
        """Discard what is queued and close; never raises."""
        port, self._serial = self._serial, None
        if port is None:
            return
        with suppress(*_FAILURES):
            port.reset_output_buffer()
        with suppress(*_FAILURES):
            _give_up(port)

    @property
    def is_open(self) -> bool:
        return self._serial is not None

    def _must_flow(self, port: serial.Serial, timeout_s: float) -> None:
        """Bytes that should have left long ago mean that the adapter takes none, though writing still succeeds."""
        if port.out_waiting and self._clock.now_ns() > self._sent_by_ns + timeout_s * SECOND:
            raise serial.SerialTimeoutException("earlier commands still wait in the driver")

    def _usable(self) -> serial.Serial:
        if self._serial is None:
            raise OutputError(f"serial port {self.path} was lost: put its outputs to rest to open it again")
        return self._serial

    def _lost(self, cause: Exception) -> OutputError:
        self.close()
        return OutputError(f"serial port {self.path} failed ({cause}): check cable and power{_advice(self.path)}")

    def _without_lines(self) -> OutputError:
        self.close()
        return OutputError(
            f"serial port {self.path} has no modem lines (a pseudo-terminal has none): use a port with RTS and "
            f'DTR, or a relay board with kind = "serial_bytes"'
        )


# The ports that this process has open, by their real path: an exclusive lock would refuse a second opening.
_open_ports: dict[str, SerialPort] = {}
_registry = threading.Lock()


def acquire(path: str, settings: PortSettings, clock: Clock, error: type[DeviceError] = OutputError) -> SerialPort:
    """The open port at `path`, shared with this process's other devices on it; `release` it once per acquire.

    Raises `error` when it cannot be opened, another process owns it, or it is open with other settings.
    """
    real = os.path.realpath(path)
    with _registry:
        port = _open_ports.get(real)
        if port is None or not port.is_open:
            port = _open_ports[real] = SerialPort(path, settings, clock, error)
        elif port.settings != settings:
            raise error(f"two devices want serial port {path} with different settings: make them equal")
        port.users += 1
    return port


def release(port: SerialPort) -> None:
    """Give back what `acquire` gave; the last user closes the port, a working one when its last command has left."""
    with _registry:
        port.users -= 1
        unused = port.users <= 0
        if unused or not port.is_open:
            for real in [real for real, known in _open_ports.items() if known is port]:
                del _open_ports[real]
    if unused:
        port.finish()


def _opened(path: str, settings: PortSettings, error: type[DeviceError]) -> serial.Serial:
    port = serial.Serial()
    port.port = path
    port.exclusive = True
    try:
        port.baudrate, port.parity, port.stopbits = settings.baud, settings.parity, settings.stop_bits
        # Linux raises both lines inside open(); pyserial sets them right after it, as early as can be.
        port.rts, port.dtr = settings.rts, settings.dtr
        port.open()
        # flock above keeps out whoever asks for it; TIOCEXCL keeps out everybody but root.
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        _set_hang_up(port.fileno(), settings.hang_up)
    except _FAILURES as cause:
        with suppress(*_FAILURES):
            port.close()
        raise _refused(path, cause, error) from cause
    _hurry(port)
    return port


def _hurry(port: serial.Serial) -> None:
    """An adapter forgets this when it is plugged in again: it then holds back what it received for up to 16 ms."""
    with suppress(*_FAILURES):  # many drivers have no such knob, and wait for nothing
        port.set_low_latency_mode(True)


def _give_up(port: serial.Serial) -> None:
    """Close; a program that had the port open before us would keep it exclusive otherwise."""
    with suppress(*_FAILURES):
        fcntl.ioctl(port.fileno(), termios.TIOCNXCL)
    port.close()


def _set_hang_up(descriptor: int, hang_up: bool) -> None:
    attributes = termios.tcgetattr(descriptor)
    flags = attributes[2] & ~termios.HUPCL
    attributes[2] = flags | termios.HUPCL if hang_up else flags
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _refused(path: str, cause: Exception, error: type[DeviceError]) -> DeviceError:
    if getattr(cause, "errno", None) in _TAKEN:
        return error(f"serial port {path} is in use by another process: stop that one (try: fuser {path})")
    if getattr(cause, "errno", None) == errno.EACCES:
        return error(f"no right to open serial port {path}: add the user to its group (ls -l {path})")
    return error(f"cannot open serial port {path} ({cause}): check cable and name{_advice(path)}")


def _advice(path: str) -> str:
    """ttyUSB numbers move when an adapter is plugged in again: name the paths that do not."""
    if path.startswith("/dev/serial/"):
        return ""
    try:
        stable = sorted(str(entry) for entry in Path("/dev/serial/by-id").iterdir())
    except OSError:
        stable = []
    if stable:
        return f"; ports that keep their name: {', '.join(stable)}"
    return (
        "; a USB adapter keeps its name under /dev/serial/by-id" if "/ttyUSB" in path or "/ttyACM" in path else ""
    )
