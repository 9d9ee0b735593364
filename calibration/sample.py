"""Which pictures calibrate: defects among them, spread over groups and light, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

from edge.picture_set import GOOD, Picture

MOST = 300


def sample(
    pictures: Sequence[Picture], most: int = MOST, seed: int = 1, kinds: Mapping[str, Hashable] | None = None
) -> list[Picture]:
    """Up to `most` pictures, in the order of the set; half of them defects where there are as many.

    Ranges measured on good parts alone clip the peaks that defects make, and then the network misses them. Groups
    take turns, so that no lot fills the sample; within them the kinds do, such as light and class: `kinds` gives them
    by the pictures' names.
    """
    rng = random.Random(seed)
    defects = [picture for picture in pictures if picture.label not in (GOOD, "")]
    others = [picture for picture in pictures if picture.label in (GOOD, "")]
    of_defects = min(len(defects), max(most // 2, most - len(others)))
    kind = (kinds or {}).get
    chosen = _in_turns(defects, of_defects, rng, kind) | _in_turns(others, most - of_defects, rng, kind)
    return [picture for picture in pictures if picture.name in chosen]


def _in_turns(
    pictures: Sequence[Picture], most: int, rng: random.Random, kind: Callable[[str], Hashable]
) -> set[str]:
    """The names of up to `most` pictures: the next is always of the group, and in it of the kind, with fewest so
    far."""
    of_group: dict[str, list[str]] = {}
    for picture in pictures:
        of_group.setdefault(picture.group, []).append(picture.name)
    groups = [of_group[group] for group in sorted(of_group)]
    for names in groups:
        rng.shuffle(names)
    rng.shuffle(groups)
    waiting = [_by_kind(names, kind) for names in groups]
    chosen: set[str] = set()
    of_kind: Counter[Hashable] = Counter()
    turns = [0] * len(waiting)
    while len(chosen) < most and any(waiting):
        turn, _, place = min(
            (turns[place], min(of_kind[each] for each in kinds), place)
            for place, kinds in enumerate(waiting)
            if kinds
        )
        kinds = waiting[place]
        rarest = min(kinds, key=lambda each: of_kind[each])
        chosen.add(kinds[rarest].pop(0))
        if not kinds[rarest]:
            del kinds[rarest]
        of_kind[rarest] += 1
        turns[place] = turn + 1
    return chosen


def _by_kind(names: Sequence[str], kind: Callable[[str], Hashable]) -> dict[Hashable, list[str]]:
    kinds: dict[Hashable, list[str]] = {}
    for name in names:
        kinds.setdefault(kind(name), []).append(name)
    return kinds
