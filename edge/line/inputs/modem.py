"""The modem lines of a serial port as inputs: level, the driver's count of changes, a wait that can be ended."""

from __future__ import annotations

import fcntl
import signal
import struct
import termios
import threading
from types import FrameType

from edge.clock import Clock
from edge.line.serial_port import SerialPort

_COUNTERS = struct.Struct("20i")  # struct serial_icounter_struct
# The line's bit in TIOCMGET, and the place of its counter.
_LINES = {
    "cts": (termios.TIOCM_CTS, 0),
    "dsr": (termios.TIOCM_DSR, 1),
    "ri": (termios.TIOCM_RI, 2),
    "dcd": (termios.TIOCM_CD, 3),
}
COUNTS = 1 << 32
WAKE = signal.SIGUSR2  # interrupts the system call of the thread that it is sent to; says nothing else


class ModemLine:
    """One line of an open port. All methods raise OSError when the port is lost or its driver cannot do this."""

    def __init__(self, port: SerialPort, line: str) -> None:
        self._port = port
        self._bit, self._place = _LINES[line]

    def level(self) -> bool:
        """The line now; asks a USB adapter, so it takes a millisecond."""
        (bits,) = struct.unpack("i", fcntl.ioctl(self._fileno(), termios.TIOCMGET, b"\0" * 4))
        return bool(bits & self._bit)

    def changes(self) -> int:
        """How many changes the driver counted, modulo COUNTS."""
        counters = fcntl.ioctl(self._fileno(), termios.TIOCGICOUNT, b"\0" * _COUNTERS.size)
        return int(_COUNTERS.unpack(counters)[self._place]) % COUNTS

    def wait(self) -> None:
        """Until the line changes. Raises InterruptedError when a signal ended it."""
        fcntl.ioctl(self._fileno(), termios.TIOCMIWAIT, self._bit)

    def _fileno(self) -> int:
        wire = self._port.lend()
        if wire is None:
            raise OSError("the port is closed")
        return wire.fileno()


class Waiter:
    """A thread that waits in the kernel for a line to change; `let_wake` must have been called before.

    A change between two of its waits wakes nobody: whoever takes its samples also looks at the counter itself.
    """

    def __init__(self, line: ModemLine, clock: Clock) -> None:
        self.failure: OSError | None = None
        self._line = line
        self._clock = clock
        self._news = threading.Condition()
        self._samples: list[tuple[int, int, int]] = []
        self._stopped = False
        self._left = threading.Event()
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line-modem")
        self._thread.start()

    def take(self, timeout_s: float) -> list[tuple[int, int, int]]:
        """(woken at, changes counted, when that was read), oldest first; waits for the first one. Empty after a
        failure."""
        with self._news:
            self._news.wait_for(lambda: self._samples or self.failure, max(0.0, timeout_s))
            samples, self._samples = self._samples, []
        return samples

    def stop(self) -> None:
        """End the thread. A signal that comes before its system call does not end that, so it is repeated."""
        self._stopped = True
        while not self._left.wait(0.002):
            assert self._thread.ident is not None
            signal.pthread_kill(self._thread.ident, WAKE)
        self._may_end.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._wait()
        except OSError as error:
            with self._news:
                self.failure = error
                self._news.notify_all()
        self._left.set()
        self._may_end.wait()  # until then it is a thread that may be sent a signal

    def _wait(self) -> None:
        try:
            self._line.wait()
        except InterruptedError:
            return
        woken_ns = self._clock.now_ns()
        changes = self._line.changes()
        read_ns = self._clock.now_ns()
        with self._news:
            self._samples.append((woken_ns, changes, read_ns))
            self._news.notify_all()


def let_wake() -> None:
    """Give the waking signal a handler: without one it would end the process. In the main thread, as Python asks."""
    signal.signal(WAKE, _nothing)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """A signal that is ignored would not end a system call."""
