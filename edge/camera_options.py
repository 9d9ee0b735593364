"""The settings of every camera kind as station.toml writes them."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.section import Milliseconds, Options, PlainName

# those of edge.capture.pixel_formats
PIXEL_FORMAT = r"^((Mono|Bayer(RG|GR|GB|BG))(8|(10|12)(p|Packed)?|16)|RGB8|BGR8)$"

_Pixel = Annotated[int, Field(ge=0, le=100_000)]
_Pixels = Annotated[int, Field(ge=16, le=100_000)]
Region = tuple[_Pixel, _Pixel, _Pixels, _Pixels]


class CameraOptions(Options):
    """What every camera states about itself.

    A `triggered` camera answers each trigger with one frame and its frames queue; a free-running one keeps
    the newest. A frame belongs to a part when it was captured `trigger_to_frame_ms` after the part's birth,
    give or take `window_ms` plus both stated time errors. A picture whose focus, as `edge io camera` says it, is under
    `focus_min` is blurred and not judged (0: any). `region` is the part of its frames that this station looks at,
    `[x, y, width, height]` in pixels from the upper left corner; without it the whole frame.
    """

    name: PlainName
    triggered: bool = True
    trigger_to_frame_ms: float = Field(default=0.0, ge=0)
    window_ms: Milliseconds = 20.0
    timeout_ms: Milliseconds = 2_000.0
    queue: int = Field(default=4, ge=1, le=64)
    repeats_are_stale: bool = True
    sizes_may_differ: bool = False
    focus_min: float = Field(default=0.0, ge=0)
    region: Region | None = None

    @model_validator(mode="after")
    def _region_lies_in_the_frame(self) -> "CameraOptions":
        frame_width, frame_height = getattr(self, "width", None), getattr(self, "height", None)
        if self.region is None or frame_width is None or frame_height is None:
            return self
        x, y, width, height = self.region
        if x + width > frame_width or y + height > frame_height:
            raise ValueError(
                f"region {list(self.region)} does not lie inside the frame of {frame_width} x {frame_height}: give "
                "[x, y, width, height] in its pixels"
            )
        return self


class FolderCamera(CameraOptions):
    """Replays the pictures of a folder at a fixed rate, once or for ever; `groups` selects by labels.csv."""

    kind: Literal["folder"]
    dir: Path
    rate_hz: float = Field(default=10.0, gt=0, le=1_000)
    loop: bool = False
    groups: tuple[str, ...] = ()
    repeats_are_stale: bool = False
    sizes_may_differ: bool = True


class BeltCamera(CameraOptions):
    """A simulated conveyor: textured parts with scratches, dents and stains under drifting light."""

    kind: Literal["belt"]
    seed: int = 1
    pitch_ms: Milliseconds = 50.0
    jitter_ms: float = Field(default=4.0, ge=0)
    width: int = Field(default=640, ge=64, le=4_096)
    height: int = Field(default=640, ge=64, le=4_096)
    defect_rate: float = Field(default=0.1, ge=0, le=1)
    light_drift: float = Field(default=0.15, ge=0, le=0.5)
    noise: float = Field(default=3.0, ge=0, le=50)
    fps: float = Field(default=60.0, gt=0, le=1_000)  # free-running mode only


class CvCamera(CameraOptions):
    """OpenCV's VideoCapture: a device number, a file or a URL. Frames are stamped on arrival."""

    kind: Literal["cv"]
    source: int | str
    width: int | None = Field(default=None, ge=16)
    height: int | None = Field(default=None, ge=16)
    fps: float | None = Field(default=None, gt=0)
    captured_err_ms: float = Field(default=20.0, ge=0)
    triggered: bool = False


_URIS = "v4l2:///dev/..., csi://0, rtsp://..., file:///... or gige://..."


