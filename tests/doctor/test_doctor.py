"""edge doctor finds what is planted, says what to do, and is content with a machine that is well."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.clock import SystemClock
from edge.doctor import machine, needs
from edge.doctor.finding import Finding, Here
from edge.screen import print_findings
from edge.station import Station, load
from tests.bundles import a_manifest
from tests.contracts.source_tree import ROOT

WELL = {
    "proc/cpuinfo": "model name : x\nflags : fpu avx2",
    "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB",
    "proc/sys/kernel/sched_rt_runtime_us": "950000",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    "sys/class/watchdog/watchdog0/state": "active",
    "sys/fs/cgroup/cgroup.controllers": "cpu memory",
    "run/systemd/timesync/synchronized": "",
    "var/log/journal/x": "",
}
RIGHTS = "real time"  # those of whoever runs the tests


def a_machine(root: Path, **planted: str) -> Here:
    for path, text in (WELL | planted).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    return Here(root)


def unwell(here: Here) -> list[Finding]:
    return [found for found in machine.examine(here) if found.grade != "well" and found.topic != RIGHTS]


def test_a_machine_that_is_well_needs_nothing(tmp_path: Path) -> None:
    assert unwell(a_machine(tmp_path)) == []


@pytest.mark.parametrize(
    ("path", "text", "topic", "words"),
    [
        ("proc/cpuinfo", "flags : fpu sse2", "processor", "INT8"),
        ("proc/meminfo", "MemTotal: 900000 kB\nMemAvailable: 300000 kB", "memory", "250 MB"),
        ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "clock", "dmesg"),
        ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave", "power", "cpupower"),
        ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7", "heat", "cool"),
        ("sys/class/watchdog/watchdog0/state", "inactive", "watchdog", "RuntimeWatchdogSec"),
        ("usr/sbin/ModemManager", "", "serial", "ModemManager"),
        ("sys/kernel/debug/sched/preempt", "none (voluntary) full lazy", "preemption", "preempt=full"),
        ("proc/cmdline", "quiet preempt=none", "preemption", "preempt=full"),
    ],
)
def test_what_is_planted_is_found_with_its_remedy(
    tmp_path: Path, path: str, text: str, topic: str, words: str
) -> None:
    (found,) = unwell(a_machine(tmp_path, **{path: text}))
    assert found.topic == topic and words in found.remedy


@pytest.mark.parametrize("mode", ["none voluntary (full)", "none voluntary full (lazy)"])
def test_a_kernel_that_may_be_interrupted_needs_nothing(tmp_path: Path, mode: str) -> None:
    assert unwell(a_machine(tmp_path, **{"sys/kernel/debug/sched/preempt": mode})) == []


def test_a_machine_whose_address_filters_do_nothing_is_told(tmp_path: Path) -> None:
    here = a_machine(tmp_path)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").unlink()
    (found,) = unwell(here)
    assert found.topic == "network" and "nftables" in found.remedy
    (tmp_path / "sys/fs/cgroup/unified").mkdir()
    (tmp_path / "sys/fs/cgroup/unified/cgroup.controllers").touch()
    assert unwell(here) == [], "a hybrid hierarchy filters too"


def a_station(folder: Path, old: str = "", new: str = "") -> Station:
    """A station of the examples, changed, with its journal in this folder."""
    text = (ROOT / "examples" / "rest-open.toml").read_text().replace(old, new, 1 if old else 0)
    assert "[journal]" not in text
    (folder / "station.toml").write_text(f'{text}\n[journal]\ndir = "journal"\n')
    return load(folder / "station.toml")


def test_a_station_on_a_strange_machine_lacks_its_bundle_and_its_board(tmp_path: Path) -> None:
    station = a_station(tmp_path, 'name = "packing-1"', f'name = "packing-1"\nstate_dir = "{tmp_path}"')
    found = list(needs.examine(station, Here(), SystemClock()))
    wrong = {(finding.topic, finding.words.partition(" ")[0]) for finding in found if finding.grade == "wrong"}
    assert {("bundle", "cap-a"), ("device", "gate:"), ("device", "line_permit:")} <= wrong
    assert any("a flush takes" in finding.words for finding in found)
    assert not list(tmp_path.glob(".doctor*"))


def test_whoever_may_not_see_the_journal_is_told_of_the_disk_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exists = Path.exists

    def seen(path: Path) -> bool:
        if path.name == "journal":
            raise PermissionError(path)  # as a folder does that is open to the service alone
        return exists(path)

    monkeypatch.setattr(Path, "exists", seen)
    found = list(needs.examine(a_station(tmp_path), Here(), SystemClock()))
    assert any("a flush takes" in finding.words for finding in found)


@pytest.mark.parametrize(
    ("camera", "device"),
    [
        ('kind = "cv"\nsource = 63', "/dev/video63"),
        ('kind = "cv"\nsource = "/dev/v4l/by-id/none"', "/dev/v4l/by-id/none"),
        ('kind = "gst"\nuri = "v4l2:///dev/video63"', "/dev/video63"),
        ('kind = "gst"\npipeline = "v4l2src io-mode=2 device=/dev/video63 ! appsink name=frames"', "/dev/video63"),
    ],
)
def test_a_camera_that_is_not_there_is_told(tmp_path: Path, camera: str, device: str) -> None:
    text = (ROOT / "examples" / "first-station.toml").read_text()
    (tmp_path / "station.toml").write_text(re.sub(r'kind = "gst"\npipeline = .*', camera, text, count=1))
    found = list(needs.examine(load(tmp_path / "station.toml"), Here(), SystemClock()))
    assert f"camera top: {device} is not there" in [finding.words for finding in found]


def test_a_disk_that_forgets_and_one_that_is_worn_are_told(tmp_path: Path) -> None:
    state = tmp_path.stat().st_dev
    wear = f"sys/dev/block/{os.major(state)}:{os.minor(state)}/device/life_time"
    here = a_machine(tmp_path / "m", **{"proc/mounts": f"x / ext4 rw\ny {tmp_path} tmpfs rw", wear: "0x03 0x09"})
    found = list(needs.examine(a_station(tmp_path), here, SystemClock()))
    remedies = [finding.remedy for finding in found if finding.topic == "disk" and finding.grade == "advice"]
    assert any("local disk with ext4" in remedy for remedy in remedies)
    assert any("replace it soon" in remedy for remedy in remedies)


def test_a_missing_library_is_told_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    for module in ("edge.line.gpio_line", "edge.line.outputs.gpio"):  # other tests may have imported them
        monkeypatch.delitem(sys.modules, module, raising=False)
    gate = 'kind = "serial_bytes"\nport = "/dev/serial/by-id/usb-relay-board-if00"\nboard = "lcus"\nchannel = 1'
    station = a_station(tmp_path, gate, 'kind = "gpio"\nline = 4')
    found = [one for one in needs.examine(station, Here(), SystemClock()) if one.topic == "library"]
    assert any("kenpin[gpio]" in one.remedy for one in found)


def test_it_speaks_json_and_ends_with_69_where_something_is_wrong(tmp_path: Path) -> None:
    a_station(tmp_path)
    command = [sys.executable, "-m", "edge.cli", "doctor", "--json", str(tmp_path / "station.toml")]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.returncode == 69, done.stderr
    assert {"topic", "grade", "words", "remedy"} == set(json.loads(done.stdout)[0])


@pytest.mark.parametrize(
    ("provenance", "engine", "grade", "words"),
    [
        ({"onnxruntime": "1.22.9"}, "ort", "well", "onnxruntime 1.22.9, 1.22.1 is installed"),
        ({"onnxruntime": "1.21.1"}, "ort", "advice", "onnxruntime 1.21.1, 1.22.1 is installed"),
        ({"onnxruntime": "1.21.1"}, "ov", "well", "onnxruntime 1.21.1; here openvino 2025.3.0 judges"),
        ({"openvino": "2025.1.0"}, "ov", "advice", "openvino 2025.1.0, 2025.3.0 is installed"),
    ],
)
def test_another_version_than_the_evidence_was_made_with_is_told_and_no_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provenance: dict[str, str],
    engine: str,
    grade: str,
    words: str,
) -> None:
    here = {"onnxruntime": "1.22.1", "openvino": "2025.3.0"}
    monkeypatch.setattr(needs, "installed", here.get)
    held = SimpleNamespace(manifest=a_manifest(provenance=provenance))
    monkeypatch.setattr(needs, "open_active", lambda *_: held)
    station = a_station(tmp_path, "[trigger]", f'[engine]\nkind = "{engine}"\n[trigger]')
    found = [one for one in needs.examine(station, Here(), SystemClock()) if "evidence" in one.words]
    assert [one.grade for one in found] == [grade] and words in found[0].words
    assert grade == "well" or "edge replay" in found[0].remedy


def test_what_stands_in_brackets_is_shown_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("library", "wrong", "[plc] needs snap7", "pip install 'kenpin[plc]'")
    monkeypatch.setenv("COLUMNS", "200")
    print_findings([finding])
    said = capsys.readouterr().out
    assert "[plc] needs snap7" in said and "'kenpin[plc]'" in said
