"""Defect masks as people paint them: strokes of a round brush in the picture's own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import ConfigDict, Field

from edge.picture_set import Image, Picture, read_image, read_mask

_BITS = 4  # of a pixel's fraction, as OpenCV counts
Coordinate = Annotated[float, Field(ge=-100_000, le=100_000)]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A brush's way: `points` are x, y in pixels of the picture, `radius` too; `erase` takes away."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    points: Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=1, max_length=5_000)]
    radius: Annotated[float, Field(gt=0, le=2_000)]
    erase: bool = False


def draw(mask: Image, stroke: Stroke) -> Image:
    """The mask (uint8 H x W of 0 or 1) with the stroke in it, as a new array."""
    canvas: Image = mask.copy()
    from_centres = np.array(stroke.points) - 0.5  # as OpenCV counts
    points = np.round(from_centres * 2**_BITS).astype(np.int32)
    width = max(1, round(2 * stroke.radius))
    if len(points) == 1:
        points = np.repeat(points, 2, axis=0)
    cv2.polylines(canvas, [points], False, 0 if stroke.erase else 1, width, cv2.LINE_8, _BITS)
    return canvas


def mask_of(picture: Picture) -> Image:
    """The picture's mask: uint8 H x W of 0 or 1. Raises ConfigError for an unreadable or unfit one."""
    height, width = read_image(picture.path, mono=True).shape[:2]
    return read_mask(picture, height, width)
