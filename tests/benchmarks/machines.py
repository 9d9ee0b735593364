"""Machines that exist as files only: a Jetson as its kernel shows itself, and NVIDIA's library with one card."""

from __future__ import annotations

from pathlib import Path

CPU = "sys/devices/system/cpu"
GPU = "sys/class/devfreq/17000000.gpu"
RAILS = "sys/class/hwmon/hwmon1"
EMC = "sys/kernel/debug/bpmp/debug/clk/emc"
FILES = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano\0",
    "var/lib/nvpmodel/status": "pmode:0001",
    f"{CPU}/cpufreq/policy0/scaling_cur_freq": "1510400",
    f"{CPU}/cpufreq/policy0/scaling_min_freq": "1510400",
    f"{CPU}/cpufreq/policy0/scaling_max_freq": "1510400",
    f"{CPU}/cpufreq/policy0/scaling_governor": "schedutil",
    f"{GPU}/cur_freq": "624750000",
    f"{GPU}/min_freq": "624750000",
    f"{GPU}/max_freq": "624750000",
    f"{EMC}/rate": "2133000000",
    f"{EMC}/mrq_rate_locked": "1",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    "sys/class/thermal/thermal_zone0/temp": "51250",
    "sys/class/thermal/cooling_device0/type": "pwm-fan",
    "sys/class/thermal/cooling_device0/cur_state": "3",
    "sys/class/thermal/cooling_device1/type": "17000000.gpu-devfreq",
    "sys/class/thermal/cooling_device1/cur_state": "0",
    f"{RAILS}/in1_label": "VDD_IN",
    f"{RAILS}/in1_input": "5000",
    f"{RAILS}/curr1_input": "2000",
    f"{RAILS}/in2_label": "NC",
    f"{RAILS}/in2_input": "0",
    f"{RAILS}/curr2_input": "0",
    f"{RAILS}/in7_label": "sum of shunt voltages",
    f"{RAILS}/in7_input": "9",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "4",
}


def put(root: Path, files: dict[str, str]) -> None:
    """Write these files of a machine, each at once as a kernel's file changes."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def a_jetson(root: Path) -> Path:
    put(root, FILES)
    return root


class NvmlError(Exception):
    """As the library raises it for what a card does not know."""


class Nvml:
    """pynvml with one card that runs at `mhz`; it has no thermometer."""

    NVMLError = NvmlError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self) -> None:
        self.mhz = 1_980
        self.reasons = 0x03  # idle, and clocks as the user set them: neither slows work down

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, number: int) -> str:  # noqa: N802
        return f"card {number}"

    def nvmlDeviceGetName(self, card: str) -> bytes:  # noqa: N802
        return b"NVIDIA H200"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.95"

    def nvmlDeviceGetClockInfo(self, card: str, kind: int) -> int:  # noqa: N802
        return self.mhz if kind == self.NVML_CLOCK_SM else 3_201

    def nvmlDeviceGetTemperature(self, card: str, sensor: int) -> int:  # noqa: N802
        raise NvmlError

    def nvmlDeviceGetPowerUsage(self, card: str) -> int:  # noqa: N802
        return 123_400

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, card: str) -> int:  # noqa: N802
        return self.reasons
