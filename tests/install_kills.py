"""Kills `edge install` and `edge rollback` at random instants, in a process of its own, and looks at what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

import cv2

from edge.cli import main
from edge.durable import PARTIAL
from edge.errors import BundleError
from edge.install import installed, open_active
from edge.station import Station, load
from tests.bundles import store_key
from tests.eye.stations import bundle

PRODUCT = "cap-a"
TEXT = """
[station]
name = "line-3"
mode = "collect"
state_dir = "state"
keys_dir = "keys"
[[camera]]
name = "top"
kind = "belt"
[trigger]
kind = "camera"
camera = "top"
"""


def kill_again_and_again(folder: Path, kills: int, seed: int) -> dict[str, int]:
    """Run this file as a process; what its kills left, counted. Fails with its output where a station was left without
    a bundle."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.install_kills", str(folder), str(kills), str(seed)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert child.returncode == 0, f"seed {seed}: {child.stdout}{child.stderr}"
    counted: dict[str, int] = json.loads(child.stdout.splitlines()[-1])
    return counted


class Bench:
    """A station whose bundles are installed and rolled back by commands that are killed.

    A command is a process forked from this one, which has imported all it needs: so kills fall into its work.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.rng = folder, random.Random(seed)
        store_key(folder / "keys")
        self.file = folder / "station.toml"
        self.file.write_text(TEXT)
        self.station: Station = load(self.file)
        self.counts: Counter[str] = Counter()
        for version in (1, 2):
            assert self._run("install", self._bundle(version)) is not None

    def _bundle(self, version: int) -> Path:
        return bundle(self.folder / "next.bundle", version, report="x" * 4_000_000)

    def _run(self, *words: str | Path, kill_after_s: float = 60.0) -> float | None:
        """How long the command took; None where it was killed after so long."""
        began_s = time.monotonic()
        child = os.fork()
        if child == 0:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            sys.argv = ["edge", *map(str, words), "--station", str(self.file)]
            code = 1
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                os._exit(code)
        while time.monotonic() < began_s + kill_after_s:
            if os.waitpid(child, os.WNOHANG) != (0, 0):
                return time.monotonic() - began_s
            time.sleep(0.0005)
        os.kill(child, signal.SIGKILL)
        return None if os.WIFSIGNALED(os.waitpid(child, 0)[1]) else time.monotonic() - began_s

    def versions(self) -> list[int]:
        """What is retained."""
        return [each.version for each in installed(self.station) if each.product == PRODUCT]

    def active(self) -> int:
        """The version that a station would open now, verified and read to its last picture."""
        bundle = open_active(self.station, PRODUCT)
        bundle.model(bundle.manifest.models[0])
        bundle.acceptance()
        return bundle.manifest.version

    def usual_s(self) -> dict[str, float]:
        """How long each command takes that nobody kills."""
        took: dict[str, list[float]] = {"install": [], "rollback": []}
        for _ in range(3):
            for name, words in (("install", self._bundle(max(self.versions()) + 1)), ("rollback", PRODUCT)):
                took[name].append(self._run(name, words) or 0.0)
        return {name: median(values) for name, values in took.items()}

    def kill_one(self, command: str, within_s: float) -> None:
        """Kill one command at a random instant; the station opens the version of before or the one of after."""
        before, retained = self.active(), self.versions()
        after = max(retained) + 1 if command == "install" else max(v for v in retained if v < before)
        words = self._bundle(after) if command == "install" else PRODUCT
        killed = self._run(command, words, kill_after_s=self.rng.uniform(0, within_s)) is None
        try:
            now = self.active()
        except BundleError as error:
            raise AssertionError(f"after {command} of {after} over {before}: {error}") from error
        assert now in (before, after), f"{command} of {after} over {before} left {now}"
        assert killed or now == after
        self.counts[self._where(command, killed, now == after, after)] += 1

    def _where(self, command: str, killed: bool, switched: bool, after: int) -> str:
        if not killed:
            return f"{command}: ended before the kill"
        if switched:
            return f"{command}: after the switch"
        held = self.station.station.state_dir / "bundles" / PRODUCT
        if command == "install" and (held / f"{after}.bundle").exists():
            return f"{command}: between copy and switch"
        copying = (held / f"{after}.bundle{PARTIAL}").exists()
        return f"{command}: while copying" if copying else f"{command}: before it wrote"


def _main(folder: Path, kills: int, seed: int) -> None:
    cv2.setNumThreads(1)  # a fork inherits no threads
    bench = Bench(folder, seed)
    usual = bench.usual_s()
    for number in range(kills):
        command = "install" if number % 2 == 0 or bench.active() == min(bench.versions()) else "rollback"
        bench.kill_one(command, 1.2 * usual[command])
    took = bench._run("install", bench._bundle(max(bench.versions()) + 1))
    assert took is not None and bench.active() == max(bench.versions())
    held = bench.station.station.state_dir / "bundles" / PRODUCT
    assert not list(held.glob(f"*{PARTIAL}")), "what kills left is swept by the next command"
    print(json.dumps(bench.counts))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
