"""Which pictures calibrate: defects among them, spread over the groups, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from edge.picture_set import GOOD, Picture

MOST = 300


def sample(pictures: Sequence[Picture], most: int = MOST, seed: int = 1) -> list[Picture]:
    """Up to `most` pictures, in the order of the set; half of them defects where there are as many.

    Ranges measured on good parts alone clip the peaks that defects make, and then the network misses them. Groups
    take turns, so that no lot fills the sample.
    """
    rng = random.Random(seed)
    defects = [picture for picture in pictures if picture.label not in (GOOD, "")]
    others = [picture for picture in pictures if picture.label in (GOOD, "")]
    of_defects = min(len(defects), max(most // 2, most - len(others)))
    chosen = _in_turns(defects, of_defects, rng) | _in_turns(others, most - of_defects, rng)
    return [picture for picture in pictures if picture.name in chosen]


def _in_turns(pictures: Sequence[Picture], most: int, rng: random.Random) -> set[str]:
    """The names of up to `most` pictures: one of each group, then a second of each, and so on."""
    of_group: dict[str, list[str]] = {}
    for picture in pictures:
        of_group.setdefault(picture.group, []).append(picture.name)
    groups = [of_group[group] for group in sorted(of_group)]
    for names in groups:
        rng.shuffle(names)
    rng.shuffle(groups)
    turns = [name for turn in range(max(map(len, groups), default=0)) for name in _turn(groups, turn)]
    return set(turns[:most])


def _turn(groups: Sequence[Sequence[str]], turn: int) -> list[str]:
    return [names[turn] for names in groups if turn < len(names)]
