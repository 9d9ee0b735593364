"""The lot that parts are of from now on: what the journal holds of it counts, also for the next run."""

from __future__ import annotations

from edge.journal.lots import NamedLot


class CurrentLot:
    """The control socket's thread begins a change, the journal's thread ends it; `now` is for any."""

    def __init__(self, now: str) -> None:
        self.now = now
        self._coming: NamedLot | None = None

    @property
    def is_changing(self) -> bool:
        """Whether a lot is being recorded: another one would not know what stands if that is given up."""
        return self._coming is not None

    def begin(self, named: NamedLot) -> None:
        """This lot is on its way to the disk."""
        self._coming = named

    def recorded(self) -> bool:
        """It is there."""
        assert self._coming is not None
        self.now, self._coming = self._coming.lot, None
        return True

    def given_up(self, why: str) -> str:
        """The disk did not take it in time: the words of a note that puts back what was, in case it comes there yet."""
        assert self._coming is not None
        words, self._coming = NamedLot(self.now, self._coming.first).words(f"not done: {why}"), None
        return words
