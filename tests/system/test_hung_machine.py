"""The whole machine hangs: the board's watchdog lets the relays fall, the hardware watchdog resets the machine, and the
next start purges."""

from __future__ import annotations

import time
from pathlib import Path

from edge.clock import SECOND
from tests.peers import eventually
from tests.system.benches import Boot, bench
from tests.system.claims import check_files
from tests.system.device.sockets import awaited
from tests.system.results import Table

RESULTS = Table(
    "hung-machine",
    "A machine that hangs",
    "make test-system PYTEST_ARGS='-k hung_machine'",
    ["what", "seen"],
)
WATCHDOG_S = 20
ARM = (
    "mkdir -p /run/systemd/system.conf.d && "
    f"printf '[Manager]\\nRuntimeWatchdogSec={WATCHDOG_S}s\\n' > /run/systemd/system.conf.d/watchdog.conf && "
    "systemctl daemon-reexec && sleep 2 && wdctl /dev/watchdog0"
)


def test_a_hung_machine_is_reset_by_its_watchdog_and_purges(tmp_path: Path) -> None:
    with bench(tmp_path) as made, Boot(made) as boot:
        boot.inspect()
        boot.opens(2)
        assert "i6300ESB" in boot.guest.run(ARM)
        boot.opens(1)
        before = boot.guest.run("cat /proc/sys/kernel/random/boot_id")
        boot.guest.start("panic", "echo 0 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger")
        hung_ns = time.monotonic_ns()
        eventually(made.is_at_rest, "the board's relays fall without a word", 15)
        fell_s = (time.monotonic_ns() - hung_ns) / SECOND
        boot.hear()
        rows_before = len(made.acknowledged.rows)
        awaited(lambda: boot.guest.greetings == 2, "the machine boots again", boot.console, 300)
        reset_s = (time.monotonic_ns() - hung_ns) / SECOND
        assert boot.guest.run("cat /proc/sys/kernel/random/boot_id") != before
        assert boot.openings(hung_ns + SECOND) == [], "nothing passes a machine that hangs"
        again_ns = time.monotonic_ns()
        boot.inspect()
        boot.opens(2)
        assert boot.end() == 0, boot.words()
        boot.unmount()
        gate = boot.gate()
        assert gate is not None
        gate.check_purged(again_ns)
        rows = made.read()
        made.acknowledged.check(made.found / "journal")
        check_files(made.found / "journal", made.found / "state")
        assert all(row.outcome for row in rows)
    RESULTS.add("the relays fell after", f"{fell_s:.1f} s, by the board's own watchdog")
    RESULTS.add("booted again after", f"{reset_s:.0f} s, with a hardware watchdog (i6300esb) of {WATCHDOG_S} s")
    RESULTS.add("rows acknowledged before", f"{rows_before}, none lost; the next start purged before it released")
