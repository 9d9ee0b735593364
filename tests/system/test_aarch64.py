"""Kenpin on arm64 without a device: its wheels are there, it installs, imports and runs in an emulated userland."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from math import ceil
from pathlib import Path

import pytest

from edge.clock import SECOND
from edge.demo.run import station_text
from edge.line.zone import Zone
from edge.station import parse
from tests.contracts.test_device_imports import HOST_LIBRARIES, IMPORT_ALL, device_modules
from tests.system.device import arm64
from tests.system.device.app import wheel
from tests.system.device.cache import call
from tests.system.device.image import PYTHON, pins, wheels_for
from tests.system.results import Table

SYSTEMS = {
    "JetPack 6 (Ubuntu 22.04)": ("3.10", 35),
    "Debian 12": ("3.11", 36),
    "JetPack 7 (Ubuntu 24.04)": ("3.12", 39),
}
EXTRAS = "export,gpio,mqtt,openvino,panel,plc"  # the others are compiled on the device, or come with its system
SMALL = "mqtt,panel"
PROCESSOR = "aarch64"
INSIDE = "/opt/kenpin/bin"
RATE = 0.2  # parts per second, as slow as an emulator asks for
STARTS_S = 320  # beside other work it took 300 s until the network was loaded
RESULTS = Table(
    "aarch64",
    "Kenpin in an arm64 userland of Debian 12, emulated by qemu-user",
    "make test-system PYTEST_ARGS='-k aarch64'",
    ("what", "seen"),
)


def pip(verb: str, folder: Path, python: str, glibc: int, *more: str | Path) -> str:
    """pip for an arm64 system, with the versions that are tested."""
    tested = folder / "pins.txt"
    tested.write_text("\n".join(pins("ci.txt", python, PROCESSOR)))
    words = (sys.executable, "-m", "pip", verb, "--quiet", "--constraint", tested)
    return call(*words, *wheels_for(python, PROCESSOR, glibc), *more)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_dependency_has_a_wheel_for_the_system(system: str, tmp_path: Path) -> None:
    python, glibc = SYSTEMS[system]
    plan, packed = tmp_path / "plan.json", wheel(tmp_path)
    resolve = ("--dry-run", "--ignore-installed", "--target", tmp_path / "none", "--report", plan)
    pip("install", tmp_path, python, glibc, *resolve, f"{packed}[{EXTRAS}]")
    found = {
        item["metadata"]["name"].lower(): item["download_info"]["url"]
        for item in json.loads(plan.read_text())["install"]
    }
    assert all(url.endswith(".whl") for url in found.values())
    built_for = [url for url in found.values() if PROCESSOR in url]
    assert {"onnxruntime", "opencv-python-headless", "numpy", "cryptography", "fastapi"} <= set(found)
    RESULTS.add(
        f"{system}, Python {python}, glibc 2.{glibc}",
        f"{len(found)} wheels with [{EXTRAS}], {len(built_for)} for arm64",
    )


@pytest.fixture(scope="module")
def userland(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh Debian with the wheels on it."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        pytest.skip("building a userland takes root and tests/system/device/install-packages")
    folder = tmp_path_factory.mktemp("userland")
    call("cp", "-a", arm64.debian(), folder / "root")
    shelf = folder / "root" / "opt" / "shelf"
    shelf.mkdir(parents=True)
    packed = wheel(folder)
    pip("download", folder, PYTHON, SYSTEMS["Debian 12"][1], "-d", shelf, f"{packed}[{SMALL}]")
    return folder / "root"


def inside(userland: Path, command: str) -> str:
    """What the command says in the userland; it must succeed."""
    done = arm64.run(userland, command)
    assert done.returncode == 0, done.stdout[-4_000:]
    return done.stdout


def test_it_installs_with_debians_python(userland: Path) -> None:
    machine, python = inside(userland, "uname -m; python3 --version").split(maxsplit=1)
    assert machine == PROCESSOR
    packed = next((userland / "opt" / "shelf").glob("kenpin-*.whl")).name
    began = time.monotonic()
    inside(userland, f"python3 -m venv {INSIDE}/..")
    offline = "--quiet --no-index --find-links /opt/shelf"
    inside(userland, f"{INSIDE}/pip install {offline} '/opt/shelf/{packed}[{SMALL}]' && {INSIDE}/pip check")
    RESULTS.add("installed", f"[{SMALL}] with {python.strip()} in {time.monotonic() - began:.0f} s, emulated")


def test_every_module_of_the_device_imports(userland: Path) -> None:
    (userland / "opt" / "import_all.py").write_text(IMPORT_ALL)
    modules = device_modules()
    words = f"{INSIDE}/python /opt/import_all.py {','.join(HOST_LIBRARIES)} {' '.join(modules)}"
    told = json.loads(inside(userland, words).splitlines()[-1])
    assert (told["present"], told["failed"]) == ([], {})
    RESULTS.add("imported", f"{len(modules)} modules, and none of the host's libraries is there")


def parts_until_inspected(count: int) -> int:
    """Of the demo's belt: those that are born until it is READY and those still in the zone then are none of them."""
    station = parse(station_text("/dev/null", RATE).encode(), Path("/station.toml"))
    assert station.travel is not None and station.gate is not None
    transit_s = Zone.of(station.travel, station.gate).transit / SECOND
    return ceil((STARTS_S + 2 * transit_s) * RATE) + count


def test_the_demo_inspects_there(userland: Path) -> None:
    parts = parts_until_inspected(20)
    words = f"edge demo --parts {parts} --rate {RATE:g}"
    began = time.monotonic()
    demo = arm64.run(userland, f"cd /opt && {INSIDE}/{words} --report /opt/demo.json")
    took_s = time.monotonic() - began
    assert demo.returncode == 0, demo.stdout[-4_000:]
    assert "washer version 1 is active" in demo.stdout, "its engine gives the bundle's pictures their scores"
    told = json.loads((userland / "opt" / "demo.json").read_text())
    gate, verdicts = told["gate"], told["verdicts"]
    assert told["parts"] >= parts and told["journal"]["lost"] == 0 and gate["released"] <= verdicts["pass"]
    assert verdicts["pass"] and verdicts["reject"] and gate["released"]
    assert gate["fired"] + gate["released"] + gate["late"] == gate["orders"] == told["parts"]
    RESULTS.add("edge demo: the bundle", "accepted by this processor's engine: its pictures have their scores")
    seen = ", ".join(f"{count} {name}" for name, count in verdicts.items())
    gated = f"{gate['fired']} fired, {gate['released']} released, {told['deadline']['missed']} deadlines missed"
    ready = f"READY after {told['startup_ms'] / 1_000:.0f} s"
    RESULTS.add(words, f"{ready}; {told['parts']} parts: {seen}; {gated}; ended after {took_s:.0f} s")


def test_only_this_userland_knows_the_emulator(userland: Path) -> None:
    assert not Path("/proc/sys/fs/binfmt_misc/arm64").exists()
