"""Chooses a calibration set and tells what it covers, lots, light and classes, what was left out, and if it will do."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import edge
from calibration.copies import Looks, copies, joined, looks_of
from calibration.leaks import Seen, hash_of, set_hash
from calibration.sample import MOST, sample
from edge.capture.appraisal import LIKENESS, Look, look_at
from edge.durable import write_whole
from edge.errors import ConfigError
from edge.picture_set import GOOD, Image, Picture, read_image

RECORD = "sample.json"
NAMELESS = "without a group"
MOST_LEFT_OUT = 0.5  # of a set, as copies: beyond, its pictures are alike without being copies
ENOUGH = 49  # of n pictures, the next goes beyond what they reached in one of n + 1 cases: here in 2 %
# light is of one kind where it differs by less than the device takes for a change
STEPS = {name: math.log1p(share) for _, name, share, _ in LIKENESS if name in ("mean", "contrast")}


@dataclass(frozen=True, slots=True, order=True)
class Light:
    """A kind of light: the step of brightness and of contrast, counted from 1 in equal ratios."""

    brightness: int
    contrast: int

    @property
    def words(self) -> str:
        """Both as ranges of grey levels."""
        return f"brightness {_range(self.brightness, 'mean')}, contrast {_range(self.contrast, 'contrast')}"


def light_of(look: Look) -> Light:
    """The kind of light of a picture."""
    return Light(_step(look.mean, "mean"), _step(look.contrast, "contrast"))


def _step(levels: float, name: str) -> int:
    return int(math.log(max(levels, 1.0)) / STEPS[name])


def _range(step: int, name: str) -> str:
    low, high = (math.exp(each * STEPS[name]) for each in (step, step + 1))
    return f"{low if step else 0:.0f}-{high:.0f}"


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A set after one look at each picture: `lights` in the order of `pictures`."""

    pictures: Sequence[Picture]
    looks: Looks
    lights: Sequence[Light]

    @property
    def seen(self) -> Seen:
        """What it gives away to a model: see `calibration.leaks`."""
        groups = frozenset(one.group for one in self.pictures if one.group != one.name)
        return Seen(frozenset(self.looks.fingerprints), groups)


def look_over(pictures: Sequence[Picture], shown: Iterable[Picture]) -> Known:
    """Read all pictures once; `shown` are the same, with their progress. Raises ConfigError for one that cannot be
    read."""
    lights: list[Light] = []

    def images() -> Iterator[Image]:
        for picture in shown:
            image = read_image(picture.path)
            lights.append(light_of(look_at(image, 0)))
            yield image

    return Known(pictures, looks_of(images()), lights)


@dataclass(frozen=True, slots=True)
class Choice:
    """The `chosen` pictures out of `among`; `left_out` are copies, each after the one that stays; `alike` so
    many that stay although they look like copies; `lights` and `fingerprints` of all, by name."""

    chosen: Sequence[Picture]
    among: Sequence[Picture]
    left_out: Sequence[tuple[Picture, Picture]]
    alike: int
    lights: dict[str, Light]
    fingerprints: dict[str, str]
    seed: int

    def hash_of(self, pictures: Iterable[Picture]) -> str:
        """`calibration.leaks.set_hash` of some of the pictures, which have been read already."""
        return hash_of((self.fingerprints[one.name], one.label) for one in pictures)

    @property
    def defects(self) -> int:
        """How many of the chosen show one."""
        return sum(one.label not in (GOOD, "") for one in self.chosen)

    def counts(self) -> dict[str, dict[str, tuple[int, int]]]:
        """For classes, groups and kinds of light: how many were chosen out of how many; nameless groups are one."""
        return {
            "classes": self._counted(lambda one: one.label or "unlabelled"),
            "groups": self._counted(lambda one: NAMELESS if one.group == one.name else one.group),
            "light": self._counted(lambda one: self.lights[one.name].words),
        }

    def _counted(self, key: Callable[[Picture], str]) -> dict[str, tuple[int, int]]:
        chosen, among = Counter(map(key, self.chosen)), Counter(map(key, self.among))
        return {name: (chosen[name], among[name]) for name in sorted(among)}

    def sentences(self) -> list[str]:
        """What people must know of it, the worst last."""
        return [*self._coverage(), *self._copies(), *self._size()]

    def _coverage(self) -> list[str]:
        words = []
        for what, counted in self.counts().items():
            missing = [name for name, (taken, _) in counted.items() if not taken]
            rest = f"; none of {_listed(missing)}" if missing else ""
            kinds = "kinds of light" if what == "light" else what
            words.append(f"{len(counted) - len(missing)} of {len(counted)} {kinds} are covered{rest}")
        return words

    def _copies(self) -> list[str]:
        pairs = [f"{other.name} = {kept.name}" for kept, other in self.left_out]
        words = [f"{len(pairs)} pictures are left out as copies of others ({_listed(pairs)})"] if pairs else []
        if self.alike:
            words.append(
                f"{self.alike} of {len(self.among)} pictures look like others: such a steady process does not show "
                "which are copies, so only the same pixels are left out"
            )
        return words

    def _size(self) -> list[str]:
        """What too few cost. Of n + 1 pictures of one kind each is equally likely to be the one that goes furthest."""
        if not self.defects:
            return [
                "no defect is among them: ranges of good parts clip what defects do, and INT8 then passes defects; "
                f"label {ENOUGH}, or edge-compile draws defects into copies of the good pictures"
            ]
        others = len(self.chosen) - self.defects
        return [
            f"{count} {what} are few: in any one tensor about 1 in {count + 1} new ones goes beyond all of these, and "
            f"INT8 clips it there; {ENOUGH} make that 1 in {ENOUGH + 1}"
            for count, what in ((self.defects, "defects"), (others, "other pictures"))
            if 0 < count < ENOUGH
        ]


