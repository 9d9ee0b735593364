"""Draws what `edge io camera` saw on one sheet: pictures, brightness over time, the words."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture.appraisal import Look

TILE = (320, 250)  # width, height
COLUMNS = 4
LINE = 26
MARGIN = 12
INK, PAPER, CURVE = (40, 40, 40), (255, 255, 255), (160, 90, 0)

Image = NDArray[np.uint8]


def draw_sheet(pictures: Sequence[tuple[str, Image]], looks: Sequence[Look], words: Sequence[str]) -> Image:
    """Named pictures (uint8 H x W or H x W x 3), three in a row, above the curve of brightness and the words; BGR."""
    tiles = [_tile(name, image) for name, image in pictures]
    while len(tiles) % COLUMNS:
        tiles.append(np.full_like(tiles[0], PAPER[0]))
    rows = [np.hstack(tiles[at : at + COLUMNS]) for at in range(0, len(tiles), COLUMNS)]
    width = COLUMNS * TILE[0]
    return np.vstack([*rows, _curve(looks, width), _text(words, width)])


def _tile(name: str, image: Image) -> Image:
    """A picture in its place, its own shape kept."""
    tile = np.full((TILE[1], TILE[0], 3), PAPER[0], np.uint8)
    picture = image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    scale = min((TILE[0] - MARGIN) / picture.shape[1], (TILE[1] - LINE - MARGIN) / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    tile[LINE : LINE + size[1], MARGIN : MARGIN + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _write(tile, name, LINE - 8)
    return tile


def _curve(looks: Sequence[Look], width: int) -> Image:
    strip = np.full((140, width, 3), PAPER[0], np.uint8)
    _write(strip, "brightness over time, 0 to 255", LINE - 8)
    times = np.array([look.captured_ns for look in looks], np.float64)
    across = (times - times[0]) / max(times[-1] - times[0], 1.0) * (width - 2 * MARGIN) + MARGIN
    up = 135 - np.array([look.mean for look in looks]) / 255 * 100
    points = np.stack((across, up), axis=1).round().astype(np.int32)
    cv2.polylines(strip, [points], isClosed=False, color=CURVE, thickness=2)
    return strip


def _text(words: Sequence[str], width: int) -> Image:
    strip = np.full((LINE * (len(words) + 1), width, 3), PAPER[0], np.uint8)
    for number, line in enumerate(words, 1):
        _write(strip, line, number * LINE)
    return strip


def _write(image: Image, words: str, baseline: int) -> None:
    cv2.putText(image, words, (MARGIN, baseline), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
