"""Finds a device class by its kind's name in a room's literal table, and imports it only then."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from edge.errors import ConfigError

# The import name of a library that is not a core dependency -> what to install.
EXTRAS = {
    "fastapi": "pip install 'kenpin[panel]'",
    "jinja2": "pip install 'kenpin[panel]'",
    "uvicorn": "pip install 'kenpin[panel]'",
    "cuda": "pip install 'kenpin[tensorrt]'",
    "tensorrt_rtx": "TensorRT: on a Jetson it comes with JetPack (python3 -m venv --system-site-packages), on a PC "
    "pip install tensorrt-rtx-cu13",
    "openvino": "pip install 'kenpin[openvino]'",
    "gpiod": "pip install 'kenpin[gpio]'",
    "asyncua": "pip install 'kenpin[plc]'",
    "gi": "pip install 'kenpin[gstreamer]' (and the system packages gstreamer1.0-plugins-good, "
    "gir1.2-gst-plugins-base-1.0)",
    "paho": "pip install 'kenpin[mqtt]'",
    "pyarrow": "pip install 'kenpin[export]'",
    "pycomm3": "pip install 'kenpin[plc]'",
    "snap7": "pip install 'kenpin[plc]'",
}
# Where a kind needs more of its library than the others do.
EXTRAS_OF_KINDS = {"gige": "pip install 'kenpin[gige]' (and the system package gir1.2-aravis-0.8)"}


def find(table: Mapping[str, str], kind: str, room: str) -> Any:
    """The class that `table` names for `kind` as "module:Class".

    Raises ConfigError for an unknown kind (listing the known ones) and for a missing library (naming the extra).
    """
    if kind not in table:
        raise ConfigError(f"unknown {room} kind {kind!r}: use one of {', '.join(sorted(table))}")
    module, _, name = table[kind].partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        raise ConfigError(
            f"{room} kind {kind!r} needs {library}: {EXTRAS_OF_KINDS.get(kind, EXTRAS[library])}"
        ) from error
