"""Cameras, chosen by kind."""

from dataclasses import dataclass
from typing import Protocol

from edge.records import Frame


class EndOfPictures(Exception):  # noqa: N818 - an end, not an error
    """A finite source (a folder, a video file) has delivered its last frame."""


TABLE = {
    "folder": "edge.capture.folder:FolderCamera",
    "belt": "edge.capture.belt:BeltCamera",
    "cv": "edge.capture.cv:CvCamera",
    "gst": "edge.capture.gst:GstCamera",
    "gige": "edge.capture.gige:GigeCamera",
}


@dataclass(frozen=True, slots=True)
class About:
    """What an opened camera says of itself, in words for a person; how often it can be triggered and how long it
    exposes, None where it does not say."""

    words: tuple[str, ...] = ()
    triggers_per_s: float | None = None
    exposure_us: float | None = None


class Camera(Protocol):
    """One picture source. Built from its options model and a Clock; not usable before `open`."""

    def open(self) -> None:
        """Start delivering; bounded in time. Raises CameraError; may be called again after it or after `close`."""
        ...

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None when none came within `timeout_s`.

        The frame's image is only valid until the next `read`. Raises CameraError when the camera is lost, or when a
        free-running one has sent nothing for its `timeout_ms`; EndOfPictures when a finite source has delivered all.
        """
        ...

    def about(self) -> About:
        """What there is to say of it; nothing before `open`. Raises CameraError when the camera does not answer."""
        ...

    def close(self) -> None:
        """Release the camera; never raises, may be called twice."""
        ...
