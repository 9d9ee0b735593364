"""Pictures that travel with a bundle: those a device is accepted with, and thumbnails for the report."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from calibration.evidence import Judged
from edge.picture_set import Image, Picture, read_image
from edge.pixels import InputSpec
from edge.records import Kind

THUMBNAIL = 168  # pixels of the longer side


def acceptance_pictures(
    pictures: Sequence[Picture], judged: Sequence[Sequence[Judged]], threshold: float, most: int
) -> list[Picture]:
    """Up to `most` pictures for the device to be accepted with, in the order of the set.

    Only pictures that every shipped model judges right: half of them those nearest to the threshold, which tell
    first when a device computes otherwise, then defects of each label and good ones in turn.
    """
    right = {rows[0].name for rows in zip(*judged, strict=True) if all(map(_is_right, rows))}
    nearest = sorted((abs(one.score - threshold), one.name) for one in judged[0] if one.name in right)
    names = [name for _, name in nearest[: most // 2]]
    by_label: dict[str, list[str]] = {}
    for picture in pictures:
        if picture.name in right and picture.name not in names:
            by_label.setdefault(picture.label, []).append(picture.name)
    turns = [rows[turn] for turn in range(most) for _, rows in sorted(by_label.items()) if turn < len(rows)]
    chosen = {*names, *turns[: most - len(names)]}
    return [picture for picture in pictures if picture.name in chosen]


def _is_right(one: Judged) -> bool:
    return one.kind is (Kind.REJECT if one.defect else Kind.PASS)


def stored(pictures: Sequence[Picture], spec: InputSpec) -> Mapping[str, tuple[str, bytes]]:
    """Name in the bundle -> label and PNG bytes; what the network does not see is black, and takes no room.

    Raises ConfigError for a picture that cannot be read.
    """
    return {
        f"{number:02d}-{Path(picture.name).stem}.png": (picture.label, _png(_seen(read_image(picture.path), spec)))
        for number, picture in enumerate(pictures)
    }


def _seen(image: Image, spec: InputSpec) -> Image:
    if spec.roi is None:
        return image
    x, y, width, height = spec.roi
    seen = np.zeros_like(image)
    seen[y : y + height, x : x + width] = image[y : y + height, x : x + width]
    return seen


def _png(image: Image) -> bytes:
    return bytes(cv2.imencode(".png", image, (cv2.IMWRITE_PNG_COMPRESSION, 9))[1])


def thumbnail(picture: Picture) -> str:
    """The picture, small, as a data URL. Raises ConfigError for a picture that cannot be read."""
    image = read_image(picture.path)
    scale = min(1.0, THUMBNAIL / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    data = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 80))[1]
    return "data:image/jpeg;base64," + base64.b64encode(bytes(data)).decode()
