"""The eye notices when light, colour or focus are no longer what the student learned, says so once, and judges on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import load_keys, read_bundle
from edge.capture.appraisal import ALIKE, Look, look_as_seen
from edge.clock import SECOND, ManualClock, SystemClock
from edge.coverage import Floats, Outside
from edge.eye import student as room
from edge.eye.inference import Client, Inference
from edge.eye.jobs import Job, Jobs
from edge.eye.likeness import EVERY_NS, FAMILIAR, OLD_NS, OVERDUE_NS, STEP, SURE, Likeness
from edge.health import Health, Progress
from edge.options import OrtEngine
from edge.pixels import InputSpec, Pixels
from edge.records import Kind, Part, Reason, Scores
from edge.timing import Stamps, Timing
from tests.bundles import store_key
from tests.eye.stations import bundle

Image = NDArray[np.uint8]


def scene(seed: int) -> Image:
    """A textured part as a network sees it: 1 x 64 x 64 x 3."""
    noise = np.random.default_rng(seed).normal(128, 30, (64, 64, 3))
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1).clip(0, 255), np.uint8)[None]


LEARNED = tuple(look_as_seen(scene(seed)) for seed in range(8))


class Station:
    """A watch, and what it noted."""

    def __init__(self) -> None:
        self.clock = ManualClock(SECOND)
        self.notes: list[tuple[str, str]] = []
        self.likeness = Likeness(
            "cap-a, camera top", LEARNED, self.clock, lambda kind, words: self.notes.append((kind, words))
        )

    def show(self, count: int, change: Callable[[Image], Image] = lambda image: image) -> None:
        for seed in range(count):
            self.clock.advance(SECOND)
            assert self.likeness.is_due(busy=False)
            self.likeness.see(look_as_seen(change(scene(100 + seed))))


def darker(image: Image) -> Image:
    return np.asarray(image * 0.6, np.uint8)


def blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image[0], (0, 0), 2), np.uint8)[None]


def reddened(image: Image) -> Image:
    return np.asarray((image * np.array([1.2, 1.0, 1.0])).clip(0, 255), np.uint8)


def test_pictures_like_those_it_learned_from_are_nothing_to_tell() -> None:
    station = Station()
    station.show(200)
    assert not station.notes and not station.likeness.words


@pytest.mark.parametrize(
    ("change", "named"), [(darker, "brightness"), (blurred, "focus"), (reddened, "red beside green")]
)
def test_a_change_is_noted_once_with_its_figures_and_so_is_its_end(
    change: Callable[[Image], Image], named: str
) -> None:
    station = Station()
    station.show(30)
    station.show(90, change)
    assert len(station.notes) == 1
    kind, words = station.notes[0]
    assert kind == "pictures" and named in words and "set light and lens back" in words
    assert named in station.likeness.words
    station.show(120)
    assert station.notes[1:] == [("pictures", f"cap-a, camera top: {ALIKE}")] and not station.likeness.words


def test_some_odd_pictures_are_no_change() -> None:
    station = Station()
    for _ in range(10):
        station.show(8)
        station.show(4, darker)
    assert not station.notes


def test_a_picture_in_a_second_is_enough_and_one_in_ten_must_be_while_others_wait() -> None:
    station = Station()
    station.show(1)
    for busy, after_ns in ((False, EVERY_NS), (True, OVERDUE_NS)):
        station.clock.advance(after_ns - (station.clock.now_ns() - 2 * SECOND) - 1)
        assert not station.likeness.is_due(busy)
        station.clock.advance(1)
        assert station.likeness.is_due(busy)


def test_what_was_not_seen_for_long_is_no_longer_told() -> None:
    station = Station()
    station.show(90, darker)
    assert station.likeness.words
    station.clock.advance(OLD_NS + 1)
    assert not station.likeness.words


# --- what they show ---

OUTSIDE = Outside(np.zeros(4, np.float32), np.eye(4, dtype=np.float32)[:2], np.ones(2, np.float32), 0.01, 4.0)
LIKE, UNLIKE = np.zeros(4, np.float32), np.full(4, 3, np.float32)


class Belt(Station):
    """The same with a bundle that says what its student learned; parts come, and a picture of them is looked at."""

    def __init__(self) -> None:
        super().__init__()
        note = self.notes.append
        self.likeness = Likeness("cap-a, camera top", LEARNED, self.clock, lambda *said: note(said), OUTSIDE)

    def bring(self, unlike: int, like: int = 0) -> None:
        self.show(1)
        for embedding in [UNLIKE] * unlike + [LIKE] * like:
            self.likeness.place(embedding)


def test_another_thing_on_the_belt_is_noted_once_and_so_is_its_end() -> None:
    belt = Belt()
    belt.bring(0, 60)
    belt.bring(60)
    ((kind, words),) = belt.notes
    assert kind == "pictures" and words.startswith("cap-a, camera top: 50 of the last 60 show something else than")
    assert "60 of the last 60" in belt.likeness.words, "the newest figures"
    belt.bring(0, 60)
    assert belt.notes[1:] == [("pictures", f"cap-a, camera top: {FAMILIAR}")] and not belt.likeness.words


def test_strange_parts_among_others_are_no_change() -> None:
    belt = Belt()
    for _ in range(30):
        belt.bring(4, 6)
    assert belt.notes == [], "a lot of its own had one in four"
    for _ in range(30):
        belt.bring(6, 4)
    assert len(belt.notes) == 1


def test_it_is_told_beside_the_light_and_forgotten_with_it() -> None:
    belt = Belt()
    belt.show(90, darker)
    belt.bring(20)
    assert len(belt.notes) == 2 and "brightness" in belt.likeness.words and "something else" in belt.likeness.words
    belt.clock.advance(OLD_NS + 1)
    assert not belt.likeness.words


def test_a_bundle_that_does_not_say_is_as_before() -> None:
    station = Station()
    station.show(1)
    for _ in range(200):
        station.likeness.place(UNLIKE)
    assert not station.notes and not station.likeness.words


class Engine:
    input = scene(1)


class FakeStudent:
    """Sees every picture as the engine's input lies there, and lets it pass."""

    engine = Engine()
    pixels = Pixels(InputSpec(64, 64))

    def look(self, _image: Image, _stamps: Stamps, _clock: object) -> Scores:
        return Scores(0.1, np.zeros((8, 8), np.float32), np.zeros(4, np.float32), np.zeros(0, np.float32))

    def judge(self, _scores: Scores) -> tuple[Kind, Reason]:
        return Kind.PASS, Reason.NONE


