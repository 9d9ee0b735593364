"""The RTS or DTR line of a serial port as an output: quick, but it flickers whenever the port is opened."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import OutputError
from edge.line.outputs.level import LevelOutput
from edge.line.serial_port import PortSettings, SerialPort, acquire, release


class ModemLine:
    """One modem line. Linux raises both when a port is opened; they are set right after, so each opening may give
    a pulse of up to some milliseconds.

    Not inverted, HUPCL is set: the kernel drops the line when the process ends, however it ends. Inverted, that
    drop would actuate, so HUPCL is cleared and the line stays as it was last commanded.
    """

    def __init__(self, options: options.SerialLineOutput, clock: Clock) -> None:
        self._path = options.port
        self._line: str = options.line
        # Both lines open at this output's rest level; an output on the other line of the port sets its own.
        rest = options.invert
        self._settings = PortSettings(9_600, rts=rest, dtr=rest, hang_up=not options.invert)
        self._clock = clock
        self._port: SerialPort | None = None

    def connect(self) -> None:
        self._port = acquire(self._path, self._settings, self._clock)

    def put(self, level: bool) -> int:
        if self._port is None:
            raise OutputError(f"serial port {self._path} is not open: arm its output first")
        self._port.set_line(self._line, level)
        return 0

    def get(self) -> bool | None:
        """None: what a driver reports of its own modem lines is its memory, not the wire."""
        return None

    def drop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            release(port)


class SerialLineOutput(LevelOutput):
    """`write` returns 0: nothing confirms a modem line. A port without modem lines is refused by `arm`."""

    def __init__(self, options: options.SerialLineOutput, clock: Clock) -> None:
        name = f"{options.line} of {options.port}"
        super().__init__(ModemLine(options, clock), name, options.invert)
