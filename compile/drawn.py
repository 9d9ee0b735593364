"""Defects drawn into good pictures: where no real one is at hand, they show what INT8 would do to one.

They are no evidence: what a product's defects look like nobody knows before there are some. But a peak that INT8 clips
on a drawn stain it clips on a real one too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.picture_set import GOOD, Image, Picture, read_image
from edge.pixels import InputSpec

LABEL = "drawn defect"
LEAST, MOST = 0.002, 0.03  # of the area that the network sees
LONGEST = 8.0  # a scratch's length over its width
FAINTEST, STRONGEST = 40.0, 110.0  # grey levels


def has_defects(pictures: Sequence[Picture]) -> bool:
    """Whether any of them carries a label of a defect."""
    return any(picture.label not in (GOOD, "") for picture in pictures)


def draw(pictures: Sequence[Picture], spec: InputSpec, folder: Path, seed: int) -> list[Picture]:
    """A copy of each picture in `folder` with one stain, scratch or displaced piece where the network sees it.

    The same picture and seed give the same copy. Raises ConfigError for a picture that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number:04d}-{picture.path.stem}.png"
        rng = random.Random(sha256(f"{seed} {picture.name}".encode()).digest())
        cv2.imwrite(str(path), spoilt(read_image(picture.path), spec.roi, rng))
        made.append(Picture(path, LABEL, picture.group, None, f"drawn/{path.name}"))
    return made


def spoilt(image: Image, roi: tuple[int, int, int, int] | None, rng: random.Random) -> Image:
    """The picture (uint8 H x W x 3) with one defect within `roi` (x, y, width, height; None: anywhere)."""
    x, y, width, height = roi or (0, 0, image.shape[1], image.shape[0])
    seen = image[y : y + height, x : x + width].astype(np.float32)
    cover = _shape(seen.shape[1], seen.shape[0], rng)[..., None]
    if rng.random() < 0.3:
        moved = (rng.randrange(seen.shape[0] // 4, seen.shape[0]), rng.randrange(seen.shape[1]))
        other = 255 - np.roll(
            seen, moved, (0, 1)
        )  # its negative: on an even surface the piece itself would not show
        seen += cover * (other - seen)
    else:
        bright = float(seen.mean()) < 128 if rng.random() < 0.8 else rng.random() < 0.5
        seen += cover * rng.uniform(FAINTEST, STRONGEST) * (1 if bright else -1)
    changed: Image = image.copy()
    changed[y : y + height, x : x + width] = np.clip(np.rint(seen), 0, 255)
    return changed


def _shape(width: int, height: int, rng: random.Random) -> NDArray[np.float32]:
    """How much of each pixel the defect covers (0..1): a soft ellipse."""
    area = LEAST * (MOST / LEAST) ** rng.random() * width * height
    aspect = LONGEST ** (rng.random() ** 2)
    long, short = np.sqrt(area * aspect / np.pi), np.sqrt(area / aspect / np.pi)
    centre = (round(rng.uniform(0.1, 0.9) * width), round(rng.uniform(0.1, 0.9) * height))
    mask = np.zeros((height, width), np.float32)
    axes = (max(1, round(long)), max(1, round(short)))
    cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.5, float(short) / 6)), np.float32)
