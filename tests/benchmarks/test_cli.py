"""edge-bench measures real bundles and stations, and refuses what it cannot measure with one clear message."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.paths import of_a_bundle, of_a_station
from benchmarks.results import figures
from tests.bundles import OTHER_KEY, store_key
from tests.capture.mjpeg import MjpegServer
from tests.eye.stations import (
    BELT,
    BELT_TRIGGER,
    DARK,
    REPLAY_TRIGGER,
    ROOT,
    bundle,
    draw,
    parts_reach,
    relay_bench,
)

RANKS = {"n", "p50", "p90", "p99", "p999", "max"}
KEYS = ["parts", "verdicts", "unknown_reasons", "frames", "deadline", "gate", "latency_ms", "journal"]
KEYS += ["startup_ms", "rss_mb", "cpu_s", "host"]


def edge_bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return store_key(tmp_path / "keys")


def test_a_bundle_is_profiled_under_the_public_keys(tmp_path: Path, keys: Path) -> None:
    file, result = bundle(tmp_path / "cap-a-1.bundle"), tmp_path / "bench.json"
    done = edge_bench("--bundle", file, "--keys", keys, "--seconds", "1", "--idle", "0.05,0.7", "--json", result)
    assert done.returncode == 0, done.stderr
    assert "cap-a version 1" in done.stdout
    assert "engine alone" in done.stdout
    values = json.loads(result.read_text())
    assert set(KEYS) <= set(values)
    assert values["parts"] == values["verdicts"]["pass"] > 10
    for stage in ("pixels", "engine", "judge", "capture_to_verdict"):
        assert set(values["latency_ms"][stage]) == RANKS
        assert values["latency_ms"][stage]["p50"] > 0
    assert values["latency_ms"]["trigger_to_frame"] == dict.fromkeys(RANKS) | {"n": 0}
    assert values["startup_ms"] > 0
    assert values["host"]["cores"] >= 1
    bench = values["bench"]
    assert bench["model"]["precision"] == "fp32"
    assert 0 < bench["sustained_per_s"] <= bench["possible_per_s"]
    assert set(bench["idle"]) == {"50ms", "700ms"}
    assert bench["idle"]["700ms"]["kept_warm_ratio"] > 0
    assert bench["per_part"]["page_faults"] >= 0
    assert "partial" not in values
    expected = of_a_bundle((0.05, 0.7), None)
    assert {path for path in figures(values) if not path.startswith("hardware.")} <= expected
    assert {path.removesuffix(".left_alone_ms") for path in expected if path.endswith(".left_alone_ms")} == {
        "bench.idle.50ms",
        "bench.idle.700ms",
    }


def test_a_station_is_run_by_its_own_command(tmp_path: Path) -> None:
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=10.0) as rig:
        result = tmp_path / "bench.json"
        drawn = tmp_path / "bench.html"
        done = edge_bench(rig.file, "--parts", "40", "--json", result, "--html", drawn)
    assert done.returncode == 0, done.stderr
    assert "where the time goes" in done.stdout
    assert "Traceback" not in done.stderr
    values = json.loads(result.read_text())
    assert set(KEYS) <= set(values)
    assert values["parts"] >= 40
    gate = values["gate"]
    assert gate["orders"] == gate["fired"] + gate["released"] + gate["late"] == values["parts"]
    histogram = values["bench"]["histograms"]["engine"]
    assert len(histogram["bounds_ms"]) == len(histogram["counts"]) + 1
    assert sum(histogram["counts"]) > 0
    assert {path for path in figures(values) if not path.startswith("hardware.")} <= of_a_station()
    assert values["latency_ms"]["queued"]["n"] >= 15 and values["latency_ms"]["queued"]["max"] > 0
    capacity = values["bench"]["capacity"]
    assert 0 < capacity["sustained"] < 1 and 0 < capacity["busy"] < 1
    assert sum(ranks["n"] for ranks in values["bench"]["after_gap"].values()) >= 10
    assert "inference thread" in done.stdout and "trigger to verdict" in done.stdout
    assert values["latency_ms"]["engine"]["p99"] is None, "of 40 parts none is the p99"
    page = drawn.read_text()
    assert "capture_to_release" in page and "<svg" in page and "<script" not in page


def test_pictures_that_run_out_leave_a_partial_result(tmp_path: Path) -> None:
    result, drawn = tmp_path / "bench.json", tmp_path / "bench.html"
    with relay_bench(tmp_path) as rig:
        draw(tmp_path, [DARK] * 5)
        generous = tmp_path / "budget.toml"
        generous.write_text('[at_most]\n"deadline.missed" = 500')
        done = edge_bench(rig.file, "--parts", "500", "--json", result, "--html", drawn, "--budget", generous)
    assert done.returncode == 1 and "over budget: the result is partial" in done.stderr
    assert "within" not in done.stdout
    assert "edge-bench: partial result: 5 of 500 parts: the station ended" in done.stderr
    assert json.loads(result.read_text())["partial"].startswith("5 of 500 parts")
    assert "Partial: 5 of 500 parts" in drawn.read_text()


def test_a_station_on_which_nothing_moves_is_ended_and_its_result_is_partial(tmp_path: Path) -> None:
    result = tmp_path / "bench.json"
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=0.02) as rig:
        done = edge_bench(rig.file, "--parts", "5", "--patience", "3", "--json", result)
    assert done.returncode == 69, done.stderr
    assert "edge-bench: partial result: 0 of 5 parts: no part ended for 3 s; " in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(result.read_text())["partial"].startswith("0 of 5 parts")


CV = '[[camera]]\nname = "top"\nkind = "cv"\nsource = "{url}"\ntimeout_ms = 1500'


def test_a_camera_that_dies_meanwhile_leaves_the_parts_before_it(tmp_path: Path) -> None:
    result, kept = tmp_path / "bench.json", tmp_path / "bench.html"
    with (
        MjpegServer(fps=10) as camera,
        relay_bench(tmp_path, camera=CV.replace("{url}", camera.url), trigger=REPLAY_TRIGGER) as rig,
        ThreadPoolExecutor(1) as pool,
    ):
        words = (rig.file, "--parts", "500", "--patience", "4", "--json", result, "--html", kept)
        bench = pool.submit(edge_bench, *words)
        parts_reach(rig, 8)
        camera.kill()
        done = bench.result()
    assert done.returncode == 69, done.stderr
    values = json.loads(result.read_text())
    assert 8 <= values["parts"] < 500
    words = f"{values['parts']} of 500 parts: no part ended for 4 s; NOT_READY camera 'top'"
    assert values["partial"].startswith(words)
    assert f"edge-bench: partial result: {words}" in done.stderr and "Traceback" not in done.stderr
    assert "Partial: " in kept.read_text()
    assert values["latency_ms"]["engine"]["p50"] > 0


def test_a_camera_that_dies_while_a_photo_eye_goes_on_leaves_a_partial_result(tmp_path: Path) -> None:
    result = tmp_path / "bench.json"
    with (
        MjpegServer(fps=10) as camera,
        relay_bench(tmp_path, camera=CV.replace("{url}", camera.url), trigger=BELT_TRIGGER) as rig,
        ThreadPoolExecutor(1) as pool,
    ):
        bench = pool.submit(edge_bench, rig.file, "--parts", "80", "--json", result)
        parts_reach(rig, 25)
        camera.kill()
        done = bench.result()
    assert done.returncode == 69, done.stderr
    values = json.loads(result.read_text())
    assert values["parts"] >= 80, "its parts went on as UNKNOWN"
    words = f"{values['parts']} of 80 parts: the station was not READY for about "
    assert values["partial"].startswith(words) and "NOT_READY camera 'top'" in values["partial"]
    assert f"edge-bench: partial result: {words}" in done.stderr and "Traceback" not in done.stderr


def test_a_station_is_run_several_times_and_compared(tmp_path: Path) -> None:
    result, drawn = tmp_path / "bench.json", tmp_path / "bench.html"
    with relay_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=10.0) as rig:
        words = ("--parts", "25", "--runs", "3", "--json", result, "--html", drawn)
        done = edge_bench(rig.file, *words)
    assert done.returncode == 0, done.stderr
    assert "3 runs together" in done.stdout and "p50 of 3 runs" in done.stdout
    values = json.loads(result.read_text())
    parts = [run["parts"] for run in values["runs"]]
    assert len(parts) == 3 and min(parts) >= 25 and values["parts"] == sum(parts)
    assert values["latency_ms"]["engine"]["n"] == sum(run["latency_ms"]["engine"]["n"] for run in values["runs"])
    assert {path for path in figures(values) if not path.startswith("hardware.")} <= of_a_station()
    bench = values["bench"]
    (judged,) = bench["products"]
    assert (judged["product"], judged["version"], judged["model"]["precision"]) == ("cap-a", 1, "fp32")
    assert (bench["asked"], bench["name"], bench["threads"]) == (25, "test", 1)
    assert bench["spans"]["queued"].startswith("The frame is in memory")
    assert "cap-a version 1" in drawn.read_text() and "p50 of 3 runs" in drawn.read_text()
    done = edge_bench("--compare", result, result)
    assert done.returncode == 0 and "no interval" not in done.stdout and "not measured alike" not in done.stdout
    assert "1.000 to 1.000" in done.stdout


def refused(code: int, *arguments: str | Path) -> str:
    done = edge_bench(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_neither_or_both_is_a_usage_error(tmp_path: Path, keys: Path) -> None:
    assert "either a station" in refused(2)
    assert "either a station" in refused(2, tmp_path / "station.toml", "--bundle", tmp_path / "x.bundle")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--bundle", "x.bundle"], "--keys DIR"),
        (["--bundle", "x.bundle", "--keys", "keys", "--parts", "3"], "--seconds, not"),
        (["--bundle", "x.bundle", "--keys", "keys", "--precision", "bf16"], "int8, fp16 or fp32"),
        (["--bundle", "x.bundle", "--keys", "keys", "--against", "bf16"], "int8, fp16 or fp32"),
        (["--bundle", "x.bundle", "--keys", "keys", "--idle", "1;2"], "as 0.1,1,10"),
        (["--bundle", "x.bundle", "--keys", "keys", "--idle", "1,-2"], "as 0.1,1,10"),
        (["--bundle", "x.bundle", "--keys", "keys", "--idle", "nan"], "as 0.1,1,10"),
        (["station.toml", "--keys", "keys"], "--keys: only with"),
        (["station.toml", "--parts", "0"], "--parts"),
        (["station.toml", "--rate", "5", "--engine", "ov"], "--engine, --rate: only with"),
        (["--bundle", "x.bundle", "--json", "a", "--html", "./a"], "would both write a: name two files"),
        (["--compare", "a.json", "b.json", "--budget", "x.toml"], "--budget: --compare measures nothing"),
    ],
)
def test_options_of_the_other_kind_are_a_usage_error(arguments: list[str], words: str) -> None:
    assert words in " ".join(refused(2, *arguments).replace("│", " ").split())


def test_a_bundle_of_an_unknown_key_is_refused(tmp_path: Path) -> None:
    keys = store_key(tmp_path / "keys", OTHER_KEY)
    assert "edge-bench: " in refused(65, "--bundle", bundle(tmp_path / "cap-a-1.bundle"), "--keys", keys)


def test_a_bundle_without_the_wanted_precision_is_refused(tmp_path: Path, keys: Path) -> None:
    file = bundle(tmp_path / "cap-a-1.bundle")
    for option in ("--precision", "--against"):
        words = refused(65, "--bundle", file, "--keys", keys, option, "int8")
        assert "holds no model for ort int8, only ort fp32; choose another engine or precision" in words
    assert "no model for ov, only ort fp32" in refused(65, "--bundle", file, "--keys", keys, "--engine", "ov")


def test_what_is_not_there_is_refused(tmp_path: Path, keys: Path) -> None:
    assert "none.bundle" in refused(65, "--bundle", tmp_path / "none.bundle", "--keys", keys)
    assert "none.toml" in refused(78, tmp_path / "none.toml")


def test_a_result_that_cannot_be_kept_is_refused_before_measuring(tmp_path: Path, keys: Path) -> None:
    result = tmp_path / "no-folder" / "bench.json"
    words = refused(78, "--bundle", tmp_path / "none.bundle", "--keys", keys, "--json", result)
    assert "give --json a file" in words
