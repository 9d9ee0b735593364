"""Peers that run on node: what their committed lock file names is installed once, into a cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.peers.waiting import missing

_SOURCES = Path(__file__).with_name("npm")


@cache
def node_peer(name: str) -> tuple[str, ...]:
    """The command that starts tests/peers/npm/NAME/server.js; skips or fails the test where that cannot be."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            missing(f"no {tool}: install nodejs (18 or newer) and npm")
    source = _SOURCES / name
    lock = (source / "package-lock.json").read_bytes()
    folder = _cache() / f"{name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        _install(source, folder)
    shutil.copy(source / "server.js", folder)
    return ("node", str(folder / "server.js"))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kenpin" / "npm"


def _install(source: Path, folder: Path) -> None:
    """All of it or nothing: another run may install the same at this moment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, made)
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=made, capture_output=True, text=True
        )
        if done.returncode:
            missing(f"npm cannot install {source.name}: {done.stderr.strip()[-500:]}")
        if not folder.exists():
            shutil.copytree(made, folder)
