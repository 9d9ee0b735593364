"""How much processor time was not there when it was wanted, here or in the machine below a virtual one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PRESSURE = Path("/proc/pressure/cpu")
_STEAL = 8  # the column of /proc/stat


def waited_s() -> float:
    """Seconds since the machine began in which a task was ready and had no processor; wherefrom: proc(5), PSI."""
    stolen = int(Path("/proc/stat").read_text().split(maxsplit=_STEAL + 1)[_STEAL]) / os.sysconf("SC_CLK_TCK")
    with suppress(OSError):  # not in every kernel
        return stolen + int(_PRESSURE.read_text().split("total=")[1].split()[0]) / 1e6
    return stolen