class Slots:
    def image(self, _slot: int) -> Image:
        return scene(1)[0]

    def free(self, _slot: int) -> None:
        pass


class Parts:
    def __init__(self) -> None:
        self.judged_count = 0

    def judged(self, *_: object) -> None:
        self.judged_count += 1


def test_the_eye_looks_at_each_camera_also_where_its_picture_always_finds_another_waiting() -> None:
    clock, jobs, parts = ManualClock(SECOND), Jobs(1), Parts()
    views = {(0, view): Likeness(f"view {view}", LEARNED, clock, lambda *_: None) for view in range(2)}
    placed: list[Floats] = []
    looks: dict[int, list[Look]] = {0: [], 1: []}
    for (_, view), likeness in views.items():
        likeness.see(look_as_seen(Engine.input))
        likeness.see = looks[view].append  # type: ignore[method-assign]
        likeness.place = placed.append  # type: ignore[method-assign]
    client = Client(
        {0: FakeStudent()},
        parts,
        [Slots(), Slots()],
        Timing(),
        Health(),
        lambda *_: False,
        views,  # type: ignore[dict-item,list-item,arg-type]
    )
    inference = Inference([client], jobs, clock, Progress(clock, {"inference": SECOND}))
    for seen in (0, 1):
        clock.advance(EVERY_NS if not seen else OVERDUE_NS)
        for view in range(2):
            jobs.put(0, Job(Part(seen + 1, 0, 0, 0, 10**15, 10**15), view, 0, 0, 0))
        for _ in range(2):
            inference.serve(0)
        assert len(looks[0]) == seen, "the first finds the other waiting, until it is overdue"
    assert looks[1] and looks[1][0] == look_as_seen(Engine.input)
    assert parts.judged_count == len(placed) == 4, "every part is held against what was learned"


def test_a_student_knows_how_its_acceptance_pictures_looked(tmp_path: Path) -> None:
    held = read_bundle(bundle(tmp_path / "cap-a-1.bundle"), load_keys(store_key(tmp_path / "keys")))
    student = room.load(held, OrtEngine(kind="ort", threads=1), SystemClock())
    expected = [look_as_seen(student.pixels.to_input(picture.image)) for picture in held.acceptance()]
    assert list(student.learned) == expected and expected


def test_it_takes_so_long_to_be_sure() -> None:
    station = Station()
    station.show(STEP * SURE - 1, darker)
    assert not station.notes
    station.show(1, darker)
    assert len(station.notes) == 1
