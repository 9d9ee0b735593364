"""Examines a station's services: which run, which systemd has started again, which stay down and why."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from edge.doctor.finding import Finding, graded
from edge.station import Station

_KINDS = ("line", "eye", "outbox", "panel", "metrics")
_ASKED = "Id,UnitFileState,ActiveState,NRestarts,ExecMainCode,ExecMainStatus"
_PATIENCE_S = 20.0
_EXITED = "1"  # of waitid's codes; the others are signals


def examine(station: Station) -> Iterator[Finding]:
    """Of those that `edge setup` has enabled for this station; nothing where it has not, or there is no systemd."""
    units = [f"kenpin-{kind}@{station.station.name}.service" for kind in _KINDS]
    words = ["systemctl", "show", f"--property={_ASKED}", *units]
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_S, check=False).stdout
    except OSError:
        return
    except subprocess.TimeoutExpired:
        yield Finding("service", "advice", f"systemd gave no answer in {_PATIENCE_S:g} s", "systemctl status")
        return
    for block in told.split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if unit.get("UnitFileState") == "enabled":
            yield _service(unit, station.source)


def _service(unit: Mapping[str, str], source: Path) -> Finding:
    name, state, restarts = unit["Id"], unit["ActiveState"], unit.get("NRestarts", "0")
    why = f"journalctl -u {name} says why"
    if state == "failed":
        words = f"{name} stays down; it ended {_end(unit)}, after {restarts} restarts by systemd"
        return Finding("service", "wrong", words, f"{why}: mend that, then edge setup {source}")
    if state == "inactive":
        return Finding("service", "advice", f"{name} does not run", f"edge setup {source}")
    words = f"{name} {'runs' if state == 'active' else 'is starting'}"
    if restarts != "0":
        words += f"; systemd has restarted it {restarts} times"
    return graded("service", restarts == "0", words, why)


def _end(unit: Mapping[str, str]) -> str:
    """How its last process ended, as systemd saw it."""
    code, status = unit.get("ExecMainCode", "0"), unit.get("ExecMainStatus", "0")
    if code in ("0", _EXITED) or not status.isdigit():
        return f"with exit code {status}"
    with suppress(ValueError):
        return f"by {signal.Signals(int(status)).name}"
    return f"by signal {status}"
