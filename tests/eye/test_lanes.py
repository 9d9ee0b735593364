"""Two lanes in one frame, each a station with a line process and a gate of its own: no verdict ever crosses over."""

from __future__ import annotations

import json
import os
import random
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.clock import SystemClock
from edge.eye.student import students_of
from edge.install import install
from edge.records import GateOutcome, Kind
from tests.eye.stations import Bench, EdgeProcess, bundle, lay_out, parts_reach, run_to_end
from tests.line.lines import Levels, end_child
from tests.peers import ModbusServer, eventually
from tests.peers.disks import fill, tmpfs

WIDTH, HEIGHT = 128, 96  # of a lane; the frame holds two beside each other
LEFT, RIGHT = [0, 0, WIDTH, HEIGHT], [WIDTH, 0, WIDTH, HEIGHT]
CAMERA = (
    '[[camera]]\nname = "over"\nkind = "folder"\ndir = "../pictures"\n'
    "rate_hz = {rate}\nloop = {loop}\nregion = REGION"
)
EVERY_FRAME = '[trigger]\nkind = "camera"\ncamera = "over"'


@dataclass(frozen=True)
class Lanes:
    """Two stations of one eye, each at a Modbus device of its own or both at one."""

    left: Bench
    right: Bench

    def run(self, *arguments: str) -> dict[str, Any]:
        return run_to_end(self.left, self.right.file, *arguments)

    def __iter__(self) -> Iterator[Bench]:
        return iter((self.left, self.right))


@contextmanager
def two_lanes(
    folder: Path,
    regions: Sequence[Sequence[int]] = (LEFT, RIGHT),
    devices: int = 1,
    camera: str = CAMERA,
    trigger: str = EVERY_FRAME,
    rates: Sequence[float] = (18.0, 18.0),
    **keys: Any,
) -> Iterator[Lanes]:
    with ExitStack() as stack:
        servers = [stack.enter_context(ModbusServer()) for _ in range(devices)]
        benches = []
        for number, (name, region) in enumerate(zip(("left", "right"), regions, strict=True)):
            bench = _lane(folder / name, servers[number % devices], 2 * number)
            lay_out(
                bench.folder,
                name=name,
                gate=_coil(servers[number % devices], 2 * number),
                permit=_coil(servers[number % devices], 2 * number + 1),
                camera=camera.replace("REGION", str(list(region))),
                trigger=trigger,
                rate=rates[number],
                rest="reject",  # a busy machine that opens a gate late stops no line
                **keys,
            )
            benches.append(bench)
            stack.callback(end_child, bench.station)
        yield Lanes(*benches)


def _coil(server: ModbusServer, coil: int) -> str:
    return (
        f'kind = "modbus"\nhost = "127.0.0.1"\nport = {server.port}\ncoil = {coil}\ntimeout_ms = 300\n'
        "external_watchdog = true\nheartbeat_ms = 150"
    )


def _lane(folder: Path, server: ModbusServer, gate: int) -> Bench:
    def levels(coil: int) -> Levels:
        return [(edge.at_ns, edge.level) for edge in server.coil_log() if edge.address == coil]

    return Bench(folder, lambda: levels(gate), lambda: levels(gate + 1), server)


def draw_frames(folder: Path, frames: Sequence[np.ndarray[Any, Any]]) -> None:
    """A set of these pictures, in this order."""
    images = folder / "pictures" / "images"
    images.mkdir(parents=True)
    rows = ["file,label,group,mask"]
    for number, frame in enumerate(frames):
        cv2.imwrite(str(images / f"{number:04d}.png"), frame)
        rows.append(f"images/{number:04d}.png,,,")
    (folder / "pictures" / "labels.csv").write_text("\n".join(rows) + "\n")


