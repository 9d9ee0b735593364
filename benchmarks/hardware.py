"""What a machine tells of itself while it is measured: clocks, temperatures, power, and what slows it down.

The kernel's files are those of Linux and of Jetson's kernels (devfreq, ina3221 and soctherm drivers); NVIDIA's cards
answer through NVML, by the package nvidia-ml-py. What a machine does not have is left out.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["clocks_mhz", "temperatures_c", "power_w", "slow_downs", "slowed_by"]
Readings = dict[str, dict[str, float]]  # by Kind, then by the gauge's name

_CPU = "sys/devices/system/cpu"
_EMC = "sys/kernel/debug/bpmp/debug/clk/emc"  # a Jetson's memory clock; readable by root only
_GPUS = ("gpu", "gv11b", "ga10b", "gp10b")
_COOLERS = ("cpufreq", "devfreq", "processor", "throttle")  # cooling devices that cool by slowing down
_MOVED = 0.02  # a locked clock shows less
# nvml.h: what lowers a GPU's clocks although it has work to do
_REASONS = {
    0x04: "its power cap",
    0x08: "hardware slow-down",
    0x20: "heat (driver)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """The product of what `files` say, times `scale`, is a value of this kind.

    slow_downs are counts since the machine's start, slowed_by is 0 where nothing is slowed down now.
    """

    kind: Kind
    name: str
    files: tuple[Path, ...]
    scale: float = 1.0

    def value(self) -> float | None:
        """None where a file cannot be read or says no number."""
        product = self.scale
        for file in self.files:
            try:
                product *= float(file.read_text(encoding="ascii", errors="replace"))
            except (OSError, ValueError):
                return None
        return product


class Hardware:
    """The gauges of the machine whose files lie below `root`; `nvml` is the module pynvml, or None."""

    def __init__(self, root: Path = Path("/"), nvml: Any = None) -> None:
        self._root = root
        self._gauges = [gauge for gauge in _gauges(root) if gauge.value() is not None]
        self._cards = None if nvml is None else _Cards(nvml)

    def is_silent(self) -> bool:
        """Whether there is nothing to read, as in most virtual machines."""
        return not self._gauges and self._cards is None

    def read(self) -> Readings:
        """All gauges, once."""
        found: Readings = {}
        for gauge in self._gauges:
            value = gauge.value()
            if value is not None:
                found.setdefault(gauge.kind, {})[gauge.name] = round(value, 3)
        if self._cards is not None:
            for kind, values in self._cards.read().items():
                found.setdefault(kind, {}).update(values)
        return found

    def facts(self) -> dict[str, str]:
        """What does not change: board, NVIDIA's release of Linux (L4T, which names the JetPack), power mode, governor,
        graphics cards, kernel, and whether the memory's clock is known to be locked."""
        model = self._text("proc/device-tree/model").rstrip("\0")
        governors = sorted({_read(file) for file in self._root.glob(f"{_CPU}/cpufreq/policy*/scaling_governor")})
        found = {
            "board": model,
            "l4t": _release(self._text("etc/nv_tegra_release")),
            "power_mode": self._text("var/lib/nvpmodel/status").rpartition(":")[2],
            "governor": ", ".join(governors),
            "gpus": "" if self._cards is None else self._cards.names(),
            "kernel": "PREEMPT_RT" if self._text("sys/kernel/realtime") == "1" else "not PREEMPT_RT",
            "memory_clock": self._memory_clock(),
        }
        return {name: words for name, words in found.items() if words}

    def unlocked(self) -> list[str]:
        """Clocks of a Jetson that move with the load, in words; of other machines nothing is known beforehand."""
        if not (self._root / "etc/nv_tegra_release").exists():
            return []
        pairs = [("processor", f"{_CPU}/cpufreq/policy*", "scaling_min_freq", "scaling_max_freq", 1e-3)]
        pairs += [("GPU", f"sys/class/devfreq/*{name}*", "min_freq", "max_freq", 1e-6) for name in _GPUS]
        found = []
        for name, pattern, low, high, mhz in pairs:
            for folder in sorted(self._root.glob(pattern)):
                least, most = (Gauge("clocks_mhz", name, (folder / file,), mhz).value() for file in (low, high))
                if least is not None and most is not None and least != most:
                    found.append(f"the {name}'s clock ({folder.name}) moves from {least:.0f} to {most:.0f} MHz")
        if self._text(f"{_EMC}/mrq_rate_locked") == "0":
            found.append("the memory's clock moves")
        return found

    def _memory_clock(self) -> str:
        """Of a Jetson; "" where it can be told by its gauge."""
        if not (self._root / "etc/nv_tegra_release").exists() or self._text(f"{_EMC}/mrq_rate_locked"):
            return ""
        return "unknown whether it is locked: only root may read it"

    def _text(self, path: str) -> str:
        return _read(self._root / path)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _release(text: str) -> str:
    """ "# R36 (release), REVISION: 4.3, GCID: ..." as "R36, revision 4.3"."""
    found = re.match(r"# (R\d+)(?: \(release\), REVISION: ([\d.]+))?", text)
    return "" if found is None else ", revision ".join(filter(None, found.groups()))


