"""Frames to parts, for each camera: by token, trigger counter and time; pure, and in doubt nobody gets the frame.

A frame fits a part when it was captured at the part's instant (birth + trigger_to_frame), give or take the
window and both stated errors. Parts and frames may come in either order and late. A triggered camera owes each
part exactly one frame; of a free-running one the frame nearest to the instant is taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge.records import Part, Reason

SLIPPED = 3  # so many frames in a row that agree show that a trigger counter has slipped


@dataclass(frozen=True, slots=True)
class View:
    """One camera's rule. `births`: its frames are the parts, which come back with the frame's number as token."""

    camera: str
    offset_ns: int = 0
    window_ns: int = 0
    triggered: bool = True
    births: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """A frame without its pixels: `view` is the camera's index, `number` the eye's own count over all cameras.

    `counter` is the camera's trigger count (-1: none). `repeat`: not younger than the frame before it. `reason`
    says why the pixels cannot be judged, if so; `slot` is where they lie (-1: nowhere). `received_ns` is when the
    eye had the frame in memory.
    """

    view: int
    number: int
    captured_ns: int
    err_ns: int = 0
    counter: int = -1
    repeat: bool = False
    reason: Reason = Reason.NONE
    slot: int = -1
    received_ns: int = 0


@dataclass(frozen=True, slots=True)
class Paired:
    """This frame shows this part."""

    part: Part
    frame: Sighting


@dataclass(frozen=True, slots=True)
class Missing:
    """This part gets no frame of this camera."""

    part: Part
    view: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Unpaired:
    """This frame shows no part, or one cannot say which."""

    frame: Sighting


Result: TypeAlias = Paired | Missing | Unpaired


@dataclass(slots=True)
class _Open:
    """A part on its way past one camera. `certain`: the trigger counters confirmed its frame."""

    part: Part
    instant_ns: int
    tolerance_ns: int
    limit_ns: int
    closed: bool = False
    stale: bool = False
    certain: bool = False
    frame: Sighting | None = None

    def fits(self, frame: Sighting) -> bool:
        return abs(frame.captured_ns - self.instant_ns) <= self.tolerance_ns + frame.err_ns


class _Lane(ABC):
    """The parts and frames of one camera that may still find each other; the subclasses say how."""

    def __init__(self, view: View, index: int, max_parts: int, max_frames: int) -> None:
        self._view = view
        self._index = index
        self._max_parts = max_parts
        self._max_frames = max_frames
        self._parts: dict[int, _Open] = {}
        self._frames: list[Sighting] = []
        self.doubted: set[int] = set()

    def birth(self, part: Part, limit_ns: int) -> list[Result]:
        """A part was born; without a frame until `limit_ns` it is missing."""
        opened = _Open(part, part.born_ns + self._view.offset_ns, self._view.window_ns + part.born_err_ns, limit_ns)
        self._parts[part.part_id] = opened
        return self._overfull() + self._born(opened)

    def frame(self, frame: Sighting) -> list[Result]:
        """A frame arrived; one that repeats an older one shows nobody."""
        if not frame.repeat:
            return self._seen(frame)
        for opened in self._open():
            opened.stale = True
            break
        return [Unpaired(frame)]

    def expire(self, now_ns: int, hold_ns: int) -> list[Result]:
        results: list[Result] = []
        for opened in [opened for opened in self._parts.values() if opened.limit_ns <= now_ns]:
            results += self._close(opened, Reason.STALE_FRAME if opened.stale else Reason.NO_FRAME)
            if opened.limit_ns + hold_ns <= now_ns:
                self._forget(opened.part.part_id)
        for frame in [frame for frame in self._frames if frame.captured_ns + hold_ns <= now_ns]:
            self._frames.remove(frame)
            results.append(Unpaired(frame))
        return results

    def next_limit_ns(self) -> int | None:
        return min((opened.limit_ns for opened in self._open()), default=None)

    @abstractmethod
    def _born(self, opened: _Open) -> list[Result]:
        """Look for the new part's frame."""

    @abstractmethod
    def _seen(self, frame: Sighting) -> list[Result]:
        """Look for the new frame's part."""

    def _open(self) -> list[_Open]:
        return [opened for opened in self._parts.values() if not opened.closed]

    def _pair(self, opened: _Open, frame: Sighting) -> Paired:
        if frame in self._frames:
            self._frames.remove(frame)
        opened.closed = True
        opened.frame = frame
        return Paired(opened.part, frame)

    def _keep(self, frame: Sighting) -> list[Result]:
        self._frames.append(frame)
        return [Unpaired(self._frames.pop(0))] if len(self._frames) > self._max_frames else []

    def _close(self, opened: _Open, reason: Reason) -> list[Result]:
        if opened.closed:
            return []
        opened.closed = True
        return [Missing(opened.part, self._index, reason)]

    def _overfull(self) -> list[Result]:
        if len(self._parts) <= self._max_parts:
            return []
        oldest = next(iter(self._parts.values()))
        results = self._close(oldest, Reason.OVERRUN)
        self._forget(oldest.part.part_id)
        return results

    def _forget(self, part_id: int) -> None:
        del self._parts[part_id]
        self.doubted.discard(part_id)


class _Births(_Lane):
    """The camera whose frames are the parts: each comes back with its frame's number."""

    def _born(self, opened: _Open) -> list[Result]:
        for frame in self._frames:
            if frame.number == opened.part.token:
                return [self._pair(opened, frame)]
        return []

    def _seen(self, frame: Sighting) -> list[Result]:
        return self._keep(frame)