def beside(levels: Sequence[tuple[int, int]]) -> list[np.ndarray[Any, Any]]:
    """Frames with a part of one brightness on the left and one of another on the right."""
    noise = np.random.default_rng(1)
    frames = []
    for pair in levels:
        sides = [noise.normal(level, 12, (HEIGHT, WIDTH, 3)) for level in pair]
        frames.append(np.clip(np.hstack(sides), 0, 255).astype(np.uint8))
    return frames


def brightness(count: int, seed: int) -> list[int]:
    """Good parts are dark, bad ones are bright; no two in sight of each other are equally so."""
    dice = random.Random(seed)
    return [dice.randint(150, 220) if dice.random() < 0.3 else dice.randint(40, 105) for _ in range(count)]


def strangers(bench: Bench, levels: Sequence[int]) -> int:
    """How many parts were judged by what is not their own picture."""
    rows = bench.rows()
    assert len(rows) == len(levels)
    return sum(
        row.decided is not None
        and not np.isnan(row.decided.verdict.score)
        and abs(row.decided.verdict.score - level / 255) > 0.01
        for row, level in zip(rows, levels, strict=True)
    )


def judged(bench: Bench) -> int:
    return sum(row.decided is not None and row.decided.verdict.kind is not Kind.UNKNOWN for row in bench.rows())


def test_each_lane_judges_its_own_parts_and_drives_its_own_gate(tmp_path: Path) -> None:
    left, right = brightness(120, seed=1), brightness(120, seed=2)
    draw_frames(tmp_path, beside(list(zip(left, right, strict=True))))
    with two_lanes(tmp_path) as lanes:
        report = lanes.run()
        for bench, levels in zip(lanes, (left, right), strict=True):
            assert strangers(bench, levels) == 0
            bench.check_gate(bench.rows())
            assert judged(bench) > len(levels) / 2
            for row, level in zip(bench.rows(), levels, strict=True):
                assert row.outcome is not None
                assert row.outcome.outcome is not GateOutcome.RELEASED or level < 128, "a bad part was let pass"
    one, other = (report["lanes"][name] for name in ("left", "right"))
    assert report["parts"] == one["parts"] + other["parts"] == 240
    assert one["verdicts"]["reject"] > 0 and one["verdicts"]["pass"] > 0
    assert report["frames"]["captured"] == 240 and one["frames"]["captured"] == 120, "a frame is one for each lane"
    assert 0 < one["frames"]["copies"] <= one["frames"]["captured"], "each lane's region is copied once"
    assert report["state"] == "READY" and "host" in report and "host" not in one


def test_lanes_whose_regions_are_swapped_are_found_out(tmp_path: Path) -> None:
    left, right = brightness(10, seed=1), brightness(10, seed=2)
    draw_frames(tmp_path, beside(list(zip(left, right, strict=True))))
    with two_lanes(tmp_path, regions=(RIGHT, LEFT)) as lanes:
        lanes.run()
        assert strangers(lanes.left, left) > 5 and strangers(lanes.right, right) > 5


FREE = CAMERA.replace(
    "rate_hz = {rate}", "rate_hz = 40\ntriggered = false\ntrigger_to_frame_ms = 62\nwindow_ms = 30"
)
PRESENCE = '[trigger]\nkind = "presence"\ncamera = "over"\naxis = "y"'
EMPTY, GOOD, BAD = 90, 30, 220
EMPTY_FRAMES, EVERY, STEP, PART = 160, (20, 28), 12, 60  # a part comes every so many frames, at 12 pixels a frame


def moving(frames: int) -> list[np.ndarray[Any, Any]]:
    """A belt with bad parts on the left and, less often, good ones on the right, all moving down."""
    noise = np.random.default_rng(1)
    drawn = []
    for number in range(EMPTY_FRAMES + frames):
        belt = noise.normal(EMPTY, 3, (HEIGHT, 2 * WIDTH, 3))
        for side, (every, level) in enumerate(zip(EVERY, (BAD, GOOD), strict=True)):
            front = (number - EMPTY_FRAMES) % every * STEP
            if number >= EMPTY_FRAMES and front - PART < HEIGHT:
                across = slice(side * WIDTH + 20, side * WIDTH + WIDTH - 20)
                belt[max(0, front - PART) : front, across] = level
        drawn.append(np.clip(belt, 0, 255).astype(np.uint8))
    return drawn


