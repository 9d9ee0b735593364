"""edge doctor on a Jetson that exists as files: power mode, clocks, pins."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.doctor import jetson, machine
from edge.doctor.finding import Finding, Here
from tests.doctor.test_doctor import a_machine, a_station

GPU = "sys/class/devfreq/17000000.gpu"
EMC = "sys/kernel/debug/bpmp/debug/clk/emc"
PINCTRL = "sys/kernel/debug/pinctrl/2430000.pinmux"
NANO = """< PARAM TYPE=CLOCK NAME=EMC >
MAX_FREQ /sys/kernel/nvpmodel_clk_cap/emc
< POWER_MODEL ID=0 NAME=15W >
GPU MAX_FREQ 612000000
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< POWER_MODEL ID=3 NAME=7W >
< PM_CONFIG DEFAULT=1 >"""
XAVIER = """< POWER_MODEL ID=0 NAME=MODE_15W_2CORE >
< POWER_MODEL ID=2 NAME=MODE_15W_6CORE >
< POWER_MODEL ID=7 NAME=MODE_20W_4CORE >
< POWER_MODEL ID=8 NAME=MODE_20W_6CORE >
< PM_CONFIG DEFAULT=2 >"""
WELL = {
    "etc/nv_tegra_release": "# R36",
    "etc/nvpmodel.conf": NANO,
    "var/lib/nvpmodel/status": "pmode:0002",
    f"{GPU}/cur_freq": "624750000",
    f"{GPU}/min_freq": "624750000",
    f"{GPU}/max_freq": "624750000",
    f"{EMC}/rate": "2133000000",
    f"{EMC}/max_rate": "2133000000",
    f"{EMC}/mrq_rate_locked": "1",
}
# As the kernel prints them (drivers/gpio/gpiolib.c, drivers/pinctrl/pinmux.c, pinctrl-tegra.c).
LINES = """gpiochip0: GPIOs 348-511, parent: platform/2200000.gpio, tegra234-gpio:
 gpio-433 (PN.01               )
 gpio-453 (PQ.05               |{owner}              ) out lo
 gpio-454 (PQ.06               )

gpiochip1: GPIOs 316-347, parent: platform/c2f0000.gpio, tegra234-gpio-aon:
 gpio-421 (PQ.05               |fan                 ) out lo
