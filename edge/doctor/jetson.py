"""Examines what is a Jetson's own: power mode, clocks of GPU and memory, pins that must be GPIO.

Written after what NVIDIA's and the mainline kernel show; not yet seen on a Jetson.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge.doctor.finding import Finding, Here, graded
from edge.line.wiring import devices
from edge.options import GpioLine
from edge.station import Station

_EMC = "sys/kernel/debug/bpmp/debug/clk/emc"  # the memory's clock; only root may read it
_GPUS = ("gpu", "gv11b", "ga10b", "gp10b")
_PINS = "sys/kernel/debug/pinctrl/*/pinmux-pins"
_GROUPS = "sys/kernel/debug/pinctrl/*/pinconf-groups"
_OURS = "kenpin"  # what the kernel calls the owner of our lines
_MHZ = 1_000_000


def is_jetson(here: Here) -> bool:
    return here.has("etc/nv_tegra_release") or "nvidia,tegra" in here.text("proc/device-tree/compatible")


def examine(here: Here) -> Iterator[Finding]:
    """What can be said without a station; nothing of another machine."""
    status = here.text("var/lib/nvpmodel/status").rpartition(":")[2]
    if status.isdigit():
        yield _power_mode(int(status), here.text("etc/nvpmodel.conf"))
    if not is_jetson(here):
        return
    for name in _GPUS:
        for path, least in here.files(f"sys/class/devfreq/*{name}*/min_freq"):
            yield _gpu(path.rpartition("/")[0], least, here)
    yield _memory(here)


def _power_mode(mode: int, conf: str) -> Finding:
    """Which number is the strongest mode differs from board to board: /etc/nvpmodel.conf names them."""
    names = {int(number): name for number, name in re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", conf)}
    default = re.search(r"<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", conf)
    words = f"Jetson power mode {mode}" + (f" ({names[mode]})" if mode in names else "")
    if not names:
        remedy = (
            "nvpmodel -p --verbose lists the modes: choose the strongest (MAXN) by nvpmodel -m, then jetson_clocks"
        )
        return Finding("power", "advice", f"{words}; /etc/nvpmodel.conf names no modes", remedy)
    best = max(names, key=lambda number: (_strength(names[number]), -number))
    if default is not None:
        words += f", at the start {int(default[1])} ({names.get(int(default[1]), 'unknown')})"
    is_well = mode == best or _strength(names.get(mode, "")) == _strength(names[best])
    return graded("power", is_well, words, f"nvpmodel -m {best} ({names[best]}), then jetson_clocks")


def _strength(name: str) -> tuple[bool, int, int]:
    """MAXN, then watts, then cores, as the names say them: MAXN_SUPER, MODE_20W_6CORE."""
    watts, cores = re.search(r"(\d+)W", name), re.search(r"(\d+)_?CORE", name)
    return "MAXN" in name, int(watts[1]) if watts else 0, int(cores[1]) if cores else 0


def _gpu(folder: str, least: str, here: Here) -> Finding:
    now, most = here.text(f"{folder}/cur_freq"), here.text(f"{folder}/max_freq")
    words = f"GPU clock ({folder.rpartition('/')[2]}): {_mhz(now)} of {_mhz(least)} to {_mhz(most)} MHz"
    return graded("power", least == most, words, "jetson_clocks: a clock that scales down makes pictures late")


def _memory(here: Here) -> Finding:
    rate, locked = here.text(f"{_EMC}/rate"), here.text(f"{_EMC}/mrq_rate_locked")
    if not rate:
        return Finding(
            "power", "advice", "memory clock (EMC): unknown, only root may read it", "run edge doctor as root"
        )
    words = f"memory clock (EMC): {_mhz(rate)} of at most {_mhz(here.text(f'{_EMC}/max_rate'))} MHz"
    return graded("power", locked == "1", f"{words}, {'locked' if locked == '1' else 'moves'}", "jetson_clocks")


def _mhz(hertz: str) -> str:
    return str(int(hertz) // _MHZ) if hertz.isdigit() else "?"


# --- pins ---------------------------------------------------------------------------------------------------------


def pins(station: Station, here: Here) -> Iterator[Finding]:
    """Of each GPIO line of the station: whether its pin is a GPIO, and who has it. Nothing of another machine."""
    if not is_jetson(here):
        return
    for name, device in devices(station).items():
        if isinstance(device, GpioLine):
            yield _pin(name, device, here)


def _pin(name: str, line: GpioLine, here: Here) -> Finding:
    """Nobody but root may see /sys/kernel/debug."""
    pin, owner = _line(line, here)
    words = f"{name}: line {line.line} of {line.chip}"
    if owner not in ("", _OURS):
        return Finding("pin", "wrong", f"{words} belongs to {owner}", "end that program, or take another line")
    port = re.fullmatch(r"P([A-Z]{1,2})\.(\d+)", pin)
    muxed = "\n".join(here.texts(_PINS))
    ending = f"_p{port[1]}{int(port[2])}".lower() if port else ""
    held = re.search(rf"^pin \d+ \(\S*{ending}\):(.*)$", muxed, re.MULTILINE | re.IGNORECASE) if ending else None
    if held is None:
        remedy = (
            f"as root: gpioinfo (its name, its owner), grep -i {ending or 'NAME'} "
            "/sys/kernel/debug/pinctrl/*/pinmux-pins (its function), pinconf-groups beside it (gpio-mode=0 is a GPIO)"
        )
        return Finding("pin", "advice", f"{words}: whether its pin is a GPIO cannot be seen", remedy)
    groups = "\n".join(here.texts(_GROUPS))
    special = re.search(rf"\(\S*{ending}\):[^(]*?gpio-mode=1", groups, re.IGNORECASE)
    return _judged(f"{words} ({pin})", held[1].strip(), special is not None)


def _line(line: GpioLine, here: Here) -> tuple[str, str]:
    """The line's name and its owner, as /sys/kernel/debug/gpio lists them; empty where they are not known."""
    name, chip = str(line.line), line.chip.rpartition("/")[2]
    found = re.search(
        rf"^{chip}: GPIOs (\d+)-\d+.*\n((?: .*\n?)*)", here.text("sys/kernel/debug/gpio"), re.MULTILINE
    )
    rows = re.findall(r"gpio-(\d+)\s*\(([^|)]*)(?:\|([^)]*))?\)", found[2]) if found else []
    for number, label, owner in rows:
        if (
            label.strip() if isinstance(line.line, str) else int(number) - int(found[1] if found else 0)
        ) == line.line:
            return label.strip(), owner.strip()
    return ("" if isinstance(line.line, int) else name), ""


def _judged(words: str, held: str, is_special: bool) -> Finding:
    """`held` is the kernel's line of the pin; `is_special`: the pad is connected to its special function."""
    remedy = "free the pin in the device tree: jetson-io.py or an overlay, then restart (docs/jetson.md)"
    muxed = re.search(r"function (\S+)", held)
    is_gpio = re.search(r"gpio\S*:\d+", held) is not None
    if muxed and not is_gpio and not re.fullmatch(r"gp|gpio|rsvd\d*", muxed[1]):
        return Finding("pin", "wrong", f"{words}: its pin is muxed as {muxed[1]}", remedy)
    if is_special:
        return Finding(
            "pin", "advice", f"{words}: its pin is connected to its special function (gpio-mode=1)", remedy
        )
    return Finding("pin", "well", f"{words}: its pin is {'a' if is_gpio else 'free to be a'} GPIO")
