"""The pictures that explain verdicts are kept, the oldest give way, and a full disk is only counted."""

import shutil
import tracemalloc

import cv2
import numpy as np
import pytest

from edge.clock import SECOND, ManualClock
from edge.journal import pictures
from edge.journal.pictures import PictureStore
from edge.records import Kind
from tests.interned import interned
from tests.peers.disks import fill, tmpfs

DAY = 86_400 * SECOND
NOON = 1_790_337_600 * SECOND  # 2026-09-25 12:00 UTC
GREY = np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture
def clock():
    return ManualClock(wall_ns=NOON)


def noise(seed=0):
    """A picture of about 100 kB."""
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*.jpg"))


def test_a_kept_picture_tells_part_camera_and_verdict(tmp_path, clock):
    store = PictureStore(tmp_path, 100, 0, clock)
    image = cv2.GaussianBlur(noise(), (0, 0), 5)
    assert store.keep(7 << 32 | 255, Kind.REJECT, "top-left", image)
    assert names(tmp_path) == ["2026-09-25/00000007000000ff_top-left_reject.jpg"]
    read = cv2.imread(str(tmp_path / names(tmp_path)[0]))
    assert read.shape == image.shape
    assert np.abs(read.astype(int) - image).mean() < 2
    assert (store.kept, store.dropped, store.failed) == (1, 0, 0)


def test_a_mono_picture_is_kept_as_such(tmp_path, clock):
    PictureStore(tmp_path, 100, 0, clock).keep(1, Kind.UNKNOWN, "top", GREY[:, :, 0])
    assert cv2.imread(str(tmp_path / names(tmp_path)[0]), cv2.IMREAD_UNCHANGED).shape == (64, 64)


def test_every_reject_and_unknown_is_kept_and_every_nth_pass(tmp_path, clock):
    store = PictureStore(tmp_path, 100, 3, clock)
    kept = [store.keep(number, Kind.PASS, "top", GREY) for number in range(9)]
    assert kept == [False, False, True] * 3
    assert all(
        store.keep(number, kind, "top", GREY) for number in range(9, 12) for kind in (Kind.REJECT, Kind.UNKNOWN)
    )


def test_the_views_of_a_part_are_kept_together(tmp_path, clock):
    store = PictureStore(tmp_path, 100, 2, clock)
    kept = [store.keep(number, Kind.PASS, camera, GREY) for number in range(4) for camera in ("a", "b", "c")]
    assert kept == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3


def test_with_zero_no_pass_is_kept(tmp_path, clock):
    store = PictureStore(tmp_path, 100, 0, clock)
    assert not any(store.keep(number, Kind.PASS, "top", GREY) for number in range(50))
    assert names(tmp_path) == []


def test_at_the_quota_the_oldest_give_way(tmp_path, clock):
    store = PictureStore(tmp_path, 1, 0, clock)
    for number in range(40):
        assert store.keep(number, Kind.REJECT, "top", noise(number))
        assert size_of(tmp_path) <= 1_000_000
    left = names(tmp_path)
    assert 5 < len(left) < 20
    assert left == [f"2026-09-25/{number:016x}_top_reject.jpg" for number in range(40 - len(left), 40)]
    assert (store.kept, store.dropped) == (40, 40 - len(left))


