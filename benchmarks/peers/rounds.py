"""Peers in turns: one process for each, several rounds, and each beside one of them in the same round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edge.bundle import Bundle
from edge.clock import MS, SECOND
from edge.errors import ConfigError
from edge.timing import percentile

FIRST = "onnxruntime"
PEERS = {
    FIRST: "benchmarks.peers.bare_ort",
    "openvino": "benchmarks.peers.bare_ov",
    "opencv script": "benchmarks.peers.script",
    "gstreamer": "benchmarks.peers.gst_pipeline",
    "kenpin": "benchmarks.peers.own",
    "kenpin (openvino)": "benchmarks.peers.own_ov",
}
OTHERS = {"anomalib": "benchmarks.peers.anomalib_ov", "inference": "benchmarks.peers.inference_pipeline"}
ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0  # for a peer to import, load and warm up


@dataclass(frozen=True, slots=True)
class Peer:
    """How a peer is run: the Python of its environment, and its module with SPAN, LIBRARIES and `prepare`."""

    name: str
    module: str
    python: str = sys.executable


@dataclass(frozen=True, slots=True)
class Turn:
    """What one peer did in one round. `scores` are of each frame, none where it saw no frames. `rate_per_s` is with
    one frame at a time; `full_per_s`, of a pipeline, with several under way. `cpu_ms` is what all threads of the
    process used for a frame, 0 where that is not known."""

    span: str
    p50_ms: float
    p99_ms: float
    rate_per_s: float
    scores: list[float]
    versions: dict[str, str]
    cpu_ms: float = 0.0
    full_per_s: float | None = None


class PeerError(Exception):
    """A peer did not run; its words say why."""


def write_task(folder: Path, bundle: Bundle, file: Path, keys: Path, threads: int) -> None:
    """What the peers read. Raises ConfigError where the acceptance pictures are not of one size, BundleError where
    there is no model for ONNX Runtime."""
    entry, spec = bundle.manifest.entry("ort"), bundle.manifest.input
    frames = [picture.image for picture in bundle.acceptance()]
    if len({frame.shape for frame in frames}) != 1:
        raise ConfigError(f"the acceptance pictures of {file} are none, or of several sizes: use another bundle")
    if spec.fit != "stretch":
        raise ConfigError(f"the peers can stretch a picture only, {file} says {spec.fit}: use another bundle")
    np.save(folder / "frames.npy", np.stack(frames))
    (folder / "model.onnx").write_bytes(bundle.model(entry))
    told = spec.to_dict() | {"threshold": entry.threshold, "threads": threads}
    told |= {"bundle": str(file.resolve()), "keys": str(keys.resolve())}
    (folder / "task.json").write_text(json.dumps(told), encoding="utf-8")


def turn(peer: Peer, folder: Path, seconds: float) -> Turn:
    """Run one peer for `seconds` in a process of its own. Raises PeerError."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    command = [peer.python, "-m", "benchmarks.peers.loop", peer.module, str(folder), str(seconds)]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=seconds + PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(str(error)) from error
    if done.returncode or not result.is_file():
        raise PeerError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
    return _read(json.loads(result.read_text(encoding="utf-8")))


def _read(told: Mapping[str, Any]) -> Turn:
    ordered = sorted(told["times_ns"])
    return Turn(
        told["span"],
        round(percentile(ordered, 0.5) / MS, 4),
        round(percentile(ordered, 0.99) / MS, 4),
        round(len(ordered) * SECOND / told["elapsed_ns"], 2),
        told["scores"] if told["span"] != "engine" else [],
        told["versions"],
        round(told["used_ns"] / len(ordered) / MS, 4),
        round(told["full_per_s"], 2) if "full_per_s" in told else None,
    )


def in_rounds(turns: Mapping[str, Callable[[], Turn]], rounds: int) -> tuple[dict[str, list[Turn]], dict[str, str]]:
    """Let all take their turn, `rounds` times, every other round in reverse; a peer that fails is left out from there
    on, with its reason."""
    done: dict[str, list[Turn]] = {name: [] for name in turns}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for name in list(turns)[:: -1 if number % 2 else 1]:
            if name in failed:
                continue
            try:
                done[name].append(turns[name]())
            except PeerError as error:
                failed[name] = str(error)
    return done, failed


def summary(done: Mapping[str, Sequence[Turn]], beside: str) -> dict[str, dict[str, Any]]:
    """Each peer that ran: medians over its rounds, and `ratio` and `rate_ratio`, its p50 and its rate over those of
    the peer `beside` in the same round, as the median with the least and the most."""
    told = {}
    for name, turns in done.items():
        if not turns:
            continue
        pairs = list(zip(turns, done[beside], strict=False))
        full = [each.full_per_s for each in turns if each.full_per_s is not None]
        told[name] = {
            "span": turns[0].span,
            "rounds": len(turns),
            "p50_ms": round(median(each.p50_ms for each in turns), 4),
            "p99_ms": round(median(each.p99_ms for each in turns), 4),
            "rate_per_s": round(median(each.rate_per_s for each in turns), 2),
            "cpu_ms": round(median(each.cpu_ms for each in turns), 4),
            "full_per_s": round(median(full), 2) if full else None,
            "ratio": _spread([one.p50_ms / other.p50_ms for one, other in pairs]),
            "rate_ratio": _spread([one.rate_per_s / other.rate_per_s for one, other in pairs if one.rate_per_s]),
            "score_differs": _apart(turns[0].scores, done),
            "versions": turns[0].versions,
            "turns": [asdict(each) for each in turns],
        }
    return told


def _spread(ratios: Sequence[float]) -> dict[str, float] | None:
    if not ratios:
        return None
    return {"median": round(median(ratios), 3), "least": round(min(ratios), 3), "most": round(max(ratios), 3)}


def _apart(scores: Sequence[float], done: Mapping[str, Sequence[Turn]]) -> float | None:
    """By how much these scores are at most off Kenpin's; None where there is nothing to compare."""
    own = done["kenpin"][0].scores if done.get("kenpin") else []
    if not scores or len(own) != len(scores):
        return None
    return round(max(abs(one - other) for one, other in zip(scores, own, strict=True)), 4)
