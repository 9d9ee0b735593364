"""The whole house on a real picture set, where one is at hand: KENPIN_PICTURES names a labelled set with groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.picture_set import read_set
from tests.system.real_line import Split, groups_of, lines_of, whole_house
from tests.system.results import keep

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("KENPIN_PICTURES", ROOT.parent / "shared" / "data" / "ballscrew"))
PATTERN = os.environ.get("KENPIN_GROUPS", "pos*")
COMMAND = "KENPIN_PICTURES=SET make test-system PYTEST_ARGS='-k real_line'"


@pytest.mark.skipif(not PICTURES.is_dir(), reason="no picture set: name one in KENPIN_PICTURES")
def test_real_pictures_go_from_the_camera_to_the_gate_and_back_into_the_journal(tmp_path: Path) -> None:
    groups = [group for group in groups_of(read_set(PICTURES)) if Path(group).match(PATTERN)]
    third = max(1, len(groups) // 5)
    train, accept, held_out = groups[: -2 * third], groups[-2 * third : -third], groups[-third:]
    split = Split(",".join(train), ",".join(accept), ",".join(held_out))
    result = whole_house(PICTURES, tmp_path / "house", split, escape="0.25", size="320x128")
    keep("real-line", f"From the pictures of {PICTURES.name} to the gate", COMMAND, lines_of(result))
    for run in result["runs"]:
        assert run["report"]["deadline"]["missed"] == 0
        assert run["auroc"] > 0.9
