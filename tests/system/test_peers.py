"""The demo's network by Kenpin on two engines and by others, in turns; who is ahead is computed from the rounds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.system.calm import watched
from tests.system.results import ROOT, keep

COMMAND = (
    "python -m benchmarks.peers --bundle edge/demo/washer-1.bundle --keys edge/demo --rounds 12 --seconds 3 "
    "--other anomalib --other inference"
)
COLUMNS = (
    "peer",
    "span",
    "p50, p99 ms",
    "p50 over it",
    "frames/s, one at a time",
    "rate over it",
    "frames/s, kept full",
    "processor ms a frame",
    "score off by",
    "versions",
)


def test_every_peer_judges_the_same_pictures(tmp_path: Path) -> None:
    result = tmp_path / "peers.json"
    words = COMMAND.split()[1:]
    with watched() as machine:
        done = subprocess.run(
            [sys.executable, *words, "--json", str(result)], cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(result.read_text())
    assert not told["left_out"]
    keep(
        "peers",
        "The same network by others",
        "python -m pytest tests/system/test_peers.py",
        [*lines(told), machine.words()],
    )
    for name in ("opencv script", "inference", "gstreamer"):
        assert told["peers"][name]["score_differs"] < 0.02, "the same pixels and the same kind of engine"


def lines(told: dict[str, Any]) -> Iterator[str]:
    """The table, and a sentence for each peer."""
    rounds = min(one["rounds"] for one in told["peers"].values())
    yield f"`{COMMAND}`:"
    yield f"{rounds} rounds of {told['seconds']:g} s, {told['threads']} thread. Figures are medians of the rounds;"
    yield f"ratios are over bare `{told['beside']}` of the same round: median (least to most)."
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "| " + " | ".join("---" for _ in COLUMNS) + " |"
    for name, one in told["peers"].items():
        cells = (
            name,
            one["span"],
            f"{one['p50_ms']:.2f}, {one['p99_ms']:.2f}",
            spread(one["ratio"]),
            f"{one['rate_per_s']:.1f}",
            spread(one["rate_ratio"]),
            "" if one["full_per_s"] is None else f"{one['full_per_s']:.1f}",
            f"{one['cpu_ms']:.2f}",
            "" if one["score_differs"] is None else f"{one['score_differs']:g}",
            ", ".join(f"{key} {value}" for key, value in one["versions"].items()),
        )
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield "Kenpin over each peer of the same span, on the engine that the peer uses (of a rate: the peer's over"
    yield "Kenpin's); level is where the 95 % interval of the median, from rounds drawn again, holds 1:"
    yield ""
    yield from (f"- {sentence}" for sentence in told["sentences"])
    yield ""


def spread(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f})"
