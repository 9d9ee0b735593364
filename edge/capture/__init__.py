"""Cameras, chosen by kind."""

from typing import Protocol

from edge.records import Frame


class EndOfPictures(Exception):  # noqa: N818 - an end, not an error
    """A finite source (a folder, a video file) has delivered its last frame."""


TABLE = {
    "folder": "edge.capture.folder:FolderCamera",
    "belt": "edge.capture.belt:BeltCamera",
    "cv": "edge.capture.cv:CvCamera",
    "gst": "edge.capture.gst:GstCamera",
}


class Camera(Protocol):
    """One picture source. Built from its options model and a Clock; not usable before `open`."""

    def open(self) -> None:
        """Start delivering; bounded in time. Raises CameraError; may be called again after it or after `close`."""
        ...

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None when none came within `timeout_s`.

        The frame's image is only valid until the next `read`. Raises CameraError when the camera is lost and
        EndOfPictures when a finite source has delivered all it has.
        """
        ...

    def close(self) -> None:
        """Release the camera; never raises, may be called twice."""
        ...
