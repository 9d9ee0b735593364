"""What happened in a run: counted as it happens, reported under fixed keys with the machine it ran on."""

from __future__ import annotations

import os
import platform
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge.health import Level
from edge.records import GateEvent, GateOutcome, Kind, Reason, Sensed
from edge.timing import Series, Timing

OF_THE_PROCESS = ("rss_mb", "cpu_s", "host")
EDGE_BOUNDS_NS = tuple(1_000 * bound for bound in (50, 100, 200, 300, 500, 1_000, 2_000, 5_000, 10_000))
# of x86, and of ARM as its kernel names them
_FLAGS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
FRAMES = ("captured", "paired", "unpaired", "lost", "copies")
_LIBRARIES = (
    *("kenpin", "numpy", "onnxruntime", "openvino", "tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx"),
    *("cuda-bindings", "opencv-python-headless", "pydantic", "pymodbus"),
)


class Counts:
    """The numbers of a run; any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.parts = 0
        self.verdicts: Counter[Kind] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.outcomes: Counter[GateOutcome] = Counter()
        self.frames: Counter[str] = Counter()
        self.unconfirmed = 0
        self.bypassed = 0
        self.met = 0
        self.missed = 0
        self.committed = 0
        self.records_lost = 0
        self.edge_errors = Series(bounds=EDGE_BOUNDS_NS)
        self.last_part: tuple[int, Kind, Reason, float] | None = None

    @classmethod
    def sum(cls, several: Sequence[Counts]) -> Counts:
        """What several have counted, in one that nobody adds to any more."""
        total = cls()
        for each in several:
            for name in ("verdicts", "reasons", "outcomes", "frames"):
                getattr(total, name).update(getattr(each, name))
            for name in ("parts", "unconfirmed", "bypassed", "met", "missed", "committed", "records_lost"):
                setattr(total, name, getattr(total, name) + getattr(each, name))
        total.edge_errors = Series.of([each.edge_errors for each in several])
        return total

    def frame(self, what: str, count: int = 1) -> None:
        """`what` is captured, paired, unpaired or lost; or copies, of pixels before they lay in the eye's memory."""
        with self._lock:
            self.frames[what] += count

    def record(self, committed: bool, count: int = 1) -> None:
        """Records reached the disk, or were lost before they could."""
        with self._lock:
            if committed:
                self.committed += count
            else:
                self.records_lost += count

    def part(self, event: GateEvent, kind: Kind, reason: Reason, score: float, in_time: bool) -> None:
        """A part ended; `kind`, `reason` and `score` are what the eye said of it in the end."""
        with self._lock:
            self.verdicts[kind] += 1
            if kind is Kind.UNKNOWN:
                self.reasons[reason] += 1
            self.outcomes[event.outcome] += 1
            self.unconfirmed += event.reason is Reason.OUTPUT_ERROR or event.sensed is Sensed.MISSED
            self.bypassed += event.reason is Reason.BYPASS
            self.met += in_time
            self.missed += not in_time
            if event.written_ns:
                self.edge_errors.add(event.written_ns - event.planned_ns)
            self.last_part = (event.part_id, kind, reason, score)
            self.parts += 1


@dataclass(frozen=True)
class Report:
    """A run in numbers; `to_dict` gives the public keys. `exit_code`: 0, 3 (to be started
    again), 69 (the line), 74 (journal) or 75 (limits).

    Of several stations it is the sum, and `lanes` has each one's own by its name.
    """

    parts: int
    verdicts: dict[str, int]
    unknown_reasons: dict[str, int]
    frames: dict[str, int]
    deadline: dict[str, int]
    gate: dict[str, Any]
    latency_ms: dict[str, dict[str, float | None]]
    journal: dict[str, int]
    startup_ms: float | None
    rss_mb: float
    cpu_s: float
    host: dict[str, Any] = field(default_factory=dict)
    state: str = "READY"
    cause: str = ""
    exit_code: int = 0
    lanes: dict[str, Report] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what belongs to the process stands at the top only, `lanes` where there are some."""
        values = asdict(self)
        for lane in values["lanes"].values():
            for key in (*OF_THE_PROCESS, "lanes"):
                del lane[key]
        if not values["lanes"]:
            del values["lanes"]
        return values


def report(counts: Counts, timing: Timing, startup_ns: int | None, state: str, cause: str, code: int) -> Report:
    """The report of what `counts` and `timing` have seen; memory and processor time are this process's."""
    outcomes = counts.outcomes
    fired, released, late = (outcomes[outcome] for outcome in GateOutcome)
    return Report(
        parts=counts.parts,
        verdicts={kind.name.lower(): counts.verdicts[kind] for kind in Kind},
        unknown_reasons={reason.name: count for reason, count in sorted(counts.reasons.items())},
        frames={what: counts.frames[what] for what in FRAMES},
        deadline={"met": counts.met, "missed": counts.missed},
        gate={
            "orders": fired + released + late,
            "fired": fired,
            "released": released,
            "late": late,
            "unconfirmed": counts.unconfirmed,
            "bypassed": counts.bypassed,
            "edge_error_us": _edge_errors(counts.edge_errors),
        },
        latency_ms=timing.summary(),
        journal={"committed": counts.committed, "lost": counts.records_lost},
        startup_ms=None if startup_ns is None else round(startup_ns / 1e6, 1),
        rss_mb=peak_memory_mb(),
        cpu_s=round(sum(os.times()[:2]), 2),
        host=host(),
        state=state,
        cause=cause,
        exit_code=code,
    )


def together(lanes: Mapping[str, Report], counts: Counts, timing: Timing) -> Report:
    """The report of several stations that shared an eye; `counts` and `timing` are those of all. The state is that of
    the worst, and the exit code the highest."""
    reports = lanes.values()
    startups = [each.startup_ms for each in reports]
    causes = [f"{name}: {each.cause}" for name, each in lanes.items() if each.cause]
    total = report(
        counts,
        timing,
        None,
        max(reports, key=lambda each: Level[each.state]).state,
        "; ".join(causes),
        max(each.exit_code for each in reports),
    )
    known = [startup for startup in startups if startup is not None]
    return replace(total, startup_ms=max(known) if len(known) == len(startups) else None, lanes=dict(lanes))


def _edge_errors(series: Series) -> dict[str, float | None]:
    summary = series.summary(1_000)
    return {"n": series.count} | {name: summary[name] for name in ("p50", "p99", "p999", "max")}


def peak_memory_mb() -> float:
    """The most memory this process has held, in MB (10^6 bytes)."""
    return round(_kilobytes("VmHWM") * 1_024 / 1e6, 1)


def memory_mb(process: int | str = "self") -> float:
    """The memory that a process holds now, by its id, in MB (10^6 bytes); 0 where it has just ended."""
    return _kilobytes("VmRSS", process) * 1_024 / 1e6


def _kilobytes(name: str, process: int | str = "self") -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
    return 0


def host() -> dict[str, Any]:
    """The machine: processor with the features that matter to inference, kernel, and library versions."""
    model, flags = _processor()
    return {
        "cpu": model,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: found for name in _LIBRARIES if (found := installed(name))},
    }


def _processor() -> tuple[str, set[str]]:
    """Model name and feature flags as the kernel tells them; ARM kernels say Features and have no model name."""
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        facts.setdefault(name.strip(), value.strip())
    model = facts.get("model name") or facts.get("CPU part") or platform.machine()
    return model, set((facts.get("flags") or facts.get("Features") or "").split())


def installed(library: str) -> str:
    """The version of a Python library; "" where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
