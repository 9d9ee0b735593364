"""A GPIO line as an input: edges with the kernel's times, and proof of those that it had to drop."""

from __future__ import annotations

import select
import threading

from edge import options
from edge.clock import MS, SECOND, Clock
from edge.errors import InputError
from edge.line.gpio_line import Line, listen
from edge.line.inputs.noticed import NoticedEdges
from edge.records import Edge, TimeSource

_SLICE_NS = 20 * MS
_INTERRUPT_NS = MS // 10  # an interrupt may wait this long for another before it takes the time
_KERNEL_TIMER_NS = 10 * MS  # the kernel's debounce ends with a tick of its clock: 1 to 10 ms
_MOST_TRIES = 1_000


class GpioInput:
    """`at_ns` is when the interrupt took the time, give or take 0.1 ms and what the contact bounced.

    Every edge has a number; a gap means that more than 1024 waited unread, and the counter jumps. Two edges of the
    same direction mean that the kernel missed the one between. Pulses that are over before the interrupt looks leave
    no trace. `wait` and `close` may run in two threads; `close` ends a `wait` within 20 ms.
    """

    def __init__(self, options: options.GpioInput, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._shift_ns = round(options.kernel_debounce_ms * MS)
        err_ns = _INTERRUPT_NS + (_KERNEL_TIMER_NS if self._shift_ns else 0)
        self._edges = NoticedEdges(TimeSource.KERNEL, round(options.debounce_ms * MS), err_ns)
        self._in_use = threading.Lock()
        self._stopped = True
        self._line: Line | None = None
        self._poll = select.poll()
        self._number = 0
        self._heard_ns = 0

    def __str__(self) -> str:
        return f"GPIO line {self._options.line} of {self._options.chip}"

    def open(self) -> None:
        """Request the line and read its level. NoticedEdges that came before are not reported. Raises InputError."""
        self.close()
        with self._in_use:
            line = self._line = listen(self._options, InputError)
            self._poll = select.poll()
            self._poll.register(line.fileno(), select.POLLIN)
            try:
                level = self._settled(line)
            except OSError as error:
                raise self._lost(error) from error
            self._heard_ns = self._clock.now_ns()
            self._edges.start(level, self._heard_ns)
            self._stopped = False

    def wait(self, timeout_s: float) -> Edge | None:
        """The next debounced edge; see the Protocol. After an InputError it has to be opened again."""
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        with self._in_use:
            if self._line is None:
                raise InputError(f"{self} is not open: open the input before waiting")
            try:
                return self._next(self._line, until_ns)
            except OSError as error:
                raise self._lost(error) from error

    def level(self) -> bool:
        """The debounced level as last read."""
        return self._edges.level

    def close(self) -> None:
        """May be called twice."""
        self._stopped = True
        with self._in_use:
            self._release()

    def _next(self, line: Line, until_ns: int) -> Edge | None:
        edge = self._edges.take()
        while edge is None and not self._stopped:
            now_ns = self._clock.now_ns()
            due_ns = self._edges.due_ns
            wait_ns = min(until_ns if due_ns is None else min(until_ns, due_ns), now_ns + _SLICE_NS) - now_ns
            if self._poll.poll(max(0, -(-wait_ns // MS))):
                for level, at_ns, number in line.edges():
                    self._hear(level, at_ns - self._shift_ns, number)
            elif due_ns is not None:
                self._edges.held(now_ns)
            edge = self._edges.take()
            if now_ns >= until_ns:
                break
        return edge

    def _hear(self, level: bool, at_ns: int, number: int) -> None:
        unseen = number - self._number - 1
        doubtful = unseen or level == self._edges.raw
        self._edges.changed(level, self._heard_ns if doubtful else at_ns, at_ns, unseen)
        self._number, self._heard_ns = number, at_ns

    def _settled(self, line: Line) -> bool:
        """The level after the last edge so far, whose number is remembered."""
        self._number = 0
        for _ in range(_MOST_TRIES):
            level = line.level()
            if not self._poll.poll(0):
                return level
            self._number = line.edges()[-1][2]
        self._release()
        raise InputError(f"{self} never comes to rest: look for a loose wire, or set kernel_debounce_ms")

    def _lost(self, cause: OSError) -> InputError:
        self._release()
        return InputError(f"{self} failed ({cause}): check that its chip is still there (gpiodetect)")

    def _release(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.release()
