"""Finds pictures that are one exposure, saved again: smaller, as JPEG, brighter. They would leak across a split.

Good parts of a steady process look alike without being copies, so the set itself says what alike means: the pictures of
a pair of copies differ by far less than others do from those that resemble them most. A difference is what remains
after blur, with any tone curve taken out. Copies that were cropped, turned, mirrored or moved by more than a hundredth
of their side are not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.leaks import fingerprint_of
from edge.errors import ConfigError
from edge.picture_set import Image, Picture, read_image

# Of the median, and of the 20th part, of how pictures differ from the second most alike. The first holds where copies
# are many, the second knows a steady process better. Of four real sets no pair stays below that is none.
OF_MEDIAN, OF_LEAST = 0.05, 0.24
LEAST, MOST = 0.3, 2.5  # grey levels of 255 that the limit stays between
NEAREST = (1, 2, 3, 8)  # the places, by likeness, of the pictures that each one is compared with
TONES = 6  # degree of the tone curve that a brightened copy may have
DARK, BRIGHT = 8.0, 225.0  # grey levels beyond which a brightened copy may have lost what it was
_SIDE, _MARGIN = 128, 6
_BLUR = 2.0  # of the pictures at _SIDE: what JPEG and resizing change is finer
_KEPT = 58  # (_SIDE - 2 * _MARGIN) / 2
_COARSE = 29
_BLOCK = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What N pictures look like: grey and blurred, float32 N x 58 x 58 in levels 0..255, and their fingerprints."""

    thumbs: NDArray[np.float32]
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """Two pictures of one exposure; `difference` in grey levels, 0 for the same pixels."""

    first: Picture
    second: Picture
    difference: float


def looks(pictures: Iterable[Picture], tick: Callable[[], None] = lambda: None) -> Looks:
    """What the pictures look like; `tick` after each. Raises ConfigError for a picture that cannot be read."""
    return looks_of(_ticking((read_image(picture.path) for picture in pictures), tick))


def _ticking(images: Iterable[Image], tick: Callable[[], None]) -> Iterator[Image]:
    for image in images:
        yield image
        tick()


def looks_of(images: Iterable[Image]) -> Looks:
    """The same of pictures that are read already: uint8 H x W x 3 (BGR), one at a time."""
    thumbs, prints = [], []
    for image in images:
        thumbs.append(_thumb(image))
        prints.append(fingerprint_of(image))
    return Looks(np.array(thumbs, np.float32).reshape(-1, _KEPT, _KEPT), tuple(prints))


