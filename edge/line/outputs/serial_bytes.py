"""A relay board that obeys byte commands on a serial port."""

from __future__ import annotations

from edge import options
from edge.clock import Clock
from edge.errors import OutputError
from edge.line.outputs.boards import Commands, commands
from edge.line.outputs.level import LevelOutput
from edge.line.serial_port import PortSettings, SerialPort, acquire, release


class Relay:
    """One relay of a board; several relays of one board share its port."""

    def __init__(self, options: options.SerialBytesOutput, clock: Clock) -> None:
        self._path = options.port
        self._settings = PortSettings(options.baud)
        self._timeout_s = options.timeout_ms / 1_000
        self._commands: Commands = commands(options)
        self._clock = clock
        self._port: SerialPort | None = None

    def connect(self) -> None:
        self._port = acquire(self._path, self._settings, self._clock)
        if self._commands.prompt:
            # Ends a command that an earlier owner left half sent; whatever the board says to that is not for us.
            self._port.write(b"\r", self._timeout_s)
            self._port.read_until(self._commands.prompt, self._timeout_s)

    def put(self, level: bool) -> int:
        command = self._commands.on if level else self._commands.off
        if not self._commands.prompt:
            self._opened().write(command, self._timeout_s)
            return 0
        self._converse(command)
        return self._clock.now_ns()

    def get(self) -> bool | None:
        if not self._commands.ask:
            return None
        word = self._converse(self._commands.ask).strip()
        if word not in (b"on", b"off"):
            raise OutputError(f"the board at {self._path} reports {word!r} as a relay's level: check its model")
        return word == b"on"

    def drop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            release(port)

    def _opened(self) -> SerialPort:
        if self._port is None:
            raise OutputError(f"serial port {self._path} is not open: arm its output first")
        return self._port

    def _converse(self, command: bytes) -> bytes:
        """Send a line; returns what the board said between repeating it and its prompt."""
        port = self._opened()
        port.forget_input()
        port.write(command, self._timeout_s)
        answer = port.read_until(self._commands.prompt, self._timeout_s)
        echo = command.strip()
        if not answer.lstrip().startswith(echo) or not answer.endswith(self._commands.prompt):
            # What still comes belongs to this command: nobody may take it for the answer to the next.
            port.close()
            raise OutputError(
                f"the board at {self._path} answered {echo.decode()!r} with {answer!r}: check power and model"
            )
        return answer.lstrip()[len(echo) : -len(self._commands.prompt)]


class SerialBytesOutput(LevelOutput):
    """`write` returns 0 for boards that never answer (lcus, kmtronic, custom), for numato when its prompt came.

    Without an answer, written means handed to the driver. Raises ConfigError when built for an impossible board.
    """

    def __init__(self, options: options.SerialBytesOutput, clock: Clock) -> None:
        name = f"relay {options.channel} at {options.port}"
        super().__init__(Relay(options, clock), name, options.invert)
