"""Results are whole or not there, and a disk that does not take them is one clear line."""

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.pixels import InputSpec
from tests.training.small import run
from training.backbones import Stages, Start
from training.checkpoint import Checkpoints
from training.encoder import write_encoder
from training.results import make_folder, write
from training.suggestions import write_suggestions

SHORT = {
    "floor": ("--folds", "2", "--size", "64"),
    "copies": (),
    "curve": ("--arms", "floor", "--labels", "2", "--seeds", "1", "--size", "64"),
    "coverage": ("--size", "64"),
}


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("floor", "floor.json"),
        ("copies", "copies.html"),
        ("copies", "labels.csv"),
        ("curve", "curve.json"),
        ("curve", "curve.png"),
        ("curve", "curve.html"),
        ("coverage", "coverage.html"),
    ],
)
def test_what_cannot_be_written_is_named(belt, tmp_path, command, file):
    (tmp_path / file).mkdir()
    done = run(command, belt, tmp_path, *SHORT[command])
    assert done.exit_code == 78, done.output
    assert f"cannot write {tmp_path / file}: Is a directory" in str(done.error)


def test_every_writer_says_what_to_do(tmp_path):
    nowhere = tmp_path / "gone" / "file"
    checkpoints = Checkpoints(nowhere, "", 0, Ticking())
    writers = (
        lambda: write(nowhere, b""),
        lambda: write_suggestions(nowhere, []),
        lambda: write_encoder(nowhere, Stages(Start("resnet10t", public=False), 1), InputSpec(64, 64), [], {}),
        lambda: checkpoints.write_when_due(dict),
    )
    for writer in writers:
        with pytest.raises(ConfigError, match=r"cannot write .*file: No such file.* free some space"):
            writer()


class Ticking:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self):
        self.at = 0

    def now_ns(self):
        self.at += 1_000_000_000
        return self.at


def test_two_runs_may_probe_one_folder(tmp_path, monkeypatch):
    touch = Path.touch
    monkeypatch.setattr(Path, "touch", lambda path: (touch(path), path.unlink()))
    make_folder(tmp_path / "out")
