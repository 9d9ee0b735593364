"""A camera's frame ids as a count that never wraps; GigE Vision's 16-bit ids go from 65,535 to 1; pure."""

from __future__ import annotations

WRAP = 0xFFFF  # the highest 16-bit id; 0 is skipped
FAR = 0x8000  # a step beyond half the range is a step back


class FrameIds:
    """The ids of one stream, in the order of their frames."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._has_zero = False

    def step(self, frame_id: int) -> int:
        """How many frames after the one before this is: 1 for the next (and the first), 0 for the same again,
        negative for one that is older or whose camera began to count anew."""
        before, self._newest = self._newest, frame_id
        self._has_zero = self._has_zero or frame_id == 0
        if before is None:
            return 1
        step = frame_id - before
        if step >= 0 or before > WRAP:
            return step
        wrapped = step + WRAP + self._has_zero
        return wrapped if wrapped < FAR else step
