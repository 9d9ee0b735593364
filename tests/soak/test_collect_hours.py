"""`edge collect` for as long as KENPIN_COLLECT says (default 30m): one picture of each part, a quota, lots and shifts,
killed and stopped five times in its first half, alone in its second."""

from __future__ import annotations

import csv
import os
import re
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from edge.clock import MS, SECOND
from edge.control import Control
from edge.conveyor import first_after, passes_ns
from edge.durations import parse_ns
from edge.eye.lots import group_of, parse_shifts
from edge.picture_set import read_image, read_set
from edge.station import load
from tests.eye.stations import EdgeProcess
from tests.eye.test_collect import stored
from tests.peers import eventually
from tests.system.costs import memory_mb
from tests.system.results import keep

LONG = os.environ.get("KENPIN_COLLECT", "30m")
COMMAND = f"KENPIN_COLLECT={LONG} make soak PYTEST_ARGS='-k collect_hours'"
LONG_S = parse_ns(LONG) / SECOND
SEED, PITCH_MS, JITTER_MS = 1, 200, 10
MAX_MB = 60
SHIFTS = ",".join(f"{minute // 60:02}:{minute % 60:02}" for minute in range(0, 1_440, 30))
ENDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
LOTS = 8
PATIENCE_S = 600.0  # for a process that starts or ends beside other work
TELLING_S = 5.0  # a picture is stored so long after its part came, on a machine with other work
SETTLED_S = 60.0
SAMPLE_S = 10.0
STATION = f"""
[station]
name = "line-3"
mode = "collect"
run_dir = "run"
[[camera]]
name = "top"
kind = "belt"
seed = {SEED}
pitch_ms = {PITCH_MS}
jitter_ms = {JITTER_MS}
width = 320
height = 240
queue = 32
trigger_to_frame_ms = 8
window_ms = 20
[trigger]
kind = "simulated"
seed = {SEED}
pitch_ms = {PITCH_MS}
jitter_ms = {JITTER_MS}
"""
RECORD = ("--at-trigger", "--shifts", SHIFTS, "--as", "jpeg", "--max-mb", MAX_MB, "--when-full", "oldest")


@dataclass
class Watched:
    """What was seen of a recording from outside: every picture with its group, and what the set took."""

    seen: dict[str, str] = field(default_factory=dict)
    runs: list[set[str]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)  # parts without a picture, by runs that could say so
    lots: list[tuple[float, float, str]] = field(default_factory=list)  # changed not before, not after, to
    most_mb: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)  # of the run now: after so many s, MB
    minutes: int = 0  # of which the log told

    def look(self, into: Path) -> None:
        """Every row that is there now."""
        with (into / "labels.csv").open(newline="") as table:
            rows = {row["file"]: row["group"] for row in csv.DictReader(table)}
        self.runs[-1] |= rows.keys() - self.seen.keys()
        self.seen |= rows
        self.most_mb = max(self.most_mb, sum(map(_size, (into / "images").iterdir())) / 1e6)

    def name_lot(self, file: Path) -> None:
        before, name = time.time(), f"lot {len(self.lots) + 1}"
        Control(load(file)).set_lot(name)
        self.lots.append((before, time.time(), name))


def _size(picture: Path) -> int:
    try:
        return picture.stat().st_size
    except FileNotFoundError:  # it has just given way
        return 0


def test_collect_hours_lose_no_part_silently_and_keep_to_quota_lots_and_shifts(tmp_path: Path) -> None:
    file, into, watched = tmp_path / "station.toml", tmp_path / "set", Watched()
    file.write_text(STATION)
    began = time.monotonic()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    for number, end in enumerate((*ENDS, signal.SIGTERM)):
        until = began + LONG_S * (0.08 * (number + 1) if number < len(ENDS) else 1.0)
        _record(file, into, watched, until, began, end)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    passed, lacking = _lacking(watched)
    left = _whole(into)
    _in_their_groups(watched.seen, watched.lots)
    code = os.spawnl(os.P_WAIT, _TRAIN, _TRAIN, "coverage", str(into), "--out", str(tmp_path / "coverage"))
    growth = watched.memory[-1][1] - watched.memory[0][1]
    rows = [
        ("recorded", f"{LONG}, {1_000 / PITCH_MS:g} parts a second, 320 x 240 colour, jpeg, `--at-trigger`"),
        (
            "killed (-9) and stopped, and started again",
            f"{ENDS.count(signal.SIGKILL)} and {ENDS.count(signal.SIGTERM)}",
        ),
        ("parts that passed between the first and the last picture of each run", str(passed)),
        ("of them without a picture", f"{lacking}; runs that were stopped told of {sum(watched.told)}"),
        ("pictures stored, and still there at the end", f"{len(watched.seen)}, {left}"),
        (f"the set's size at most, of {MAX_MB} MB", f"{watched.most_mb:.1f} MB"),
        ("lots, and groups of lot and half-hour shift", f"{len(watched.lots)}, {len(set(watched.seen.values()))}"),
        (
            "memory a minute after the last start, and at the end",
            f"{watched.memory[0][1]:.1f} MB, {watched.memory[-1][1]:.1f} MB",
        ),
        ("time of the last run", f"{watched.memory[-1][0] / 60:.0f} minutes"),
        ("CPU for each picture, with drawing it", f"{cpu_s * 1_000 / len(watched.seen):.1f} ms"),
        ("`edge-train coverage` of the folder", f"ends with {code}"),
    ]
    table = ["| what | measured |", "| --- | --- |", *(f"| {what} | {value} |" for what, value in rows)]
    keep("collect-hours", f"Collecting for {LONG}", COMMAND, table)
    assert code == 0
    assert watched.most_mb <= 1.02 * MAX_MB
    assert watched.minutes >= 0.5 * LONG_S / 60 - 3, "the log shows how far it is"
    assert growth < 15, f"memory grew by {growth:.1f} MB"


