"""Finds a device class by its kind's name in a room's literal table, and imports it only then."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from edge.errors import ConfigError

_PIP = f"{sys.prefix}/bin/pip install"  # into the environment that runs this, whatever a shell's own pip is
# The import name of a library that is not a core dependency -> what to install.
EXTRAS = {
    "fastapi": f"{_PIP} 'kenpin[panel]'",
    "jinja2": f"{_PIP} 'kenpin[panel]'",
    "uvicorn": f"{_PIP} 'kenpin[panel]'",
    "cuda": f"{_PIP} 'kenpin[tensorrt]'",
    "tensorrt_rtx": "TensorRT: on a Jetson it comes with JetPack (python3 -m venv --system-site-packages), on a PC "
    f"{_PIP} tensorrt-rtx-cu13",
    "openvino": f"{_PIP} 'kenpin[openvino]'",
    "gpiod": f"{_PIP} 'kenpin[gpio]'",
    "asyncua": f"{_PIP} 'kenpin[plc]'",
    "gi": f"{_PIP} 'kenpin[gstreamer]' (and the system packages gstreamer1.0-plugins-good, "
    "gir1.2-gst-plugins-base-1.0)",
    "paho": f"{_PIP} 'kenpin[mqtt]'",
    "pyarrow": f"{_PIP} 'kenpin[export]'",
    "pycomm3": f"{_PIP} 'kenpin[plc]'",
    "snap7": f"{_PIP} 'kenpin[plc]'",
}
# Where a kind needs more of its library than the others do.
EXTRAS_OF_KINDS = {"gige": f"{_PIP} 'kenpin[gige]' (and the system package gir1.2-aravis-0.8)"}


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
