"""How busy a machine was with other work while something was measured, by the kernel's own counts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MET, MISSED, CANNOT_DECIDE = "met", "missed", "the machine cannot decide"
SHARE = 0.1  # of the time: with more waiting than that, a time says nothing of the program
_STEAL = 8  # the column of /proc/stat


@dataclass
class Machine:
    """`waited_s` is how long some process was ready and had no processor, those measured among them; `stolen_s` how
    long the machine below a virtual one gave this one's processors to others. Filled in when it ends."""

    seconds: float = 0.0
    waited_s: float = 0.0
    stolen_s: float = 0.0

    @property
    def is_calm(self) -> bool:
        return self.waited_s + self.stolen_s <= SHARE * self.seconds

    def words(self) -> str:
        return (
            f"While it ran for {self.seconds:.0f} s, processes of this machine waited {self.waited_s:.0f} s for a "
            f"processor, and {self.stolen_s:.0f} s were stolen by the machine below."
        )


def decided(is_met: bool, machine: Machine) -> str:
    """A budget that is met on a busy machine is met; one that is missed there is not decided."""
    return MET if is_met else MISSED if machine.is_calm else CANNOT_DECIDE


@contextmanager
def watched() -> Iterator[Machine]:
    """Count while this lasts."""
    machine = Machine()
    began_s, waited_s, stolen_s = time.monotonic(), _waited_s(), _stolen_s()
    try:
        yield machine
    finally:
        machine.seconds = time.monotonic() - began_s
        machine.waited_s = _waited_s() - waited_s
        machine.stolen_s = _stolen_s() - stolen_s


def _waited_s() -> float:
    with suppress(OSError):  # not in every kernel
        return int(Path("/proc/pressure/cpu").read_text(encoding="ascii").split("total=")[1].split()[0]) / 1e6
    return 0.0


def _stolen_s() -> float:
    words = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=_STEAL + 1)
    return int(words[_STEAL]) / os.sysconf("SC_CLK_TCK")
