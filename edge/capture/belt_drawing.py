"""Draws the simulated conveyor: a woven belt, metal washers with a rubber ring, and their defects; pure, seeded.

Everything costly is drawn once (`Scenery`); a frame is then a few passes of 8-bit copies. What a part looks like
depends on the seed and its number only, so a training set and the live belt show the same world.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Field = NDArray[np.float32]

VARIANTS = 8  # how many different surfaces the washers have
BLOTCHES = 3.0  # grey levels by which each part's surface is its own
LIGHT_PERIODS = (2_600.0, 710.0)  # parts per swing of the lamp: minutes at usual rates
MARGIN = 64  # how far noise and belt windows may shift, pixels
RIM = 0.88  # the washer's radius as a share of half a sprite; the rest is for its shadow
LAMP = 2.2  # where the lamp stands, radians
VISIBLE = 5.0  # grey levels from which a change counts as the defect's


@dataclass(frozen=True, slots=True)
class Look:
    """How the camera sees the belt: picture size, lamp drift (share) and sensor noise (grey levels)."""

    seed: int
    width: int = 640
    height: int = 640
    light_drift: float = 0.15
    noise: float = 3.0

    @property
    def side(self) -> int:
        """The side of a part's square sprite in pixels, a multiple of 2."""
        return int(min(self.width, self.height) * 0.38) * 2

    @property
    def pitch_px(self) -> float:
        """How far apart two parts are on the belt, in pixels, at exactly one pitch."""
        return 1.25 * self.width


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """One part: BGR side x side x 3, `solid` 255 where the part hides the belt, `shade` what its shadow leaves."""

    image: Image
    solid: Image
    shade: Image


def _rng(seed: int, number: int, what: int) -> np.random.Generator:
    return np.random.default_rng((seed & 0xFFFF_FFFF, number & 0xFFFF_FFFF_FFFF, what))


def light_at(look: Look, position: float) -> float:
    """The lamp's brightness (1 = nominal) when part number `position` (may be between parts) passes."""
    phases = _rng(look.seed, 0, 1).uniform(0, 2 * np.pi, 2)
    slow, fast = (
        np.sin(2 * np.pi * position / period + phase) for period, phase in zip(LIGHT_PERIODS, phases, strict=True)
    )
    return float(1.0 + look.light_drift * (0.75 * slow + 0.25 * fast))


