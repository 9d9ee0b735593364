"""Where the network saw what it scored: kept inside the picture itself, in a segment that JPEG readers pass over.

A JPEG is segments of a marker, two bytes of length and the content; the one of a heat map is an APP9 that begins with
`_OURS`. It holds the geometry of the network's input as a line of JSON, and a PNG of the cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.pixels import STEP, Image, InputSpec, place

_OURS = b"Kenpin heat map 1\n"
_START, _FIRST_SCAN, _APP0, _APP9 = b"\xff\xd8", 0xDA, 0xE0, 0xE9
_MOST = 0xFFFF - 2  # bytes in a segment
_COLOURS = np.array([[0, 0, 255], [0, 255, 255]], np.float32)  # BGR, of what is suspect and of what is surely wrong
_OPACITY = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """`cells`: uint8 H/8 x W/8 of the network's input, 255 for 1; `spec` says what of a picture that input shows."""

    cells: NDArray[np.uint8]
    spec: InputSpec


def heat_map(values: NDArray[np.float32], spec: InputSpec) -> HeatMap:
    """A copy of an engine's heat map (float32 H/8 x W/8, 0 to 1)."""
    return HeatMap((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8), spec)


def with_heat_map(jpeg: bytes, heat: HeatMap) -> bytes:
    """The JPEG with the heat map in it; as it was, where no segment can hold it."""
    done, png = cv2.imencode(".png", heat.cells)
    content = _OURS + heat.spec.to_json().encode() + b"\n" + png.tobytes()
    if not done or len(content) > _MOST or not jpeg.startswith(_START):
        return jpeg
    # readers want APP0 first
    at = next((end for marker, _, end in _segments(jpeg) if marker == _APP0), len(_START))
    segment = bytes([0xFF, _APP9]) + (len(content) + 2).to_bytes(2, "big") + content
    return jpeg[:at] + segment + jpeg[at:]


def heat_map_in(jpeg: bytes) -> HeatMap | None:
    """The heat map that a JPEG holds; None where there is none that can be read."""
    for marker, content, _ in _segments(jpeg):
        if marker == _APP9 and content.startswith(_OURS):
            return _read(content[len(_OURS) :])
    return None


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and end of each segment before the picture's data."""
    at = len(_START)
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != _FIRST_SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at + 1], jpeg[at + 4 : end], end
        at = end


def _read(content: bytes) -> HeatMap | None:
    words, _, png = content.partition(b"\n")
    try:
        spec = InputSpec.from_json(words.decode())
        cells = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    except (ConfigError, UnicodeDecodeError, cv2.error):
        return None
    if cells is None or cells.shape != (spec.height // STEP, spec.width // STEP):
        return None
    return HeatMap(cells.astype(np.uint8, copy=False), spec)


def painted(image: Image, heat: HeatMap) -> Image:
    """The picture (uint8 H x W x 3 BGR, or H x W) in colour, from red to yellow over what the network found. A heat map
    that is the same everywhere points at nothing.

    Raises ConfigError where the picture is not one that this network could have seen.
    """
    colour = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image.copy()
    height, width = colour.shape[:2]
    if heat.cells.min() == heat.cells.max():
        return colour
    placed = place(heat.spec, width, height)
    x, y, wide, high = placed.target
    seen = cv2.resize(heat.cells, (heat.spec.width, heat.spec.height), interpolation=cv2.INTER_LINEAR)
    seen = cv2.resize(seen[y : y + high, x : x + wide], placed.source[2:], interpolation=cv2.INTER_LINEAR)
    x, y, wide, high = placed.source
    shown = colour[y : y + high, x : x + wide]
    share = (seen.astype(np.float32) / 255)[:, :, None]
    paint = _COLOURS[0] + (_COLOURS[1] - _COLOURS[0]) * share
    shown[:] = (shown + (paint - shown) * (share * _OPACITY)).astype(np.uint8)
    return colour
