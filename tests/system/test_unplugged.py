"""The USB serial adapter of gate and permit is pulled while parts are in the zone, and comes back as another ttyUSB."""

from __future__ import annotations

import time
from pathlib import Path

from edge.clock import MS
from edge.records import GateOutcome, Reason
from tests.peers import eventually
from tests.system.belts import GATE
from tests.system.benches import PACE, PYTHON, Boot, bench
from tests.system.claims import GUARD_NS
from tests.system.device.machine import ADAPTER
from tests.system.results import Table

RESULTS = Table(
    "unplugged",
    "A USB serial adapter that is pulled and comes back",
    "make test-system PYTEST_ARGS='-k unplugged'",
    ["what", "seen"],
)
NOTICED_MS = 3 * PACE.heartbeat + 2_000  # a heartbeat finds out; the rest is the emulator's


def adapter(boot: Boot) -> str:
    """The kernel's name of the adapter, "" while it is away."""
    return (
        boot.guest.attempt(f"basename $(readlink -e {ADAPTER})")[1]
        .strip()
        .removeprefix("basename: missing operand")
    )


def latency_ms(boot: Boot) -> int:
    """How long the adapter may hold received bytes back, as its driver says; 16 unless somebody asks for less."""
    return int(boot.guest.run(f"cat /sys/bus/usb-serial/devices/{adapter(boot)}/latency_timer"))


def plugged_in_as_another(boot: Boot, before: str) -> str:
    """The adapter comes back; its old number is taken by then."""
    boot.device.plug("other")
    eventually(lambda: "ttyUSB" in boot.guest.attempt("ls /dev")[1], "the other adapter is there", 30)
    boot.device.plug()
    eventually(lambda: adapter(boot).startswith("ttyUSB"), "the adapter is back", 30)
    assert adapter(boot) != before
    return adapter(boot)


def test_an_adapter_that_comes_back_under_another_number_is_found_again_and_the_zone_is_purged(
    tmp_path: Path,
) -> None:
    with bench(tmp_path) as made, Boot(made) as boot:
        boot.inspect()
        boot.opens(2)
        before = adapter(boot)
        assert latency_ms(boot) == 1, "low latency is set when the port is opened"
        boot.device.unplug()
        gone_ns = time.monotonic_ns()
        boot.says("acknowledge after the repair")
        noticed_ms = (time.monotonic_ns() - gone_ns) / MS
        eventually(made.is_at_rest, "the board's relays fall without a word", 10)
        time.sleep(3 * PACE.pitch / 1_000)
        after = plugged_in_as_another(boot, before)
        boot.says("the gate is at rest again")
        assert latency_ms(boot) == 1, "low latency is set again"
        time.sleep(3 * PACE.pitch / 1_000)
        assert not made.board.is_on(GATE) and boot.openings(gone_ns + GUARD_NS) == [], "not before a person looked"
        back_ns = time.monotonic_ns()
        boot.guest.run(f"{PYTHON} -m edge.cli ack /data/station.toml --why 'plugged in again'")
        boot.opens(2)
        boot.end()
        boot.unmount()
        rows = made.read()
        made.acknowledged.check(made.found / "journal")
        passed = boot.check_gate(rows)
        gate = boot.gate()
        assert gate is not None
        gate.check_purged(back_ns)
        away = [
            row.outcome for row in rows if row.outcome and gone_ns < gate.middle_ns(row.outcome.born_ns) < back_ns
        ]
        assert away and not [event for event in away if event.outcome is GateOutcome.RELEASED]
        assert [event for event in away if event.reason is Reason.OUTPUT_ERROR]
    RESULTS.add("noticed after", f"{noticed_ms:.0f} ms, with a heartbeat of {PACE.heartbeat:g} ms")
    RESULTS.add("came back as", f"{before} -> {after}, opened again by its path under by-id, low latency set again")
    RESULTS.add(
        "parts meanwhile", f"{len(away)}, none recorded as released; {passed} passed before and after the purge"
    )
    assert noticed_ms < NOTICED_MS


OPEN = """
import os, sys
os.setuid(65534)
try:
    os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
except OSError as error:
    print(error.strerror)
"""


def test_nobody_else_can_open_the_port(tmp_path: Path) -> None:
    with bench(tmp_path) as made, Boot(made) as boot:
        boot.inspect()
        boot.opens(1)
        boot.guest.run(f"chmod 666 $(readlink -f {ADAPTER})")
        assert "busy" in boot.guest.run(f"{PYTHON} -c '{OPEN}' {ADAPTER}")
        second = boot.guest.run(f"{PYTHON} -m edge.line /data/station.toml 2>&1 || true")
        assert "another line process" in second
        boot.opens(1)
        boot.end()
    RESULTS.add("a second program", "gets EBUSY; a second line process is refused")
