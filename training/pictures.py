"""Labelled pictures as the network sees them: each goes through `edge.pixels` once and stays as uint8."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.errors import ConfigError
from edge.picture_set import GOOD, Picture, read_image, read_mask
from edge.pixels import STEP, InputSpec, Pixels, mask_to_input

AT_ONCE = 32
FEWEST_GOODS = 20  # where nothing else is learnt from


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """N labelled pictures in the order of `pictures`.

    images: uint8 N x H x W x C. cells: uint8 N x H x W, 1 = a defect pixel. masked: bool N, where `cells` is the
    truth: a mask was given, or the picture is good. bad: bool N. kinds: int64 N into `classes`, -1 for good.
    sizes: the pictures' own (width, height), each once.
    """

    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    images: Tensor
    cells: Tensor
    masked: Tensor
    bad: Tensor
    kinds: Tensor
    sizes: tuple[tuple[int, int], ...]

    @property
    def has_goods(self) -> bool:
        """Whether it can be learnt what a defect is; else only which class it is of."""
        return not bool(self.bad.all())


def without_defects(pictures: Sequence[Picture]) -> bool:
    """Whether good pictures are labelled, and no defect."""
    return {picture.label for picture in pictures} - {""} == {GOOD}


def labelled(pictures: Sequence[Picture], needs_goods: bool = False, good_only: bool = False) -> list[Picture]:
    """The pictures that carry a label: good ones and defects, or, but for `needs_goods`, defects of several classes.

    With `good_only` good pictures are enough. Raises ConfigError where there is nothing to learn from.
    """
    known = [picture for picture in pictures if picture.label]
    goods = sum(picture.label == GOOD for picture in known)
    if not known:
        raise ConfigError(f"none of the {len(pictures)} pictures has a label: label some {GOOD!r} and some defects")
    if good_only and goods < FEWEST_GOODS:
        raise ConfigError(
            f"{goods} pictures are labelled {GOOD!r}: good pictures alone take {FEWEST_GOODS} or more; label more, or "
            "label defects"
        )
    if goods == 0 and (needs_goods or len({picture.label for picture in known}) == 1):
        raise ConfigError(f"all {len(known)} labelled pictures are defects: add good ones, labelled {GOOD!r}")
    if goods == len(known) and not good_only:
        raise ConfigError(f"all {goods} labelled pictures are {GOOD!r}: label defects, 20 or more to begin with")
    return known


def load(pictures: Sequence[Picture], spec: InputSpec, tick: Callable[[], None]) -> Labelled:
    """Read, convert and stack the labelled `pictures`; `tick` is called after each.

    Raises ConfigError that names the picture which is broken, lies outside the region of interest, or whose mask
    does not fit.
    """
    images = np.empty((len(pictures), *spec.shape()[1:]), np.uint8)
    cells = np.zeros((len(pictures), spec.height, spec.width), np.uint8)
    sizes: dict[tuple[int, int], None] = {}
    for index, (picture, size) in enumerate(zip(pictures, see(pictures, spec, images), strict=True)):
        sizes[size] = None
        if picture.mask is not None:
            cells[index] = mask_to_input(read_mask(picture, size[1], size[0]), spec) != 0
        tick()
    return _stack(pictures, images, cells, tuple(sizes))


def see(pictures: Sequence[Picture], spec: InputSpec, into: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Convert the pictures one after the other `into` uint8 N x H x W x C; gives each one's own width and height.

    Raises ConfigError that names the picture which cannot be read or lies outside the region of interest.
    """
    pixels = Pixels(spec)
    for index, picture in enumerate(pictures):
        image = read_image(picture.path)  # always in colour: pixels turns it grey, as it does on the device
        try:
            pixels.to_input(image, into[index : index + 1])
        except ConfigError as error:
            raise ConfigError(f"{picture.path}: {error}") from error
        yield image.shape[1], image.shape[0]


def in_batches(pictures: Sequence[Picture], spec: InputSpec) -> Iterator[Tensor]:
    """The pictures as the network sees them, so many at once as memory never minds: uint8 B x H x W x C.

    Raises ConfigError as `see` does.
    """
    for start in range(0, len(pictures), AT_ONCE):
        some = pictures[start : start + AT_ONCE]
        images = np.empty((len(some), *spec.shape()[1:]), np.uint8)
        for _ in see(some, spec, images):
            pass
        yield torch.from_numpy(images)


def one_class(data: Labelled) -> Labelled:
    """The same with defects of whatever class being defects."""
    return replace(data, classes=(), kinds=torch.where(data.bad, 0, -1))


def _stack(
    pictures: Sequence[Picture],
    images: np.ndarray,
    cells: np.ndarray,
    sizes: tuple[tuple[int, int], ...],
) -> Labelled:
    classes = tuple(sorted({picture.label for picture in pictures} - {GOOD}))
    kinds = [classes.index(picture.label) if picture.label != GOOD else -1 for picture in pictures]
    bad = torch.tensor([kind >= 0 for kind in kinds])
    masked = torch.tensor([picture.mask is not None or picture.label == GOOD for picture in pictures])
    return Labelled(
        tuple(pictures),
        classes,
        torch.from_numpy(images),
        torch.from_numpy(cells),
        masked,
        bad,
        torch.tensor(kinds),
        sizes,
    )


def to_cells(masks: Tensor) -> Tensor:
    """B x H x W defect pixels as float B x H/8 x W/8: a cell is a defect when any of its pixels is."""
    return torch.nn.functional.max_pool2d(masks.float().unsqueeze(1), STEP).squeeze(1)
