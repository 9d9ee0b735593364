"""Who may import what, beyond the import contracts of pyproject.toml (`lint-imports`)."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from edge import kinds
from tests.contracts.source_tree import (
    PACKAGES,
    distribution,
    imported_modules,
    name_of,
    parsed,
    project,
    python_files,
)

# What a device gets with plain `pip install kenpin`, by import name.
CORE = {
    "cryptography",
    "cv2",
    "numpy",
    "onnxruntime",
    "prometheus_client",
    "pydantic",
    "pymodbus",
    "rich",
    "serial",
    "tomli",
    "typer",
}
# The one file that may name the library of an extra, and those that cannot be imported without it.
EXTRAS = {
    "fastapi": {"edge/panel/app.py", "edge/panel/downloads.py", "edge/panel/serve.py"},
    "jinja2": {"edge/panel/app.py"},
    "uvicorn": {"edge/panel/door.py", "edge/panel/serve.py"},
    "cuda": {"edge/gpu.py", "edge/infer/trt.py"},
    "tensorrt_rtx": {"edge/infer/trt.py"},
    "asyncua": {"edge/plc/opcua.py", "edge/plc/opcua_space.py"},
    "gi": {"edge/capture/gige.py", "edge/capture/gige_link.py", "edge/capture/gst.py"},
    "gpiod": {"edge/line/gpio_line.py", "edge/line/inputs/gpio.py", "edge/line/outputs/gpio.py"},
    "openvino": {"edge/infer/ov.py"},
    "paho": {"edge/outbox/broker.py", "edge/outbox/send.py"},
    "pyarrow": {"edge/journal/parquet.py"},
    "pycomm3": {"edge/plc/enip.py"},
    "snap7": {"edge/plc/s7.py"},
}

WALL_CLOCK_CALLS = {"now", "today", "utcnow"}


def _libraries(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imported_modules(parsed(path))}


def test_only_the_clock_imports_time():
    users = {name_of(path) for path in python_files("edge") if "time" in _libraries(path)}
    assert users == {"edge/clock.py"}


def test_nobody_on_the_device_asks_datetime_what_time_it_is():
    askers = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files("edge")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in WALL_CLOCK_CALLS
        and ast.unparse(node.func.value).split(".")[-1] in {"date", "datetime"}
    ]
    assert not askers, f"{askers}: take wall_ns from a Clock"


def test_the_device_uses_core_libraries_and_each_extra_in_its_own_file():
    strangers = [
        f"{name_of(path)} imports {library}"
        for path in python_files("edge")
        for library in sorted(_libraries(path) - CORE - {"edge"} - sys.stdlib_module_names)
        if name_of(path) not in EXTRAS.get(library, ())
    ]
    assert not strangers, "\n".join(strangers)


def test_only_training_uses_torch():
    users = [
        name_of(path)
        for path in python_files(*(set(PACKAGES) - {"training"}))
        if _libraries(path) & {"torch", "torchvision", "timm", "lightly", "kornia", "torchmetrics"}
    ]
    assert not users, users


@pytest.mark.parametrize("loader", ["pickle", "marshal", "shelve", "dill", "joblib", "yaml"])
def test_the_device_has_no_loader_that_runs_what_it_reads(loader):
    users = [name_of(path) for path in python_files("edge") if loader in _libraries(path)]
    assert not users, users


def test_no_package_is_imported_by_a_bare_name_that_hides_a_builtin():
    bare = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files(*PACKAGES, "tests")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Import)
        and any(alias.name == "compile" and not alias.asname for alias in node.names)
    ]
    assert not bare, f"{bare}: write `from compile import ...`"


def test_the_core_list_is_what_pyproject_declares():
    """A new dependency is a visible decision: it must be written here too."""
    declared = {distribution(line) for line in project()["dependencies"]}
    providers = packages_distributions()
    provided = {name.lower().replace("_", "-") for library in CORE - {"tomli"} for name in providers[library]}
    assert provided == declared - {"tomli"}


def test_every_extra_that_a_message_names_exists():
    named = {
        extra
        for words in (*kinds.EXTRAS.values(), *kinds.EXTRAS_OF_KINDS.values())
        for extra in re.findall(r"kenpin\[(\w+)\]", words)
    }
    assert set(kinds.EXTRAS) == set(EXTRAS)
    assert named <= set(project()["optional-dependencies"])