class _FreeRunning(_Lane):
    """The frame nearest to the part's instant, once a frame at or after it was seen."""

    def _born(self, opened: _Open) -> list[Result]:
        return self._nearest(opened)

    def _seen(self, frame: Sighting) -> list[Result]:
        self._frames.append(frame)
        results = [result for opened in self._open() for result in self._nearest(opened)]
        if len(self._frames) > self._max_frames:
            results.append(Unpaired(self._frames.pop(0)))
        return results

    def _nearest(self, opened: _Open) -> list[Result]:
        if not self._frames or self._frames[-1].captured_ns < opened.instant_ns:
            return []
        fitting = [frame for frame in self._frames if opened.fits(frame)]
        if not fitting:
            return []
        frame = min(fitting, key=lambda frame: abs(frame.captured_ns - opened.instant_ns))
        rivals = [other for other in self._open() if other is not opened and other.fits(frame)]
        if not rivals:
            return [self._pair(opened, frame)]
        return [result for other in (opened, *rivals) for result in self._close(other, Reason.AMBIGUOUS)]


class _Triggered(_Lane):
    """Exactly one frame for each part; a second one, or a frame that fits two parts, puts them in doubt."""

    def __init__(self, view: View, index: int, max_parts: int, max_frames: int) -> None:
        super().__init__(view, index, max_parts, max_frames)
        self._step: int | None = None  # camera counter minus line counter, as the clean pairs show it
        self._other: tuple[int, int] = (0, 0)  # another step, and how many frames in a row have shown it

    def _born(self, opened: _Open) -> list[Result]:
        results: list[Result] = []
        for frame in [frame for frame in self._frames if opened.fits(frame)]:
            self._frames.remove(frame)
            results += self._seen(frame)
        rivals = [other for other in self._parts.values() if self._shared(other, opened)]
        return results + (self._doubt([*rivals, opened]) if rivals else [])

    def _shared(self, other: _Open, born: _Open) -> bool:
        """Whether the frame that another part already has would fit the new part as well."""
        if other is born or other.frame is None or other.certain:
            return False
        return born.fits(other.frame)

    def _seen(self, frame: Sighting) -> list[Result]:
        fitting = [opened for opened in self._parts.values() if opened.fits(frame)]
        if not fitting:
            return self._keep(frame)
        counted = [opened for opened in fitting if self._counts(opened, frame) == self._step is not None]
        chosen = counted if len(counted) == 1 else fitting
        if len(chosen) > 1 or chosen[0].closed or not self._in_step(chosen[0], frame):
            return [Unpaired(frame), *self._doubt(chosen)]
        chosen[0].certain = bool(counted)
        return [self._pair(chosen[0], frame)]

    @staticmethod
    def _counts(opened: _Open, frame: Sighting) -> int | None:
        known = frame.counter >= 0 and opened.part.token > 0
        return frame.counter - opened.part.token if known else None

    def _in_step(self, opened: _Open, frame: Sighting) -> bool:
        """Whether the trigger counters agree that this is the pair.

        One that slipped shows the same other step again and again, which then counts; frames that are so late that
        they fall to a neighbour show it once or twice.
        """
        step = self._counts(opened, frame)
        if step is None:
            return True
        other, times = self._other
        self._other = (step, times + 1 if step == other else 1) if step != self._step else (0, 0)
        if self._step is None or self._other[1] == SLIPPED:
            self._step = step
        return step == self._step

    def _doubt(self, openeds: Sequence[_Open]) -> list[Result]:
        results: list[Result] = []
        for opened in openeds:
            if opened.frame is not None:
                self.doubted.add(opened.part.part_id)
            results += self._close(opened, Reason.AMBIGUOUS)
        return results


def _lane(view: View, index: int, max_parts: int, max_frames: int) -> _Lane:
    kind = _Births if view.births else _Triggered if view.triggered else _FreeRunning
    return kind(view, index, max_parts, max_frames)


class Pairing:
    """All cameras of a station. Not thread-safe: the caller holds a lock.

    Holds at most `max_parts` parts and, for each camera, `max_frames` frames that wait for a birth, these no longer
    than `hold_ns`. What falls out comes back as Missing (OVERRUN) or Unpaired: every part ends in one Paired or
    Missing for each camera, every frame in one Paired or Unpaired.
    """

    def __init__(self, views: Sequence[View], max_parts: int, max_frames: int, hold_ns: int) -> None:
        self._lanes = [_lane(view, index, max_parts, max_frames) for index, view in enumerate(views)]
        self._hold_ns = hold_ns

    def birth(self, part: Part, limit_ns: int) -> list[Result]:
        """A part was born; its frames must have come by `limit_ns`."""
        return [result for lane in self._lanes for result in lane.birth(part, limit_ns)]

    def frame(self, frame: Sighting) -> list[Result]:
        """A camera delivered a frame; each camera's frames come in the order of their capture."""
        return self._lanes[frame.view].frame(frame)

    def expire(self, now_ns: int) -> list[Result]:
        """Parts whose frames did not come in time, frames whose birth did not."""
        return [result for lane in self._lanes for result in lane.expire(now_ns, self._hold_ns)]

    def next_limit_ns(self) -> int | None:
        """When the next part gives up waiting, None when none waits."""
        limits = [limit for lane in self._lanes if (limit := lane.next_limit_ns()) is not None]
        return min(limits, default=None)

    def is_doubted(self, part_id: int) -> bool:
        """Whether, after its frame was paired, another part or frame turned up that fits as well.

        To be asked right before the verdict: such a part is UNKNOWN (AMBIGUOUS).
        """
        return any(part_id in lane.doubted for lane in self._lanes)
