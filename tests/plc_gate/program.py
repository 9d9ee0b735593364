"""The PLC's program, tests/peers/plc/gate_program.c: in this process for virtual time, and behind libmodbus."""

from __future__ import annotations

import atexit
import ctypes
import functools
import shutil
import subprocess
import tempfile
from enum import IntEnum
from pathlib import Path

from edge.line.plc_gate.table import LINE_SIZE, PLC_BASE, PLC_SIZE, SLOTS
from tests.peers.plcs import Peer
from tests.peers.waiting import hurry, missing

_SOURCES = Path(__file__).parents[1] / "peers" / "plc"
_NEEDED = "install gcc, pkg-config and libmodbus-dev"
BASE = 100  # where the peer has the line's block


class Mistake(IntEnum):
    """What the program can get wrong, as gate_program.h numbers it."""

    NONE = 0
    TAKES_THE_NEXT_WORD = 1
    BELIEVES_ANY_WORD = 2
    PASSES_ON_SILENCE = 3
    TURNS_THE_WORD_ROUND = 4
    ACTS_A_PART_LATE = 5
    LEAVES_ONE_OUT = 6
    MISSES_AN_EDGE = 7
    COUNTS_AN_EDGE_TWICE = 8
    TAKES_ANY_SESSION = 9
    DEAF_TO_HEARTBEAT = 10


class _Part(ctypes.Structure):
    _fields_ = [
        ("born", ctypes.c_uint32),
        ("born_at", ctypes.c_uint32),
        ("acted", ctypes.c_uint32),
        ("edge", ctypes.c_uint16),
        ("did", ctypes.c_uint16),
        ("number", ctypes.c_uint16 * 2),
    ]


_U32 = (
    "travel",
    "pulse",
    "pitch",
    "heartbeat_ms",
    "mistake",
    "beat_at",
    "overrun_at",
    "pass_until",
    "edges",
)
_U16 = ("greeted", "session", "newest", "waiting", "error", "overrun", "scan", "eye", "last_beat", "beat_seen")


class _Program(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in _U32),
        ("line", ctypes.c_uint16 * LINE_SIZE),
        ("shown", ctypes.c_uint16 * PLC_SIZE),
        *((name, ctypes.c_uint16) for name in (*_U16, "passing")),
        ("parts", _Part * SLOTS),
    ]


class Program:
    """The program itself: registers in, registers out, one scan a call. Lengths in the units of the position."""

    def __init__(self, travel: int, pulse: int, pitch: int, heartbeat_ms: int) -> None:
        self._library = ctypes.CDLL(_built("libgate.so", "-shared", "-fPIC", "gate_program.c"))
        self._plc = _Program(travel, pulse, pitch, heartbeat_ms)
        assert self._library.program_size() == ctypes.sizeof(self._plc), "gate_program.h has changed"
        self.registers = [0] * (PLC_BASE + PLC_SIZE)  # the PLC's memory, as requests see it
        self.restart()

    def set(self, mistake: Mistake) -> None:
        self._plc.mistake = mistake

    def restart(self, *, retains: bool = True) -> None:
        """The program begins anew; `retains`: the memory that requests see does not."""
        if not retains:
            self.registers = [0] * len(self.registers)
        self._plc.line[:] = self.registers[:LINE_SIZE]
        self._library.program_start(ctypes.byref(self._plc))

    def scan(self, now_ms: int, position: int, eye: bool) -> None:
        self._plc.line[:] = self.registers[:LINE_SIZE]
        self._library.program_scan(
            ctypes.byref(self._plc), ctypes.c_uint32(now_ms), ctypes.c_uint32(position), int(eye)
        )
        self.registers[PLC_BASE:] = list(self._plc.shown)

    @property
    def passing(self) -> bool:
        """Whether the gate lets parts pass now."""
        return bool(self._plc.passing)

    def fall(self) -> None:
        """The PLC stops: its outputs fall."""
        self._plc.passing = 0

    def set_travel(self, travel: int) -> None:
        self._plc.travel = travel

    def number_next(self, edge: int) -> None:
        """The next edge has the number after this one."""
        self._plc.newest = edge


class GatePlc(Peer):
    """The same program behind a Modbus server, with a conveyor: gate_plc.c."""

    port = 0

    def __init__(self, scan_ms: int, travel_ms: int, pulse_ms: int, pitch_ms: int, heartbeat_ms: int = 500) -> None:
        super().__init__()
        self._numbers = (scan_ms, travel_ms, pulse_ms, pitch_ms, heartbeat_ms)

    def __enter__(self) -> GatePlc:
        flags = _modbus_flags()
        program = _built("gate_plc", "gate_plc.c", "gate_program.c", *flags)
        self.start([program, *map(str, self._numbers)])
        assert self._process is not None
        hurry(self._process.pid)
        self.port = int(self.answer().split()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ended(self) -> int:
        """How many parts have come by the gate."""
        return int(self.ask("count").split()[1])

    def parts(self) -> dict[int, bool]:
        """When each part that came by the gate was born (CLOCK_MONOTONIC ns), and whether it passed."""
        self.ask("count")
        found: dict[int, bool] = {}
        while not self.events.empty():
            _, born_ns, passed = self.events.get().split()
            found[int(born_ns)] = passed == "1"
        return found


def _modbus_flags() -> tuple[str, ...]:
    if shutil.which("pkg-config") is None:
        missing(f"no pkg-config: {_NEEDED}")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libmodbus"], capture_output=True, text=True)
    if flags.returncode:
        missing(f"no libmodbus: {_NEEDED}")
    return tuple(flags.stdout.split())


@functools.cache
def _built(name: str, *words: str) -> str:
    if shutil.which("cc") is None:
        missing(f"no cc: {_NEEDED}")
    folder = tempfile.mkdtemp(prefix="kenpin-gate-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    sources = [str(_SOURCES / word) if word.endswith(".c") else word for word in words]
    built = subprocess.run(
        ["cc", "-O2", "-Wall", "-o", f"{folder}/{name}", *sources], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return f"{folder}/{name}"