def _gauges(root: Path) -> Iterator[Gauge]:
    for folder in sorted(root.glob(f"{_CPU}/cpufreq/policy*")):
        name = f"cpu{folder.name.removeprefix('policy')}"
        yield Gauge("clocks_mhz", name, (folder / "scaling_cur_freq",), 1e-3)
    for folder in sorted(root.glob("sys/class/devfreq/*")):
        if any(name in folder.name for name in _GPUS):
            yield Gauge("clocks_mhz", "gpu", (folder / "cur_freq",), 1e-6)
    yield Gauge("clocks_mhz", "emc", (root / _EMC / "rate",), 1e-6)
    for folder in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        yield Gauge("temperatures_c", _read(folder / "type") or folder.name, (folder / "temp",), 1e-3)
    for folder in sorted(root.glob("sys/class/hwmon/hwmon*")):
        yield from _rails(folder)
        for file in sorted(folder.glob("oc*_event_cnt")):
            yield Gauge("slow_downs", f"over-current ({file.name.removesuffix('_event_cnt')})", (file,))
    for file in sorted(root.glob(f"{_CPU}/cpu*/thermal_throttle/core_throttle_count")):
        yield Gauge("slow_downs", f"heat of {file.parents[1].name}", (file,))
    for folder in sorted(root.glob("sys/class/thermal/cooling_device*")):
        kind = _read(folder / "type").lower()
        if any(word in kind for word in _COOLERS):
            yield Gauge("slowed_by", f"{kind} ({folder.name})", (folder / "cur_state",))


def _rails(folder: Path) -> Iterator[Gauge]:
    """Power rails: millivolts times milliamperes; the label "NC" is of what is not connected."""
    for label in sorted(folder.glob("in*_label")):
        volts = folder / label.name.replace("_label", "_input")
        amperes = folder / volts.name.replace("in", "curr", 1)
        if amperes.exists() and _read(label) != "NC":
            yield Gauge("power_w", _read(label), (volts, amperes), 1e-6)


class _Cards:
    """NVIDIA's graphics cards by NVML."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._cards = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]

    def names(self) -> str:
        """Names and the driver's version."""
        names = ", ".join(_decoded(self._nvml.nvmlDeviceGetName(card)) for card in self._cards)
        return f"{names}; driver {_decoded(self._nvml.nvmlSystemGetDriverVersion())}"

    def read(self) -> Readings:
        """What each card tells; what it does not know is left out."""
        nvml, found = self._nvml, Readings()
        for number, card in enumerate(self._cards):
            name = f"gpu {number}"
            asked: list[tuple[Kind, str, Any, tuple[Any, ...], float]] = [
                ("clocks_mhz", name, nvml.nvmlDeviceGetClockInfo, (nvml.NVML_CLOCK_SM,), 1),
                ("clocks_mhz", f"{name} memory", nvml.nvmlDeviceGetClockInfo, (nvml.NVML_CLOCK_MEM,), 1),
                ("temperatures_c", name, nvml.nvmlDeviceGetTemperature, (nvml.NVML_TEMPERATURE_GPU,), 1),
                ("power_w", name, nvml.nvmlDeviceGetPowerUsage, (), 1e-3),
            ]
            for kind, gauge, ask, words, scale in asked:
                with suppress(nvml.NVMLError):
                    found.setdefault(kind, {})[gauge] = round(ask(card, *words) * scale, 3)
            with suppress(nvml.NVMLError):
                reasons = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)
                for bit, reason in _REASONS.items():
                    found.setdefault("slowed_by", {})[f"{name}: {reason}"] = float(bool(reasons & bit))
        return found


def _decoded(words: Any) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)


def nvml() -> Any:
    """The module pynvml, begun; None where it, a driver or a card is missing."""
    try:
        module = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        module.nvmlInit()
        return module if module.nvmlDeviceGetCount() else None
    except module.NVMLError:
        return None


def moved(clocks: Mapping[str, tuple[float, float]]) -> list[str]:
    """Graphics cards' clocks that moved between the least and the most that was seen while it worked, in words."""
    return [
        f"the clock of {name} moved from {least:.0f} to {most:.0f} MHz while it worked"
        for name, (least, most) in clocks.items()
        if name.startswith("gpu") and least < most * (1 - _MOVED)
    ]