_TRAIN = str(Path(sys.executable).with_name("edge-train"))


def _record(file: Path, into: Path, watched: Watched, until: float, began: float, end: signal.Signals) -> None:
    """One run of the recording, to its end by a signal."""
    watched.runs.append(set())
    watched.memory.clear()
    with EdgeProcess("collect", file, "--into", into, *map(str, RECORD)) as process:
        eventually(lambda: stored(file) > 0, "it records", PATIENCE_S, every_s=0.2)
        started = time.monotonic()
        while time.monotonic() < until:
            if time.monotonic() >= began + len(watched.lots) * LONG_S / LOTS:
                watched.name_lot(file)
            watched.look(into)
            after_s = time.monotonic() - started
            if after_s >= min(SETTLED_S, LONG_S / 10):
                watched.memory.append((after_s, memory_mb(process.process.pid)))
            time.sleep(min(SAMPLE_S, max(0.0, until - time.monotonic())))
        watched.look(into)
        process.signal(end)
        code = process.ends(PATIENCE_S)
        watched.minutes += len(re.findall(r"pictures stored, \d+ MB", process.output))
        assert code == (-signal.SIGKILL if end is signal.SIGKILL else 0), process.output
        watched.look(into)
        if end is signal.SIGTERM:
            said = process.output.splitlines()[-1]
            watched.told.append(sum(map(int, re.findall(r"(\d+) (?:parts without|LOST because)", said))))
            assert _missed(watched.runs[-1]) <= watched.told[-1], said


def _parts(names: set[str]) -> list[int]:
    """The numbers, by the belt's own law, of the parts that these pictures are of; in their order."""
    ahead_ns = time.time_ns() - time.monotonic_ns()
    pitch_ns, jitter_ns = PITCH_MS * MS, JITTER_MS * MS
    numbers = []
    for name in names:
        stamp = datetime.strptime(Path(name).name.split("-")[1], "%Y%m%dT%H%M%S%f").replace(tzinfo=timezone.utc)
        at_ns = round(stamp.timestamp() * SECOND) - ahead_ns
        part = first_after(SEED, pitch_ns, jitter_ns, at_ns - pitch_ns // 2)
        assert abs(passes_ns(SEED, pitch_ns, jitter_ns, part) - at_ns) < pitch_ns // 4, (
            "it is named by its part's birth"
        )
        numbers.append(part)
    assert len(set(numbers)) == len(numbers), "no part has two pictures"
    return sorted(numbers)


def _missed(run: set[str]) -> int:
    """Parts without a picture between the first and the last of a run."""
    numbers = _parts(run)
    return numbers[-1] - numbers[0] + 1 - len(numbers)


def _lacking(watched: Watched) -> tuple[int, int]:
    """Parts between the first and the last picture of each run, and how many of them have none."""
    lacking = sum(map(_missed, watched.runs))
    return sum(map(len, watched.runs)) + lacking, lacking


def _whole(into: Path) -> int:
    """Every row has its picture and every picture its row; returns how many there are."""
    pictures = read_set(into)
    assert all(read_image(picture.path).shape == (240, 320, 3) for picture in pictures)
    assert {path.name for path in (into / "images").iterdir()} == {picture.path.name for picture in pictures}
    return len(pictures)


def _in_their_groups(seen: dict[str, str], lots: list[tuple[float, float, str]]) -> None:
    """Each picture has the group of the lot that was named before its part came, and of the shift it came in."""
    shifts = parse_shifts(SHIFTS)
    for name, group in seen.items():
        stamp = Path(name).name.split("-")[1]
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%S%f").replace(tzinfo=timezone.utc).astimezone()
        at_s = moment.timestamp()
        allowed = {""} if at_s < lots[0][1] else set()
        for (before, _, lot), (_, ended, _) in zip(lots, [*lots[1:], (0.0, float("inf"), "")], strict=True):
            if before - TELLING_S <= at_s <= ended:
                allowed.add(lot)
        assert group in {group_of(lot, shifts, moment) for lot in allowed}, (name, group, allowed)
