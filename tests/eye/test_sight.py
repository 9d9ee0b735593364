"""One camera for several stations: each has its region of every frame, and all are not ready when it is lost."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from edge import options
from edge.capture import About, EndOfPictures
from edge.capture.region import cut
from edge.clock import MS, SECOND, ManualClock
from edge.errors import CameraError
from edge.eye.camera_watch import CameraWatch
from edge.eye.jobs import Job
from edge.eye.parts import Parts
from edge.eye.sight import Births, Sight, source_of
from edge.eye.slots import Slots
from edge.health import Health, Level, Progress
from edge.pairing import View
from edge.records import Frame, Part, TimeSource
from edge.report import Counts

NOISE = np.random.default_rng(1)


def picture(left: int, right: int, width: int = 64, height: int = 32) -> np.ndarray[Any, Any]:
    sides = [NOISE.normal(level, 4, (height, width // 2, 3)) for level in (left, right)]
    return np.clip(np.hstack(sides), 0, 255).astype(np.uint8)


def camera_options(region: tuple[int, int, int, int] | None, **keys: Any) -> options.FolderCamera:
    return options.FolderCamera(
        name="over", kind="folder", dir="pictures", region=region, **{"sizes_may_differ": False} | keys
    )


@dataclass
class Script:
    """A camera that delivers what is written, and fails where an error is."""

    clock: ManualClock
    pictures: Iterator[np.ndarray[Any, Any] | CameraError]
    number: int = 0
    copies: int = 0

    def open(self) -> None: ...

    def read(self, _timeout_s: float) -> Frame:
        self.clock.advance(100 * MS)
        found = next(self.pictures, None)
        if found is None:
            raise EndOfPictures
        if isinstance(found, CameraError):
            raise found
        self.number += 1
        now_ns = self.clock.now_ns()
        return Frame(found, "over", self.number, now_ns, 0, TimeSource.SENSOR, copies=self.copies)

    def about(self) -> About:
        return About()

    def close(self) -> None: ...


@dataclass
class Lane:
    """What one station keeps of a camera: every frame is a part, born at once."""

    clock: ManualClock
    options: options.FolderCamera
    jobs: list[Job] = field(default_factory=list)
    states: list[Level] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots, self.counts = Slots(10), Counts()
        self.health = Health(lambda standing: self.states.append(standing.level))
        self.parts = Parts(
            [View("over", births=True)], [self.slots], lambda settled: None, self.counts.frame, self.jobs.append
        )
        started = threading.Event()
        started.set()
        self.sight = Sight(
            0,
            self.options,
            self.parts,
            self.slots,
            itertools.count(1),
            self.clock,
            self.counts,
            self.health,
            Births(self._born),
            started,
        )

    def _born(self, token: int, born_ns: int, _err_ns: int) -> None:
        part = Part(1 << 32 | token, born_ns, 0, born_ns, born_ns + SECOND, born_ns + SECOND, token=token)
        self.parts.born(part, born_ns)

    def means(self) -> list[int]:
        return [round(float(self.slots.image(job.slot).mean()), -1) for job in self.jobs]  # type: ignore[misc]


def show(
    *pictures: np.ndarray[Any, Any] | CameraError, regions: tuple[Any, ...], copies: int = 0, **keys: Any
) -> list[Lane]:
    """Let a camera deliver these to a station for each region."""
    clock = ManualClock(SECOND)
    lanes = [Lane(clock, camera_options(region, **keys)) for region in regions]
    camera = Script(clock, iter(pictures), copies=copies)
    watch = CameraWatch(
        camera, [lane.sight for lane in lanes], clock, Progress(clock, {source_of(lanes[0].options): SECOND})
    )
    watch.run(threading.Event())
    assert watch.has_ended
    return lanes


LEFT, RIGHT = (0, 0, 32, 32), (32, 0, 32, 32)


def test_each_station_gets_its_region_of_every_frame_and_copies_it_once() -> None:
    left, right, whole = show(picture(60, 200), picture(100, 160), regions=(LEFT, RIGHT, (0, 0, 64, 32)), copies=1)
    assert (left.means(), right.means(), whole.means()) == ([60, 100], [200, 160], [130, 130])
    for lane in (left, right, whole):
        assert lane.counts.frames["captured"] == lane.counts.frames["paired"] == 2
        assert lane.counts.frames["copies"] == 2 * (1 + 1), "the driver's and the eye's"


def test_a_region_is_a_view_of_the_frame() -> None:
    frame = picture(60, 200)
    assert np.shares_memory(cut(frame, camera_options(RIGHT)), frame)
    assert cut(frame, camera_options(None)) is frame


def test_a_black_region_is_refused_in_its_lane_only() -> None:
    left, right = show(picture(60, 200), picture(60, 0), picture(60, 200), regions=(LEFT, RIGHT))
    assert len(left.jobs) == 3 and len(right.jobs) == 2
    assert right.health.is_ready


def test_a_lost_camera_takes_all_its_stations_along_and_brings_them_back() -> None:
    lost = CameraError("camera 'over' is gone: check its cable")
    for lane in show(picture(60, 200), lost, picture(60, 200), regions=(LEFT, RIGHT), triggered=False):
        assert lane.states == [Level.NOT_READY, Level.READY, Level.NOT_READY, Level.READY]
        assert lane.means()[0] == lane.means()[1]


def test_a_frame_that_does_not_hold_the_region_is_no_picture_and_says_what_to_do() -> None:
    left, right = show(picture(60, 200), picture(60, 200, width=40), regions=(LEFT, RIGHT), sizes_may_differ=True)
    assert left.health.is_ready and len(left.jobs) == 2
    assert len(right.jobs) == 1 and right.counts.frames["paired"] == 2, (
        "its part is UNKNOWN, it is not left without"
    )
    standing = right.health.standing
    assert standing.level is Level.NOT_READY
    assert "40 x 32" in standing.cause and "[32, 0, 32, 32]" in standing.cause and "give" in standing.cause


def test_a_camera_that_comes_back_with_another_size_is_lost_for_all() -> None:
    for lane in show(picture(60, 200), picture(60, 200, width=80), regions=(LEFT, RIGHT), triggered=False):
        assert "sent 64 x 32" in lane.health.standing.cause and len(lane.jobs) == 1


@pytest.mark.parametrize(("region", "fits"), [(LEFT, True), ((33, 0, 32, 32), False), ((0, 1, 32, 32), False)])
def test_a_region_fits_up_to_the_last_pixel(region: tuple[int, int, int, int], fits: bool) -> None:
    if fits:
        assert cut(picture(1, 2), camera_options(region)).shape == (32, 32, 3)
    else:
        with pytest.raises(CameraError, match="do not hold its region"):
            cut(picture(1, 2), camera_options(region))
