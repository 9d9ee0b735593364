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
_HEADERS = (Path("/usr/include/node"), Path("/usr/local/include/node"))  # where node-gyp need not download them


def node_peer(name: str, script: str = "server.js", compiles: bool = False) -> tuple[str, ...]:
    """The command that starts this script of tests/peers/npm/NAME; skips or fails the test where that cannot be.

    `compiles`: its libraries may run their installation scripts, to compile C++.
    """
    folder = node_folder(name, compiles)
    shutil.copy(_SOURCES / name / script, folder)
    return ("node", str(folder / script))


@cache
def node_folder(name: str, compiles: bool = False) -> Path:
    """The folder that holds the installed node_modules of tests/peers/npm/NAME."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            missing(f"no {tool}: install nodejs (18 or newer) and npm")
    source = _SOURCES / name
    lock = (source / "package-lock.json").read_bytes()
    if compiles:  # for this node and no other
        lock += subprocess.run(["node", "--version"], capture_output=True, check=True).stdout
    folder = _cache() / f"{name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        _install(source, folder, compiles)
    return folder


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kenpin" / "npm"


def _install(source: Path, folder: Path, compiles: bool) -> None:
    """All of it or nothing: another run may install the same at this moment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    headers = next((path.parents[1] for path in _HEADERS if (path / "node.h").exists()), None)
    if headers is not None:
        environment["npm_config_nodedir"] = str(headers)
    scripts = () if compiles else ("--ignore-scripts",)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, made)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", *scripts],
            cwd=made,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            missing(f"npm cannot install {source.name}: {done.stderr.strip()[-500:]}")
        if not folder.exists():
            shutil.copytree(made, folder, symlinks=True)
