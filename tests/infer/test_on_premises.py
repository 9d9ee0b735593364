"""Nothing that an engine brings along speaks to the outside."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.infer.students import student

ROOT = Path(__file__).parents[2]
ROOMS = ("edge", "compile", "training", "calibration", "benchmarks")

OPENVINO = """
import threading
from edge import options
from edge.infer.ov import OvEngine
OvEngine(options.OvEngine(kind="ov"))
print([thread.name for thread in threading.enumerate()])
"""

ONNX_RUNTIME = """
import sys
from importlib import import_module
from pathlib import Path
import_module(sys.argv[1])
import onnxruntime
onnxruntime.InferenceSession(Path(sys.argv[2]).read_bytes(), providers=["CPUExecutionProvider"])
"""


def _run(home: Path, program: str, *arguments: str) -> str:
    """What a program says that begins with an empty home, and not in CI, where ONNX Runtime keeps quiet by itself."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    return done.stdout.strip()


def test_openvino_reports_nothing(tmp_path: Path) -> None:
    """Its telemetry would begin with a thread and a file with an id in the home folder."""
    if find_spec("openvino") is None:
        pytest.skip("install kenpin[openvino]")
    assert _run(tmp_path, OPENVINO) == "['MainThread']"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", ROOMS)
def test_onnx_runtime_reports_nothing(room: str, tmp_path: Path) -> None:
    """Its telemetry would begin with a file with an id in the home folder."""
    model, home = tmp_path / "student.onnx", tmp_path / "home"
    model.write_bytes(student())
    home.mkdir()
    _run(home, ONNX_RUNTIME, room, str(model))
    assert list(home.rglob("*")) == []


def test_onnx_runtime_would_report(tmp_path: Path) -> None:
    """What the tests above look for is there where nobody forbids it."""
    model, home = tmp_path / "student.onnx", tmp_path / "home"
    model.write_bytes(student())
    home.mkdir()
    _run(home, ONNX_RUNTIME, "json", str(model))
    assert list(home.rglob("deviceid"))


def test_every_user_of_onnx_runtime_is_in_a_quiet_room() -> None:
    """Programs that stand alone must not meet it first."""
    users = {
        path.relative_to(ROOT).parts[0]
        for room in (*ROOMS, "examples")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.MULTILINE)
    }
    assert users
    assert users <= set(ROOMS)
