"""`edge run` as a user starts it: real processes, real sockets, real peers that log what the gate did."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.clock import MS
from edge.errors import DeviceError
from edge.journal.reading import read_notes
from edge.journal.rows import PartRow
from edge.line.zone import Zone
from edge.records import GateOutcome, Kind, Reason
from tests.eye.stations import (
    BELT,
    BELT_TRIGGER,
    BRIGHT,
    DARK,
    REPLAY,
    Bench,
    EdgeProcess,
    draw,
    modbus_bench,
    parts_reach,
    relay_bench,
    run_to_end,
)
from tests.line.lines import level_at
from tests.peers import eventually

BENCHES = {"modbus": modbus_bench, "relay board": relay_bench}


def levels(count: int, seed: int = 3) -> list[int]:
    return random.Random(seed).choices((DARK, BRIGHT), (3, 1), k=count)


def check_report(report: dict, bench: Bench) -> None:
    """The report's sums agree with each other and with the journal."""
    rows = bench.rows()
    gate, verdicts, frames = report["gate"], report["verdicts"], report["frames"]
    assert report["parts"] == len(rows) == sum(verdicts.values())
    assert gate["orders"] == gate["fired"] + gate["released"] + gate["late"] == report["parts"]
    assert frames["captured"] == frames["paired"] + frames["unpaired"]
    assert sum(report["unknown_reasons"].values()) == verdicts["unknown"]
    assert report["journal"]["lost"] == 0
    assert report["deadline"]["met"] + report["deadline"]["missed"] == report["parts"]


@pytest.mark.parametrize("rest", ["pass", "reject"])
@pytest.mark.parametrize("peer", BENCHES)
def test_every_replayed_picture_meets_its_own_verdict_at_the_gate(tmp_path: Path, peer: str, rest: str) -> None:
    brightness = levels(40)
    with BENCHES[peer](tmp_path, rest=rest, transit=1_200) as bench:
        draw(tmp_path, brightness)
        report = run_to_end(bench)
        rows = bench.rows()
        check_report(report, bench)
        bench.check_gate(rows)
        assert len(rows) == len(brightness)
        for row, level in zip(rows, brightness, strict=True):
            assert row.decided is not None and row.outcome is not None
            assert row.decided.verdict.score == pytest.approx(level / 255, abs=0.02)
            rejected = row.outcome.outcome is GateOutcome.FIRED
            assert rejected is (level == BRIGHT), "a verdict met another part"
        assert report["verdicts"] == {
            "pass": brightness.count(DARK),
            "reject": brightness.count(BRIGHT),
            "unknown": 0,
        }
        assert report["gate"]["late"] == 0
        assert not bench.permit()[-1][1] and report["state"] == "READY"


def test_a_simulated_belt_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        report = run_to_end(bench, "--parts", "25")
        check_report(report, bench)
        rows = bench.rows()
        bench.check_gate(rows)
        assert report["parts"] >= 25
        purged = [row for row in rows if row.outcome and row.outcome.reason is Reason.PURGE]
        assert rows[: len(purged)] == purged, "the purge is over before the first release"
        assert all(row.outcome and row.outcome.outcome is GateOutcome.FIRED for row in purged)


