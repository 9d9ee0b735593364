"""Tries a station's PLC link by hand: opens it, and says whether somebody lives at the other end."""

from __future__ import annotations

from edge.clock import MS, Clock
from edge.kinds import find
from edge.options import Plc as PlcOptions
from edge.plc import TABLE, PlcLink
from edge.plc.table import Orders, Status

_LISTENS_NS = 1_000 * MS


def plc_answers(options: PlcOptions, clock: Clock) -> str:
    """What the PLC does within a second, as a sentence; it sees a station that is not ready. Raises PlcError,
    ConfigError."""
    link: PlcLink = find(TABLE, options.kind, "plc")(options, clock, lambda _words: None)
    try:
        link.connect()
        seen = _listen(link, clock)
    finally:
        link.close()
    words = f"plc {options.kind}: open"
    if options.heartbeat_timeout_ms is None:
        return words
    if len({orders.heartbeat for orders in seen}) == 1:
        return f"{words}; the PLC's heartbeat stands still at {seen[-1].heartbeat}: is its program running?"
    return f"{words}; the PLC's heartbeat counts, it asks for recipe {seen[-1].recipe}"


def _listen(link: PlcLink, clock: Clock) -> list[Orders]:
    until_ns = clock.now_ns() + _LISTENS_NS
    seen: list[Orders] = []
    while not seen or clock.now_ns() < until_ns:
        link.heartbeat(Status(heartbeat=len(seen) + 1 & 0xFFFF))
        seen.append(link.poll())
        clock.sleep_until(clock.now_ns() + 50 * MS)
    return seen
