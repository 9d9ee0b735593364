"""Environments of their own: what requirements/peers/NAME.txt names is installed once, into a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from edge.errors import ConfigError

LISTS = Path(__file__).parents[2] / "requirements" / "peers"


def python_of(name: str) -> Path:
    """The Python of the environment of this name, which is made when there is none; that may take minutes.

    Versions that the list leaves open may be fixed with pip's own PIP_CONSTRAINT. Raises ConfigError with pip's words.
    """
    wanted = LISTS / f"{name}.txt"
    if not wanted.is_file():
        known = ", ".join(sorted(path.stem for path in LISTS.glob("*.txt")))
        raise ConfigError(f"no environment {name!r}: use one of {known}, or --peer with one of your own")
    digest = sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = _cache() / f"{name}-{digest}"
    if not (folder / "complete").exists():
        _make(folder, wanted)
    return folder / "bin" / "python"


def packages_of(name: str) -> Path:
    """The folder with the packages of that environment. Raises ConfigError."""
    return next((python_of(name).parents[1] / "lib").glob("python*/site-packages"))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kenpin" / "peers"


def _make(folder: Path, wanted: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # one that was broken off
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+") as log:
        for words in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(wanted)],
        ):
            if subprocess.run(words, stdout=log, stderr=subprocess.STDOUT).returncode:
                log.seek(0)
                last = [line for line in log.read().splitlines() if line.startswith("ERROR")][-1:]
                raise ConfigError(f"{wanted.stem} cannot be installed: {' '.join(last) or 'see pip'}")
    (folder / "complete").touch()
