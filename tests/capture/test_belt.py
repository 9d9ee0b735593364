"""The simulated belt keeps its law: the same parts for the same seed, each once, defects where the label says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import options
from edge.capture.belt import LOT, BeltCamera, draw_set, main
from edge.capture.belt_drawing import Look, draw_mask, draw_part, light_at
from edge.capture.quality import FrameCheck
from edge.clock import MS, SECOND, ManualClock
from edge.conveyor import DEFECTS, defect_of, first_after, passes_ns
from edge.errors import ConfigError
from edge.picture_set import read_image, read_mask, read_set
from edge.records import Frame, Reason, TimeSource

PITCH_NS = 100 * MS
LOOK = Look(7, 160, 160)


def a_camera(clock: ManualClock, **settings: object) -> BeltCamera:
    small = {"width": 96, "height": 96, "pitch_ms": 100, "jitter_ms": 8, "defect_rate": 0.5}
    chosen = options.BeltCamera.model_validate({"kind": "belt", "name": "top", **small, **settings})
    camera = BeltCamera(chosen, clock)
    camera.open()
    return camera


def frames_of(camera: BeltCamera, count: int) -> list[tuple[Frame, np.ndarray]]:
    frames = []
    for _ in range(count):
        frame = camera.read(10.0)
        assert frame is not None
        frames.append((frame, frame.image.copy()))
    return frames


def test_each_part_is_photographed_once_at_its_own_time() -> None:
    clock = ManualClock(50 * SECOND)
    frames = frames_of(a_camera(clock, seed=3, trigger_to_frame_ms=5), 30)
    first = first_after(3, PITCH_NS, 8 * MS, 50 * SECOND - 5 * MS)
    assert [frame.trigger_counter for frame, _ in frames] == list(range(first, first + 30))
    for frame, _ in frames:
        assert frame.captured_ns == passes_ns(3, PITCH_NS, 8 * MS, frame.trigger_counter) + 5 * MS
        assert (frame.captured_err_ns, frame.source) == (0, TimeSource.SENSOR)


def test_the_same_seed_shows_the_same_parts_and_another_seed_others() -> None:
    first, again, other = (
        [image for _, image in frames_of(a_camera(ManualClock(SECOND), seed=seed), 4)] for seed in (5, 5, 6)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_triggered_camera_keeps_its_queue_and_counts_the_rest() -> None:
    clock = ManualClock(SECOND)
    camera = a_camera(clock, queue=3, jitter_ms=0)
    (before, _), *_ = frames_of(camera, 1)
    clock.advance(10 * PITCH_NS)
    waiting = [frame for frame, _ in frames_of(camera, 3)]
    counters = [frame.trigger_counter - before.trigger_counter for frame in waiting]
    assert counters == [8, 9, 10]
    assert [frame.frame_id - before.frame_id for frame in waiting] == counters
    assert {frame.lost for frame in waiting} == {7}


def test_a_free_running_camera_delivers_the_newest() -> None:
    clock = ManualClock(SECOND)
    camera = a_camera(clock, triggered=False, fps=50)
    (before, _), *_ = frames_of(camera, 1)
    clock.advance(SECOND + 1)
    (after, _), *_ = frames_of(camera, 1)
    assert after.frame_id - before.frame_id == 50
    assert after.lost == 49
    assert clock.now_ns() - after.captured_ns < SECOND // 50
    assert after.trigger_counter == -1


def test_jitter_that_lets_parts_overtake_is_refused() -> None:
    with pytest.raises(ConfigError, match="reduce jitter_ms"):
        a_camera(ManualClock(), jitter_ms=50)


def test_no_picture_is_black_bright_or_twice_the_same() -> None:
    check = FrameCheck()
    for _, image in frames_of(a_camera(ManualClock(SECOND)), 20):
        assert check.check(image) == Reason.NONE


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_shows_where_its_mask_is_and_nowhere_else(defect: str) -> None:
    for number in range(30):
        good, bad = (draw_part(LOOK, number, which).astype(int) for which in ("", defect))
        changed = np.abs(good - bad).max(axis=2)
        mask = draw_mask(LOOK, number, defect) > 0
        assert mask.any()
        assert changed[mask].mean() > 3
        assert changed[~mask].max() <= 8  # the faint border of the defect


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_survives_shrinking_to_the_students_input(defect: str) -> None:
    look = Look(1)
    for number in range(12):
        good, bad = (
            cv2.resize(draw_part(look, number, which), (256, 256), interpolation=cv2.INTER_AREA).astype(int)
            for which in ("", defect)
        )
        # the noise of the same part is the same, after shrinking its sigma is about 1
        assert np.abs(good - bad).max() >= 12


def test_a_good_part_has_no_mask() -> None:
    assert not draw_mask(LOOK, 1, "").any()


def test_the_light_drifts_within_its_limit() -> None:
    shares = [light_at(LOOK, part) for part in range(0, 6_000, 20)]
    assert max(shares) <= 1 + LOOK.light_drift
    assert min(shares) >= 1 - LOOK.light_drift
    assert max(shares) - min(shares) > LOOK.light_drift


def test_a_drawn_set_can_be_read_and_says_what_it_shows(tmp_path: Path) -> None:
    draw_set(tmp_path, 2 * LOT, LOOK, defect_rate=0.5)
    pictures = read_set(tmp_path)
    assert len(pictures) == 2 * LOT
    assert {picture.group for picture in pictures} == {"lot-0001", "lot-0002"}
    assert {picture.label for picture in pictures} == {"ok", *DEFECTS}
    for picture in pictures[:LOT]:
        number = int(picture.path.stem.removeprefix("part-"))
        defect = defect_of(LOOK.seed, number, 0.5)
        assert picture.label == (defect or "ok")
        assert np.array_equal(read_image(picture.path), draw_part(LOOK, number, defect))
        assert (picture.mask is not None) == bool(defect)
        if picture.mask is not None:
            drawn = draw_mask(LOOK, number, defect) != 0
            assert np.array_equal(read_mask(picture, 160, 160), drawn)


def test_the_command_draws_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "set"), "--parts", "3", "--size", "64"]) == 0
    assert "wrote 3 pictures" in capsys.readouterr().out
    assert main([str(tmp_path / "set"), "--parts", "3", "--size", "64"]) == 78
    assert "exists already" in capsys.readouterr().err


def test_the_command_refuses_numbers_that_make_no_sense(tmp_path: Path) -> None:
    for wrong in (["--parts", "0"], ["--defects", "1.5"], ["--size", "10"]):
        with pytest.raises(SystemExit) as stopped:
            main([str(tmp_path / "set"), *wrong])
        assert stopped.value.code == 2
