"""`edge collect` is killed again and again, while it stores and while it drops the oldest: its set stays whole."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from edge.picture_set import read_image, read_set
from tests.eye.stations import EdgeProcess
from tests.eye.test_collect import BELT, files, rows, stored
from tests.peers import eventually
from tests.system.results import Table
from tests.test_cli import edge

RESULTS = Table(
    "collect-kills",
    "Kills of a recording",
    "make test-system PYTEST_ARGS='-k collect_kills'",
    ["recording", "kills", "seen"],
)
KILLS = int(os.environ.get("KENPIN_COLLECT_KILLS", "100"))
QUOTA = ("--as", "bmp", "--max-mb", "1", "--when-full", "oldest")


@pytest.mark.parametrize("more", [(), QUOTA], ids=["everything", "the newest megabyte"])
def test_collect_kills_leave_a_whole_set(tmp_path: Path, more: tuple[str, ...]) -> None:
    file, into = tmp_path / "station.toml", tmp_path / "set"
    file.write_text(BELT)
    luck, before, left = random.Random(5), 0, 0
    for _ in range(KILLS):
        with EdgeProcess("collect", file, "--into", into, *more) as process:
            eventually(lambda: stored(file) > 0, "it records", 60.0)
            time.sleep(luck.uniform(0.0, 0.7))
            told = stored(file)
            process.signal(signal.SIGKILL)
            process.ends()
        names = [row["file"] for row in rows(into)]
        assert len(set(names)) == len(names) == len(read_set(into)), "each row once, and its file is there"
        assert more or len(names) >= before + told, "what was said to be stored is there"
        left += len(files(into) - set(names))
        before = len(names)
    assert edge("collect", file, "--into", into, *more, "--pictures", "5")[0] == 0
    names = [row["file"] for row in rows(into)]
    assert files(into) == set(names), "what the kills left is swept"
    assert all(read_image(picture.path).shape == (120, 160, 3) for picture in read_set(into))
    RESULTS.add(
        " ".join(more) or "every picture, png",
        KILLS,
        f"{len(names)} pictures whole, each listed once; {left} files seen without a row, all swept",
    )