def test_sigterm_finishes_the_parts_in_the_zone(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            parts_reach(bench, 12)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        check_report(json.loads(report.read_text()), bench)
        bench.check_gate(bench.rows())
        assert not bench.permit()[-1][1]


def test_who_asks_twice_does_not_wait_for_the_parts_and_no_failure_is_made_up(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=10.0) as bench:
        with EdgeProcess("run", bench.file) as edge:
            parts_reach(bench, 5)
            edge.signal(signal.SIGINT)
            eventually(lambda: "STOPPING" in edge.output, f"the line stops: {edge.output}")
            edge.signal(signal.SIGINT)
            edge.ends()
        assert (
            "failed" not in edge.output and "descriptor" not in edge.output and "check the disk" not in edge.output
        )
        assert not bench.permit()[-1][1]


def test_who_asks_twice_leaves_the_line_to_finish_its_parts(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=10.0, transit=5_000) as bench:
        with EdgeProcess("run", bench.file) as edge:
            parts_reach(bench, 5)
            edge.signal(signal.SIGINT)
            eventually(lambda: "STOPPING" in edge.output, f"the line stops: {edge.output}")
            edge.signal(signal.SIGINT)
            asked = time.monotonic()
            edge.ends()
            assert time.monotonic() - asked < 3, "shorter than the way of a part"
        assert bench.permit()[-1][1], "parts are on their way"
        eventually(lambda: not bench.permit()[-1][1], "the line has finished them and ended")


def test_shadow_mode_judges_and_never_fires(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, mode="shadow", transit=1_200) as bench:
        draw(tmp_path, levels(15))
        report = run_to_end(bench)
        check_report(report, bench)
        assert report["verdicts"]["reject"] == levels(15).count(BRIGHT)
        assert bench.gate_levels() == [] and list(bench.permit()) == []
        assert all(row.outcome and row.outcome.shadow for row in bench.rows())


def after_death(bench: Bench, died_ns: int) -> tuple[list[bool], bool]:
    """For the parts born before and after the eye's death: was each rejected; and is the permit off now."""
    station = bench.station
    assert station.travel is not None and station.gate is not None
    zone = Zone.of(station.travel, station.gate)
    gate = bench.gate_levels()
    hit = []
    for row in bench.rows():
        event = row.outcome
        if event is not None and zone.slot_start(event.born_ns) > died_ns and event.ring_seq:
            hit.append(level_at(gate, zone.slot_start(event.born_ns) + zone.pulse // 2) is not zone.rest_rejects)
    return hit, not bench.permit()[-1][1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_without_an_eye_every_part_is_rejected_and_the_journal_is_complete_after_a_restart(
    tmp_path: Path, how: signal.Signals
) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, unknown_in_a_row=6) as bench:
        with EdgeProcess("run", bench.file) as edge:
            parts_reach(bench, 12)
            before = {row.part_id for row in bench.rows()}
            died_ns = edge.signal(how)
            eventually(lambda: not bench.permit()[-1][1], "the permit drops")
            dropped_ns = bench.permit()[-1][0]
            edge.process.kill()
            edge.ends()
        with EdgeProcess("run", bench.file, "--exit-on-stop") as edge:
            assert edge.ends() == 75, edge.output  # the line was stopped by its limit; it ends with this eye
        rows = bench.rows()
        assert before <= {row.part_id for row in rows}
        assert [row.outcome.ring_seq for row in rows if row.outcome] == list(range(1, len(rows) + 1))
        later = [row for row in rows if row.outcome and row.outcome.born_ns > died_ns]
        assert later, "parts were born after the eye was gone"
        assert all(row.outcome and row.outcome.outcome is GateOutcome.FIRED for row in later)
        bench.check_gate(rows)
        assert dropped_ns > died_ns
        report = run_to_end(bench, "--parts", "10")
        assert report["verdicts"]["unknown"] >= 1, "a restart purges before it releases"
        bench.check_gate(bench.rows())


def test_a_dead_line_is_started_again_and_what_it_left_open_is_on_record(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            parts_reach(bench, 12)
            line_pid = int((tmp_path / "state" / "line.lock").read_text())
            os.kill(line_pid, signal.SIGKILL)
            eventually(lambda: bool(released_by(bench, 2)), "another line lets parts pass", every_s=0.05)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        rows = bench.rows()
        check_report(json.loads(report.read_text()), bench)
        assert all(row.outcome is not None for row in rows)
        lost = [row for row in rows if row.outcome and row.outcome.reason is Reason.LINE_LOST]
        assert lost, "the parts in the dead line's zone are accounted for"
        second = [row for row in rows if row.part_id >> 32 == 2]
        assert second[0].outcome and second[0].outcome.reason is Reason.PURGE
        bench.check_gate([row for row in rows if row not in lost])


def released_by(bench: Bench, session: int) -> list[PartRow]:
    """The parts that the line process of this number let pass."""
    has_begun = list((bench.folder / "journal").glob("*.sqlite"))
    rows = [row for row in bench.rows() if row.part_id >> 32 == session] if has_begun else []
    return [row for row in rows if row.outcome and row.outcome.outcome is GateOutcome.RELEASED]


def runs_until_released(bench: Bench, count: int, *arguments: str) -> dict[str, Any]:
    """`edge run` until so many more parts have passed, however long a busy machine purges; its report."""
    report = bench.folder / "report.json"
    before = len(released_by(bench, 1))
    with EdgeProcess("run", bench.file, "--report", report, *arguments) as edge:
        eventually(lambda: len(released_by(bench, 1)) >= before + count, f"{count} parts pass", every_s=0.05)
        edge.signal(signal.SIGTERM)
        assert edge.ends() == 0, edge.output
    values: dict[str, Any] = json.loads(report.read_text())
    return values


def test_a_line_that_hangs_at_the_end_is_killed_and_the_run_says_so(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            parts_reach(bench, 8)
            os.kill(int((tmp_path / "state" / "line.lock").read_text()), signal.SIGSTOP)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == DeviceError.exit_code, edge.output
        assert "hung at the end" in json.loads(report.read_text())["cause"]
        run_to_end(bench, "--parts", "4")
        assert all(row.outcome is not None for row in bench.rows()), "the next start closes what was left open"


def test_a_line_whose_gate_rests_open_has_the_time_to_hold_it_while_the_belt_coasts(tmp_path: Path) -> None:
    transit = 6_500  # twice that, for zone and belt, is more than once and the 5 s beyond
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, transit=transit) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:
            eventually(lambda: bool(bench.permit()) and bench.permit()[-1][1], "the belt may run")
            time.sleep(0.5)  # parts are born
            asked_ns = edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        ended_ns = time.monotonic_ns()
        (off_ns,) = [at_ns for at_ns, on in bench.permit() if not on and at_ns > asked_ns]
        assert ended_ns - off_ns > transit * MS, "the gate was held while the belt coasted"
        assert json.loads(report.read_text())["parts"] >= 1


def test_a_line_with_a_unit_of_its_own_outlives_the_eyes_that_use_it(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench, EdgeProcess("line", bench.file) as line:
        for _ in range(2):
            runs_until_released(bench, 3, "--no-own-line")
            assert line.process.poll() is None and not bench.permit()[-1][1]
        line.signal(signal.SIGTERM)
        assert line.ends() == 0, line.output
        bench.check_gate(bench.rows())


def test_a_camera_that_is_missing_at_start_keeps_the_station_not_ready_until_it_comes(tmp_path: Path) -> None:
    brightness = levels(10)
    with modbus_bench(tmp_path, transit=1_200) as bench:
        report = tmp_path / "report.json"
        with EdgeProcess("run", bench.file, "--report", report) as edge:

            def notes() -> str:
                journal = tmp_path / "journal"
                has_begun = list(journal.glob("*.sqlite"))
                return " ".join(note.words for note in read_notes(journal)) if has_begun else ""

            eventually(lambda: "PURGING" in notes() or "STARTING" in notes(), "the line is up")
            assert list(bench.permit()) == [] or not bench.permit()[-1][1], "the belt may not run without a camera"
            draw(tmp_path, brightness)
            assert edge.ends() == 0, edge.output
        assert "NOT_READY" in edge.output and "not a folder" in edge.output
        values = json.loads(report.read_text())
        assert values["parts"] == len(brightness) and values["verdicts"]["unknown"] == 0
        bench.check_gate(bench.rows())


def test_a_broken_and_a_blurred_picture_are_unknown_parts_and_rejected(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, camera=REPLAY + "\nfocus_min = 1000", transit=1_200) as bench:
        draw(tmp_path, [DARK] * 12)
        broken, blurred = (tmp_path / "pictures" / "images" / f"{number:04}.png" for number in (5, 8))
        broken.write_bytes(broken.read_bytes()[:200])
        cv2.imwrite(str(blurred), cv2.GaussianBlur(cv2.imread(str(blurred)), (0, 0), 2.0))
        report = run_to_end(bench)
        assert report["verdicts"] == {"pass": 10, "reject": 0, "unknown": 2}
        assert report["unknown_reasons"] == {"BAD_FRAME": 2}
        rows = bench.rows()
        for number in (5, 8):
            outcome = rows[number].outcome
            assert outcome and outcome.outcome is GateOutcome.FIRED
        bench.check_gate(rows)


def test_a_second_eye_on_the_same_station_is_refused(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER) as bench:
        with EdgeProcess("run", bench.file) as edge:
            parts_reach(bench, 3)
            with EdgeProcess("run", bench.file) as second:
                assert second.ends() == 74, second.output
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0
        assert "Traceback" not in second.output


def test_the_pictures_of_rejected_parts_are_kept(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, transit=1_200) as bench:
        draw(tmp_path, [DARK, BRIGHT, DARK, BRIGHT, DARK])
        run_to_end(bench)
        kept = [path.name for path in (tmp_path / "journal" / "pictures").rglob("*.jpg")]
        assert sum("REJECT" in name.upper() for name in kept) == 2
        shutil.rmtree(tmp_path / "journal" / "pictures")
        assert [row.decided.verdict.kind for row in bench.rows() if row.decided].count(Kind.REJECT) == 2


PRESENCE = '[trigger]\nkind = "presence"\ncamera = "top"'
FREE_BELT = (
    '[[camera]]\nname = "top"\nkind = "belt"\ntriggered = false\nfps = 60\npitch_ms = {pitch}\njitter_ms = 4\n'
    "width = 128\nheight = 128\nwindow_ms = 20"
)


def test_a_line_in_the_picture_sees_the_parts_of_a_belt_without_a_sensor(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=FREE_BELT, trigger=PRESENCE, rate=4.0) as bench:
        report = runs_until_released(bench, 8)
        check_report(report, bench)
        rows = bench.rows()
        bench.check_gate(rows)
        born = [row.outcome.born_ns for row in rows if row.outcome]  # a busy machine judges some of them too late
        gaps_ms = [(after - before) / 1e6 for before, after in itertools.pairwise(born)]
        assert all(200 < gap < 300 for gap in gaps_ms), "every part of the belt was seen once"