def test_a_line_in_each_region_sees_the_parts_of_that_lane_only(tmp_path: Path) -> None:
    frames = 9 * EVERY[0]
    draw_frames(tmp_path, moving(frames))
    with two_lanes(tmp_path, camera=FREE, trigger=PRESENCE, rates=(2.0, 40 / 28)) as lanes:
        report = lanes.run()
        for bench, every, bad in zip(lanes, EVERY, (True, False), strict=True):
            rows = bench.rows()
            assert len(rows) in (frames // every, frames // every + 1), report
            bench.check_gate(rows)
            scores = [row.decided.verdict.score for row in rows if row.decided]
            assert all(np.isnan(score) or (score > 0.36) is bad for score in scores), (
                "the other lane's part was seen"
            )
            assert judged(bench) > len(rows) / 2, [row.decided for row in rows]
        passed = [row.outcome.outcome is GateOutcome.RELEASED for row in lanes.right.rows() if row.outcome]
        assert passed.count(True) > len(passed) / 2


def released(bench: Bench) -> int:
    return sum(row.outcome is not None and row.outcome.outcome is GateOutcome.RELEASED for row in bench.rows())


def passes_on(bench: Bench, parts: int = 8) -> None:
    """It lets so many more parts pass."""
    before = released(bench)
    eventually(lambda: released(bench) >= before + parts, f"{parts} more parts pass", every_s=0.05)


def test_what_one_lane_loses_stops_that_lane_only(tmp_path: Path) -> None:
    draw_frames(tmp_path, beside([(60, 70)] * 20))
    with two_lanes(tmp_path, devices=2, loop=True, rates=(10.0, 10.0)) as lanes:
        left, right = lanes
        report = tmp_path / "report.json"
        with EdgeProcess("run", left.file, right.file, "--report", report) as edge:
            for bench in lanes:
                parts_reach(bench, 3)
                passes_on(bench)
            os.kill(int((left.folder / "state" / "line.lock").read_text()), signal.SIGKILL)
            passes_on(right)
            passes_on(left)
            assert left.modbus is not None
            left.modbus.stop()
            missed = re.compile("left (FAULT|NOT_READY): Modbus device")
            eventually(lambda: bool(missed.search(edge.output)), "the left gate is missed")
            passes_on(right)
            edge.signal(signal.SIGTERM)
            assert edge.ends() in (0, 75), edge.output
        lost = {row.outcome.reason.name for row in left.rows() if row.outcome}
        assert "LINE_LOST" in lost, lost
        rows = right.rows()
        right.check_gate(rows)
        assert {row.part_id >> 32 for row in rows} == {1}, "the right line never was another one"
        unpassed = [row.outcome for row in rows if row.outcome and row.outcome.outcome is not GateOutcome.RELEASED]
        assert all(each.reason.name in ("PURGE", "LATE", "NO_VERDICT", "STOPPING") for each in unpassed), unpassed
    values = json.loads(report.read_text())
    assert values["lanes"]["right"]["parts"] == len(rows)


def test_a_full_disk_of_one_lane_stops_that_lane_only(tmp_path: Path) -> None:
    draw_frames(tmp_path, beside([(60, 70)] * 20))
    with (
        tmpfs(tmp_path / "disk", "size=12m") as disk,
        two_lanes(tmp_path, loop=True, rates=(10.0, 10.0)) as lanes,
    ):
        left, right = lanes
        settings = f'dir = "{disk}"\nreserve_mb = 2\nfree_min_mb = 1'
        left.file.write_text(left.file.read_text().replace('dir = "journal"', settings))
        (left.folder / "journal").symlink_to(disk)  # where the bench reads
        with EdgeProcess("run", left.file, right.file) as edge:
            for bench in lanes:
                parts_reach(bench, 3)
                passes_on(bench)
            fill(disk)
            eventually(lambda: not left.permit()[-1][1], "the left belt stops")
            passes_on(right)
            eventually(lambda: right.permit()[-1][1], "the right belt runs")
            assert not left.permit()[-1][1]
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output


def test_each_lane_is_operated_by_its_own_file(tmp_path: Path) -> None:
    draw_frames(tmp_path, beside([(60, 200)] * 20))
    with two_lanes(tmp_path, loop=True, rates=(10.0, 10.0)) as lanes:
        limited = lanes.right.file.read_text().replace("consecutive_rejects = 0", "consecutive_rejects = 5")
        lanes.right.file.write_text(limited)
        with EdgeProcess("run", lanes.left.file, lanes.right.file) as edge:
            parts_reach(lanes.right, 6)
            eventually(lambda: status(lanes.right)["level"] == "STOPPED", "a limit stops the right lane")
            passes_on(lanes.left)
            eventually(lambda: status(lanes.left)["level"] == "READY", "the left lane goes on", every_s=0.1)
            with EdgeProcess("ack", lanes.right.file, "--why", "looked at it") as asked:
                assert asked.ends() == 0, asked.output
            edge.signal(signal.SIGTERM)
            assert edge.ends() in (0, 75), edge.output
        assert "right STOPPED" in edge.output and "left STOPPED" not in edge.output


def status(bench: Bench) -> dict[str, Any]:
    with EdgeProcess("status", bench.file, "--json") as asked:
        assert asked.ends() == 0, asked.output
    values: dict[str, Any] = json.loads(asked.output)
    return values


def test_lanes_that_cannot_run_together_are_refused(tmp_path: Path) -> None:
    draw_frames(tmp_path, beside([(60, 60)]))
    with two_lanes(tmp_path, regions=(LEFT, LEFT)) as lanes:
        for command in ("check", "run"):
            with EdgeProcess(command, lanes.left.file, lanes.right.file) as edge:
                assert edge.ends() == 78, edge.output
            assert "have the same region" in edge.output


def test_a_station_by_itself_looks_at_its_region_only(tmp_path: Path) -> None:
    draw_frames(tmp_path, beside([(60, 200)] * 6))
    with two_lanes(tmp_path) as lanes:
        report = run_to_end(lanes.left)
        assert report["parts"] == 6 and "lanes" not in report
        assert strangers(lanes.left, [60] * 6) == 0
        with EdgeProcess("check", lanes.right.file, "--devices") as edge:
            assert edge.ends() == 0, edge.output
        assert "camera over: 128 x 96" in edge.output and "would be rejected" in edge.output
        with EdgeProcess("io", "camera", lanes.right.file, "--frames", "5") as edge:
            assert edge.ends() == 0, edge.output
        assert "5 pictures of 128 x 96" in edge.output
        with EdgeProcess("collect", lanes.right.file, "--into", tmp_path / "set") as edge:
            assert edge.ends() == 0, edge.output
        collected = [cv2.imread(str(path)) for path in (tmp_path / "set").rglob("*.png")]
        assert [(each.shape, round(each.mean(), -1)) for each in collected] == [((HEIGHT, WIDTH, 3), 200)] * 6


def test_lanes_with_one_bundle_share_a_network_and_with_two_they_do_not(tmp_path: Path) -> None:
    with two_lanes(tmp_path) as lanes:
        stations = [lanes.left.station, lanes.right.station]
        left, right = students_of(stations, SystemClock())
        assert left[0] is right[0]
        left[0].engine.close()
        install(bundle(tmp_path / "cap-a-2.bundle", version=2, threshold=0.4), lanes.right.station)
        left, right = students_of(stations, SystemClock())
        assert (left[0].entry.threshold, right[0].entry.threshold) == (0.5, 0.4)
        for student in (left[0], right[0]):
            student.engine.close()
