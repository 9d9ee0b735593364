"""`edge-train lock` moves whole groups into the acceptance set; killed anywhere, no picture and no label is lost."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.errors import ConfigError
from edge.picture_set import read_set
from training import locking
from training.cli import app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three lots of four pictures; the second of each lot is a defect with a mask."""
    rows = ["file,label,group,mask"]
    for sub in ("images", "masks"):
        (tmp_path / "set" / sub).mkdir(parents=True)
    for number in range(12):
        is_defect = number % 4 == 1
        cv2.imwrite(str(tmp_path / f"set/images/{number}.png"), np.full((8, 8), number, np.uint8))
        if is_defect:
            cv2.imwrite(str(tmp_path / f"set/masks/{number}.png"), np.ones((8, 8), np.uint8))
        mask = f"masks/{number}.png" if is_defect else ""
        rows.append(f"images/{number}.png,{'dent' if is_defect else 'ok'},lot-{number // 4},{mask}")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "set"


def told(folder: Path) -> dict[str, tuple[str, str, bytes, bytes]]:
    """What a set says and holds, by picture."""
    return {
        one.name: (one.label, one.group, one.path.read_bytes(), one.mask.read_bytes() if one.mask else b"")
        for one in read_set(folder)
    }


def test_lots_move_with_their_masks_and_more_may_follow(folder: Path, tmp_path: Path) -> None:
    before, out = told(folder), tmp_path / "acceptance"
    done = CliRunner().invoke(app, ["lock", str(folder), "--groups", "lot-1", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "4 pictures in 1 groups, 1 defects" in done.output and "at most 95.0 % escape" in done.output
    assert "8 pictures stay" in done.output
    assert {group for _, group, *_ in told(out).values()} == {"lot-1"}
    assert told(folder) | told(out) == before and not told(folder).keys() & told(out).keys()
    assert sorted(path.name for path in (folder / "masks").iterdir()) == ["1.png", "9.png"]
    locking.lock(folder, out, "lot-2")
    assert {group for _, group, *_ in told(out).values()} == {"lot-1", "lot-2"} and len(told(folder)) == 4


@pytest.mark.parametrize("writes", range(8))
def test_killed_at_any_write_nothing_is_lost_and_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    before, out, left = told(folder), tmp_path / "acceptance", [writes]

    def killed(path: Path, data: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        path.write_bytes(data)

    with monkeypatch.context() as patched:
        patched.setattr(locking, "write", killed)
        patched.setattr(Path, "unlink", lambda *_, **__: killed(tmp_path / "none", b""))
        with pytest.raises(KeyboardInterrupt):
            locking.lock(folder, out, "lot-1")
    assert told(folder) | (told(out) if (out / "labels.csv").exists() else {}) == before
    locked, stay = locking.lock(folder, out, "lot-1")
    assert (len(locked), len(stay)) == (4, 8)
    assert told(folder) | told(out) == before and not told(folder).keys() & told(out).keys()
    assert len(list(folder.rglob("*.png"))) + len(list(out.rglob("*.png"))) == 15, "none is there twice"


@pytest.mark.parametrize(
    ("groups", "where", "words"),
    [
        ("lot-*", "acceptance", "some must stay"),
        ("lot-7", "acceptance", "no group matches 'lot-7'"),
        ("lot-1", "set/locked", "lie in each other"),
        ("lot-1", ".", "lie in each other"),
    ],
)
def test_what_would_spoil_either_set_is_refused(
    folder: Path, tmp_path: Path, groups: str, where: str, words: str
) -> None:
    before = told(folder)
    with pytest.raises(ConfigError, match=words):
        locking.lock(folder, tmp_path / where, groups)
    assert told(folder) == before and not (tmp_path / "acceptance").exists()


def test_another_picture_of_the_same_name_is_never_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "acceptance/images").mkdir(parents=True)
    (tmp_path / "acceptance/images/5.png").write_bytes(b"of another line")
    before = told(folder)
    with pytest.raises(ConfigError, match=r"5\.png is another picture than .*: rename one"):
        locking.lock(folder, tmp_path / "acceptance", "lot-1")
    assert told(folder) == before and (tmp_path / "acceptance/images/5.png").read_bytes() == b"of another line"


def test_a_set_without_groups_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.csv").unlink()
    with pytest.raises(ConfigError, match=r"no labels\.csv, so no groups: edge-train label"):
        locking.lock(folder, tmp_path / "acceptance", "lot-1")
