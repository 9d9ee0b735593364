"""`edge io input` shows what an input sees, and measures the time to a marked part's picture within its own error."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import capture, input_trial
from edge.clock import MS, SECOND, Clock, SystemClock
from edge.conveyor import passes_ns
from edge.errors import InputError
from edge.input_trial import Distances
from edge.line.events import Counted
from edge.odometer import Odometer
from edge.passing import Sample, delay_of, glance, middle_of, only_frame, stretched, window_ms
from edge.records import Edge, Frame, TimeSource
from edge.station import load
from tests.eye.stations import EdgeProcess
from tests.peers import ModbusServer, eventually
from tests.test_cli import edge

STATION = """
[station]
name = "line-3"
mode = "collect"
[[camera]]
name = "top"
kind = "belt"
pitch_ms = 500
jitter_ms = 5
width = 160
height = 120
{camera}
[trigger]
{trigger}
"""
EYE = 'kind = "simulated"\npitch_ms = 500\njitter_ms = 5'
FREE = "triggered = false\nfps = 60"


def picture(where: float, light: float = 1.0, seed: int = 0) -> np.ndarray:
    """A noisy belt with a part of a tenth of the picture at this share of its width."""
    image = np.random.default_rng(seed).normal(80, 4, (120, 320, 3))
    left = round(320 * (where - 0.05))
    if -32 < left < 320:
        image[30:90, max(0, left) : left + 32] = 150
    return np.clip(image * light, 0, 255).astype(np.uint8)


def passing(middle_ms: float, light: float = 1.0) -> list:
    """60 frames a second of a part that is in the middle so long after the edge at 1 s."""
    times = [round(at * 1_000 * MS / 60) for at in range(120)]
    return [
        glance(picture(0.5 + (at / MS - 1_000 - middle_ms) / 300, light if at > 1_000 * MS else 1.0, at), at, MS)
        for at in times
    ]


@pytest.mark.parametrize("middle_ms", [180.0, 333.3, 512.0])
@pytest.mark.parametrize("light", [1.0, 1.3])
def test_a_parts_middle_is_found_between_two_frames(middle_ms: float, light: float) -> None:
    sample = middle_of(1_000 * MS, 2 * MS, passing(middle_ms, light), "x")
    assert sample is not None
    assert sample.delay_ns == pytest.approx(middle_ms * MS, abs=3 * MS)
    assert sample.err_ns == 3 * MS


def test_a_part_that_never_comes_to_the_middle_gives_nothing() -> None:
    assert middle_of(1_000 * MS, 0, passing(5_000), "x") is None
    assert middle_of(1_000 * MS, 0, [], "x") is None


def test_a_triggered_camera_answers_with_exactly_one_frame() -> None:
    frames = [glance(picture(0.5), at * MS, MS) for at in (1_012, 1_020)]
    assert only_frame(1_000 * MS, 0, frames[:1]) == Sample(12 * MS, MS)
    assert only_frame(1_000 * MS, 0, frames) is only_frame(1_000 * MS, 0, []) is None


def test_the_window_holds_the_spread_and_half_a_frame() -> None:
    delay = delay_of([Sample(round(at * MS), 2 * MS) for at in (100, 101, 104)])
    assert (delay.median_ms, delay.spread_ms, delay.err_ms) == (101, 3, 2)
    assert window_ms(delay, 0) == 4.5
    assert window_ms(delay, 20) == 19.5
    assert stretched(delay, 3).median_ms == 303


def test_the_delay_of_a_triggered_camera_is_measured_and_written_down(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera="trigger_to_frame_ms = 37", trigger=EYE))
    code, said = edge("io", "input", file, "--measure", "--parts", "3", "--within", "400ms")
    assert code == 0, said
    assert "3 gave a picture" in said and "trigger_to_frame_ms = 37.0" in said and "window_ms = 1" in said


class SparseBelt:
    """A camera over a belt with few small parts: each is in the middle 120 ms after its edge, and crosses in 200 ms."""

    def __init__(self, options: Any, clock: Clock) -> None:
        self._clock = clock
        self._pitch_ns = round(options.pitch_ms * MS)
        self._next_ns = 0

    def open(self) -> None:
        self._next_ns = self._clock.now_ns()

    def read(self, _timeout_s: float) -> Frame:
        self._next_ns += SECOND // 60
        self._clock.sleep_until(self._next_ns)
        part = round((self._next_ns - 120 * MS) / self._pitch_ns)
        since_ns = self._next_ns - passes_ns(1, self._pitch_ns, 5 * MS, part) - 120 * MS
        image = picture(0.5 + since_ns / (200 * MS), seed=self._next_ns % 1_000)
        return Frame(image, "top", 0, self._next_ns, MS, TimeSource.DRIVER)

    def close(self) -> None: ...


def test_marked_parts_are_followed_to_the_middle_of_a_free_running_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(capture.TABLE, "belt", "tests.test_input_trial:SparseBelt")
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera=FREE, trigger=EYE))
    station = load(file)
    found = input_trial.measure(
        station, station.camera[0], 4, "x", 400 * MS, None, SystemClock(), threading.Event()
    )
    words = "\n".join(input_trial.words_of(found, station, station.camera[0], Distances(200, 700)))
    values = {name: float(value) for name, value in re.findall(r"(\w+_ms) = ([\d.]+)", words)}
    assert (
        found.passings == 4 and len(found.picture) >= 2
    )  # the first has few frames before it, a busy machine more
    assert values["trigger_to_frame_ms"] == pytest.approx(120, abs=3)
    assert values["trigger_to_gate_ms"] == pytest.approx(420, abs=10)
    assert 12.5 <= values["window_ms"] <= 30


COUNTS = """
[encoder]
kind = "simulated"
poll_ms = 100
stale_ms = 1000
counts_per_s = 5000
bits = 24
[travel]
mode = "encoder"
trigger_to_gate_counts = 3000
decide_before_counts = 300
pitch_counts = 2000
max_counts_per_s = 10000
"""


def test_a_belt_with_an_encoder_is_measured_in_counts(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera=FREE, trigger=EYE) + COUNTS)
    station = load(file)
    follower = input_trial._Follower("x", False, 900 * MS, input_trial.odometer_of(station))
    follower.hear(input_trial.TRIGGER, Edge(True, SECOND, 0, TimeSource.KERNEL, 1))
    for number in range(150):
        at_ns = round(number * SECOND / 60)
        image = picture(0.5 + (at_ns / MS - 1_120) / 300, seed=number)
        follower.see(Frame(image, "top", number, at_ns, MS, TimeSource.DRIVER))
        follower.count(Counted(5 * at_ns // MS % (1 << 24), at_ns))
        follower.settle(at_ns)
    words = "\n".join(input_trial.words_of(follower.found, station, station.camera[0], Distances(200, 700)))
    values = {name: float(value) for name, value in re.findall(r"(\w+) = ([\d.]+)", words)}
    assert values["trigger_to_frame_ms"] == pytest.approx(120, abs=3)
    assert values["trigger_to_gate_counts"] == pytest.approx(5 * 420, abs=50)  # 5 counts a ms
    assert "trigger_to_gate_ms" not in values
    assert re.search(
        r"\b(5[89]|6[01])\d counts of the encoder, at most 0 from it, at about (49|50)\d\d counts/s", words
    )


def test_the_encoder_is_read_while_parts_pass(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera="trigger_to_frame_ms = 37", trigger=EYE) + COUNTS)
    code, said = edge("io", "input", file, "--measure", "--parts", "3", "--within", "400ms")
    assert code == 0, said
    assert re.search(r"\b18[3-7] counts of the encoder", said), said


def test_counts_are_the_same_at_any_speed_of_the_belt() -> None:
    """A second eye 500 counts behind the trigger, on a belt that is slower for each part and stands on the way."""
    odometer = Odometer(bits=16, max_counts_per_s=10_000)
    follower = input_trial._Follower("x", True, 900 * MS, odometer)
    counter, now_ns = 65_000.0, 0
    for per_ms in (5, 2.5, 4, 2):
        edge_ns = now_ns + 100 * MS
        eye_ns = edge_ns + (round(500 / per_ms) + 200) * MS
        for _ in range(1_600):
            now_ns += MS
            stands = edge_ns + 50 * MS < now_ns <= edge_ns + 250 * MS
            counter += 0 if stands else per_ms
            follower.count(Counted(int(counter) % 65_536, now_ns))
            for name, at_ns in ((input_trial.TRIGGER, edge_ns), (input_trial.SECOND_EYE, eye_ns)):
                if at_ns == now_ns:
                    follower.hear(name, Edge(True, at_ns, 0, TimeSource.KERNEL, 1))
            if per_ms == 4 and now_ns == edge_ns + 300 * MS:
                follower.count("not read for a moment")
                follower.count("")
            follower.settle(now_ns)
    samples = follower.found.others[input_trial.SECOND_EYE]
    assert [sample.counts for sample in samples] == [500, 500, None, 500]
    delay = delay_of(follower.found.others[input_trial.SECOND_EYE])
    assert (delay.count, delay.median_counts, delay.spread_counts) == (4, 500, 0)
    assert delay.spread_ms > 80, "the times differ as the speeds do"


def test_nothing_is_known_of_travel_over_a_gap_or_a_jump_of_the_counter() -> None:
    odometer = Odometer(bits=16, max_counts_per_s=1_000)
    for at_ms in range(0, 100, 10):
        odometer.see(65_530 + at_ms & 0xFFFF, at_ms * MS)
    assert odometer.between(5 * MS, 85 * MS) == 80
    assert odometer.between(85 * MS, 5 * MS) == -80
    assert odometer.between(-1, 5 * MS) is odometer.between(5 * MS, 91 * MS) is None
    odometer.see(30_000, 100 * MS)  # it began anew
    odometer.see(30_010, 110 * MS)
    assert odometer.between(85 * MS, 105 * MS) is None
    assert odometer.between(100 * MS, 110 * MS) == 10
    odometer.lose()
    odometer.see(30_020, 120 * MS)
    odometer.see(30_030, 130 * MS)
    assert odometer.between(110 * MS, 125 * MS) is None
    odometer.forget(126 * MS)
    assert odometer.between(125 * MS, 130 * MS) == 5


def test_an_encoder_that_was_not_read_is_said(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera=FREE, trigger=EYE) + COUNTS)
    station = load(file)
    found = input_trial.Measured(1, encoder="no answer", picture=[Sample(120 * MS, MS)])
    with pytest.raises(InputError, match=r"the encoder was not read .* \(no answer\): look at it"):
        input_trial.words_of(found, station, station.camera[0], Distances(200, 700))


def test_parts_that_hide_the_empty_belt_are_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera=FREE, trigger=EYE))
    code, said = edge("io", "input", file, "--measure", "--parts", "2", "--within", "400ms")
    assert code == 69 and "2 parts passed alone; 0 gave a picture" in said and "--axis y" in said


def test_the_edges_of_an_input_are_shown_with_what_is_known_of_them(tmp_path: Path) -> None:
    with ModbusServer() as server:
        file = tmp_path / "station.toml"
        trigger = (
            f'kind = "modbus"\nhost = "127.0.0.1"\nport = {server.port}\ninput = 4\npoll_ms = 2\ndebounce_ms = 0'
        )
        file.write_text(STATION.format(camera=FREE, trigger=trigger))
        with EdgeProcess("io", "input", file) as process:
            eventually(lambda: "is read" in process.output, "the input is read")
            for level in (True, False):
                server.set_input(4, level)
                word = "rises" if level else "falls"
                eventually(lambda word=word: f"trigger {word} at" in process.output, word)
            process.signal(signal.SIGTERM)
            assert process.ends() == 0
        assert "stated to be good to 2 ms" in process.output
        assert re.search(
            r"falls at [\d.]+ s, known to [\d.]+ ms \(poll\), [\d.]+ ms after the last", process.output
        )


def test_a_counter_of_parts_is_shown_as_they_are_counted(tmp_path: Path) -> None:
    with ModbusServer() as server:
        file = tmp_path / "station.toml"
        trigger = f'kind = "modbus_counter"\nhost = "127.0.0.1"\nport = {server.port}\ncounter = 4\npoll_ms = 100\n'
        file.write_text(STATION.format(camera=FREE, trigger=trigger + 'counter_kind = "holding"'))
        with EdgeProcess("io", "input", file) as process:
            eventually(lambda: "is read" in process.output, "the input is read", 20.0)
            for number in (1, 2):
                server.set_register(4, number)
                words = f"(poll), number {number}" if number == 1 else f"after the last, number {number}"
                eventually(lambda words=words: words in process.output, words, 10.0)
            process.signal(signal.SIGTERM)
            assert process.ends() == 0
        assert len(re.findall("trigger rises at", process.output)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "side"), "'side' is not one of trigger"),
        (("--for", "300ms"), "saw no edge"),
        (("--for", "300ms", "--measure"), "0 parts passed alone"),
    ],
)
def test_what_cannot_be_shown_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    file = tmp_path / "station.toml"
    file.write_text(STATION.format(camera=FREE, trigger=EYE.replace("500", "60000").replace("jitter_ms = 5", "")))
    code, output = edge("io", "input", file, *words)
    assert code in (69, 78) and said in output
