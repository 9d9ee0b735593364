"""The results that a command writes: its folder, and files that are whole or not there."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge.durable import write_whole
from edge.errors import ConfigError


def versions(*names: str) -> dict[str, str]:
    """The versions of these installed distributions, and Python's."""
    return {name: version(name) for name in names} | {"python": platform.python_version()}


def make_folder(out: Path) -> None:
    """Make the folder for the results. Raises ConfigError when it cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".partial"
        probe.touch()
        probe.unlink(missing_ok=True)  # another run may be probing
    except OSError as error:
        raise ConfigError(f"cannot write into {out}: {error.strerror}; choose another folder with -o") from error


def write(path: Path, data: bytes) -> None:
    """Write the file whole or not at all. Raises ConfigError when it cannot be written."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; free some space and start again, or write elsewhere with -o"
        ) from error


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Write the report as JSON, as `write` does."""
    write(path, (json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())
