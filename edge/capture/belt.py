"""The simulated conveyor's camera, and `python -m edge.capture.belt DIR` that writes a labelled set of its parts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge import options
from edge.capture import About
from edge.capture.belt_drawing import Image, Look, draw, draw_mask, draw_part, scenery
from edge.clock import MS, SECOND, Clock
from edge.conveyor import defect_of, first_after, passes_ns
from edge.errors import CameraError, ConfigError, KenpinError
from edge.picture_set import GOOD
from edge.records import Frame, TimeSource
from edge.set_writer import PictureSetWriter

DRAW_AHEAD_NS = 4 * MS  # a frame with a defect takes under 1 ms
LOT = 20  # parts that are made, and lit, together
LOT_DISTANCE = 173  # parts between two lots of a drawn set, so that a set sees every light


class BeltCamera:
    """Photographs the parts of the simulated conveyor; the law of edge/conveyor.py says when each passes.

    Triggered: part k is one frame, captured `trigger_to_frame_ms` after it passes the photo-eye, with k as its
    trigger counter; frames wait in a queue of `queue`, the oldest is lost when it is full. Free-running: frames on
    an absolute grid of `fps`, the newest is delivered and what the reader missed is lost. The stated times are exact
    (`captured_err_ns` 0). `frame_id` goes on over a reopen and skips lost frames. One reading thread at a time.
    """

    def __init__(self, options: options.BeltCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._look = Look(options.seed, options.width, options.height, options.light_drift, options.noise)
        self._pitch_ns = round(options.pitch_ms * MS)
        self._jitter_ns = round(options.jitter_ms * MS)
        self._offset_ns = round(options.trigger_to_frame_ms * MS)
        self._image: Image = np.empty((options.height, options.width, 3), np.uint8)
        self._open = False
        self._next = 0
        self._drawn = -1
        self._lost = 0
        self._frame_id = 0
        if 2 * self._jitter_ns >= self._pitch_ns:
            raise ConfigError(
                f"camera {options.name!r}: jitter_ms = {options.jitter_ms:g} must be below half of "
                f"pitch_ms = {options.pitch_ms:g}, parts would overtake; reduce jitter_ms"
            )

    def open(self) -> None:
        """Start with the next frame; draws the scenery first (about a tenth of a second)."""
        scenery(self._look)
        self._lost = 0
        self._drawn = -1
        self._next = self._first_after(self._clock.now_ns())
        self._open = True

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, at its instant on the clock; see the Protocol."""
        if not self._open:
            raise CameraError(f"camera {self._options.name!r} is not open: open it before reading")
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        self._skip_missed()
        due_ns = self._due_ns(self._next)
        if due_ns > until_ns:
            self._clock.sleep_until(until_ns)
            return None
        # not at once: drawing takes the interpreter from the engine, which then has the frame before
        self._clock.sleep_until(due_ns - DRAW_AHEAD_NS)
        self._draw(self._next, due_ns)
        self._clock.sleep_until(due_ns)
        return self._deliver(due_ns)

    def about(self) -> About:
        return About(("a simulated conveyor",) if self._open else ())

    def close(self) -> None:
        """Stop delivering; may be called twice."""
        self._open = False

    def _first_after(self, now_ns: int) -> int:
        """The number of the first frame after `now_ns`: a part's, or one of the free-running grid."""
        if not self._options.triggered:
            return int(now_ns * self._options.fps / SECOND) + 1
        return first_after(self._options.seed, self._pitch_ns, self._jitter_ns, now_ns - self._offset_ns)

    def _due_ns(self, number: int) -> int:
        if not self._options.triggered:
            return round(number * SECOND / self._options.fps)
        return passes_ns(self._options.seed, self._pitch_ns, self._jitter_ns, number) + self._offset_ns

    def _skip_missed(self) -> None:
        """Lose the oldest frames that no longer fit in the queue."""
        keep = self._options.queue if self._options.triggered else 1
        missed = self._first_after(self._clock.now_ns()) - keep - self._next
        if missed > 0:
            self._next += missed
            self._lost += missed
            self._frame_id += missed

    def _draw(self, number: int, due_ns: int) -> None:
        """Draw frame `number`, ahead of its instant where there is time; a read that timed out keeps it."""
        if number == self._drawn:
            return
        self._drawn = number
        if self._options.triggered:
            draw_part(self._look, number, self._defect(number), self._image)
            return
        draw(self._look, self._in_view(due_ns), due_ns / self._pitch_ns, number, self._image)

    def _defect(self, part: int) -> str:
        return defect_of(self._options.seed, part, self._options.defect_rate)

    def _in_view(self, at_ns: int) -> list[tuple[int, str, int]]:
        """The parts near the picture at `at_ns`, with how far right of its centre each is."""
        look, part = self._look, at_ns // self._pitch_ns
        px_per_ns = look.pitch_px / self._pitch_ns
        view = []
        for number in range(max(0, part - 2), part + 3):
            passed_ns = passes_ns(self._options.seed, self._pitch_ns, self._jitter_ns, number) + self._offset_ns
            view.append((number, self._defect(number), round((at_ns - passed_ns) * px_per_ns)))
        return [seen for seen in view if abs(seen[2]) < look.width]

    def _deliver(self, due_ns: int) -> Frame:
        counter = self._next if self._options.triggered else -1
        frame_id = self._frame_id
        self._next += 1
        self._frame_id += 1
        name = self._options.name
        return Frame(self._image, name, frame_id, due_ns, 0, TimeSource.SENSOR, counter, self._lost)


def draw_set(folder: Path, parts: int, look: Look, defect_rate: float = 0.4, first_lot: int = 1) -> None:
    """Append `parts` parts of the look's belt to the set in `folder`: labels ok, scratch, dent, stain; with masks.

    A group is a lot of 20 parts made in a row; lots lie far apart, so that the set sees the light's whole drift.
    Lots are counted from 1; a set that starts after the last lot of another shares no part with it.
    Raises ConfigError when the folder holds these pictures already, JournalError when the disk fails.
    """
    writer = PictureSetWriter(folder)
    for index in range(parts):
        lot, within = divmod(index + (first_lot - 1) * LOT, LOT)
        number = lot * LOT_DISTANCE + within
        defect = defect_of(look.seed, number, defect_rate)
        mask = draw_mask(look, number, defect) if defect else None
        writer.add(
            draw_part(look, number, defect), f"part-{number:06d}", defect or GOOD, f"lot-{lot + 1:04d}", mask
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a picture set of simulated parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m edge.capture.belt", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="the set's folder; made when absent")
    parser.add_argument("--parts", type=int, default=400, help="how many pictures (default 400)")
    parser.add_argument("--seed", type=int, default=1, help="which belt, as in station.toml (default 1)")
    parser.add_argument("--defects", type=float, default=0.4, help="share of defective parts (default 0.4)")
    parser.add_argument("--first-lot", type=int, default=1, help="where to start; 20 parts a lot (default 1)")
    parser.add_argument("--size", type=int, default=640, help="the pictures' side in pixels (default 640)")
    given = parser.parse_args(arguments)
    if given.parts < 1 or given.first_lot < 1 or not 0 <= given.defects <= 1 or not 64 <= given.size <= 4_096:
        parser.error("use --parts and --first-lot from 1, --defects from 0 to 1 and --size from 64 to 4096")
    try:
        look = Look(given.seed, given.size, given.size)
        draw_set(given.folder, given.parts, look, given.defects, given.first_lot)
    except KenpinError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"wrote {given.parts} pictures to {given.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
