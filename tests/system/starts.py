"""`python -m tests.system.starts [--beside TREE]`: how long `edge run` takes until READY, here and in another checkout.

A process of its own each time, on the demo's installed bundle, belt and relay board; the trees take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge.clock import SystemClock
from edge.demo.run import HERE, station_text
from edge.install import install
from edge.relay_board import RelayBoard
from edge.station import load
from tests.system.costs import cpu_s
from tests.system.results import ROOT


@dataclass(frozen=True, slots=True)
class Start:
    """`ready_ms` is from the process's start, as its report tells; processor seconds are those until then."""

    ready_ms: float
    eye_cpu_s: float
    line_cpu_s: float


@contextmanager
def demo_station(rate: float = 10.0) -> Iterator[Path]:
    """The station file of the demo with its bundle installed and its board connected; parts per second."""
    with tempfile.TemporaryDirectory(prefix="kenpin-start-") as folder, RelayBoard(SystemClock()) as board:
        file = Path(folder) / "station.toml"
        file.write_text(station_text(board.port, rate), encoding="utf-8")
        (file.parent / "keys").mkdir()
        shutil.copy(HERE / "demo.pub", file.parent / "keys")
        install(next(HERE.glob("*.bundle")), load(file))
        yield file


def start(file: Path, tree: Path, compiled: Path | None) -> Start:
    """Run the station with the program of this tree until it is READY, then stop it.

    `compiled` is where Python keeps its compiled files, as an installed program has them; None: it has none.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PYTHONPATH": str(tree)}
    env |= {"PYTHONDONTWRITEBYTECODE": "1"} if compiled is None else {"PYTHONPYCACHEPREFIX": str(compiled)}
    report = file.parent / "report.json"
    program = "edge" if (tree / "edge" / "__main__.py").exists() else "edge.cli"  # as the services start it
    words = [sys.executable, "-m", program, "run", str(file), "--report", str(report)]
    with subprocess.Popen(
        words,
        cwd=tree,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.endswith("READY\n") and "NOT_READY" not in line:
                break
        eye_cpu_s = cpu_s(process.pid)
        line_cpu_s = cpu_s(int((file.parent / "state" / "line.lock").read_text(encoding="ascii")))
        process.terminate()
        process.communicate()
    assert process.returncode == 0, "".join(said)
    ready_ms = json.loads(report.read_text(encoding="utf-8"))["startup_ms"]
    return Start(ready_ms, eye_cpu_s, line_cpu_s)


def in_turns(trees: Mapping[str, Path], rounds: int, compiled: bool = True) -> dict[str, list[Start]]:
    """So many starts of each tree, after one that is not counted; every other round in reverse."""
    done: dict[str, list[Start]] = {name: [] for name in trees}
    with demo_station() as file:
        for number in range(rounds + 1):
            for name in list(trees)[:: -1 if number % 2 else 1]:
                found = start(file, trees[name], file.parent / "compiled" / name if compiled else None)
                if number:
                    done[name].append(found)
    return done


def table(done: Mapping[str, Sequence[Start]]) -> list[str]:
    """Medians with their spread, and the ratio to the first within one round."""
    first = next(iter(done.values()))
    lines = ["| tree | ms to READY | of the first | eye, CPU s | line, CPU s |", "| --- | --- | --- | --- | --- |"]
    for name, starts in done.items():
        ready = _spread([each.ready_ms for each in starts], 0)
        ratio = _spread([one.ready_ms / other.ready_ms for one, other in zip(starts, first, strict=True)], 3)
        eye, line = (median(each.eye_cpu_s for each in starts), median(each.line_cpu_s for each in starts))
        lines.append(f"| {name} | {ready} | {ratio} | {eye:.2f} | {line:.2f} |")
    return lines


def _spread(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.starts", description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout, the first of the table")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--not-compiled", action="store_true", help="as from a folder that Python may not write to")
    options = parser.parse_args()
    trees = {"before": options.beside.resolve()} if options.beside else {}
    done = in_turns(trees | {"here": ROOT}, options.rounds, not options.not_compiled)
    print("\n".join(table(done)))


if __name__ == "__main__":
    main()
