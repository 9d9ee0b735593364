"""Folders that are built once: named by a digest of what went in, whole or absent, old ones removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path


def lab() -> Path:
    """Where the device is kept between runs: KENPIN_LAB, or a folder of the user's cache."""
    named = os.environ.get("KENPIN_LAB")
    return Path(named) if named else Path.home() / ".cache" / "kenpin" / "lab"


def digest(*inputs: str | bytes | Path) -> str:
    """A short name for these inputs: texts, or files by their content."""
    hashed = sha256()
    for given in inputs:
        content = given.read_bytes() if isinstance(given, Path) else given
        data = content.encode() if isinstance(content, str) else content
        hashed.update(len(data).to_bytes(8, "big") + data)
    return hashed.hexdigest()[:12]


def built(step: str, inputs: Sequence[str | bytes | Path], build: Callable[[Path], None]) -> Path:
    """The folder of this step with these inputs; `build` fills it when it is not there yet.

    Others of the same step are removed: a changed input makes them useless.
    """
    folder = lab() / f"{step}-{digest(*inputs)}"
    with _alone(step):
        if folder.is_dir():
            return folder
        unfinished = folder.with_suffix(".unfinished")
        for old in lab().glob(f"{step}-*"):
            shutil.rmtree(old)
        unfinished.mkdir(parents=True)
        print(f"building the device: {step}", flush=True)
        build(unfinished)
        unfinished.rename(folder)
    return folder


@contextmanager
def _alone(step: str) -> Iterator[None]:
    """One process builds a step; another one waits for it."""
    lab().mkdir(parents=True, exist_ok=True)
    with (lab() / f".{step}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def call(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a program behind whatever else this machine does; its output, which is in the error when it fails."""
    command = ["nice", "-n", "10", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4_000:]}")
    return done.stdout
