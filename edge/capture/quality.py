"""Says whether a frame can be trusted at all: black, saturated, blurred, of another shape, or the same again; pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.capture.appraisal import focus_of, grey
from edge.records import Reason

DARK = 16  # grey levels below this are black
BRIGHT = 250  # and from this on saturated
NEARLY_ALL = 0.995  # share of the samples that must be so
ROWS = 16  # every sixteenth row is looked at
COLUMNS = 8  # and of that every eighth pixel for its brightness

Image = NDArray[np.uint8]


class FrameCheck:
    """Checks the frames of one camera, each in well under 0.1 ms at 640 x 640; with `focus_min` in 0.5 ms.

    The first frame sets the shape, and each frame is compared with the one before: use one object per camera and open.
    `repeats_are_stale`: two frames whose every sixteenth row is equal to the last bit come from a frozen camera (sensor
    noise makes this impossible otherwise); turn it off for drawn or replayed pictures without noise.
    `sizes_may_differ`: for replayed sets; a camera that changes its size has lost its settings.
    `focus_min`: what is less sharp is blurred, see `appraisal.focus_of` (0: nothing is).
    """

    def __init__(
        self, repeats_are_stale: bool = True, sizes_may_differ: bool = False, focus_min: float = 0.0
    ) -> None:
        self._repeats_are_stale = repeats_are_stale
        self._sizes_may_differ = sizes_may_differ
        self._focus_min = focus_min
        self._shape: tuple[int, ...] = ()
        self._before: Image = np.empty(0, np.uint8)

    def check(self, image: Image) -> Reason:
        """NONE for a frame that may be judged, BAD_FRAME or STALE_FRAME otherwise. image: uint8 H x W (x 3)."""
        if not self._shape_fits(image):
            return Reason.BAD_FRAME
        rows = image[::ROWS]
        if self._repeats(rows):
            return Reason.STALE_FRAME
        samples = rows[:, ::COLUMNS]
        if _share(samples < DARK) >= NEARLY_ALL or _share(samples >= BRIGHT) >= NEARLY_ALL:
            return Reason.BAD_FRAME
        if self._focus_min and focus_of(grey(image)) < self._focus_min:
            return Reason.BAD_FRAME
        return Reason.NONE

    def _shape_fits(self, image: Image) -> bool:
        if (
            image.dtype != np.uint8
            or image.ndim not in (2, 3)
            or image.shape[2:] not in ((), (3,))
            or not image.size
        ):
            return False
        self._shape = self._shape or image.shape
        return self._sizes_may_differ or image.shape == self._shape

    def _repeats(self, rows: Image) -> bool:
        if not self._repeats_are_stale:
            return False
        if self._before.shape != rows.shape:
            self._before = rows.copy()
            return False
        same = np.array_equal(rows, self._before)
        np.copyto(self._before, rows)
        return same


def _share(true: NDArray[np.bool_]) -> float:
    return np.count_nonzero(true) / true.size
