"""When the line may let parts pass and the belt may run: states, permit and purge, each with its first cause."""

from __future__ import annotations

from dataclasses import dataclass

from edge.line.axis import Axis
from edge.line.messages import LineState


@dataclass(frozen=True, slots=True)
class Eye:
    """What the line knows of the eye at one instant."""

    live: bool  # connected, and heard within the time-out
    ready: bool  # it can inspect


class Readiness:
    """`permits`: a line permit is driven, so the belt stands while it is off.

    The zone between trigger and gate is known again when the belt has travelled `transit` since a moment from which
    every part was seen. `eye` is kept up to date by the caller. Faults are kept by their source, and so is what
    inhibits the line until it is well again by itself; the first cause stays until nothing is wrong any more.
    """

    def __init__(
        self,
        transit: int,
        permits: bool,
        axis: Axis,
        awaits: frozenset[str] = frozenset(),
        eye_births: bool = False,
    ) -> None:
        """`awaits` are the inputs that must be read before the line begins."""
        self._transit = transit
        self._axis = axis
        self._eye_births = eye_births
        self._permits = permits
        self._armed = False
        self._awaits = set(awaits)
        self._faults: dict[str, str] = {}
        self._inhibits: dict[str, tuple[LineState, str]] = {}
        self._stopped = False
        self._stopping = False
        self.bypassed = False
        self._stands = False
        self._known_from: int | None = None
        self.forgotten_ns = 0
        self._begins = False  # on a measured belt: where it is when all that has happened is taken in
        self.zone_known = False
        self.permit = False
        self.cause = ""
        self.eye = Eye(live=False, ready=False)

    @property
    def state(self) -> LineState:
        """The gravest of what stands: stopping, fault, starting, stop, interlock, bypass, purge; else READY."""
        if self._stopping:
            return LineState.STOPPING
        if self._faults:
            return LineState.FAULT
        if not self._armed or self._awaits:
            return LineState.STARTING
        if self._stopped:
            return LineState.STOPPED
        if self._inhibits:
            return max(state for state, _ in self._inhibits.values())
        if self.bypassed:
            return LineState.BYPASSED
        return LineState.READY if self.zone_known else LineState.PURGING

    @property
    def belt_runs(self) -> bool:
        """Whether nothing stops the belt, as far as the line is told."""
        return (self.permit or not self._permits) and not self._stands

    def armed(self, now_ns: int) -> None:
        """The outputs stand at rest; the purge may begin."""
        self._armed = True
        self.cause = next(iter(self._faults.values()), "")
        self.forget_zone(now_ns)

    def input_open(self, source: str, now_ns: int) -> bool:
        """This input is read from now on; returns whether it had been lost."""
        lost = source in self._faults
        if lost or source in self._awaits:
            self._awaits.discard(source)
            self.forget_zone(now_ns)
            self.repaired(source, now_ns)
        return lost

    def not_armed(self, words: str) -> None:
        self.cause = self.cause or words

    def forget_zone(self, now_ns: int) -> None:
        """Something unseen may lie between trigger and gate: purge it."""
        self.zone_known = False
        self.forgotten_ns = now_ns
        counts = self.belt_runs or self._axis.measured
        self._known_from = self._axis.here(now_ns) if counts else None
        self._begins = self._axis.measured

    def purge_from(self, born: int) -> None:
        """What was born here was not known, or was elsewhere by what was known: the purge under way outlasts it."""
        if self._known_from is not None:
            self._known_from = max(self._known_from, born)

    def fault(self, source: str, words: str, now_ns: int) -> bool:
        """A device failed; returns whether this is news."""
        news = source not in self._faults
        self._faults.setdefault(source, words)
        self.cause = self.cause or words
        self.forget_zone(now_ns)
        return news

    def has_fault(self, source: str) -> bool:
        return source in self._faults

    def repaired(self, source: str, now_ns: int) -> None:
        """The device works again; the zone is purged before anything is released."""
        if self._faults.pop(source, None) is not None:
            self.forget_zone(now_ns)
            self._forget_cause()

    def inhibit(self, source: str, state: LineState, words: str, now_ns: int) -> bool:
        """The line must not go on until this is `well` again; returns whether this is news."""
        news = source not in self._inhibits
        self._inhibits[source] = (state, words)
        self.cause = self.cause or words
        self.forget_zone(now_ns)
        return news

    def well(self, source: str, now_ns: int) -> bool:
        """What inhibited the line is as it must be; returns whether this is news."""
        news = self._inhibits.pop(source, None) is not None
        if news:
            self.forget_zone(now_ns)
            self._forget_cause()
        return news

    def belt_stands(self, stands: bool, now_ns: int) -> None:
        """The motor was switched. On a belt whose travel is not measured the zone is unknown then."""
        if stands is not self._stands:
            self._stands = stands
            if not self._axis.measured:
                self.forget_zone(now_ns)

    def stop(self, words: str) -> bool:
        """A limit was reached; returns whether this is news."""
        news = not self._stopped
        self._stopped = True
        self.cause = self.cause or words
        return news

    def clear(self) -> None:
        """A person acknowledged the stop."""
        self._stopped = False
        self._forget_cause()

    def _forget_cause(self) -> None:
        if not self._faults and not self._stopped:
            self.cause = next((words for _, words in self._inhibits.values()), "")

    def stopping(self, words: str) -> None:
        self._stopping = True
        self.cause = self.cause or words

    def resume(self, now_ns: int) -> None:
        """The stop is complete and the process stays: wait for an eye, then purge."""
        self._stopping = False
        self._forget_cause()
        self.forget_zone(now_ns)

    def permit_is(self, on: bool, now_ns: int) -> None:
        """The permit was written. Where the belt's travel is not measured, one that begins to run or comes to a stand
        makes the zone unknown."""
        changed = on is not self.permit
        self.permit = on
        if changed and not self._axis.measured:
            self.forget_zone(now_ns)

    def wants_permit(self, finishing: bool) -> bool:
        """Whether the belt may run.

        A silent eye does not stop it at once (every part is rejected, the limit on missing verdicts stops it), unless
        the eye alone sees the parts come; one that says it cannot inspect does. While stopping, the belt empties the
        zone if it was running, unless something stops it: a gate that has failed rejects nothing.
        """
        if not self._permits:
            return False
        state = self.state
        if state is LineState.BYPASSED:
            return True
        if state is LineState.PURGING:
            return self.eye.live and self.eye.ready
        if state is LineState.READY:
            silent = not self.eye.live and not self._eye_births
            return silent or (self.eye.live and self.eye.ready)
        is_well = not (self._faults or self._stopped or self._inhibits)
        return state is LineState.STOPPING and is_well and finishing and self.permit

    def settle(self, now_ns: int) -> None:
        """READY once the zone is known and an eye can inspect. A bypass lets what is unknown pass as well."""
        if self._begins:
            self._begins, self._known_from = False, self._axis.here(now_ns)
        inspects = self.state is LineState.PURGING and self.eye.live and self.eye.ready
        if (inspects or self.state is LineState.BYPASSED) and self._purged(now_ns):
            self.zone_known = True

    def _purged(self, now_ns: int) -> bool:
        return self._known_from is not None and self._axis.here(now_ns) - self._known_from >= self._transit

    def purged_ns(self, now_ns: int) -> int | None:
        """When the purge under way will be over, None when none is under way or the belt stands."""
        if self.zone_known or self._known_from is None or self._purged(now_ns):
            return None
        return self._axis.when_ns(self._known_from + self._transit)
