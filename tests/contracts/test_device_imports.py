"""The device's code imports with its core dependencies alone, and a kind whose extra is absent says what to install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contracts.source_tree import ROOT, python_files
from tests.contracts.test_imports import EXTRAS
from tests.peers.waiting import missing

PYTHON = ROOT / ".venv-device" / "bin" / "python"
HOST_LIBRARIES = ("torch", "torchvision", "scipy", "onnx", "timm", "gi", "yaml", "pytest")

# Run in the device's environment: imports what argv names, answers what failed and which libraries came along.
IMPORT_ALL = """
import importlib, importlib.util, json, sys
failed = {}
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
present = [name for name in sys.argv[1].split(",") if importlib.util.find_spec(name)]
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"failed": failed, "present": present, "loaded": loaded}))
"""

FIND = """
import sys
from importlib import import_module
from edge.errors import ConfigError
from edge.kinds import find
room, table, kind = sys.argv[1:]
try:
    find(getattr(import_module(room), table), kind, "camera")
except ConfigError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def device_python() -> Path:
    """The environment that holds requirements/device.txt and nothing else; made once, kept until the lock changes."""
    if shutil.which("make") is None:
        missing("install make")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
    made = subprocess.run(["make", "-s", "-C", str(ROOT), "device-env"], env=clean, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return PYTHON


def device_modules() -> list[str]:
    """What must import with the core dependencies alone."""
    extras = {path for paths in EXTRAS.values() for path in paths}
    names = []
    for path in python_files("edge"):
        relative = path.relative_to(ROOT)
        if relative.as_posix() not in extras and path.stem != "__main__":
            names.append(".".join(relative.with_suffix("").parts).removesuffix(".__init__"))
    return names


def _answer(python: Path, code: str, *arguments: str) -> str:
    done = subprocess.run([str(python), "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _imported(python: Path, *modules: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads(_answer(python, IMPORT_ALL, ",".join(HOST_LIBRARIES), *modules))
    return answer


@pytest.mark.timeout(600)
def test_every_module_of_the_device_imports_without_the_host_libraries(device_python):
    answer = _imported(device_python, *device_modules())
    assert answer["present"] == [], "the device environment holds more than the device's lock"
    assert answer["failed"] == {}


def test_the_line_process_loads_no_arrays_no_vision_and_no_event_loop(device_python):
    """What `python -m edge.line` imports before it opens a device; pymodbus, when chosen, brings asyncio along."""
    answer = _imported(device_python, "edge.line.__main__")
    assert answer["failed"] == {}
    heavy = {"numpy", "cv2", "onnxruntime", "asyncio", "pymodbus", "cryptography", "rich", "typer", "sqlite3"}
    assert heavy.isdisjoint(answer["loaded"])


@pytest.mark.parametrize(
    ("room", "kind", "extra"),
    [
        ("edge.capture", "gst", "kenpin[gstreamer]"),
        ("edge.line.inputs", "gpio", "kenpin[gpio]"),
        ("edge.line.outputs", "gpio", "kenpin[gpio]"),
        ("edge.outbox", "mqtt", "kenpin[mqtt]"),
        ("edge.panel", "page", "kenpin[panel]"),
    ],
)
def test_a_kind_without_its_extra_names_what_to_install(device_python, room, kind, extra):
    message = _answer(device_python, FIND, room, "TABLE", kind)
    assert "pip install" in message
    assert extra in message
