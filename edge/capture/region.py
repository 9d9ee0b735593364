"""The part of a camera's frame that a station looks at; pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.camera_options import CameraOptions
from edge.errors import CameraError

Image = NDArray[np.uint8]


def cut(image: Image, options: CameraOptions) -> Image:
    """The camera's `region` of its frame (uint8 H x W (x 3)), as a view without a copy; without a region all of it.

    Raises CameraError when the frame does not hold the region.
    """
    if options.region is None:
        return image
    x, y, width, height = options.region
    if image.shape[0] < y + height or image.shape[1] < x + width:
        raise CameraError(
            f"camera {options.name} sends frames of {image.shape[1]} x {image.shape[0]} pixels, which do not hold its "
            f"region {list(options.region)}: give [x, y, width, height] inside the frame, or set the camera's size"
        )
    return image[y : y + height, x : x + width]