"""
MUX = """Pinmux settings per pin
Format: pin (name): mux_owner gpio_owner hog?
pin 56 (SOC_GPIO32_PQ5): {held}
pin 57 (SOC_GPIO33_PQ6): 3210000.spi (GPIO UNCLAIMED) function spi1 group soc_gpio33_pq6
pin 58 (SOC_GPIO34_PQ50): 3210000.spi (GPIO UNCLAIMED) function spi1 group soc_gpio34_pq50
"""
GROUPS = """Pin config settings per pin group
Format: group (name): configs
12 (soc_gpio32_pq5):
\ttristate=0
\tgpio-mode={mode}
13 (soc_gpio33_pq6):
\tgpio-mode=1
"""


def unwell(here: Here) -> list[Finding]:
    return [found for found in machine.examine(here) if found.grade != "well" and found.topic == "power"]


@pytest.mark.parametrize(
    ("conf", "mode", "remedy"),
    [
        (NANO, 0, "nvpmodel -m 2 (MAXN_SUPER)"),
        (NANO, 3, "nvpmodel -m 2 (MAXN_SUPER)"),
        (NANO, 2, ""),
        (XAVIER, 0, "nvpmodel -m 8 (MODE_20W_6CORE)"),
        (XAVIER, 8, ""),
        ("", 0, "nvpmodel -p --verbose"),
    ],
)
def test_the_strongest_mode_of_this_board_is_advised_by_name(
    tmp_path: Path, conf: str, mode: int, remedy: str
) -> None:
    files = WELL | {"etc/nvpmodel.conf": conf, "var/lib/nvpmodel/status": f"pmode:{mode:04}"}
    found = unwell(a_machine(tmp_path, **files))
    assert [one.remedy.startswith(remedy) for one in found] == ([True] if remedy else [])


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (f"{GPU}/min_freq", "306000000", "GPU clock (17000000.gpu): 624 of 306 to 624 MHz"),
        (f"{EMC}/mrq_rate_locked", "0", "memory clock (EMC): 2133 of at most 2133 MHz, moves"),
        (f"{EMC}/rate", "", "memory clock (EMC): unknown, only root may read it"),
    ],
)
def test_a_clock_that_moves_or_cannot_be_read_is_told(tmp_path: Path, path: str, text: str, words: str) -> None:
    (found,) = unwell(a_machine(tmp_path, **WELL | {path: text}))
    assert found.words == words


def pin(root: Path, *, owner: str = "kenpin", held: str, mode: str = "0", line: str = '"PQ.05"') -> Finding:
    """What is said of a gate on this line of a Jetson whose kernel shows that."""
    gate = 'kind = "serial_bytes"\nport = "/dev/serial/by-id/usb-relay-board-if00"\nboard = "lcus"\nchannel = 1'
    station = a_station(root, gate, f'kind = "gpio"\nline = {line}')
    files = {
        "sys/kernel/debug/gpio": LINES.format(owner=owner),
        f"{PINCTRL}/pinmux-pins": MUX.format(held=held),
        f"{PINCTRL}/pinconf-groups": GROUPS.format(mode=mode),
    }
    (found,) = jetson.pins(station, a_machine(root / "m", **WELL, **files))
    return found


FREE = "(MUX UNCLAIMED) (GPIO UNCLAIMED)"


@pytest.mark.parametrize("line", ['"PQ.05"', "105"])
@pytest.mark.parametrize("held", [FREE, "(MUX UNCLAIMED) tegra234-gpio:453", "GPIO tegra234-gpio:453"])
def test_a_pin_that_is_a_gpio_or_free_is_well(tmp_path: Path, line: str, held: str) -> None:
    assert pin(tmp_path, held=held, line=line).grade == "well"


def test_a_pin_that_the_device_tree_made_a_gpio_is_well(tmp_path: Path) -> None:
    held = "2430000.pinmux (GPIO UNCLAIMED) (HOG) function gp group soc_gpio32_pq5"
    assert pin(tmp_path, held=held).grade == "well"


@pytest.mark.parametrize("line", ['"PQ.06"', "106"])
def test_a_pin_that_another_device_has_is_wrong(tmp_path: Path, line: str) -> None:
    found = pin(tmp_path, held=FREE, line=line)
    assert found.grade == "wrong" and "muxed as spi1" in found.words and "jetson-io.py" in found.remedy


def test_a_pad_that_is_connected_to_its_special_function_is_told(tmp_path: Path) -> None:
    found = pin(tmp_path, held=FREE, mode="1")
    assert found.grade == "advice" and "gpio-mode=1" in found.words


def test_a_line_that_another_program_has_is_wrong(tmp_path: Path) -> None:
    found = pin(tmp_path, held=FREE, owner="sysfs")
    assert found.grade == "wrong" and "belongs to sysfs" in found.words


def test_without_root_it_says_how_to_look(tmp_path: Path) -> None:
    gate = 'kind = "serial_bytes"\nport = "/dev/serial/by-id/usb-relay-board-if00"\nboard = "lcus"\nchannel = 1'
    station = a_station(tmp_path, gate, 'kind = "gpio"\nline = "PQ.05"')
    (found,) = jetson.pins(station, a_machine(tmp_path / "m", **WELL))
    assert found.grade == "advice" and "_pq5 /sys/kernel/debug/pinctrl" in found.remedy
    assert list(jetson.pins(station, a_machine(tmp_path / "n"))) == [], "another machine's pins are no such matter"
