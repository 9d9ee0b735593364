"""Several runs of a station are one result: counts of all, medians of the runs, and the most of what is a maximum."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from benchmarks import station_run
from benchmarks.bundle_bench import Measured
from benchmarks.results import compare
from benchmarks.station_run import StationError, bench_station
from benchmarks.station_runs import together
from edge.report import Counts, report
from edge.timing import Timing
from tests.eye.stations import lay_out

RANKS = ("n", "p50", "p90", "p99", "p999", "max")


def ranks(count: float, p50: float | None, most: float | None) -> dict[str, float | None]:
    return dict(zip(RANKS, (count, p50, p50, None, None, most), strict=True))


def a_run(p50: float, most: float, missed: int = 0, bins: tuple[int, ...] = (0, 3, 2)) -> dict[str, Any]:
    values = report(Counts(), Timing(1), round(p50 * 1e8), "READY", "", 0).to_dict()
    values |= {"parts": 50, "rss_mb": 200 + p50, "cpu_s": 3.0, "deadline": {"met": 50 - missed, "missed": missed}}
    values["unknown_reasons"] = {"LATE": missed} if missed else {}
    values["latency_ms"] = {"engine": ranks(50, p50, most), "queued": ranks(0, None, None)}
    edges = {"n": 40, "p50": p50, "p99": None, "p999": None, "max": most}
    values["gate"] |= {"orders": 50, "edge_error_us": edges}
    begin = next(number for number, count in enumerate(bins) if count)
    histogram = {"bounds_ms": [1, 2, 5, 10][begin:], "counts": list(bins[begin:])}
    steady = {"first_ms": 5.0, "last_ms": p50, "ratio": p50 / 5, "is_steady": p50 < 6}
    bench: dict[str, Any] = {"per_part": {"page_faults": p50, "disk_faults": 0}, "capacity": {}, "course": []}
    bench["memory"] = {"begin_mb": 200, "grown_mb": p50, "seconds": 30}
    bench |= {"after_gap": {"0ms": ranks(49, p50, most)}, "tenths": {}, "histograms": {"engine": histogram}}
    return values | {"bench": bench | {"steadiness": steady}}


RUNS = (a_run(5, 9), a_run(7, 30, missed=2, bins=(4, 1, 0)), a_run(6, 8))


def test_one_run_is_itself() -> None:
    assert together([RUNS[0]]) == RUNS[0]


def test_several_are_told_together_and_each_one_is_kept() -> None:
    told = together(deepcopy(RUNS))
    assert (told["parts"], told["cpu_s"], told["rss_mb"], told["startup_ms"]) == (150, 9, 207, 600)
    assert told["deadline"] == {"met": 148, "missed": 2} and told["unknown_reasons"] == {"LATE": 2}
    assert told["latency_ms"] == {"engine": ranks(150, 6, 30), "queued": ranks(0, None, None)}
    assert told["gate"]["orders"] == 150
    assert told["gate"]["edge_error_us"] == {"n": 120, "p50": 6, "p99": None, "p999": None, "max": 30}
    bench = told["bench"]
    assert bench["per_part"] == {"page_faults": 6, "disk_faults": 0} and bench["capacity"] == {}
    assert bench["memory"] == {"begin_mb": 200, "grown_mb": 6, "seconds": 30}
    assert bench["after_gap"] == {"0ms": ranks(147, 6, 30)}
    assert bench["histograms"] == {"engine": {"bounds_ms": [1, 2, 5, 10], "counts": [4, 7, 4]}}
    assert bench["steadiness"]["last_ms"] == 7, "the least steady one"
    assert [run["parts"] for run in told["runs"]] == [50, 50, 50] and "host" not in told["runs"][0]


def test_stations_of_several_runs_are_compared_with_an_interval() -> None:
    before, after = together(deepcopy(RUNS)), together([a_run(p50, 40) for p50 in (10, 11, 12)])
    changes = {one.path: one for one in compare(before, after)}
    engine, missed = changes["latency_ms.engine.p50"], changes["deadline.missed"]
    assert engine.is_sure and engine.ratio == pytest.approx(11 / 6)
    assert (missed.before, missed.after, missed.is_sure) == (0, 0, False), "medians of the runs"
    assert compare(RUNS[0], RUNS[1])[0].interval is None


def measured(folder: Path, monkeypatch: pytest.MonkeyPatch, *ends: Measured | StationError) -> Measured:
    """A station whose runs end so, asked for four."""
    left = iter(ends)

    def one(*_: Any) -> Measured:
        end = next(left)
        if isinstance(end, StationError):
            raise end
        return end

    monkeypatch.setattr(station_run, "_one_run", one)
    gate = 'kind = "serial_bytes"\nport = "/dev/null"\nchannel = 1\nexternal_watchdog = true\nheartbeat_ms = 100'
    lay_out(folder, gate=gate, permit=gate.replace("channel = 1", "channel = 2"))
    return bench_station(folder / "station.toml", 50, 60.0, 4)


def ends(partial: str = "", code: int = 0) -> Measured:
    values = deepcopy(RUNS[0]) | ({"partial": partial} if partial else {})
    return Measured(values, code)


def test_runs_before_the_one_that_failed_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = measured(tmp_path, monkeypatch, ends(), ends(), ends("9 of 50 parts: camera 'top'", 69))
    assert (told.exit_code, told.values["partial"]) == (69, "2 of 4 runs: 9 of 50 parts: camera 'top'")
    assert told.values["parts"] == 100 and len(told.values["runs"]) == 2
    told = measured(tmp_path, monkeypatch, ends(), StationError(78))
    assert told.exit_code == 78 and told.values["partial"].startswith(
        "1 of 4 runs: the station ended without a report"
    )
    assert "runs" not in told.values


def test_of_the_first_run_its_parts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = measured(tmp_path, monkeypatch, ends("9 of 50 parts: ended"))
    assert (told.exit_code, told.values["partial"], told.values["parts"]) == (0, "9 of 50 parts: ended", 50)
    with pytest.raises(StationError):
        measured(tmp_path, monkeypatch, StationError(78))
