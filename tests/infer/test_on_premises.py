"""Nothing that an engine brings along speaks to the outside."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import threading
from edge import options
from edge.infer.ov import OvEngine
OvEngine(options.OvEngine(kind="ov"))
print([thread.name for thread in threading.enumerate()])
"""


def test_openvino_reports_nothing(tmp_path: Path) -> None:
    """Its telemetry would begin with a thread and a file with an id in the home folder."""
    if find_spec("openvino") is None:
        pytest.skip("install kenpin[openvino]")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == "['MainThread']"
    assert list(tmp_path.iterdir()) == []
