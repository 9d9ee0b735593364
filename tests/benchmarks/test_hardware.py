"""What a machine tells of its clocks, heat and power gets into the result, and a machine that slows down publishes
nothing unasked."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import cli, recorder
from benchmarks.hardware import Hardware, nvml
from benchmarks.page import page
from benchmarks.recorder import Recording, Sample, Span, recording
from benchmarks.results import unlike
from benchmarks.tables import hardware_rows
from edge.clock import SECOND
from edge.errors import ConfigError
from tests.benchmarks.machines import CPU, EMC, GPU, Nvml, NvmlError, a_jetson, put
from tests.benchmarks.test_page import a_result
from tests.bundles import store_key
from tests.eye.stations import bundle

SILENT = Path("/nonexistent")


def samples(*each: dict[str, Any]) -> list[Sample]:
    """One a second."""
    return [Sample(number * SECOND, readings) for number, readings in enumerate(each)]


def test_a_jetson_tells_its_clocks_heat_and_rails(tmp_path: Path) -> None:
    hardware = Hardware(a_jetson(tmp_path))
    assert hardware.read() == {
        "clocks_mhz": {"cpu0": 1510.4, "gpu": 624.75, "emc": 2133},
        "temperatures_c": {"cpu-thermal": 51.25},
        "power_w": {"VDD_IN": 10},
        "slow_downs": {"over-current (oc1)": 4},
        "slowed_by": {"17000000.gpu-devfreq (cooling_device1)": 0},
    }
    assert hardware.facts() == {
        "board": "NVIDIA Jetson Orin Nano",
        "l4t": "R36, revision 4.3",
        "power_mode": "0001",
        "governor": "schedutil",
        "kernel": "not PREEMPT_RT",
    }
    assert hardware.unlocked() == []
    (tmp_path / EMC / "mrq_rate_locked").unlink()
    assert hardware.unlocked() == []
    assert "only root may read it" in hardware.facts()["memory_clock"]


def test_clocks_that_move_are_named(tmp_path: Path) -> None:
    root = a_jetson(tmp_path)
    put(root, {f"{GPU}/min_freq": "306000000", f"{CPU}/cpufreq/policy0/scaling_min_freq": "115200"})
    put(root, {f"{EMC}/mrq_rate_locked": "0"})
    processor, gpu, memory = Hardware(root).unlocked()
    assert processor == "the processor's clock (policy0) moves from 115 to 1510 MHz"
    assert gpu == "the GPU's clock (17000000.gpu) moves from 306 to 625 MHz"
    assert memory == "the memory's clock moves"


def test_other_machines_are_not_held_to_a_jetsons_clocks(tmp_path: Path) -> None:
    root = a_jetson(tmp_path)
    (root / "etc/nv_tegra_release").unlink()
    put(root, {f"{CPU}/cpufreq/policy0/scaling_min_freq": "115200"})
    assert Hardware(root).unlocked() == []


def test_a_card_tells_what_it_knows() -> None:
    hardware = Hardware(SILENT, Nvml())
    assert not hardware.is_silent()
    found = hardware.read()
    assert found["clocks_mhz"] == {"gpu 0": 1_980, "gpu 0 memory": 3_201}
    assert found["power_w"] == {"gpu 0": 123.4}
    assert "temperatures_c" not in found
    assert set(found["slowed_by"].values()) == {0}
    assert ("kernel", "not PREEMPT_RT") in hardware_rows({"facts": hardware.facts()})
    assert hardware.facts()["gpus"] == "NVIDIA H200; driver 580.95"


def test_a_card_without_a_driver_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml() is None
    library = ModuleType("pynvml")
    library.NVMLError = NvmlError  # type: ignore[attr-defined]

    def refuse() -> None:
        raise NvmlError

    library.nvmlInit = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert nvml() is None
    library.nvmlInit = lambda: None  # type: ignore[attr-defined]
    library.nvmlDeviceGetCount = lambda: 0  # type: ignore[attr-defined]
    assert nvml() is None


def test_gauges_are_told_of_the_span_and_energy_by_the_part() -> None:
    watts = [4.0, 10.0, 12.0, 11.0, 3.0]
    recorded = Recording(Hardware(SILENT), samples(*({"power_w": {"VDD_IN": each}} for each in watts)))
    told = recorded.values(Span(SECOND, 3 * SECOND, 40))
    assert told["power_w"] == {"VDD_IN": {"least": 10, "mean": 11, "most": 12}}
    assert told["joules_per_part"] == {"VDD_IN": pytest.approx(11 * 2 / 40)}
    assert [moment["at_s"] for moment in told["course"]] == [0, 1, 2, 3, 4]
    assert told["unfit"] == []
    assert ("VDD_IN", "10 to 12 W, mean 11") in hardware_rows(told)
    assert ("energy of a part, VDD_IN", "550 mJ") in hardware_rows(told)


def test_what_slowed_it_down_is_told_but_not_what_lies_before() -> None:
    began = {"slow_downs": {"over-current (oc1)": 4.0}, "slowed_by": {"gpu-devfreq": 0.0}}
    assert Recording(Hardware(SILENT), samples(began, began)).values(None)["unfit"] == []
    later = {"slow_downs": {"over-current (oc1)": 5.0}, "slowed_by": {"gpu-devfreq": 1.0}}
    told = Recording(Hardware(SILENT), samples(began, later, began | {"slow_downs": later["slow_downs"]})).values(
        None
    )
    assert told["unfit"] == ["slowed down by gpu-devfreq", "slowed down by over-current (oc1)"]


def test_a_cards_clock_that_moves_at_full_work_is_told() -> None:
    moving = samples(*({"clocks_mhz": {"gpu 0": mhz, "cpu0": mhz}} for mhz in (210.0, 1_980.0, 1_740.0, 210.0)))
    recorded = Recording(Hardware(SILENT), moving)
    assert recorded.values(Span(SECOND, 2 * SECOND, 10))["unfit"] == [
        "the clock of gpu 0 moved from 1740 to 1980 MHz while it worked"
    ]
    steady = Recording(Hardware(SILENT), [*moving[:2], *moving[3:]])
    assert steady.values(Span(SECOND, 2 * SECOND, 10))["unfit"] == []


def test_it_is_recorded_from_a_process_of_its_own(tmp_path: Path) -> None:
    root = a_jetson(tmp_path)
    began_ns = time.monotonic_ns()
    with recording(root) as recorded:
        assert recorded.samples == []
    assert recorded.samples
    assert all(began_ns < each.at_ns < time.monotonic_ns() for each in recorded.samples)
    assert recorded.samples[0].of("power_w") == {"VDD_IN": 10}


def test_a_silent_machine_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "nvml", lambda: None)
    monkeypatch.setattr(recorder.subprocess, "Popen", None)
    with recording(tmp_path) as recorded:
        pass
    assert recorded.samples == [] and recorded.values(None)["unfit"] == []


def test_moving_clocks_are_refused_before_measuring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = a_jetson(tmp_path)
    put(root, {f"{GPU}/min_freq": "306000000"})
    monkeypatch.setattr(cli, "Hardware", lambda nvml: Hardware(root, nvml))
    words = ["--bundle", str(tmp_path / "none.bundle"), "--keys", str(tmp_path)]
    refused = CliRunner().invoke(cli.app, words).exception
    assert isinstance(refused, ConfigError)
    assert "moves from 306 to 625 MHz: run jetson_clocks" in str(refused)
    anyway = CliRunner().invoke(cli.app, [*words, "--anyway"]).exception
    assert "holds no *.pub key" in str(anyway)


def test_a_machine_that_was_slowed_down_keeps_its_result_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = a_jetson(tmp_path / "root")
    put(root, {"sys/class/thermal/cooling_device1/cur_state": "2"})
    monkeypatch.setattr(cli, "recording", lambda: recording(root))
    file, result, drawn = bundle(tmp_path / "cap-a-1.bundle"), tmp_path / "bench.json", tmp_path / "bench.html"
    words = ["--bundle", str(file), "--keys", str(store_key(tmp_path / "keys")), "--seconds", "3", "--idle", "0"]
    words += ["--json", str(result), "--html", str(drawn)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 1
    assert "no figure to publish: slowed down by 17000000.gpu-devfreq" in done.stderr
    hardware = json.loads(result.read_text())["hardware"]
    assert hardware["unfit"] and hardware["joules_per_part"]["VDD_IN"] > 0
    assert "No figure to publish" in drawn.read_text() and "VDD_IN" in drawn.read_text()
    assert CliRunner().invoke(cli.app, [*words, "--anyway"]).exit_code == 0


def test_two_machines_in_other_states_are_not_alike() -> None:
    one, other = ({"hardware": {"facts": {"power_mode": mode}, "unfit": []}} for mode in ("0000", "0001"))
    assert unlike(one, other) == ["hardware, facts: power_mode 0000 before, power_mode 0001 after"]


def test_the_page_tells_of_a_machine_that_is_well() -> None:
    told = Recording(Hardware(SILENT), samples({"power_w": {"VDD_IN": 7.5}})).values(None)
    text = page(a_result() | {"hardware": told})
    assert "7.5 to 7.5 W" in text and "No figure to publish" not in text