def choose(known: Known, most: int = MOST, seed: int = 1) -> Choice:
    """A calibration set out of what is known, without copies: see `sample`. Classes and kinds of light take turns."""
    left_out, alike = _copies_in(known)
    dropped = {other.name for _, other in left_out}
    lights = {one.name: light for one, light in zip(known.pictures, known.lights, strict=True)}
    kept = [one for one in known.pictures if one.name not in dropped]
    kinds = {one.name: (one.label, lights[one.name]) for one in kept}
    prints = {one.name: seen for one, seen in zip(known.pictures, known.looks.fingerprints, strict=True)}
    return Choice(sample(kept, most, seed, kinds), known.pictures, left_out, alike, lights, prints, seed)


def _copies_in(known: Known) -> tuple[list[tuple[Picture, Picture]], int]:
    """Pictures of one exposure, within a group too: each but the first, after the first. Where that would be most of
    the set, only those of the same pixels, and how many more look alike.

    Labels must be the same: a part before and after it was scratched looks like a copy, and calibrates both ways.
    """
    alone = [replace(one, group=one.name) for one in known.pictures]
    same = [pair for pair in copies(alone, known.looks) if pair.first.label == pair.second.label]
    exposure = joined(alone, same)
    near = _after_the_first(known.pictures, [exposure.get(one.name, one.name) for one in known.pictures])
    if len(near) <= MOST_LEFT_OUT * len(known.pictures):
        return near, 0
    pixels = [f"{seen} {one.label}" for one, seen in zip(known.pictures, known.looks.fingerprints, strict=True)]
    exact = _after_the_first(known.pictures, pixels)
    return exact, len(near) - len(exact)


def _after_the_first(pictures: Sequence[Picture], exposures: Sequence[str]) -> list[tuple[Picture, Picture]]:
    """Each picture whose exposure stands before it already, after the one that does."""
    first: dict[str, Picture] = {}
    pairs = [(first.setdefault(key, one), one) for key, one in zip(exposures, pictures, strict=True)]
    return [(kept, one) for kept, one in pairs if kept is not one]


def record(choice: Choice, acceptance: Sequence[Picture] | None) -> dict[str, object]:
    """What proves the choice: the hash of what was chosen and of the acceptance set that it shares nothing with, and
    all that it takes to choose again."""
    counts = {
        what: {name: {"chosen": taken, "of": of} for name, (taken, of) in counted.items()}
        for what, counted in choice.counts().items()
    }
    return {
        "sha256": choice.hash_of(choice.chosen),
        "seed": choice.seed,
        "pictures": len(choice.chosen),
        "of": len(choice.among),
        "of_sha256": choice.hash_of(choice.among),
        "copies_left_out": len(choice.left_out),
        "alike": choice.alike,
        "acceptance_sha256": None if acceptance is None else set_hash(acceptance),
        "kenpin": edge.__version__,
        **counts,
        "chosen": [one.name for one in choice.chosen],
    }


def write_record(folder: Path, told: dict[str, object]) -> None:
    """Write sample.json beside the pictures. Raises ConfigError."""
    path = folder / RECORD
    try:
        write_whole(path, json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; free disk space or give another --out"
        ) from error


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