def test_the_quota_counts_all_days_and_emptied_days_go(tmp_path, clock):
    store = PictureStore(tmp_path, 1, 0, clock)
    for number in range(30):
        store.keep(number, Kind.REJECT, "top", noise(number))
        clock.advance(DAY // 4)
    days = sorted(path.name for path in tmp_path.iterdir())
    assert days[-1] == "2026-10-02"
    assert len(days) < 5
    assert all(any((tmp_path / day).iterdir()) for day in days)


def test_after_a_restart_older_runs_count(tmp_path, clock):
    first = PictureStore(tmp_path, 1, 0, clock)
    for number in range(5):
        first.keep(number, Kind.REJECT, "top", noise(number))
    clock.advance(DAY)
    second = PictureStore(tmp_path, 1, 0, clock)
    for number in range(5, 20):
        second.keep(number, Kind.REJECT, "top", noise(number))
        assert size_of(tmp_path) <= 1_000_000
    assert second.dropped >= 5
    assert not (tmp_path / "2026-09-25").exists()


def test_a_smaller_quota_holds_from_the_next_picture_on(tmp_path, clock):
    first = PictureStore(tmp_path, 3, 0, clock)
    for number in range(20):
        first.keep(number, Kind.REJECT, "top", noise(number))
    PictureStore(tmp_path, 1, 0, clock).keep(20, Kind.REJECT, "top", noise(20))
    assert size_of(tmp_path) <= 1_000_000


def test_files_of_others_are_left_alone(tmp_path, clock):
    (tmp_path / "2026-09-24.sqlite").write_bytes(bytes(2_000_000))
    (tmp_path / "2026-09-24").mkdir()
    (tmp_path / "2026-09-24" / "notes.txt").write_text("keep me")
    store = PictureStore(tmp_path, 1, 0, clock)
    for number in range(20):
        store.keep(number, Kind.REJECT, "top", noise(number))
    assert (tmp_path / "2026-09-24.sqlite").exists()
    assert (tmp_path / "2026-09-24" / "notes.txt").exists()


def test_a_quota_of_zero_keeps_nothing(tmp_path, clock):
    store = PictureStore(tmp_path / "pictures", 0, 1, clock)
    assert not store.keep(1, Kind.REJECT, "top", GREY)
    assert not (tmp_path / "pictures").exists()
    assert (store.kept, store.dropped, store.failed) == (0, 0, 0)


def test_a_picture_over_the_whole_quota_is_counted_and_drops_no_other(tmp_path, clock):
    store = PictureStore(tmp_path, 1, 0, clock)
    store.keep(1, Kind.REJECT, "top", GREY)
    huge = np.random.default_rng(0).integers(0, 256, (1_500, 1_500, 3), np.uint8)
    assert not store.keep(2, Kind.REJECT, "top", huge)
    assert (store.kept, store.dropped, store.failed) == (1, 0, 1)


@pytest.mark.parametrize("image", [np.zeros((0, 0, 3), np.uint8), np.zeros((4, 4, 7), np.uint8)])
def test_what_is_no_picture_is_counted(tmp_path, clock, image):
    store = PictureStore(tmp_path, 1, 0, clock)
    assert not store.keep(1, Kind.REJECT, "top", image)
    assert store.failed == 1


def test_a_folder_that_cannot_be_written_is_counted(tmp_path, clock):
    (tmp_path / "file").write_text("")
    store = PictureStore(tmp_path / "file", 100, 1, clock)
    assert not store.keep(1, Kind.REJECT, "top", GREY)
    assert store.failed == 1


def test_a_full_disk_is_counted_and_leaves_no_torn_picture(tmp_path, clock):
    with tmpfs(tmp_path, "size=256k"):
        store = PictureStore(tmp_path, 100, 0, clock)
        kept = [store.keep(number, Kind.REJECT, "top", noise(number)) for number in range(6)]
        assert kept[0]
        assert not kept[-1]
        assert (store.kept, store.failed) == (sum(kept), 6 - sum(kept))
        assert len(names(tmp_path)) == store.kept


def test_when_space_is_short_good_pictures_go_first_and_none_come(tmp_path, clock):
    with tmpfs(tmp_path / "disk", "size=5m") as disk:
        store = PictureStore(disk, 100, 1, clock, free_min_mb=2)
        kinds = [Kind.REJECT, Kind.PASS, Kind.UNKNOWN, Kind.PASS]
        for number in range(16):
            assert store.keep(number, kinds[number % 4], "top", noise(number))
            clock.advance(DAY // 4)
        fill(disk, leave=1_700_000)
        assert store.give_way()
        left = names(disk)
        gone = [number for number in range(16) if not any(f"{number:016x}" in name for name in left)]
        assert gone == [number for number in (1, 3, 5, 7, 9, 11, 13, 15) if number <= gone[-1]], (
            "the oldest good ones"
        )
        (disk / "more").write_bytes(bytes(600_000))
        assert store.give_way()
        assert not any("pass" in name for name in names(disk))
        (disk / "most").write_bytes(bytes(shutil.disk_usage(disk).free))
        assert not store.give_way() and names(disk) == []
        assert not store.keep(99, Kind.REJECT, "top", noise()) and store.failed == 1
        (disk / "most").unlink()
        (disk / "ballast").unlink()
        assert store.keep(100, Kind.REJECT, "top", noise())


def test_pictures_give_way_too_when_the_disk_can_hold_few_files_more(tmp_path, clock):
    with tmpfs(tmp_path / "disk", "size=50m,nr_inodes=540") as disk:
        store = PictureStore(disk, 100, 1, clock, free_min_mb=2)
        kept = [store.keep(number, Kind.PASS, "top", GREY) for number in range(60)]
        assert all(kept[:20]) and store.dropped > 10
        assert len(names(disk)) < 40


def test_pictures_that_somebody_else_deleted_free_their_room(tmp_path, clock):
    store = PictureStore(tmp_path, 1, 0, clock)
    for number in range(8):
        store.keep(number, Kind.REJECT, "top", noise(number))
    shutil.rmtree(tmp_path / "2026-09-25")
    assert all(store.keep(number, Kind.REJECT, "top", noise(number)) for number in range(8, 12))
    assert store.dropped == 0
    assert len(names(tmp_path)) == 4


def test_the_oldest_go_in_order_however_few_of_them_are_known(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(pictures, "_KNOWN", 3)
    store = PictureStore(tmp_path, 1, 0, clock)
    for number in range(40):
        assert store.keep(number, Kind.REJECT, "top", noise(number))
    left = names(tmp_path)
    assert left == [f"2026-09-25/{number:016x}_top_reject.jpg" for number in range(40 - len(left), 40)]


def test_a_full_quota_costs_little_memory_however_many_pictures_it_holds(tmp_path, clock):
    day = tmp_path / "2026-09-24"
    day.mkdir()
    for number in range(10_000):
        (day / f"{number:016x}_top_reject.jpg").write_bytes(bytes(100))
    tracemalloc.start()
    try:
        store = PictureStore(tmp_path, 1, 0, clock)
        assert store.keep(10_000, Kind.REJECT, "top", noise())
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.dropped > 0
    assert held < 400_000 and most < 1_000_000, f"{held} bytes are held, {most} were"


def test_names_that_never_come_again_are_not_interned(tmp_path, clock):
    store = PictureStore(tmp_path, 1, 0, clock)
    with interned() as found:
        assert all(store.keep(number, Kind.REJECT, "top", noise(number)) for number in range(20))
    assert store.dropped > 0
    assert not [text for text in found if "_top_" in text]