def _thumb(image: Image) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    method = cv2.INTER_AREA if min(grey.shape) >= _SIDE else cv2.INTER_CUBIC
    blurred = cv2.GaussianBlur(cv2.resize(grey, (_SIDE, _SIDE), interpolation=method), (0, 0), _BLUR)
    inner = blurred[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return np.asarray(cv2.resize(inner, (_KEPT, _KEPT), interpolation=cv2.INTER_AREA), np.float32)


def copies(pictures: Sequence[Picture], seen: Looks) -> list[Copy]:
    """The pairs of different groups that are copies, the least different first. `seen` is `looks` of the pictures."""
    if len(pictures) < 2:
        return []
    groups = np.unique([picture.group for picture in pictures], return_inverse=True)[1]
    same = {(one, other): 0.0 for one, other in _same_pixels(seen) if groups[one] != groups[other]}
    near = {pair: difference(*seen.thumbs[list(pair)]) for pair in _alike(seen.thumbs, groups)}
    limit = _limit(near, len(pictures))
    pairs = same | {pair: apart for pair, apart in near.items() if apart <= limit and pair not in same}
    found = [Copy(pictures[one], pictures[other], apart) for (one, other), apart in pairs.items()]
    return sorted(found, key=lambda pair: (pair.difference, pair.first.name, pair.second.name))


def _same_pixels(seen: Looks) -> list[tuple[int, int]]:
    """Pairs of the same decoded pixels: every later one with the first."""
    first: dict[str, int] = {}
    pairs = ((first.setdefault(one, index), index) for index, one in enumerate(seen.fingerprints))
    return [pair for pair in pairs if pair[0] != pair[1]]


def _alike(thumbs: NDArray[np.float32], groups: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Each picture with those of other groups that resemble it most when seen from afar."""
    small = np.array([cv2.resize(thumb, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for thumb in thumbs])
    flat = small.reshape(len(small), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    pairs, places = set(), [place - 1 for place in NEAREST if place <= len(flat)]
    for start in range(0, len(flat), _BLOCK):
        alike = flat[start : start + _BLOCK] @ flat.T
        alike[groups[start : start + _BLOCK, None] == groups[None]] = -2.0
        for row, values in enumerate(alike, start):
            for other in np.argpartition(-values, places)[places]:
                if values[other] > -2.0:
                    pairs.add((min(row, int(other)), max(row, int(other))))
    return pairs


def _limit(near: dict[tuple[int, int], float], count: int) -> float:
    """Up to which difference a pair is a pair of copies: by what pictures usually differ from those most alike."""
    apart: list[list[float]] = [[] for _ in range(count)]
    for pair, value in near.items():
        for index in pair:
            apart[index].append(value)
    other = [_of_another(sorted(values)) for values in apart if values]
    usual, least = np.quantile(other, (0.5, 0.05)) if other else (0.0, 0.0)
    return min(MOST, max(LEAST, OF_MEDIAN * float(usual), OF_LEAST * float(least)))


def _of_another(apart: Sequence[float]) -> float:
    """By how much a picture differs from the one most alike that is no copy of it; `apart`: from some, rising.

    Not from the most alike, nor from any that differs by far less than the next: a set that holds everything twice, or
    eight times, would hide all copies.
    """
    place = min(1, len(apart) - 1)
    for later in range(2, len(apart)):
        if apart[later - 1] < OF_LEAST * apart[later]:
            place = later
    return apart[place]


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """By how many grey levels two thumbnails differ (root mean square), any tone curve taken out."""
    sound = (one > DARK) & (one < BRIGHT) & (other > DARK) & (other < BRIGHT)
    if sound.mean() < 0.4:
        sound[:] = True
    here, there = one[sound].astype(np.float64), other[sound].astype(np.float64)
    return max(_unexplained(here, there), _unexplained(there, here))


def _unexplained(here: NDArray[np.float64], there: NDArray[np.float64]) -> float:
    """What no smooth tone curve says about `here`, given `there`."""
    middle, reach = (there.max() + there.min()) / 2, max(float(np.ptp(there)) / 2, 1e-3)
    terms = np.polynomial.chebyshev.chebvander((there - middle) / reach, TONES)
    weights = np.linalg.lstsq(terms.T @ terms, terms.T @ here, rcond=None)[0]
    return float(np.std(here - terms @ weights))


def joined(pictures: Sequence[Picture], found: Sequence[Copy]) -> dict[str, str]:
    """The one group of all groups that copies link, for each group that is linked; a named one where there is one."""
    names = {picture.name for picture in pictures}
    into: dict[str, str] = {}
    for pair in found:
        first, second = _root(into, pair.first.group), _root(into, pair.second.group)
        if first != second:
            kept, other = sorted((first, second), key=lambda group: (group in names, group))
            into[other] = kept
    return {group: _root(into, group) for group in into}


def _root(into: dict[str, str], group: str) -> str:
    while group in into:
        group = into[group]
    return group


def refuse_copies(found: Sequence[Copy]) -> None:
    """Raise ConfigError that shows the pairs, where copies stand in different groups."""
    if found:
        raise ConfigError(
            f"{len(found)} pairs of pictures are copies of one exposure in different groups ({_listed(found)}): a "
            "network would be tested on what it learnt; give both pictures of a pair one group in labels.csv, or "
            "remove one (edge-train copies shows all pairs and writes such a labels.csv)"
        )


def refuse_copies_between(learnt: Sequence[Picture], held: Sequence[Picture], what: str) -> None:
    """Raise ConfigError where the acceptance set `held` has copies of pictures that were used for `what`."""
    both = [replace(one, group="learnt") for one in learnt] + [replace(one, group="held") for one in held]
    found = copies(both, looks(both))
    if found:
        raise ConfigError(
            f"{len(found)} acceptance pictures are copies of pictures that were used for {what} ({_listed(found)}): "
            "evidence on them is worth nothing; hold out pictures that nothing has seen"
        )


def _listed(found: Sequence[Copy], most: int = 3) -> str:
    pairs = ", ".join(f"{pair.first.name} = {pair.second.name}" for pair in found[:most])
    return pairs + (f" and {len(found) - most} more" if len(found) > most else "")
