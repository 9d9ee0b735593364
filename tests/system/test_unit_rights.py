"""The services on a whole machine, with its own kernel, udev and USB adapter: what they may, and that it outlives a
re-plugged adapter."""

from __future__ import annotations

import signal
from pathlib import Path

from edge.line.realtime import PRIORITY
from tests.peers import eventually
from tests.system.benches import MOUNT, PYTHON, Boot, bench
from tests.system.device.machine import ADAPTER
from tests.system.results import Table
from tests.system.test_unplugged import adapter, plugged_in_as_another

RESULTS = Table(
    "unit-rights",
    "The services on an emulated device",
    "make test-system PYTEST_ARGS='-k unit_rights'",
    ["what", "seen"],
)
EYE, LINE = "kenpin-eye@test", "kenpin-line@test"


def line(boot: Boot, command: str) -> str:
    """What this command says of the line's process, PID in its words."""
    return boot.guest.run(f"PID=$(systemctl show -P MainPID {LINE}); {command}").strip()


def test_the_line_is_punctual_and_has_its_adapter_alone_also_after_it_was_plugged_in_again(tmp_path: Path) -> None:
    with bench(tmp_path) as made, Boot(made) as boot:
        boot.guest.run(MOUNT)
        boot.guest.run(f"{PYTHON} -m edge.cli setup /data/station.toml", within_s=300)
        boot.guest.start("eye", "journalctl --follow --lines=all --output=cat --unit='kenpin-*'")
        boot.opens(2)
        policy = line(boot, "chrt -p $PID")
        assert "SCHED_FIFO" in policy and str(PRIORITY) in policy
        locked_kb = int(line(boot, "grep VmLck /proc/$PID/status").split()[1])
        assert locked_kb > 1_000
        RESULTS.add("the line", f"SCHED_FIFO {PRIORITY}, {locked_kb // 1_024} MB locked, as user kenpin")
        assert line(boot, "ps -o user= -p $PID") == "kenpin"
        rights = boot.guest.run(f"stat --dereference --format='%U %G %a' {ADAPTER}").strip()
        assert rights == "root kenpin 660"
        assert "ID_MM_DEVICE_IGNORE=1" in boot.guest.run(f"udevadm info --query=property {ADAPTER}")
        for unit, most in ((LINE, 8), (EYE, 16)):
            boot.guest.run(f"systemd-analyze security --threshold={most} {unit}")
        before = adapter(boot)
        boot.device.unplug()
        boot.says("acknowledge after the repair")
        eventually(made.is_at_rest, "the board's relays fall without a word", 10)
        after = plugged_in_as_another(boot, before)
        boot.says("the gate is at rest again")
        boot.guest.run(f"{PYTHON} -m edge.cli ack /data/station.toml --why 'plugged in again'")
        boot.opens(2)
        RESULTS.add("its adapter", f"{rights}; pulled, came back as {after} instead of {before}, served again")
        boot.guest.signal("eye", signal.SIGKILL)
        boot.guest.run(f"{PYTHON} -m edge.cli setup --remove /data/station.toml", within_s=300)
