"""Finds the picture of each part, by the rule that pairs them when the station inspects: what is learned from is what
will be judged."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.clock import MS, SECOND
from edge.eye.slots import Slots
from edge.options import PresenceTrigger
from edge.pairing import Missing, Paired, Pairing, Result, Sighting, View
from edge.records import Edge, Frame, Part, Reason
from edge.station import Station

HOLD_NS = 500 * MS  # frames wait so long for a birth that is told late
_PATIENCE_NS = SECOND  # beyond the latest instant at which a part's frame can be captured
_SLOTS = 16
_WAITING = 12
_MAX_PARTS = 256

# Takes a part's picture, which is free again when it returns: the camera's index, the part, the picture.
Keep = Callable[[int, Part, NDArray[np.uint8]], None]


class AtTrigger:
    """Any thread may call; `keep` is called by the one that brought the second half of a pair, and must not block.

    `missed` counts the pictures that parts did not get: no frame, a bad one, or one that fits two parts.
    """

    def __init__(self, station: Station, keep: Keep) -> None:
        cameras = station.camera
        presence = isinstance(station.trigger, PresenceTrigger)
        views = [
            View(
                camera.name,
                round(camera.trigger_to_frame_ms * MS),
                round(camera.window_ms * MS),
                camera.triggered and not presence,
            )
            for camera in cameras
        ]
        latest_ms = max(camera.trigger_to_frame_ms + camera.window_ms for camera in cameras)
        self._patience_ns = round(latest_ms * MS) + _PATIENCE_NS
        self._keep = keep
        self._lock = threading.Lock()
        self._pairing = Pairing(views, _MAX_PARTS, _WAITING, HOLD_NS)
        self._slots = [Slots(_SLOTS) for _ in cameras]
        self._last_ns = [0] * len(cameras)
        self._numbers = itertools.count(1)
        self._parts = itertools.count(1)
        self.missed = 0

    def born(self, edge: Edge) -> None:
        """A part has come; its falling edge is none."""
        if not edge.level:
            return
        limit_ns = edge.at_ns + self._patience_ns
        part = Part(next(self._parts), edge.at_ns, edge.err_ns, edge.at_ns, limit_ns, limit_ns, token=edge.counter)
        with self._lock:
            self._apply(self._pairing.birth(part, limit_ns))

    def frame(self, view: int, frame: Frame, reason: Reason) -> None:
        """A camera delivered a frame; `reason` says why it cannot be judged, if so."""
        slot = self._slots[view].put(frame.image) if reason is Reason.NONE else -1
        if slot < 0 and reason is Reason.NONE:
            reason = Reason.OVERRUN
        repeat = frame.captured_ns <= self._last_ns[view]
        self._last_ns[view] = max(self._last_ns[view], frame.captured_ns)
        sighting = Sighting(
            view,
            next(self._numbers),
            frame.captured_ns,
            frame.captured_err_ns,
            frame.trigger_counter,
            repeat,
            reason,
            slot,
        )
        with self._lock:
            self._apply(self._pairing.frame(sighting))

    def expire(self, now_ns: int) -> None:
        """Give up on frames and births whose other half did not come."""
        with self._lock:
            self._apply(self._pairing.expire(now_ns))

    def _apply(self, results: Sequence[Result]) -> None:
        for result in results:
            if isinstance(result, Missing):
                self.missed += 1
                continue
            frame, slots = result.frame, self._slots[result.frame.view]
            if isinstance(result, Paired) and frame.reason is Reason.NONE:
                self._keep(frame.view, result.part, slots.image(frame.slot))
            elif isinstance(result, Paired):
                self.missed += 1
            slots.free(frame.slot)
