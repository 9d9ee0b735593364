"""CTS, DSR, DCD or RI of a serial port as an input: the kernel wakes a thread, its counters prove what that missed."""

from __future__ import annotations

import threading

from edge import options
from edge.clock import MS, SECOND, Clock
from edge.errors import InputError
from edge.line.inputs.modem import COUNTS, ModemLine, Waiter, let_wake
from edge.line.inputs.noticed import NoticedEdges
from edge.line.serial_port import PortSettings, SerialPort, acquire, release
from edge.records import Edge, TimeSource

_SLICE_NS = 20 * MS
_PATIENCE_S = 0.005  # for the thread, when the counter shows that the kernel is waking it
_ODD_LOOKS = 2  # the level may be ahead of the counter for a moment, not at two looks in a row


class SerialLineInput:
    """An edge lies at most `late_ms` before its thread was woken: `at_ns` is the middle, `err_ns` half of that.

    The driver counts changes: more than one for a wake-up that does not fit into the debounce time is a lost edge,
    and the counter jumps. A driver that counts only the end of a ring is refused at its first part. `wait` and
    `close` may run in two threads; `close` ends a `wait` within 20 ms. Built in the main thread.
    """

    def __init__(self, options: options.SerialLineInput, clock: Clock) -> None:
        self._options = options
        self._name = f"{options.line} of {options.port}"
        self._late_ns = round(options.late_ms * MS)
        self._clock = clock
        self._edges = NoticedEdges(TimeSource.ARRIVAL, round(options.debounce_ms * MS), 0)
        self._in_use = threading.Lock()
        self._stopped = True
        self._port: SerialPort | None = None
        self._line: ModemLine | None = None
        self._waiter: Waiter | None = None
        self._counted = 0
        self._known_ns = 0  # until then nothing but what was counted had happened
        self._odd_looks = 0
        let_wake()

    def open(self) -> None:
        """Open the port and read the line. NoticedEdges that came before are not reported. Raises InputError."""
        self.close()
        with self._in_use:
            port = self._port = acquire(self._options.port, PortSettings(9_600), self._clock, InputError)
            line = self._line = ModemLine(port, self._options.line)
            try:
                level = self._first_look(line)
            except OSError as error:
                self._release()
                raise InputError(
                    f"{self._name} cannot be read ({error}): use a port with modem lines whose driver counts their "
                    f"changes, as FTDI's does, or an input of another kind"
                ) from error
            self._edges.start(level, self._known_ns)
            self._waiter = Waiter(line, self._clock)
            self._stopped = False

    def wait(self, timeout_s: float) -> Edge | None:
        """The next debounced edge; see the Protocol. After an InputError it has to be opened again."""
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        with self._in_use:
            if self._line is None or self._waiter is None:
                raise InputError(f"{self._name} is not open: open the input before waiting")
            try:
                return self._next(self._line, self._waiter, until_ns)
            except OSError as error:
                self._release()
                raise InputError(f"{self._name} failed ({error}): check the adapter and its cable") from error

    def level(self) -> bool:
        """The debounced level as last read."""
        return self._edges.level

    def close(self) -> None:
        """May be called twice."""
        self._stopped = True
        with self._in_use:
            self._release()

    def _next(self, line: ModemLine, waiter: Waiter, until_ns: int) -> Edge | None:
        edge = self._edges.take()
        while edge is None and not self._stopped:
            now_ns = self._clock.now_ns()
            if now_ns >= until_ns:
                self._compare(line)
                return None
            until = min(until_ns, now_ns + _SLICE_NS, self._edges.due_ns or until_ns)
            self._hear(waiter.take((until - now_ns) / SECOND))
            if waiter.failure is not None:
                raise waiter.failure
            self._look(line, waiter)
            edge = self._edges.take()
        return edge

    def _hear(self, samples: list[tuple[int, int, int]]) -> bool:
        for woken_ns, changes, read_ns in samples:
            alone = (changes - self._counted) % COUNTS == 1  # the one that woke us
            from_ns = max(self._known_ns, woken_ns - self._late_ns)
            self._count(changes, from_ns, woken_ns if alone else read_ns)
        return bool(samples)

    def _look(self, line: ModemLine, waiter: Waiter) -> None:
        """Whether the counter stands; a change that woke nobody is known as well as the looks around it."""
        before_ns = self._clock.now_ns()
        changes = line.changes()
        if changes == self._counted:
            self._known_ns = before_ns
            self._edges.held(before_ns)
        elif not self._hear(waiter.take(_PATIENCE_S)):
            self._count(changes, self._known_ns, self._clock.now_ns())

    def _count(self, changes: int, from_ns: int, to_ns: int) -> None:
        new = (changes - self._counted) % COUNTS
        if new:
            self._edges.changed(self._edges.raw ^ bool(new % 2), from_ns, to_ns, unseen=new - 1)
            self._counted, self._known_ns = changes, to_ns

    def _compare(self, line: ModemLine) -> None:
        """The level must be what the counted changes make of the first one."""
        agrees = self._raw(line) is self._edges.raw or line.changes() != self._counted
        self._odd_looks = 0 if agrees else self._odd_looks + 1
        if self._odd_looks >= _ODD_LOOKS:
            self._release()
            raise InputError(
                f"{self._name} stands otherwise than its driver's counter says, parts may have passed unseen: use "
                f"a line whose every change the driver counts (cts, dsr or dcd rather than ri)"
            )

    def _first_look(self, line: ModemLine) -> bool:
        while True:
            self._known_ns, self._counted = self._clock.now_ns(), line.changes()
            level = self._raw(line)
            if line.changes() == self._counted:
                return level

    def _raw(self, line: ModemLine) -> bool:
        return line.level() != self._options.invert

    def _release(self) -> None:
        """Never raises."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.stop()
        port, self._port, self._line = self._port, None, None
        if port is not None:
            release(port)
