"""Pictures as a page shows them: small enough to be quick, and any part of them at full size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np

from edge.errors import ConfigError
from edge.picture_set import Image, Picture, read_image
from edge.set_writer import encoded
from training.labelling.masks import mask_of

LONGEST_SIDE = 2_048  # of a view, and of a part at full size, in pixels
LOSSLESS_PIXELS = 1_500_000  # above, a view is a JPEG: a few hundred kB instead of megabytes
KEPT_BYTES = 150_000_000  # of decoded pictures
PAINT = (40, 40, 255, 255)  # BGRA of a defect's mask; the page makes it translucent


@dataclass(frozen=True, slots=True)
class View:
    """A file for a browser, and the size of the whole picture that it shows."""

    data: bytes
    media_type: str
    width: int
    height: int


class Views:
    """Views of pictures; the last decoded ones are kept. For any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()

    def whole(self, picture: Picture) -> View:
        """The picture, LONGEST_SIDE at most. Raises ConfigError for an unreadable one."""
        image = self._image(picture)
        return _view(_shrunk(image, cv2.INTER_AREA), image)

    def part(self, picture: Picture, left: int, top: int, width: int, height: int) -> View:
        """A rectangle of the picture at full size. Raises ConfigError for one outside it, or a large one."""
        image = self._image(picture)
        cut = image[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        if not cut.size or max(width, height) > LONGEST_SIDE:
            raise ConfigError(
                f"no part of {picture.name} at {left},{top} of {width} x {height}: load the page again"
            )
        return _view(cut, image)

    def mask(self, picture: Picture) -> View:
        """The picture's mask in PAINT over nothing, as large as `whole`."""
        mask = _shrunk(mask_of(picture) * np.uint8(255), cv2.INTER_AREA)  # a thin line keeps a trace, and shows
        painted = np.zeros((*mask.shape, 4), np.uint8)
        painted[mask != 0] = PAINT
        return View(encoded(painted), "image/png", mask.shape[1], mask.shape[0])

    def _image(self, picture: Picture) -> Image:
        name = str(picture.path)
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        image = read_image(picture.path)
        with self._lock:
            self._kept[name] = image
            while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return image


def _shrunk(image: Image, how: int) -> Image:
    height, width = image.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _view(shown: Image, whole: Image) -> View:
    lossless = shown.shape[0] * shown.shape[1] <= LOSSLESS_PIXELS
    data = encoded(shown, "png" if lossless else "jpeg")
    return View(data, "image/png" if lossless else "image/jpeg", whole.shape[1], whole.shape[0])
