"""Says how good a camera's pictures are: focus, exposure, clipping, flicker, motion blur; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.clock import SECOND

CLIPPED_LOW, CLIPPED_HIGH = 2, 253
MAINS_HZ = (100.0, 120.0)  # lamps flicker at twice the mains' frequency
FLICKER_FRAMES = 32
FLICKERS = 0.02  # a brightness that varies by less is steady
SURE = 0.1  # a phase correlation with a lower peak has found nothing
ENOUGH = 5  # pairs of pictures that show a speed
UNSTEADY = 0.25  # speeds that differ by more than this share of their median are no belt's
SIDE = 512  # motion is looked for in a picture of at most this size
FAINT = 40.0
GLARING = 210.0
# What must be as it was learned, by how much it may differ, and how it is written.
ALIKE = "light, colour and focus are as the student learned them"
LIKENESS = (
    ("brightness", "mean", 0.1, ".0f"),
    ("contrast", "contrast", 0.15, ".0f"),
    ("red beside green", "red", 0.05, ".2f"),
    ("blue beside green", "blue", 0.05, ".2f"),
    ("focus", "focus", 0.1, ".0f"),
)

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture says of itself. `mean`, `low`, `high`: its mean grey level and its 1st and 99th percentile.
    `dark`, `bright`: the shares of clipped pixels. `focus`: the variance of its Laplacian, as if its mean were 128, so
    that light alone changes nothing. `red`, `blue`: these channels' means as shares of green's; 1 of grey pictures.
    """

    captured_ns: int
    mean: float
    low: float
    high: float
    dark: float
    bright: float
    focus: float
    red: float = 1.0
    blue: float = 1.0

    @property
    def contrast(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Flicker:
    """How much the mean brightness varies, as a share of itself, how fast, and whether the mains would look so."""

    share: float
    hz: float
    is_mains: bool


@dataclass(frozen=True, slots=True, eq=False)
class Small:
    """A picture reduced to grey levels of at most SIDE pixels; `scale` of its pixels are one of these."""

    levels: NDArray[np.float32]
    scale: float
    captured_ns: int


@dataclass(frozen=True, slots=True)
class Motion:
    """How far the picture moved from one frame to the next, in pixels a second."""

    px_per_s: float


def grey(image: Image) -> Image:
    """H x W of a picture in H x W or H x W x 3 (BGR)."""
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def look_at(image: Image, captured_ns: int) -> Look:
    """A picture in figures; uint8 H x W or H x W x 3."""
    levels = grey(image)
    mean = float(levels.mean())
    low, high = percentiles(levels, (1, 99))
    focus = focus_of(levels)
    dark = np.count_nonzero(levels <= CLIPPED_LOW) / levels.size
    # a coloured surface saturates one channel long before its grey value shows it
    bright = np.count_nonzero(image >= CLIPPED_HIGH) / image.size
    blue, green, red = (1.0, 1.0, 1.0) if image.ndim == 2 else (value + 1.0 for value in cv2.mean(image)[:3])
    return Look(captured_ns, mean, low, high, dark, bright, focus, red / green, blue / green)


def percentiles(levels: Image, of: tuple[int, ...]) -> list[float]:
    """As `np.percentile` of uint8 H x W has them (in grey levels, of percent), by counting instead of sorting: a
    twentieth of its time."""
    counted = np.cumsum(cv2.calcHist([levels], [0], None, [256], [0, 256]), dtype=np.float64)
    places = np.asarray(of) / 100 * (levels.size - 1)
    below = np.searchsorted(counted, np.floor(places), "right")
    above = np.searchsorted(counted, np.ceil(places), "right")
    return [float(level) for level in below + (above - below) * (places % 1)]


def look_as_seen(seen: Image) -> Look:
    """A network's input, uint8 1 x H x W x C (RGB or grey), in figures."""
    return look_at(np.ascontiguousarray(seen[0, ..., ::-1]) if seen.shape[3] == 3 else seen[0, ..., 0], 0)


def focus_of(levels: Image) -> float:
    """The variance of the Laplacian of H x W grey levels, as if their mean were 128; 0.5 ms for 640 x 640."""
    _, spread = cv2.meanStdDev(cv2.Laplacian(levels, cv2.CV_16S))
    mean = max(cv2.mean(levels)[0], 1.0)
    return float(spread[0, 0] * 128.0 / mean) ** 2


def small(image: Image, captured_ns: int) -> Small:
    """A picture as `motion` takes it."""
    levels = grey(image)
    scale = min(1.0, SIDE / max(levels.shape))
    size = (round(levels.shape[1] * scale), round(levels.shape[0] * scale))
    reduced = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    return Small(np.asarray(reduced, np.float32), levels.shape[1] / size[0], captured_ns)


def motion(before: Small, after: Small) -> Motion | None:
    """How fast the content moves from one picture to the next; None where nothing in them says so.

    What moves by half a picture or more between two frames is seen too slow.
    """
    between_ns = after.captured_ns - before.captured_ns
    if before.levels.shape != after.levels.shape or between_ns <= 0:
        return None
    window = cv2.createHanningWindow((before.levels.shape[1], before.levels.shape[0]), cv2.CV_32F)
    (right, down), peak = cv2.phaseCorrelate(before.levels, after.levels, window)
    return None if peak < SURE else Motion(float(np.hypot(right, down)) * before.scale * SECOND / between_ns)


def flicker(looks: Sequence[Look]) -> Flicker | None:
    """How the light varies over 32 frames or more of a camera that runs freely over a standing belt; None for fewer."""
    if len(looks) < FLICKER_FRAMES:
        return None
    times = np.array([look.captured_ns for look in looks], np.float64) / SECOND
    means = np.array([look.mean for look in looks])
    share = float(np.subtract(*np.percentile(means, (95, 5))) / max(means.mean(), 1.0))
    even = np.linspace(times[0], times[-1], len(times))
    rate = (len(times) - 1) / max(times[-1] - times[0], 1e-9)
    levels = np.interp(even, times, means)
    spectrum = np.abs(np.fft.rfft((levels - levels.mean()) * np.hanning(len(levels))))
    strongest = 1 + int(np.argmax(spectrum[1:]))
    hz, step = strongest * rate / len(levels), rate / len(levels)
    seen = [abs(mains - round(mains / rate) * rate) for mains in MAINS_HZ]
    return Flicker(share, hz, any(abs(alias - hz) <= 1.5 * step for alias in seen))


def focus_words(looks: Sequence[Look]) -> str:
    """The focus of the pictures, and how to find the best."""
    values = [look.focus for look in looks]
    return (
        f"focus {np.median(values):.0f}, from {min(values):.0f} to {max(values):.0f}: turn the lens until it is "
        f"highest, with a part in the picture; then focus_min = {min(values) / 2:.1f} refuses what is blurred"
    )


def light_words(looks: Sequence[Look]) -> str:
    """Exposure and clipping."""
    mean, bright = float(np.median([look.mean for look in looks])), max(look.bright for look in looks)
    low, high = np.median([look.low for look in looks]), np.median([look.high for look in looks])
    words = f"brightness {mean:.0f} of 255, from {low:.0f} to {high:.0f}; {bright:.1%} saturated"
    if bright > 0.01:
        return f"{words}: what is saturated shows no defect; shorten the exposure or turn the light down"
    if mean < FAINT:
        return f"{words}: dark; lengthen the exposure or add light"
    return f"{words}: bright; shorten the exposure" if mean > GLARING else words


def flicker_words(found: Flicker | None) -> str:
    """Whether the light is steady."""
    if found is None:
        return f"flicker: too few pictures of a free-running camera; {FLICKER_FRAMES} are needed"
    if found.share < FLICKERS:
        return f"flicker: none, brightness varies by {found.share:.1%}"
    cause = "as the mains do: use a DC light, or an exposure of whole half-waves (10 or 8.33 ms)"
    other = "by parts that move, or by a light that changes: look again at a standing belt"
    return f"flicker: brightness varies by {found.share:.1%} at {found.hz:.1f} Hz, {cause if found.is_mains else other}"


def blur_words(moved: Sequence[Motion], exposure_us: float | None) -> str:
    """The motion blur of the speed that the pictures show."""
    speeds = np.array([each.px_per_s for each in moved])
    speed = float(np.median(speeds)) if len(speeds) else 0.0
    if len(speeds) < ENOUGH or float(np.median(np.abs(speeds - speed))) > UNSTEADY * speed:
        return "motion blur: nothing was seen to move steadily; look again at a running belt"
    if exposure_us is None:
        return f"motion: {speed:.0f} pixels a second; give --exposure-us to know the blur"
    blur = speed * exposure_us / 1e6
    words = f"motion blur: {blur:.2f} pixels at {speed:.0f} pixels a second and {exposure_us:.0f} us"
    return words if blur <= 1.0 else f"{words}: expose for {1e6 / speed:.0f} us or less, with more light"


def likeness_words(live: Sequence[Look], learned: Sequence[Look]) -> str:
    """Whether this is the light, the colour and the focus that the student learned from; both as the network sees
    them. The live median must lie within what was learned, give or take a share of it."""
    found = []
    for name, field, share, form in LIKENESS:
        known = sorted(float(getattr(look, field)) for look in learned)
        now = float(np.median([getattr(look, field) for look in live]))
        if not known[0] * (1 - share) <= now <= known[-1] * (1 + share):
            found.append(f"{name} {now:{form}}, learned from {known[0]:{form}} to {known[-1]:{form}}")
    saturated, was = float(np.median([look.bright for look in live])), max(look.bright for look in learned)
    if saturated > was + 0.01:
        found.append(f"{saturated:.1%} saturated, learned from up to {was:.1%}")
    if not found:
        return ALIKE
    return f"NOT as the student learned: {'; '.join(found)}; set light and lens back, or learn from new pictures"
