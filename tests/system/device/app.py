"""The disk with Kenpin itself: the wheel of this tree, and the tree's tests with the pages that they read."""

from __future__ import annotations

import atexit
import functools
import shutil
import sys
import tempfile
from pathlib import Path

from edge import __version__
from edge.line import messages
from tests.system.device.cache import call
from tests.system.device.image import PYTHON, ROOT

_PACKAGES = ("edge", "training", "compile", "calibration", "benchmarks")
_METADATA = ("pyproject.toml", "README.md", "LICENSE")
_PYCACHE = shutil.ignore_patterns("__pycache__")


@functools.cache  # a run tests one tree, whatever happens to its files meanwhile
def app() -> Path:
    """The disk's file; gone when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="kenpin-app-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    files = folder / "files"
    pip = (sys.executable, "-m", "pip")
    call(*pip, "install", "--quiet", "--no-deps", "--no-compile", "--target", files / "site", wheel(folder))
    for name in ("tests", "docs"):
        shutil.copytree(ROOT / name, files / name, ignore=_PYCACHE)
    shutil.copy(ROOT / "pyproject.toml", files)
    if sys.version_info[:2] == tuple(map(int, PYTHON.split("."))):
        call(sys.executable, "-m", "compileall", "-q", files)  # otherwise the guest does, at each start
    call("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", files, folder / "app.img", "48M")
    return folder / "app.img"


def wheel(folder: Path, version: str = "", protocol: int = 0) -> Path:
    """A wheel of this tree, built in the folder; under another version, and with another one of the eye-line protocol,
    where they are given."""
    tree = folder / "tree"
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=_PYCACHE)
    for name in _METADATA:
        shutil.copy(ROOT / name, tree)
    if version:
        _replace(tree / "edge" / "__init__.py", f'"{__version__}"', f'"{version}"')
    if protocol:
        _replace(
            tree / "edge" / "line" / "messages.py", f"\nVERSION = {messages.VERSION}", f"\nVERSION = {protocol}"
        )
    pip = (sys.executable, "-m", "pip")
    call(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ".", cwd=tree)
    return next(folder.glob("kenpin-*.whl"))


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} has no {old!r}, or more than one"
    file.write_text(text.replace(old, new))
