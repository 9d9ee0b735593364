"""Turns a picture into the network's input: the one copy that training, calibration, compile and the device call.

Crop to the region of interest, resize, then convert the colour. A picture is halved by exact 2 x 2 averages while
it is even and still covers its target. What then is twofold or more on an axis is averaged over areas (INTER_AREA);
less, or growing, is interpolated (INTER_LINEAR). So no row or column is skipped while both axes shrink, in a fifth
of the time of INTER_AREA alone (640 x 640 to 256 x 256: 0.36 against 1.9 ms). `stretch` fills the input and ignores
the aspect ratio; `letterbox` keeps it, centres the picture and fills the rest with grey 114, near the middle of the
range so that no edge of the fill is the strongest edge of the picture.

OpenCV's thread count belongs to the process, not to this file: the command that builds a station calls
`cv2.setNumThreads` once (1 on a device, so that a resize never competes with the engine for a core).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError

FILL = 114
FITS = ("stretch", "letterbox")
STEP = 8  # the heat map has one cell for 8 x 8 pixels
MAX_SIDE = 4_096

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The network input's geometry: `width` x `height` pixels (multiples of 8) of 3 (RGB) or 1 (mono) channels.

    `roi` is (x, y, width, height) in pixels of the picture, None for all of it; `fit` is "stretch" or "letterbox".
    Raises ConfigError for a value that no picture could satisfy.
    """

    width: int
    height: int
    channels: int = 3
    roi: tuple[int, int, int, int] | None = None
    fit: str = "stretch"

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if not _is_int(side) or not STEP <= side <= MAX_SIDE or side % STEP:
                raise ConfigError(f"input {name} {side!r}: use a multiple of {STEP} from {STEP} to {MAX_SIDE}")
        if not _is_int(self.channels) or self.channels not in (1, 3):
            raise ConfigError(f"input channels {self.channels!r}: use 3 (colour) or 1 (mono)")
        if self.fit not in FITS:
            raise ConfigError(f"input fit {self.fit!r}: use one of {', '.join(FITS)}")
        if self.roi is not None and not _is_roi(self.roi):
            raise ConfigError(f"input roi {self.roi!r}: use four whole numbers x, y >= 0 and width, height > 0")

    def shape(self) -> tuple[int, int, int, int]:
        """The network input's shape: (1, height, width, channels)."""
        return (1, self.height, self.width, self.channels)

    def to_json(self) -> str:
        """One line of JSON, as the ONNX metadata and the bundle's manifest carry it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> InputSpec:
        """The spec that `to_json` wrote. Raises ConfigError where the text says anything else."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"input spec is not JSON ({error}); export the model again") from error
        if not isinstance(values, dict):
            raise ConfigError(f"input spec must be a JSON object, got {text[:80]!r}; export the model again")
        return cls.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; `roi` is a list or None."""
        values = asdict(self)
        values["roi"] = None if self.roi is None else list(self.roi)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """The spec from plain values. Raises ConfigError for unknown or missing keys and bad values."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"input spec has unknown keys {', '.join(unknown)}: use {', '.join(known)}")
        missing = [name for name in ("width", "height") if name not in values]
        if missing:
            raise ConfigError(f"input spec lacks {' and '.join(missing)}: add the network input's size in pixels")
        plain = dict(values)
        if isinstance(plain.get("roi"), list):
            plain["roi"] = tuple(plain["roi"])
        return cls(**plain)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_roi(roi: object) -> bool:
    if not isinstance(roi, tuple) or len(roi) != 4 or not all(_is_int(value) for value in roi):
        return False
    x, y, width, height = roi
    return bool(x >= 0 and y >= 0 and width > 0 and height > 0)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where picture pixels land: the source rectangle in the picture, the target rectangle in the input."""

    source: tuple[int, int, int, int]
    target: tuple[int, int, int, int]


def place(spec: InputSpec, width: int, height: int) -> Placement:
    """The placement of a `width` x `height` picture; both rectangles are (x, y, width, height).

    Raises ConfigError when the region of interest leaves the picture.
    """
    source = spec.roi or (0, 0, width, height)
    if source[0] + source[2] > width or source[1] + source[3] > height:
        raise ConfigError(
            f"a {width} x {height} picture does not contain the region of interest {source} (x, y, width, height): "
            "set the camera to the size the product was trained with, or train with another roi"
        )
    if spec.fit == "stretch":
        return Placement(source, (0, 0, spec.width, spec.height))
    scale = min(spec.width / source[2], spec.height / source[3])
    wide = min(spec.width, max(1, round(source[2] * scale)))
    high = min(spec.height, max(1, round(source[3] * scale)))
    return Placement(source, ((spec.width - wide) // 2, (spec.height - high) // 2, wide, high))


class Pixels:
    """`to_input` with buffers that are kept: after the first picture of a size nothing is allocated.

    One thread at a time.
    """

    def __init__(self, spec: InputSpec) -> None:
        self.spec = spec
        self._own: Image = np.empty(spec.shape(), np.uint8)
        self._scratch: Image = np.empty((spec.height, spec.width, 3), np.uint8)
        self._grey: Image = np.empty((spec.height, spec.width), np.uint8)
        self._size = (0, 0)
        self._colour = False
        self._placement = Placement((0, 0, 0, 0), (0, 0, 0, 0))
        self._halves: list[Image] = []

    def to_input(self, image: Image, out: Image | None = None) -> Image:
        """The network's input for one picture: uint8 1 x height x width x channels, RGB or mono.

        image: uint8 H x W x 3 (BGR) or H x W (mono), any strides. out: written and returned when given, else a
        buffer that the next call overwrites. Raises ConfigError for a wrong dtype, shape or region of interest.
        """
        _check_image(image)
        target = self._own if out is None else out
        if target.shape != self.spec.shape() or target.dtype != np.uint8 or not target.flags.c_contiguous:
            raise ConfigError(
                f"out must be a C-contiguous uint8 array of shape {self.spec.shape()}; allocate it so"
            )
        self._prepare((image.shape[1], image.shape[0]), image.ndim == 3)
        x, y, width, height = self._placement.source
        self._convert(image[y : y + height, x : x + width], target[0])
        return target

    def _prepare(self, size: tuple[int, int], colour: bool) -> None:
        """Place pictures of another size and allocate what halving them takes."""
        if size == self._size and colour == self._colour:
            return
        self._placement = place(self.spec, *size)
        self._size, self._colour = size, colour
        depth = (3,) if colour else ()
        sizes = _halvings(self._placement.source[2:], self._placement.target[2:])
        self._halves = [np.empty((height, width, *depth), np.uint8) for width, height in sizes]

    def _convert(self, source: Image, target: Image) -> None:
        """Resize and colour-convert; the resize writes into the target itself where the colours agree."""
        colour = source.ndim == 3
        if not colour and self.spec.channels == 1:
            self._resize(source, target[:, :, 0])
            return
        resized = self._scratch if colour else self._grey
        self._resize(source, resized)
        if colour and self.spec.channels == 3:
            cv2.cvtColor(resized, cv2.COLOR_BGR2RGB, dst=target)
        elif colour:
            cv2.cvtColor(resized, cv2.COLOR_BGR2GRAY, dst=target[:, :, 0])
        else:
            cv2.cvtColor(resized, cv2.COLOR_GRAY2RGB, dst=target)

    def _resize(self, source: Image, canvas: Image) -> None:
        x, y, width, height = self._placement.target
        if (width, height) != (self.spec.width, self.spec.height):
            canvas[...] = FILL
        for half in self._halves:
            cv2.resize(source, (half.shape[1], half.shape[0]), dst=half, interpolation=cv2.INTER_AREA)
            source = half
        across, down = source.shape[1] / width, source.shape[0] / height
        coarse = min(across, down) >= 1 and max(across, down) >= 2
        method = cv2.INTER_AREA if coarse else cv2.INTER_LINEAR
        cv2.resize(source, (width, height), dst=canvas[y : y + height, x : x + width], interpolation=method)


def _halvings(source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, int]]:
    """The (width, height) after each exact halving of `source` that still covers `target`."""
    width, height = source
    sizes = []
    while width % 2 == 0 and height % 2 == 0 and width // 2 >= target[0] and height // 2 >= target[1]:
        width, height = width // 2, height // 2
        sizes.append((width, height))
    return sizes


def _check_image(image: Image) -> None:
    fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not fits or image.size == 0:
        raise ConfigError(
            f"a picture must be uint8 H x W x 3 (BGR) or H x W (mono), got {image.dtype} of shape {image.shape}: "
            "set the camera to BGR or 8-bit mono"
        )


def to_input(image: Image, spec: InputSpec, out: Image | None = None) -> Image:
    """The network's input for one picture, once: see `Pixels.to_input`; without `out` the array is the caller's."""
    return Pixels(spec).to_input(image, out)


def mask_to_input(mask: Image, spec: InputSpec) -> Image:
    """A defect mask (H x W, non-zero = defect) in the network input's geometry: uint8 height x width of 0 or 255.

    An input pixel is a defect when any defect pixel falls on it, so a thin scratch does not vanish. The fill
    around a letterboxed picture is no defect.
    """
    where = place(spec, mask.shape[1], mask.shape[0])
    x, y, wide, high = where.source
    marked = np.where(mask[y : y + high, x : x + wide] != 0, np.uint8(255), np.uint8(0))
    rows, columns = np.nonzero(marked)
    x, y, width, height = where.target
    out = np.zeros((spec.height, spec.width), np.uint8)
    out[y : y + height, x : x + width] = cv2.resize(marked, (width, height), interpolation=cv2.INTER_NEAREST)
    out[y + rows * height // high, x + columns * width // wide] = 255
    return out