class GstCamera(CameraOptions):
    """A GStreamer `pipeline` that ends in an appsink named `frames` with video/x-raw in BGR or GRAY8; or a `uri` whose
    pipeline is written for this machine, and shown by `edge check`: "v4l2:///dev/video0", "csi://0" (Jetson),
    "rtsp://...", "file:///...", "gige://...".

    The keys from `width` to `latency_ms` are for a URI. `encoding` is how the pictures come, by default raw from v4l2
    and h264 from rtsp. A live frame is captured at its time stamp; rtsp stamps when a picture arrives, so its
    `captured_err_ms` must be stated.
    """

    kind: Literal["gst"]
    pipeline: str = ""
    uri: str = ""
    width: int | None = Field(default=None, ge=16)
    height: int | None = Field(default=None, ge=16)
    fps: float | None = Field(default=None, gt=0, le=1_000)
    pixel_format: Literal["BGR", "GRAY8"] = "BGR"
    encoding: Literal["raw", "jpeg", "h264", "h265"] | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    latency_ms: float = Field(default=50.0, ge=0, le=10_000)
    captured_err_ms: float = Field(default=5.0, ge=0)
    triggered: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> "GstCamera":
        if bool(self.pipeline) == bool(self.uri):
            raise ValueError("give either pipeline or uri")
        if self.uri and not re.match(r"(v4l2|file):///.|csi://\d+$|(rtsps?|gige)://.", self.uri):
            raise ValueError(f"uri must be {_URIS}")
        of_a_uri = ("width", "height", "fps", "pixel_format", "encoding", "transport", "latency_ms")
        given = [key for key in of_a_uri if key in self.model_fields_set]
        if self.pipeline and given:
            raise ValueError(f"{', '.join(given)}: remove it, or give a uri; a pipeline says all by itself")
        scheme = self.uri.partition("://")[0]
        if scheme.startswith("rtsp") and "captured_err_ms" not in self.model_fields_set:
            raise ValueError("state captured_err_ms: rtsp stamps a picture when it arrives")
        if scheme.startswith("rtsp") and self.encoding == "raw":
            raise ValueError("rtsp sends no raw pictures: set encoding to jpeg, h264 or h265")
        return self


class GigeCamera(CameraOptions):
    """A GigE Vision or USB3 Vision camera through Aravis, chosen by exactly one of `address` (an IP address: opened
    without a search), `serial` and `id` (as Aravis lists it, or the hardware address).

    What is not given stays as the camera has it, which after a power cut is what its power-up settings say. A
    `triggered` camera exposes at an edge of `trigger_source`, after `trigger_delay_us`; with the source "Software" it
    is fired by Kenpin every `trigger_every_ms`. Frames are stamped by the camera's clock: where it can be latched, the
    error is measured; elsewhere `captured_err_ms` is stated. `gain` is in the camera's own unit, mostly dB.
    """

    kind: Literal["gige"]
    address: str = ""
    serial: str = ""
    id: str = ""
    pixel_format: str = Field(default="Mono8", pattern=PIXEL_FORMAT)
    width: int | None = Field(default=None, ge=16)
    height: int | None = Field(default=None, ge=16)
    offset_x: int = Field(default=0, ge=0)
    offset_y: int = Field(default=0, ge=0)
    exposure_us: float | None = Field(default=None, gt=0)
    gain: float | None = None
    fps: float | None = Field(default=None, gt=0)
    trigger_source: str = "Line1"
    trigger_edge: Literal["rising", "falling"] = "rising"
    trigger_delay_us: float = Field(default=0.0, ge=0)
    trigger_debounce_us: float = Field(default=0.0, ge=0)
    trigger_every_ms: Milliseconds | None = None
    packet_bytes: int | None = Field(default=None, ge=220, le=16_404)
    packet_delay_ns: int | None = Field(default=None, ge=0)
    packet_resend: bool = True
    captured_err_ms: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> "GigeCamera":
        if sum(map(bool, (self.address, self.serial, self.id))) != 1:
            raise ValueError("give exactly one of address, serial and id")
        if self.triggered and (self.trigger_source == "Software") != (self.trigger_every_ms is not None):
            raise ValueError('trigger_source = "Software" needs trigger_every_ms, and no other source has it')
        if self.trigger_source == "Software" and self.trigger_debounce_us:
            raise ValueError("trigger_debounce_us is for an input line; remove it")
        return self


Camera = Annotated[FolderCamera | BeltCamera | CvCamera | GstCamera | GigeCamera, Field(discriminator="kind")]
