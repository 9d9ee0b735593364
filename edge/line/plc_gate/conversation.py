"""Speaks to a PLC that owns the gate: begins the conversation, hands over words, and tells what the PLC saw and did."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from edge.clock import MS, Clock
from edge.errors import InputError
from edge.line.events import PLC_GATE, BeatPlc, Event, InputBack, TellPlc
from edge.line.plc_gate import PlcRegisters
from edge.line.plc_gate.reading import Reading, Unreadable
from edge.line.plc_gate.table import (
    HELLO,
    PLC_BASE,
    PLC_SIZE,
    SLOTS,
    Greeting,
    Head,
    LineFlag,
    Seen,
    Word,
    line_block,
    plc_block,
)
from edge.options import PlcGate

_TORN = 3  # reads of a block in a row that may be torn


class Conversation:
    """A source for a Watch, whose thread calls `open`, `pass_on` and `close`; `tell` may be called from any thread.

    A conversation begins with a greeting, which makes the PLC forget every word before it, and ends when the PLC says
    another session than ours: it restarted, its patience was over, or a second master spoke. Words of an earlier
    conversation are dropped. In shadow mode no word is said, and the line's heartbeat is this thread's own.
    """

    def __init__(
        self, options: PlcGate, registers: PlcRegisters, clock: Clock, part_session: int, *, shadow: bool = False
    ) -> None:
        self._registers = registers
        self._clock = clock
        self._poll_s = options.poll_ms / 1_000
        self._scan_ns = round(options.scan_ms * MS)
        self._window_ns = round(options.window_ms * MS)
        self._silence_ns = round(options.silence_ms * MS)
        self._silence_ms = options.silence_ms
        self._shadow = shadow
        self._greeting = Greeting(part_session=part_session)
        self._session = secrets.randbelow(HELLO)
        self._words: dict[int, Word] = {}  # by slot
        self._told: deque[TellPlc] = deque()
        self._beat: BeatPlc | None = None
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = 0  # whose the registers are
        self._reading = Reading(0, 0, self._scan_ns, self._window_ns)
        self._scan = 0
        self._scanned_ns = 0

    def tell(self, word: TellPlc | BeatPlc) -> None:
        """Hand over a word; never waits."""
        if isinstance(word, BeatPlc):
            self._beat = word
        else:
            self._told.append(word)
        self._wake.set()

    # --- for the Watch ---

    def open(self) -> InputBack:
        """Begin a conversation; takes up to twice `silence_ms`. Raises InputError."""
        self._thread = threading.get_ident()
        self._registers.connect()
        self._words = {}
        self._told.clear()
        self._say(HELLO)
        self._heard(HELLO)
        self._session = self._session % (HELLO - 1) + 1
        self._say(self._session)
        head = self._heard(self._session)
        self._reading = Reading(self._session, head.newest, self._scan_ns, self._window_ns)
        return InputBack(PLC_GATE)

    def pass_on(self, tell: Callable[[Event], None]) -> None:
        """Write what is new, and tell what the PLC says. Raises InputError."""
        self._wake.wait(self._poll_s)
        self._wake.clear()
        if self._take_words() or self._shadow:
            self._say(self._session)
        head, seen, sent_ns, received_ns = self._ask()
        if head.session != self._session:
            raise InputError(
                f"{self._registers} ended the conversation (its session is {head.session}, its error {head.error}): it "
                f"restarted, missed our heartbeat, or another station speaks to it"
            )
        try:
            events = self._reading.take(head, seen, sent_ns, received_ns)
        except Unreadable as error:
            raise InputError(f"{self._registers} cannot be followed: {error}") from error
        self._must_be_quick(received_ns)
        if not self._shadow:
            for event in events:
                tell(event)

    def close(self) -> None:
        """Take back every word and end the conversation, as well as it goes. From another thread it only makes the
        owner's call end early."""
        if threading.get_ident() != self._thread:
            self._closed.set()
            self._wake.set()
            return
        self._words = {}
        with suppress(InputError):
            self._say(0)
        self._registers.close()

    # --- the exchange ---

    def _take_words(self) -> bool:
        """Whether there is something to write."""
        beat, self._beat = self._beat, None
        if beat is not None:
            self._greeting = replace(self._greeting, flags=beat.flags)
        some = beat is not None
        while self._told:
            word = self._told.popleft()
            if word.session == self._session:
                self._words[word.edge % SLOTS] = Word(word.part_number, word.edge, word.edge if word.release else 0)
                some = True
        return some

    def _say(self, session: int) -> None:
        flags = int(LineFlag.SHADOW) if self._shadow else self._greeting.flags
        beat = (self._greeting.heartbeat + 1) & 0xFFFF
        self._greeting = replace(self._greeting, heartbeat=beat, session=session, flags=flags)
        self._registers.write(0, line_block(self._greeting, self._words.values()))

    def _ask(self) -> tuple[Head, dict[int, Seen], int, int]:
        """The PLC's block, between which instants it was taken. Raises InputError also when its scans stand still."""
        for _ in range(_TORN):
            sent_ns = self._clock.now_ns()
            registers = self._registers.read(PLC_BASE, PLC_SIZE)
            received_ns = self._clock.now_ns()
            with suppress(ValueError):
                head, seen = plc_block(registers)
                break
        else:
            raise InputError(f"{self._registers} shows no whole block: check its program and gate.address")
        if head.scan != self._scan:
            self._scan, self._scanned_ns = head.scan, received_ns
        elif received_ns - self._scanned_ns > self._silence_ns:
            raise InputError(
                f"{self._registers} answers, but its program has stood still for {self._silence_ms:g} ms: set it to RUN"
            )
        return head, seen, sent_ns, received_ns

    def _heard(self, session: int) -> Head:
        """The PLC's block once its running program has taken this session up."""
        begun_ns = self._scanned_ns = self._clock.now_ns()
        first: int | None = None
        while self._clock.now_ns() - begun_ns <= self._silence_ns and not self._closed.is_set():
            head, _, _, _ = self._ask()
            if first not in (None, head.scan) and head.session == session:
                return head
            first = head.scan if first is None else first
            self._closed.wait(self._poll_s)
        raise InputError(
            f"{self._registers} does not take up the conversation: does its program run, is gate.address right, does "
            f"no other station speak to it?"
        )

    def _must_be_quick(self, now_ns: int) -> None:
        since_ns = self._reading.waits_since_ns
        if since_ns is not None and now_ns - since_ns > self._silence_ns + 4 * self._window_ns:
            raise InputError(
                f"{self._registers} answers too slowly to tell parts apart within gate.window_ms: give it a network of "
                f"its own, or a longer window"
            )
