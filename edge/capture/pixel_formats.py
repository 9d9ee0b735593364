"""Pictures in a camera's pixel format, named and packed as GenICam says, as 8-bit BGR or grey; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# OpenCV names a Bayer pattern by the first two rows here; its older names start at the second row.
_DEMOSAIC = {
    "RG": cv2.COLOR_BayerRGGB2BGR,
    "GR": cv2.COLOR_BayerGRBG2BGR,
    "GB": cv2.COLOR_BayerGBRG2BGR,
    "BG": cv2.COLOR_BayerBGGR2BGR,
}


@dataclass(frozen=True, slots=True)
class Packing:
    """`pixels` pixels lie in `size` bytes; `unpack` takes samples N x size to N x pixels, the upper 8 bits of each."""

    pixels: int
    size: int
    unpack: Callable[[Image], Image]


def _plain(samples: Image) -> Image:
    return samples


def _upper_of_16(bits: int) -> Callable[[Image], Image]:
    """Little-endian words that hold `bits` bits."""

    def unpack(samples: Image) -> Image:
        return (samples.view("<u2") >> (bits - 8)).astype(np.uint8)

    return unpack


def _upper_bytes(samples: Image) -> Image:
    """Two pixels in three bytes, the lower bits of both in the middle one (GigE Vision's "Packed")."""
    return np.stack((samples[:, 0], samples[:, 2]), axis=1)


def _stream_of_12(samples: Image) -> Image:
    """Two pixels in three bytes, bit after bit from the lowest ("12p")."""
    low, middle, high = samples[:, 0], samples[:, 1], samples[:, 2]
    return np.stack(((middle << 4) | (low >> 4), high), axis=1)


def _stream_of_10(samples: Image) -> Image:
    """Four pixels in five bytes, bit after bit from the lowest ("10p")."""
    first, second, third, fourth, fifth = (samples[:, column] for column in range(5))
    upper = (
        (second << 6) | (first >> 2),
        (third << 4) | (second >> 4),
        (fourth << 2) | (third >> 6),
        fifth,
    )
    return np.stack(upper, axis=1)


_DEPTHS = {
    "8": Packing(1, 1, _plain),
    "10": Packing(1, 2, _upper_of_16(10)),
    "10Packed": Packing(2, 3, _upper_bytes),
    "10p": Packing(4, 5, _stream_of_10),
    "12": Packing(1, 2, _upper_of_16(12)),
    "12Packed": Packing(2, 3, _upper_bytes),
    "12p": Packing(2, 3, _stream_of_12),
    "16": Packing(1, 2, _upper_of_16(16)),
}
_COLOURS = {"RGB8": cv2.COLOR_RGB2BGR, "BGR8": None}

FORMATS = (
    *(f"Mono{depth}" for depth in _DEPTHS),
    *(f"Bayer{pattern}{depth}" for pattern in _DEMOSAIC for depth in _DEPTHS),
    *_COLOURS,
)


class Decoder:
    """Pictures of one format, `width` x `height` pixels. One thread; the pictures share one buffer of this object.

    Raises ValueError for a format that is not in FORMATS, and for a width that does not fill whole bytes.
    """

    def __init__(self, pixel_format: str, width: int, height: int) -> None:
        if pixel_format not in FORMATS:
            raise ValueError(f"pixel format {pixel_format!r} is not one of {', '.join(FORMATS)}")
        self.width, self.height = width, height
        self._code, self._packing = _steps(pixel_format)
        row_bytes, rest = divmod(width * self._packing.size, self._packing.pixels)
        if rest:
            raise ValueError(f"a width of {width} pixels is no whole number of bytes in {pixel_format}")
        self._row_bytes = row_bytes
        self.copies = (self._packing.unpack is not _plain) + (self._code is not None)
        self._out: Image | None = None if self._code is None else np.empty((height, width, 3), np.uint8)

    def size(self, padding: int = 0) -> int:
        """The bytes of a picture whose rows end in `padding` bytes that mean nothing."""
        return self.height * (self._row_bytes + padding)

    def decode(self, data: Image, padding: int = 0) -> Image:
        """The picture in `data` (uint8, at least `size` of it): H x W or H x W x 3 BGR.

        Where `copies` is 0 the picture is `data` itself in another shape; otherwise valid until the next call.
        """
        rows = data[: self.size(padding)].reshape(self.height, -1)[:, : self._row_bytes]
        picture = self._unpacked(rows)
        if self._code is None:
            return picture
        return np.asarray(cv2.cvtColor(picture, self._code, self._out), np.uint8)

    def _unpacked(self, rows: Image) -> Image:
        if self._row_bytes == 3 * self.width and self._packing.size == 3 and self._packing.pixels == 1:
            return rows.reshape(self.height, self.width, 3)
        if self._packing.unpack is _plain:
            return rows
        samples = np.ascontiguousarray(rows).reshape(-1, self._packing.size)
        return self._packing.unpack(samples).reshape(self.height, self.width)


def _steps(pixel_format: str) -> tuple[int | None, Packing]:
    """How a format is converted (None: not at all) after its samples are unpacked."""
    if pixel_format in _COLOURS:
        return _COLOURS[pixel_format], Packing(1, 3, _plain)
    if pixel_format.startswith("Mono"):
        return None, _DEPTHS[pixel_format.removeprefix("Mono")]
    return _DEMOSAIC[pixel_format[5:7]], _DEPTHS[pixel_format[7:]]
