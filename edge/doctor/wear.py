"""Examines how far the journal's disk is worn, and how long it lasts at the rate at which this station writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge.control import Control
from edge.doctor.finding import Finding, Here, graded
from edge.errors import ControlError
from edge.journal.files import day_files
from edge.station import Station

_WORN = 8  # of 10: eMMC tells its used life in tenths
_WORN_PERCENT = 80
_LEAST_YEARS = 5
_GB, _TB = 10**9, 10**12
_DAY_S = 86_400
_LEAST_S = 600  # a younger eye has mostly started
_REPLACE = "replace it soon, or move journal.dir to another disk"
_NVME_UNIT = 512_000  # bytes, as the specification counts what was written
_SECTOR = 512
_TICKS = os.sysconf("SC_CLK_TCK")


def examine(place: Path, station: Station, here: Here, endurance_tb: float = 0) -> Iterator[Finding]:
    """Of the disk that holds `place`. `endurance_tb`: what may be written to it, TB (10^12 bytes) of its data sheet; 0
    where nobody says."""
    device = place.stat().st_dev
    block = _whole_disk(f"sys/dev/block/{os.major(device)}:{os.minor(device)}", here)
    tenths = here.text(f"{block}/device/life_time")
    used = [int(word, 16) for word in tenths.split() if word.startswith("0x")]
    worn = 0.0
    if used:
        worn = max(used) / 10
        words = f"flash memory: at most {10 * max(used)} % of its life is used"
        yield graded("disk", max(used) < _WORN, words, _REPLACE)
    name = _name(block, here)
    if re.match(r"nvme|sd", name) and here.text(f"{block}/queue/rotational") != "1":
        percent, finding = _smart(name)
        worn = percent / 100
        yield finding
    yield _lifetime(station, here, endurance_tb * (1 - worn))


def _whole_disk(block: str, here: Here) -> str:
    """Of a partition, or of what lies on one (encryption, LVM), the first disk below."""
    for _, number in here.files(f"{block}/slaves/*/dev"):
        return _whole_disk(f"sys/dev/block/{number}", here)
    return f"{block}/.." if here.has(f"{block}/partition") else block


def _name(block: str, here: Here) -> str:
    found = re.search(r"DEVNAME=(\S+)", here.text(f"{block}/uevent"))
    return found[1] if found else ""


def _smart(name: str) -> tuple[float, Finding]:
    """Percent of its life that an NVMe or SATA disk has used, 0 where it does not tell. Only root may ask the disk, and
    smartctl knows how."""
    path = f"/dev/{name}"
    remedy = f"apt-get install smartmontools, then edge doctor as root; or smartctl -x {path}"
    program = shutil.which("smartctl") or shutil.which("smartctl", path="/usr/sbin:/sbin")
    told: Any = {}
    if program:
        with suppress(OSError, ValueError, subprocess.TimeoutExpired):
            done = subprocess.run([program, "--json", "-x", path], capture_output=True, timeout=20, check=False)
            told = json.loads(done.stdout)
    used, written = _used(told)
    if used is None:
        return 0, Finding("disk", "advice", f"{path} does not tell how far it is worn", remedy)
    words = f"{path}: {used} % of its life is used"
    if written is not None:
        words += f", {written / _TB:.1f} TB were written"
    return used, graded("disk", used < _WORN_PERCENT, words, _REPLACE)


def _used(told: Any) -> tuple[int | None, int | None]:
    """Percent of life and bytes written: NVMe's health log, or the device statistics of a SATA disk."""
    health = told.get("nvme_smart_health_information_log", {})
    if "percentage_used" in health:
        return health["percentage_used"], health.get("data_units_written", 0) * _NVME_UNIT
    pages = told.get("ata_device_statistics", {}).get("pages", [])
    table = {row["name"]: row["value"] for page in pages for row in page.get("table", []) if "value" in row}
    sectors = table.get("Logical Sectors Written")
    return table.get("Percentage Used Endurance Indicator"), None if sectors is None else sectors * _SECTOR


def _lifetime(station: Station, here: Here, left_tb: float) -> Finding:
    a_day, source = _a_day(station, here)
    if a_day is None:
        return Finding("disk", "well", "how much the station writes a day is not known before it has run for a day")
    words = f"the station writes {a_day / _GB:.2f} GB a day ({source})"
    if not left_tb:
        return Finding(
            "disk", "well", f"{words}; --endurance-tb holds it against what the disk's data sheet grants"
        )
    years = left_tb * _TB / max(a_day, 1) / 365
    words += f": the {left_tb:g} TB that are left last {f'{years:.1f}' if years < 100 else 'over 100'} years"
    remedy = "a disk with more endurance, a larger journal.keep_every_nth_pass, or fewer rejects"
    return graded("disk", years >= _LEAST_YEARS, words, remedy)


def _a_day(station: Station, here: Here) -> tuple[float | None, str]:
    """Bytes a day: what the kernel has counted of the eye that runs, else how the journal's whole days have grown."""
    with suppress(ControlError):
        process = f"proc/{Control(station).status().pid}"
        written = re.search(r"^write_bytes: (\d+)", here.text(f"{process}/io"), re.MULTILINE)
        age_s = _age_s(process, here)
        if written and age_s >= _LEAST_S:
            return int(written[1]) * _DAY_S / age_s, f"the kernel's count of the eye, {age_s / 3_600:.1f} h"
    with suppress(OSError):
        return _grown(station.journal.dir)
    return None, ""


def _age_s(process: str, here: Here) -> float:
    """How long the process has run; 0 where that cannot be read."""
    fields, uptime = here.text(f"{process}/stat").rpartition(")")[2].split(), here.text("proc/uptime").split()
    return float(uptime[0]) - int(fields[19]) / _TICKS if len(fields) > 19 and uptime else 0


def _grown(folder: Path) -> tuple[float | None, str]:
    """Of the days that are over. Raises OSError."""
    sizes = {path.stem: path.stat().st_size for path in day_files(folder)}
    days = sorted(sizes)[:-1]
    for day in days:
        sizes[day] += sum(file.stat().st_size for file in (folder / "pictures" / day).glob("*.jpg"))
    if not days:
        return None, ""
    return sum(sizes[day] for day in days) / len(days), f"the growth of {len(days)} days, the least it can be"
