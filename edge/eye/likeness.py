"""Whether the pictures still look as they did when the student learned: their light, colour and focus, as it sees them.

The student's own embedding does not tell: it was taught that light does not matter, and it hardly moves when a lens
goes out of focus either (docs/cameras.md).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from edge.capture.appraisal import ALIKE, Look, likeness_words
from edge.clock import SECOND, Clock

log = logging.getLogger(__name__)

SOURCE = "pictures"
EVERY_NS = SECOND
OVERDUE_NS = 10 * SECOND
OLD_NS = 600 * SECOND
WINDOW = 60  # pictures whose medians are compared with what was learned
STEP = 10  # pictures from one comparison to the next
SURE = 2  # comparisons in a row that must say the same


class Likeness:
    """The pictures that one camera shows one student; `name` says which. Used by one thread; `words` is for any.

    learned: of the bundle's acceptance pictures. `note` (kind, words) hears when the pictures no longer look so, and
    when they do again; nothing else happens then, for a verdict is as good as its evidence, whatever the light.
    """

    def __init__(self, name: str, learned: Sequence[Look], clock: Clock, note: Callable[[str, str], None]) -> None:
        self._name = name
        self._words = ""
        self._learned = learned
        self._clock = clock
        self._note = note
        self._seen: deque[Look] = deque(maxlen=WINDOW)
        self._until_next = STEP
        self._other = 0  # comparisons in a row that say otherwise than before
        self._seen_ns: int | None = None

    @property
    def words(self) -> str:
        """In what the pictures do not look as learned; empty while they do, and once none was seen for long: another
        recipe runs, and nobody knows."""
        is_old = self._seen_ns is None or self._clock.now_ns() - self._seen_ns > OLD_NS
        return "" if is_old else self._words

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
        if self._until_next > 0:
            return
        self._until_next = STEP
        said = likeness_words(self._seen, self._learned)
        words = "" if said == ALIKE else said
        if bool(words) is bool(self._words):
            self._words = words and f"{self._name}: {words}"  # the same in other figures
            self._other = 0
            return
        self._other += 1
        if self._other == SURE:
            self._other = 0
            self._words = words and f"{self._name}: {words}"
            log.log(logging.WARNING if words else logging.INFO, "%s: %s", self._name, said)
            self._note(SOURCE, f"{self._name}: {said}")