def _grain(rng: np.random.Generator, shape: tuple[int, int], along: float, across: float) -> Field:
    """Unit-variance noise, smeared `along` x and `across` y (sigmas in pixels)."""
    coarse_x, coarse_y = max(1, int(along / 3)), max(1, int(across / 3))
    # a wide smear is drawn small and enlarged: the same look for a tenth of the time
    small = (max(2, -(-shape[0] // coarse_y)), max(2, -(-shape[1] // coarse_x)))
    noise = rng.standard_normal(small, np.float32)
    spread = (max(along / coarse_x, 0.3), max(across / coarse_y, 0.3))
    smeared = cv2.GaussianBlur(noise, (0, 0), sigmaX=spread[0], sigmaY=spread[1])
    if small != shape:
        smeared = cv2.resize(smeared, shape[::-1], interpolation=cv2.INTER_CUBIC)
    deviation = max(float(cv2.meanStdDev(smeared)[1][0, 0]), 1e-6)
    return np.asarray(np.divide(smeared, deviation, out=smeared), np.float32)


def _belt(look: Look) -> Image:
    """The belt, longer than a picture: dark rubber with a weave, stretch marks and some dust."""
    rng = _rng(look.seed, 0, 2)
    shape = (look.height + MARGIN, look.width + 8 * MARGIN)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    weave = 2.5 * np.sin(rows * (2 * np.pi / 7)) * np.sin(columns * (2 * np.pi / 9))
    grey = (
        52
        + weave
        + 2.5 * _grain(rng, shape, 0.6, 0.6)
        + 3.0 * _grain(rng, shape, 90, 2)
        + 2.0 * _grain(rng, shape, 25, 25)
    )
    dust = rng.random(shape, np.float32) > 0.9996
    grey += 45 * cv2.GaussianBlur(dust.astype(np.float32), (0, 0), 0.9) * 4
    return _tinted(grey, (1.04, 1.0, 0.97))


def _tinted(grey: Field, tint: tuple[float, float, float]) -> Image:
    image = np.empty((*grey.shape, 3), np.uint8)
    for channel, share in enumerate(tint):
        image[:, :, channel] = np.clip(grey * share, 0, 255)
    return image


def _grey(plane: Image) -> Image:
    return np.asarray(cv2.merge([plane] * 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Disc:
    """What all washers of a size have in common, side x side: `angle` in radians, `lamp` its cosine to the lamp, `ring`
    a share, `bevel`, `gleam`, `grooves` and `hole` grey levels; outline and shadow as a Sprite has them."""

    angle: Field
    lamp: Field
    bevel: Field
    ring: Field
    gleam: Field
    grooves: Field
    hole: Field
    solid: Image
    shade: Image


@lru_cache(maxsize=4)
def _disc(side: int) -> _Disc:
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    x, y = (columns - side / 2 + 0.5) / (side / 2), (rows - side / 2 + 0.5) / (side / 2)
    radius, angle = np.hypot(x, y) / RIM, np.arctan2(y, x)
    lamp = np.cos(angle + LAMP)
    solid = np.where((radius < 1.0) & (radius > 0.2), np.uint8(255), np.uint8(0))
    shadow = cv2.GaussianBlur(np.roll(solid, (side // 60, side // 45), (0, 1)), (0, 0), side / 70)
    return _Disc(
        angle=angle,
        lamp=lamp,
        bevel=_band(radius, 0.90, 0.98) * 42 * lamp,  # catches the lamp on one side
        ring=_band(radius, 0.50, 0.60),
        gleam=22 * _band(radius, 0.535, 0.555) * (0.6 + 0.4 * lamp),
        grooves=55 * (_band(radius, 0.485, 0.50) + _band(radius, 0.60, 0.615) + _band(radius, 0.98, 1.01)) * 0.8,
        hole=50 * _band(radius, 0.20, 0.235),
        solid=solid,
        shade=_grey(np.asarray(255 - 0.55 * shadow, np.uint8)),
    )


@lru_cache(maxsize=4 * VARIANTS)
def _washer(look: Look, variant: int) -> Sprite:
    """A turned metal disc with a bevel, a rubber ring in a groove and a hole; drawn when its first part comes."""
    rng, disc = _rng(look.seed, variant, 3), _disc(look.side)
    grey = _metal(rng, look.side, disc)
    grey += disc.bevel
    rubber = 48 + 4 * _grain(rng, disc.ring.shape, 1.2, 1.2) + disc.gleam
    grey = grey * (1 - disc.ring) + rubber * disc.ring
    grey -= disc.grooves
    grey -= disc.hole
    return Sprite(_tinted(grey, (1.0, 0.985, 0.96)), disc.solid, disc.shade)


def _metal(rng: np.random.Generator, side: int, disc: _Disc) -> Field:
    """Brushed metal: streaks in one direction, a fan-shaped highlight, blotches of the rolling mill."""
    wide = int(side * 1.5)
    brushed = 6.0 * _grain(rng, (wide, wide), 28, 0.5) + 3.0 * _grain(rng, (wide, wide), 60, 2.0)
    turn = cv2.getRotationMatrix2D((wide / 2, wide / 2), float(rng.uniform(0, 180)), 1.0)
    cut = (wide - side) // 2
    streaks = cv2.warpAffine(brushed, turn, (wide, wide), borderMode=cv2.BORDER_REFLECT)[
        cut : cut + side, cut : cut + side
    ]
    fan = 16 * np.cos(2 * (disc.angle - rng.uniform(0, np.pi))) + 7 * disc.lamp
    return np.asarray(rng.uniform(140, 158) + streaks + fan + 3.5 * _grain(rng, (side, side), 30, 30), np.float32)


def _band(radius: Field, inner: float, outer: float) -> Field:
    """1 between two radii with soft borders of about a pixel."""
    soft = 0.006
    return np.asarray(np.clip((radius - inner) / soft, 0, 1) * np.clip((outer - radius) / soft, 0, 1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Scenery:
    """What is drawn once for a look: the belt, the blotches of which every part has others, the lens' vignette and the
    noise; of blotches and noise what brightens and what darkens."""

    belt: Image
    blotch_up: Image
    blotch_down: Image
    vignette: Image
    noise_up: Image
    noise_down: Image


@lru_cache(maxsize=4)
def scenery(look: Look) -> Scenery:
    """The scenery of a look; kept for the last few looks. Takes about a tenth of a second at 640 x 640."""
    rng = _rng(look.seed, 0, 4)
    noise = rng.standard_normal((look.height + MARGIN, look.width + MARGIN, 3), np.float32) * look.noise
    rows, columns = np.mgrid[0 : look.height, 0 : look.width].astype(np.float32)
    distance = np.hypot(columns / look.width - 0.48, rows / look.height - 0.52)
    vignette = np.asarray(200 * (1 - 0.55 * distance**2), np.uint8)
    blotches = BLOTCHES * _grain(_rng(look.seed, 0, 9), (2 * look.side, 2 * look.side), 30, 30)
    up, down = (_grey(half) for half in _halves(blotches))
    brighter, darker = _halves(noise)
    return Scenery(
        belt=_belt(look),
        vignette=_grey(vignette),
        blotch_up=up,
        blotch_down=down,
        noise_up=brighter,
        noise_down=darker,
    )


def _halves(field: Field) -> tuple[Image, Image]:
    """What a field of grey levels adds, and what it takes away."""
    up, down = (np.asarray(np.rint(np.clip(half, 0, 255)), np.uint8) for half in (field, -field))
    return up, down


# --- defects: each returns a square patch of the grey levels it adds to the part; `scale` is 1 at 640 pixels ------


def _scratch(rng: np.random.Generator, scale: float) -> Field:
    """A thin bent line with a lighter or darker flank, fading at its ends."""
    length = rng.uniform(60, 170) * scale
    direction = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.06, 24))
    path = np.cumsum(np.stack([np.cos(direction), np.sin(direction)], 1) * (length / 24), 0)
    half = int(length / 2 + 6 * scale + 4)
    path += half - (path.max(0) + path.min(0)) / 2
    depth = rng.uniform(45, 85) * rng.choice((-1.0, 1.0), p=(0.6, 0.4))
    thick = rng.uniform(1.8, 3.8, len(path)) * scale
    line = _stroke(path, thick, half) - 0.5 * _stroke(path + 1.1 * scale, thick, half)
    return np.asarray(depth * line, np.float32)


def _stroke(path: NDArray[np.float64], thick: NDArray[np.float64], half: int) -> Field:
    """A soft polyline of strength 1 that fades over its first and last steps."""
    patch = np.zeros((2 * half, 2 * half), np.float32)
    points = np.asarray(np.rint(path * 16), int)  # cv2 takes fixed-point coordinates of 4 bits
    last = len(path) - 1
    for index in range(last):
        strength = min(1.0, (index + 1) / 6, (last - index) / 6)
        begin, end = points[index].tolist(), points[index + 1].tolist()
        cv2.line(patch, begin, end, strength, max(1, round(thick[index])), cv2.LINE_8, 4)
    return np.asarray(cv2.GaussianBlur(patch, (0, 0), 0.7), np.float32)


def _from_centre(half: int) -> tuple[Field, Field]:
    """x and y of each pixel of a patch, from its centre."""
    rows, columns = np.mgrid[-half:half, -half:half].astype(np.float32)
    return np.asarray(columns, np.float32), np.asarray(rows, np.float32)


def _dent(rng: np.random.Generator, scale: float) -> Field:
    """A shallow dimple: the slope towards the lamp is dark, the far slope bright."""
    radius = rng.uniform(9, 22) * scale
    stretch, turn = rng.uniform(0.7, 1.4), rng.uniform(0, np.pi)
    x, y = _from_centre(int(radius * 4.2) + 2)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    bowl = np.exp(-((along / (radius * stretch)) ** 2 + (across * stretch / radius) ** 2) / 2)
    lamp = LAMP + rng.normal(0, 0.15)
    slope = (x * np.cos(lamp) - y * np.sin(lamp)) / radius
    return np.asarray(rng.uniform(28, 52) * (slope * bowl * 1.3 - 0.25 * bowl), np.float32)


def _stain(rng: np.random.Generator, scale: float) -> Field:
    """A film of dried fluid: an uneven blot with a ragged border, a little darker at its rim."""
    radius = rng.uniform(16, 42) * scale
    x, y = _from_centre(int(radius * 1.9) + 2)
    distance = np.hypot(x, y) / radius + 0.22 * _grain(rng, x.shape, radius / 2.5, radius / 2.5)
    inside = np.clip((1.0 - distance) / 0.12, 0, 1)
    rim = np.clip(1 - np.abs(distance - 0.94) / 0.10, 0, 1)
    uneven = 1 + 0.25 * _grain(rng, x.shape, radius / 5, radius / 5)
    return np.asarray(-rng.uniform(13, 28) * (inside * uneven + 0.6 * rim), np.float32)


_DRAWN: dict[str, Callable[[np.random.Generator, float], Field]] = {
    "scratch": _scratch,
    "dent": _dent,
    "stain": _stain,
}
# how much of a defect each colour takes (B, G, R): scratches and dents are grey, a stain is brownish
_TINTS = {"scratch": (1.0, 1.0, 1.0), "dent": (1.0, 1.0, 1.0), "stain": (1.25, 1.0, 0.75)}


def _defect_field(look: Look, number: int, defect: str) -> tuple[Field, tuple[slice, slice]]:
    """The grey levels that the defect of part `number` adds, and the rows and columns of the sprite it changes."""
    rng = _rng(look.seed, number, 5)
    side = look.side
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.27, 0.86) * RIM * side / 2
    patch = _DRAWN[defect](rng, side / 486)
    left = int(side / 2 + radius * np.cos(angle)) - patch.shape[1] // 2
    top = int(side / 2 + radius * np.sin(angle)) - patch.shape[0] // 2
    x0, x1 = max(0, left), min(side, left + patch.shape[1])
    y0, y1 = max(0, top), min(side, top + patch.shape[0])
    return patch[y0 - top : y1 - top, x0 - left : x1 - left], (slice(y0, y1), slice(x0, x1))


def washer_of(look: Look, number: int) -> Sprite:
    """The undamaged surface of part `number`: one of a few, with blotches that no other part has."""
    scene, rng = scenery(look), _rng(look.seed, number, 6)
    washer = _washer(look, int(rng.integers(VARIANTS)))
    y, x = (int(value) for value in rng.integers(0, look.side, 2))
    window = (slice(y, y + look.side), slice(x, x + look.side))
    image = cv2.add(washer.image, scene.blotch_up[window])
    cv2.subtract(image, scene.blotch_down[window], dst=image)
    return Sprite(np.asarray(image, np.uint8), washer.solid, washer.shade)


@lru_cache(maxsize=4)
def sprite_of(look: Look, number: int, defect: str) -> Sprite:
    """Part `number` with its defect ("" = none), before light, lens and noise."""
    washer = washer_of(look, number)
    if not defect:
        return washer
    field, window = _defect_field(look, number, defect)
    image = washer.image
    changed = image[window] + np.dstack([field * share for share in _TINTS[defect]])
    image[window] = np.clip(changed, 0, 255).astype(np.uint8)
    return Sprite(image, washer.solid, washer.shade)


def offset_of(look: Look, number: int) -> tuple[int, int]:
    """How far (x, y) part `number` lies from the picture's centre when it is photographed, in pixels."""
    reach = 0.012 * min(look.width, look.height)
    x, y = _rng(look.seed, number, 7).uniform(-reach, reach, 2)
    return round(float(x)), round(float(y))


def draw(look: Look, parts: Sequence[tuple[int, str, int]], position: float, number: int, out: Image) -> None:
    """Draw one frame into `out` (uint8 height x width x 3, BGR).

    parts: (part number, defect, pixels the part's centre is right of the picture's). position: the belt's travel in
    pitches, which sets belt texture and light. number: picks the noise.
    """
    scene = scenery(look)
    travel = int(position * look.pitch_px) % (scene.belt.shape[1] - look.width)
    start = scene.belt.shape[1] - look.width - travel  # the belt moves to the right
    np.copyto(out, scene.belt[: look.height, start : start + look.width])
    for part, defect, right in parts:
        dx, dy = offset_of(look, part)
        _paste(sprite_of(look, part, defect), out, look, right + dx, dy)
    cv2.multiply(out, scene.vignette, dst=out, scale=light_at(look, position) / 200)
    x, y = (int(value) for value in _rng(look.seed, number, 8).integers(0, MARGIN, 2))
    window = (slice(y, y + look.height), slice(x, x + look.width))
    cv2.add(out, scene.noise_up[window], dst=out)
    cv2.subtract(out, scene.noise_down[window], dst=out)


def _paste(sprite: Sprite, out: Image, look: Look, dx: int, dy: int) -> None:
    """Put a sprite, clipped, where its centre is (dx, dy) from the picture's centre."""
    place = _overlap(look, dx, dy)
    if place is None:
        return
    window, cut = place
    view = out[window]
    cv2.multiply(view, sprite.shade[cut], dst=view, scale=1 / 255)
    cv2.copyTo(sprite.image[cut], sprite.solid[cut], view)


def _overlap(look: Look, dx: int, dy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """The rows and columns of the picture that a sprite covers, and those of the sprite; None outside."""
    left, top = (look.width - look.side) // 2 + dx, (look.height - look.side) // 2 + dy
    x0, x1 = max(0, left), min(look.width, left + look.side)
    y0, y1 = max(0, top), min(look.height, top + look.side)
    if x0 >= x1 or y0 >= y1:
        return None
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def draw_part(look: Look, number: int, defect: str, out: Image | None = None) -> Image:
    """The picture of part `number` with `defect` ("" = none) at the trigger: uint8 height x width x 3, BGR."""
    if out is None:
        out = np.empty((look.height, look.width, 3), np.uint8)
    draw(look, [(number, defect, 0)], float(number), number, out)
    return out


def draw_mask(look: Look, number: int, defect: str) -> Image:
    """Where `draw_part` shows the defect: uint8 height x width, 255 on it and 0 elsewhere."""
    mask = np.zeros((look.height, look.width), np.uint8)
    place = _overlap(look, *offset_of(look, number))
    if defect and place is not None:
        field, window = _defect_field(look, number, defect)
        shown = np.zeros((look.side, look.side), np.uint8)
        shown[window] = np.where(np.abs(field) >= VISIBLE, washer_of(look, number).solid[window], np.uint8(0))
        mask[place[0]] = shown[place[1]]
    return mask
