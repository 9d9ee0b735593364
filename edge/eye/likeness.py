"""Whether the pictures still are as they were when the student learned: light, colour, focus, and what they show.

The student's embedding hardly tells the first, as it was taught that light does not matter; figures of the picture do
not tell the second, where another part lies under the same lamp (docs/cameras.md).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.capture.appraisal import ALIKE, Look, likeness_words
from edge.clock import SECOND, Clock
from edge.coverage import Floats, Outside
from edge.eye.trend import Trend

log = logging.getLogger(__name__)

SOURCE = "pictures"
EVERY_NS = SECOND
OVERDUE_NS = 10 * SECOND
OLD_NS = 600 * SECOND
WINDOW = 60  # pictures whose medians are compared with what was learned, and of which the unlike ones are counted
STEP = 10  # pictures from one comparison to the next
SURE = 2  # comparisons in a row that must say the same
MOST_UNLIKE = 0.5  # of a window; 5 % are by chance, and a lot of its own had up to 25 %
FAMILIAR = "they show what the student learned"


@dataclass(frozen=True, slots=True)
class Newest:
    """Of the newest parts, up to WINDOW: their mean distance, and how many were unlike. More than `allowed` of them
    are told."""

    parts: int
    distance: float
    unlike: int

    @property
    def allowed(self) -> int:
        return int(MOST_UNLIKE * self.parts)


class _Opinion:
    """What one sort of comparison says, once it has said so twice in a row."""

    def __init__(self, name: str, note: Callable[[str, str], None]) -> None:
        self._name = name
        self._note = note
        self._other = 0  # comparisons in a row that say otherwise than before
        self.words = ""  # what is wrong

    def hear(self, said: str, is_well: bool) -> None:
        words = "" if is_well else f"{self._name}: {said}"
        if bool(words) is bool(self.words):
            self.words = words  # the same in other figures
            self._other = 0
            return
        self._other += 1
        if self._other == SURE:
            self._other = 0
            self.words = words
            log.log(logging.WARNING if words else logging.INFO, "%s: %s", self._name, said)
            self._note(SOURCE, f"{self._name}: {said}")


class Likeness:
    """The pictures that one camera shows one student; `name` says which. Used by one thread; what has no verb, as
    `words`, is for any.

    learned: of the bundle's acceptance pictures; outside: where its embeddings end, None where the bundle does not say.
    `note` (kind, words) hears when the pictures are no longer so, and when they are again; nothing else happens then,
    for a verdict is as good as its evidence, whatever the light.
    """

    def __init__(
        self,
        name: str,
        learned: Sequence[Look],
        clock: Clock,
        note: Callable[[str, str], None],
        outside: Outside | None = None,
    ) -> None:
        self._learned = learned
        self._outside = outside
        self._clock = clock
        self._looks_like, self._shows = _Opinion(name, note), _Opinion(name, note)
        self._seen: deque[Look] = deque(maxlen=WINDOW)
        self._far: deque[float] = deque(maxlen=WINDOW)
        self.newest: Newest | None = None
        self.trend = Trend()
        self._until_next = self._until_next_part = STEP
        self._seen_ns: int | None = None

    @property
    def has_coverage(self) -> bool:
        """Whether the bundle says how far out is too far."""
        return self._outside is not None

    @property
    def words(self) -> str:
        """In what the pictures are not as learned; empty while they are, and once none was seen for long: another
        recipe runs, and nobody knows."""
        is_old = self._seen_ns is None or self._clock.now_ns() - self._seen_ns > OLD_NS
        return "" if is_old else "; ".join(filter(None, (self._shows.words, self._looks_like.words)))

    def is_due(self, busy: bool) -> bool:
        """Whether another picture should be looked at: one in a second is enough, and one in ten must be while others
        wait (`busy`): of two cameras the first one always finds the other waiting."""
        wait_ns = OVERDUE_NS if busy else EVERY_NS
        return self._seen_ns is None or self._clock.now_ns() - self._seen_ns >= wait_ns

    def see(self, look: Look) -> None:
        """One more picture as the network saw it."""
        self._seen_ns = self._clock.now_ns()
        self._seen.append(look)
        self._until_next -= 1
        if self._until_next == 0:
            self._until_next = STEP
            said = likeness_words(self._seen, self._learned)
            self._looks_like.hear(said, said == ALIKE)

    def place(self, embedding: Floats) -> None:
        """One more picture as the network understood it; of every part, which costs some microseconds."""
        if self._outside is None:
            return
        self._far.append(self._outside.in_limits(embedding))
        self._until_next_part -= 1
        if self._until_next_part == 0:
            self._until_next_part = STEP
            self._compare()

    def _compare(self) -> None:
        far = list(self._far)
        self.trend.add(self._clock.now_ns(), STEP, sum(far[-STEP:]), _beyond(far[-STEP:]))
        self.newest = newest = Newest(len(far), sum(far) / len(far), _beyond(far))
        is_well = newest.unlike <= newest.allowed
        self._shows.hear(FAMILIAR if is_well else _unlike_words(newest.unlike, newest.parts), is_well)


def _beyond(far: Sequence[float]) -> int:
    """How many lie farther out than the limit."""
    return sum(each > 1 for each in far)


def _unlike_words(unlike: int, all_: int) -> str:
    return (
        f"{unlike} of the last {all_} show something else than the student learned: see which product, side and recipe "
        "runs, or learn from new pictures"
    )
