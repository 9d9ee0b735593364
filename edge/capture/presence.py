"""A virtual photo-eye: a line in the picture of a free-running camera that sees parts come and go; pure."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.records import Edge, Frame

STRIP = 8  # the line is this many pixels wide
CELLS = 64  # and is cut into at most so many cells
END = 16  # its first and last sixteenth show the belt beside the parts
SAMPLES = 37  # and so many pixels each way the whole picture
AGREES = 0.1  # the two tell of one lamp when they differ by less
ADAPT = 0.05  # share of the newest empty line in the reference
FLATTER = 0.7  # a line this much flatter than the reference is the emptier belt
LEARN_FRAMES = 60

Profile = NDArray[np.float32]


class PresenceLine:
    """Finds parts crossing a line; one object per camera and open, fed with every frame in order.

    `axis` is the direction of travel, `line` the line's place along it as a share of the picture. A part is there while
    the line's mean contrast to the empty belt, |a - b| / (a + b) over its cells, is `contrast` or more. The light is
    taken out first, where the line's ends and the whole picture agree on it: lamps that drift, are switched or
    flicker change nothing, even while a part is there. A change must last `debounce_frames` frames.

    The first `learn_frames` frames give no edge: of them the flattest line (a part's border and surface make a line
    uneven) is taken for the empty belt. So the parts must be narrower than the picture across the belt, and
    a gap must pass while it learns. The reference then follows the empty belt, and a clearly flatter line replaces it.
    A part that stands on the line when learning ends gives no edge either: nobody saw when it came. `ready` is true
    from the first empty line after it; parts that passed before were not seen.
    """

    def __init__(
        self,
        axis: Literal["x", "y"],
        line: float,
        contrast: float,
        debounce_frames: int,
        learn_frames: int = LEARN_FRAMES,
    ) -> None:
        self._axis = axis
        self._line = line
        self._contrast = contrast
        self._debounce = debounce_frames
        self._to_learn = learn_frames
        self._reference: Profile | None = None
        self._whole: Profile = np.empty((0, 0), np.float32)
        self._present = False
        self._held = 0
        self._crossing: tuple[int, int] = (0, 0)
        self._before: tuple[float, int] = (0.0, 0)
        self._counter = 0
        self.ready = False

    def see(self, frame: Frame) -> Edge | None:
        """The edge that this frame confirms, if any: level True when a part came, False when it went.

        `at_ns` is the crossing, interpolated between two frames; `err_ns` half their distance and the frame's own
        error. It is `debounce_frames` - 1 frames old when it is returned. `counter` counts the parts.
        """
        profile, picture = self._profile(frame.image), _samples(frame.image)
        if self._reference is None or self._to_learn > 0:
            self._learn(profile, picture)
            return None
        light = _light(profile, picture, self._reference, self._whole)
        now = (_contrast(profile, self._reference, light), frame.captured_ns)
        self.ready = self.ready or now[0] < self._contrast
        edge = self._follow(now, frame) if self.ready else None
        self._before = now
        self._adapt(profile, picture, now[0])
        return edge

    def _profile(self, image: NDArray[np.uint8]) -> Profile:
        """The line as the mean brightness of its cells, float32."""
        travel = 1 if self._axis == "x" else 0
        first = max(0, min(image.shape[travel] - STRIP, int(self._line * image.shape[travel]) - STRIP // 2))
        window = slice(first, first + STRIP)
        strip = image[:, window] if self._axis == "x" else image[window].swapaxes(0, 1)
        size = max(1, strip.shape[0] // CELLS)
        whole = strip[: strip.shape[0] // size * size]
        profile: Profile = whole.reshape(-1, size * whole[0].size).mean(axis=1, dtype=np.float32)
        return profile

    def _learn(self, profile: Profile, picture: Profile) -> None:
        self._to_learn -= 1
        if self._reference is None or _unevenness(profile) < _unevenness(self._reference):
            self._reference, self._whole = profile, picture

    def _follow(self, now: tuple[float, int], frame: Frame) -> Edge | None:
        """Debounce: an edge once the other level has held for long enough, at the time of its first crossing."""
        if (now[0] >= self._contrast) == self._present:
            self._held = 0
            return None
        if self._held == 0:
            self._crossing = _crossing(self._before, now, self._contrast)
        self._held += 1
        if self._held < self._debounce:
            return None
        self._held = 0
        self._present = not self._present
        self._counter += self._present
        at_ns, err_ns = self._crossing
        return Edge(self._present, at_ns, err_ns + frame.captured_err_ns, frame.source, self._counter)

    def _adapt(self, profile: Profile, picture: Profile, contrast: float) -> None:
        """Follow the empty belt while it is surely empty; take a line that is clearly emptier at once."""
        assert self._reference is not None
        if not self._present and self._held == 0 and contrast < self._contrast / 2:
            self._reference += ADAPT * (profile - self._reference)
            self._whole += ADAPT * (picture - self._whole)
        elif _unevenness(profile) < FLATTER * _unevenness(self._reference):
            self._reference, self._whole = profile, picture


def _contrast(profile: Profile, reference: Profile, light: float) -> float:
    belt = reference * light
    return float(np.mean(np.abs(profile - belt) / (profile + belt + 1.0)))


def _samples(image: NDArray[np.uint8]) -> Profile:
    """About SAMPLES x SAMPLES pixels of the whole picture."""
    rows, columns = (max(1, size // SAMPLES) for size in image.shape[:2])
    some = image[::rows, ::columns].astype(np.float32)
    return some if some.ndim == 2 else some.mean(axis=2)


def _light(profile: Profile, picture: Profile, reference: Profile, whole: Profile) -> float:
    """How bright it is beside the learned light, as the line's ends and the whole picture say; 1.0 where they differ:
    then it is no lamp but a part, from one end of the line to the other."""
    size = max(1, len(profile) // END)
    ends = (slice(0, size), slice(-size, None))
    ratios = [float((profile[end].mean() + 1.0) / (reference[end].mean() + 1.0)) for end in ends]
    at_ends = min(ratios, key=lambda ratio: abs(ratio - 1.0))  # a part may touch one of them
    if picture.shape != whole.shape:
        return 1.0
    all_over = float(np.median((picture + 1.0) / (whole + 1.0)))
    return at_ends if abs(at_ends - all_over) <= AGREES * all_over else 1.0


def _unevenness(profile: Profile) -> float:
    """How much neighbouring and distant cells differ, as a share of the mean."""
    return float(profile.std() / (profile.mean() + 1.0))


def _crossing(before: tuple[float, int], now: tuple[float, int], level: float) -> tuple[int, int]:
    """When the contrast crossed `level` between two frames, and half their distance."""
    (low, from_ns), (high, to_ns) = before, now
    share = min(1.0, max(0.0, (level - low) / (high - low))) if high != low else 1.0
    return from_ns + round(share * (to_ns - from_ns)), (to_ns - from_ns + 1) // 2
