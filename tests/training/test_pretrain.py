"""A pretraining uses the pictures it may, survives being killed, and gives weights that a student begins with."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from calibration.leaks import fingerprint
from edge.picture_set import read_image, read_set
from edge.pixels import InputSpec
from tests.training.small import finetune, run
from training import pretrain as room
from training.backbones import Start
from training.encoder import read_encoder
from training.pool import Cached
from training.pretext import USUAL
from training.pretrain import Recipe, Settings, Work
from training.pretrain_run import launch

TINY = ("--size", "64", "--batch", "8", "--passes", "1", "--threads", "1", "--precision", "32")
COMMAND = (sys.executable, "-c", "from training.cli import main; main()", "pretrain")


def pretrain(pool, out, *more):
    return run("pretrain", pool, out, *TINY, *more)


def a_pool(folder, count, sizes=((64, 48),)):
    folder.mkdir()
    draw = np.random.default_rng(0)
    for index in range(count):
        width, height = sizes[index % len(sizes)]
        shape = (height, width, 3) if index % 2 else (height, width)
        cv2.imencode(".png", draw.integers(0, 255, shape, np.uint8))[1].tofile(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def pretrained(belt, tmp_path_factory):
    out = tmp_path_factory.mktemp("pretrained")
    done = pretrain(belt, out, "--leave-groups", "lot-0003")
    assert done.exit_code == 0, done.output
    return out


def test_it_writes_an_encoder_and_says_how_it_was_made(belt, pretrained):
    report = json.loads((pretrained / "pretrain.json").read_text())
    assert report["recipe"]["terms"] == dict(USUAL)
    assert report["curve"][-1]["step"] == report["recipe"]["steps"]
    assert all(np.isfinite(loss) for point in report["curve"] for loss in point.values())
    left = [picture for picture in read_set(belt) if picture.group != "lot-0003"]
    assert report["pictures"] == len(left)
    assert not (pretrained / "checkpoint.pt").exists()


def test_statistics_are_those_of_pictures_from_all_over_the_pool(monkeypatch):
    monkeypatch.setattr(room, "STATISTICS_FROM", 10)
    settings = Settings(InputSpec(64, 64), Recipe(passes=1, batch=4), Start("resnet10t", public=False))
    work = Work(settings, 40, launch("32"))
    stages, batches = work.pretext.stages, []
    see = stages.see
    monkeypatch.setattr(stages, "see", lambda some: (batches.append(some[:, 0, 0, 0].tolist()), see(some))[1])
    work.finished(torch.arange(40, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(40, 64, 64, 3))
    alike = [[0, 4, 9, 13, 17], [22, 26, 30, 35, 39]]
    assert batches == alike, "no short one, which would count as much as a whole one"


def test_another_precision_is_another_training(pretrained):
    assert json.loads((pretrained / "pretrain.json").read_text())["precision"] == "32"
    cached = Cached(np.zeros((16, 64, 64, 3), np.uint8), ("0" * 64,), (), 0)
    settings = Settings(InputSpec(64, 64), Recipe(), Start())
    assert room._identity(cached, settings) != room._identity(cached, replace(settings, precision="bf16"))


def test_a_student_begins_with_its_weights(belt, pretrained, tmp_path):
    weights = load_file(pretrained / "encoder.safetensors")
    begin = read_encoder(pretrained / "encoder.safetensors", 3).begin
    assert begin.public and torch.equal(
        begin.weights["fine.0.0.conv_pw.weight"], weights["fine.0.0.conv_pw.weight"]
    )
    done = finetune(belt, tmp_path / "out", "--encoder", str(pretrained / "encoder.safetensors"))
    assert done.exit_code == 0, done.output


def test_labels_change_nothing(belt, pretrained, tmp_path):
    rows = (belt / "labels.csv").read_text().splitlines()
    pool = tmp_path / "pool"
    pool.mkdir()
    for name in {path.split("/")[0] for path in (row.split(",")[0] for row in rows[1:])}:
        (pool / name).symlink_to(belt / name)
    bare = [rows[0], *(f"{row.split(',')[0]},ok,{row.split(',')[2]}," for row in rows[1:])]
    (pool / "labels.csv").write_text("\n".join([*bare, ""]))
    assert pretrain(pool, tmp_path / "out", "--leave-groups", "lot-0003").exit_code == 0
    again, first = ((folder / "encoder.safetensors").read_bytes() for folder in (tmp_path / "out", pretrained))
    assert again == first


def test_a_set_that_is_left_out_is_known_by_contents_and_by_group(belt, tmp_path):
    others = tmp_path / "acceptance"
    others.mkdir()
    pictures = read_set(belt)
    held = next(picture for picture in pictures if picture.group == "lot-0002")
    (others / "renamed.png").write_bytes(held.path.read_bytes())
    assert pretrain(belt, tmp_path / "one", "--leave-out", str(others)).exit_code == 0
    pool = read_encoder(tmp_path / "one" / "encoder.safetensors", 3).pool
    assert pool == {fingerprint(picture) for picture in pictures if picture != held}
    (others / "labels.csv").write_text("file,label,group\nrenamed.png,ok,lot-0002\n")
    assert pretrain(belt, tmp_path / "lot", "--leave-out", str(others)).exit_code == 0
    pool = read_encoder(tmp_path / "lot" / "encoder.safetensors", 3).pool
    assert pool == {fingerprint(picture) for picture in pictures if picture.group != "lot-0002"}


def test_a_picture_that_is_left_out_is_known_in_another_file_too(belt, tmp_path):
    held = read_set(belt)[5]
    (tmp_path / "acceptance").mkdir()
    cv2.imwrite(str(tmp_path / "acceptance" / "again.bmp"), read_image(held.path))
    done = pretrain(belt, tmp_path / "out", "--leave-out", str(tmp_path / "acceptance"))
    assert done.exit_code == 0 and "1 more left out" in done.output, done.output
    pool = read_encoder(tmp_path / "out" / "encoder.safetensors", 3).pool
    assert len(pool) == 43 and fingerprint(held) not in pool


def started(pool, out):
    more = (*TINY, "--passes", "4", "--checkpoint", "0")
    return subprocess.Popen([*COMMAND, str(pool), "-o", str(out), *more], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_and_started_again_it_gives_the_same_weights(belt, tmp_path):
    whole = started(belt, tmp_path / "whole")
    killed = started(belt, tmp_path / "killed")
    ends = time.monotonic() + 120
    while not (tmp_path / "killed" / "checkpoint.pt").exists():
        assert killed.poll() is None and time.monotonic() < ends
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "encoder.safetensors").exists()
    again = started(belt, tmp_path / "killed")
    assert again.communicate(timeout=120) and again.returncode == 0
    assert whole.communicate(timeout=120) and whole.returncode == 0
    reports = [json.loads((tmp_path / name / "pretrain.json").read_text()) for name in ("whole", "killed")]
    assert reports[1]["resumed_at_step"] > 0 == reports[0]["resumed_at_step"]
    assert reports[0]["curve"] == reports[1]["curve"]
    files = [(tmp_path / name / "encoder.safetensors").read_bytes() for name in ("whole", "killed")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_two_processes_learn_what_one_with_two_shards_does(belt, tmp_path):
    more = (str(belt), "-o", str(tmp_path / "two"), *TINY)
    torchrun = (
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--no-python",
    )
    done = subprocess.run([*torchrun, *COMMAND, *more], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert pretrain(belt, tmp_path / "one", "--shards", "2").exit_code == 0
    reports = [json.loads((tmp_path / name / "pretrain.json").read_text()) for name in ("one", "two")]
    assert [report["processes"] for report in reports] == [1, 2]
    assert done.stdout.count("encoder: ") == 1
    one, two = (load_file(tmp_path / name / "encoder.safetensors") for name in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-4)
    for mine, theirs in zip(*(report["curve"] for report in reports), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)


@pytest.mark.parametrize("term", ["mask", "contrast", "dense", "synthetic"])
def test_each_term_alone_trains_any_backbone_from_scratch(belt, tmp_path, term):
    done = pretrain(belt, tmp_path, "--terms", f"{term}=0.7", "--backbone", "resnet10t", "--scratch", "--mono")
    assert done.exit_code == 0, done.output
    begin = read_encoder(tmp_path / "encoder.safetensors", 1).begin
    assert not begin.public
    assert json.loads((tmp_path / "pretrain.json").read_text())["recipe"]["terms"] == {term: 0.7}


def test_pictures_of_any_size_and_depth_are_one_pool(tmp_path):
    pool = a_pool(tmp_path / "pool", 18, ((64, 48), (30, 90), (200, 10)))
    done = pretrain(pool, tmp_path / "out", "--terms", "synthetic")
    assert done.exit_code == 0, done.output
    assert "18 pictures" in done.output


def test_an_unreadable_picture_is_named_and_left_out_only_when_told(tmp_path):
    pool = a_pool(tmp_path / "pool", 18)
    (pool / "05.png").write_bytes(b"no picture")
    done = pretrain(pool, tmp_path / "out", "--terms", "synthetic")
    assert done.exit_code == 78
    assert "pictures that cannot be used, 1: " in str(done.error) and "05.png" in str(done.error)
    assert "--skip-unreadable" in str(done.error)
    done = pretrain(pool, tmp_path / "out", "--terms", "synthetic", "--skip-unreadable")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "pretrain.json").read_text())
    assert report["pictures"] == 17 and "05.png" in report["skipped"][0]


@pytest.mark.parametrize(
    ("count", "more", "words"),
    [
        (0, (), "holds no pictures"),
        (3, (), "3 different pictures to pretrain on"),
        (18, ("--terms", "mask,blur"), "write some of mask, contrast, dense, synthetic"),
        (18, ("--terms", "mask=0"), "nothing to learn from"),
        (18, ("--backbone", "vit"), "use one of lite0"),
        (18, ("--precision", "8"), "use 32, bf16 or auto"),
        (18, ("--leave-groups", "pos*"), "no group matches 'pos*'"),
        (18, ("--leave-groups", "0*"), "10 of 18 left out"),
        (18, ("--leave-out", "nowhere"), "nowhere is not a folder"),
        (18, ("--roi", "0,0,99,9"), "does not contain the region of interest"),
    ],
)
def test_what_cannot_be_pretrained_on_is_one_clear_line(tmp_path, count, more, words):
    done = pretrain(a_pool(tmp_path / "pool", count), tmp_path / "out", *more)
    assert done.exit_code == 78
    assert words in str(done.error) and "\n" not in str(done.error)


def test_another_trainings_checkpoint_or_a_damaged_one_is_not_gone_on_with(belt, tmp_path):
    torch.save({"identity": "another", "state": {}}, tmp_path / "checkpoint.pt")
    done = pretrain(belt, tmp_path)
    assert done.exit_code == 78 and "belongs to a training with other pictures" in str(done.error)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK")
    done = pretrain(belt, tmp_path)
    assert done.exit_code == 78 and "is damaged" in str(done.error)
