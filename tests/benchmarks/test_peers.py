"""Peers take their turns, are told beside one of them, and one that fails is left out with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.loop import UNDER_WAY, WARM_UP, Gate, Pipelined, Task, measured
from benchmarks.peers.rounds import PeerError, Turn, in_rounds, summary
from benchmarks.peers.standing import beside, sentences, standings
from tests.benchmarks.test_cli import keys
from tests.eye.stations import ROOT, bundle

__all__ = ["keys"]


def a_turn(p50_ms: float, scores: list[float] | None = None) -> Turn:
    return Turn("capture to order", p50_ms, 2 * p50_ms, 1_000 / p50_ms, scores or [], {})


def test_every_other_round_goes_backwards_so_that_nobody_is_always_first() -> None:
    order: list[str] = []
    turns = {name: lambda name=name: order.append(name) or a_turn(1) for name in ("a", "b", "c")}
    in_rounds(turns, 3)
    assert "".join(order) == "abccbaabc"


def test_a_peer_that_fails_is_left_out_and_keeps_what_it_had() -> None:
    left = iter((a_turn(1.0),))

    def fails() -> Turn:
        for one in left:
            return one
        raise PeerError("it has no licence")

    done, failed = in_rounds({"good": lambda: a_turn(1.0), "bad": fails}, 3)
    assert (len(done["good"]), len(done["bad"])) == (3, 1)
    assert failed == {"bad": "it has no licence"}


def test_a_ratio_is_of_two_turns_of_one_round() -> None:
    """The machine gets slower by half each round, and the ratio stays."""
    moods = (1.0, 1.5, 2.25)
    done = {"one": [a_turn(10 * mood) for mood in moods], "kenpin": [a_turn(12 * mood) for mood in moods]}
    told = summary(done, "one")
    assert told["kenpin"]["ratio"] == {"median": 1.2, "least": 1.2, "most": 1.2}
    assert told["kenpin"]["p50_ms"] == 18
    assert told["one"]["ratio"]["median"] == 1


def test_a_peer_with_other_scores_is_told() -> None:
    done = {"kenpin": [a_turn(1, [0.1, 0.9])], "one": [a_turn(1, [0.1, 0.4])], "engine": [a_turn(1)], "none": []}
    told = summary(done, "one")
    assert [told[name]["score_differs"] for name in ("kenpin", "one", "engine")] == [0, 0.5, None]
    assert "none" not in told


def test_each_frame_is_timed_and_its_order_reaches_the_gate() -> None:
    gate = Gate()
    frames = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    task = Task(frames, b"", 8, 8, 3, None, 0.5, 1, Path(), Path(), gate.order)

    def step(frame: np.ndarray) -> float:
        task.order(bool(frame.max() > 1))
        return float(frame.max())

    try:
        told = measured(step, task, gate, 0.05)
    finally:
        gate.close()
    assert told["scores"] == [0, 1, 2]
    assert told["written"] / 4 == pytest.approx(len(told["times_ns"]), abs=WARM_UP)  # some are on their way
    assert 0 < sum(told["times_ns"]) <= told["elapsed_ns"]


def test_a_pipeline_is_also_measured_when_it_is_kept_full() -> None:
    """It is never given more than it may hold, and what was put in comes out."""
    held: list[np.ndarray] = []
    most: list[int] = []

    def put(frame: np.ndarray) -> None:
        held.append(frame)
        most.append(len(held))

    gate = Gate()
    task = Task(np.zeros((2, 1, 1, 1), np.uint8), b"", 8, 8, 3, None, 0.5, 1, Path(), Path(), gate.order)
    try:
        told = measured(Pipelined(put, lambda: float(held.pop(0).max())), task, gate, 0.01)
    finally:
        gate.close()
    assert told["full_per_s"] > 0 and max(most) == UNDER_WAY and not held


def test_ahead_level_and_behind_are_computed_from_the_rounds() -> None:
    """The machine gets slower from round to round, which decides nothing."""
    moods = (1.0, 1.5, 2.25, 0.8, 1.1)
    own = [a_turn(10 * mood) for mood in moods]
    slower, faster = ([a_turn(time * mood) for mood in moods] for time in (12, 8))
    alike = [a_turn(10 * mood * other) for mood, other in zip(moods, (0.9, 1.1, 1.0, 0.95, 1.05), strict=True)]
    stands = standings({"kenpin": own, "slower": slower, "faster": faster, "alike": alike})
    assert {name: {one.word for one in each} for name, each in stands.items()} == {
        "slower": {"ahead"},
        "faster": {"behind"},
        "alike": {"level"},
    }
    text = " ".join(sentences(stands))
    assert "Beside slower Kenpin is ahead by 16.7 % in p50 (0.833, 0.833 to 0.833)" in text
    assert "Beside faster Kenpin is behind by 25.0 % in p50" in text and "ahead by 16.7 % in rate" in text


def test_two_rounds_decide_nothing() -> None:
    stands = standings({"kenpin": [a_turn(1)] * 2, "one": [a_turn(2)] * 2})
    assert list(sentences(stands)) == ["Beside one: undecided, fewer than 3 rounds."]


def test_a_peer_on_openvino_is_met_on_openvino_and_a_bare_engine_is_no_peer() -> None:
    def turns(p50_ms: float, library: str = "", span: str = "capture to order") -> list[Turn]:
        return [Turn(span, p50_ms, p50_ms, 1_000 / p50_ms, [], {library: "1"} if library else {})] * 3

    done = {
        "kenpin": turns(10),
        "kenpin (openvino)": turns(8, "openvino"),
        "anomalib": turns(9, "openvino"),
        "script": turns(9),
        "onnxruntime": turns(9, span="engine"),
    }
    stands = standings(done)
    assert set(stands) == {"anomalib", "script"}
    assert stands["anomalib"][0].word == "ahead" and stands["script"][0].word == "behind"


def test_a_pipeline_that_is_kept_full_is_held_against_kenpin_too() -> None:
    """One frame at a time it is slower, with several under way faster."""
    pipe = [Turn("capture to order", 12.0, 12.0, 80.0, [], {}, full_per_s=120.0)] * 3
    words = {one.what: one.word for one in beside([a_turn(10)] * 3, pipe)}
    assert words["rate"] == "ahead" and words[f"rate with {UNDER_WAY} frames under way"] == "behind"


def run_peers(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.peers", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_all_peers_judge_the_same_pictures_in_processes_of_their_own(tmp_path: Path, keys: Path) -> None:
    file, result = bundle(tmp_path / "cap-a-1.bundle"), tmp_path / "peers.json"
    words = ("--bundle", file, "--keys", keys, "--rounds", "1", "--seconds", "0.2", "--json", result)
    added = [
        f"{name}={sys.executable}:tests.benchmarks.{module}" for name, module in (("mine", "a_peer"), ("no", "no"))
    ]
    done = run_peers(*words, "--peer", added[0], "--peer", added[1])
    assert done.returncode == 0, done.stderr
    assert "no was left out after 0 rounds: ModuleNotFoundError" in done.stdout
    told = json.loads(result.read_text())["peers"]
    gstreamer = {"gstreamer"} if find_spec("gi") else set()
    assert (
        set(told) == {"onnxruntime", "openvino", "opencv script", "kenpin", "kenpin (openvino)", "mine"} | gstreamer
    )
    for name in {"opencv script", "kenpin (openvino)"} | gstreamer:
        assert told[name]["score_differs"] < 0.02
    for name in gstreamer:
        assert told[name]["full_per_s"] > 0 and "gstreamer" in told[name]["versions"]
    assert "openvino" in told["kenpin (openvino)"]["versions"]
    assert told["mine"]["score_differs"] > 0.5
    assert all(one["rate_per_s"] > 0 and one["p50_ms"] > 0 for one in told.values())
    assert "onnxruntime" in told["kenpin"]["versions"]


def test_what_is_no_peer_is_refused(tmp_path: Path, keys: Path) -> None:
    words = ("--bundle", bundle(tmp_path / "cap-a-1.bundle"), "--keys", keys)
    done = run_peers(*words, "--peer", "mine")
    assert done.returncode == 78 and "write NAME=PYTHON:MODULE" in done.stderr
    done = run_peers(*words, "--beside", "nobody")
    assert done.returncode == 78 and "there are onnxruntime" in done.stderr
