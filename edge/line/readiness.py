"""When the line may let parts pass and the belt may run: states, permit and purge, each with its first cause."""

from __future__ import annotations

from dataclasses import dataclass

from edge.line.messages import LineState


@dataclass(frozen=True, slots=True)
class Eye:
    """What the line knows of the eye at one instant."""

    live: bool  # connected, and heard within the time-out
    ready: bool  # it can inspect


class Readiness:
    """`permits`: a line permit is driven, so the belt stands while it is off.

    The zone between trigger and gate is known again `transit_ns` after a moment from which the belt ran and every
    part was seen. `eye` is kept up to date by the caller. Faults are kept by their source; the first cause stays
    until nothing is wrong any more.
    """

    def __init__(
        self, transit_ns: int, permits: bool, awaits_trigger: bool = False, eye_births: bool = False
    ) -> None:
        self._transit_ns = transit_ns
        self._eye_births = eye_births
        self._permits = permits
        self._armed = False
        self._awaits_trigger = awaits_trigger
        self._faults: dict[str, str] = {}
        self._stopped = False
        self._stopping = False
        self.bypassed = False
        self._known_from_ns: int | None = None
        self.zone_known = False
        self.permit = False
        self.cause = ""
        self.eye = Eye(live=False, ready=False)

    @property
    def state(self) -> LineState:
        if self._stopping:
            return LineState.STOPPING
        if self._faults:
            return LineState.FAULT
        if not self._armed or self._awaits_trigger:
            return LineState.STARTING
        if self._stopped:
            return LineState.STOPPED
        if self.bypassed:
            return LineState.BYPASSED
        return LineState.READY if self.zone_known else LineState.PURGING

    def armed(self, now_ns: int) -> None:
        """The outputs stand at rest; the purge may begin."""
        self._armed = True
        self.cause = next(iter(self._faults.values()), "")
        self.forget_zone(now_ns)

    def trigger_open(self, now_ns: int) -> bool:
        """The trigger is read from now on; returns whether it had been lost."""
        lost = "trigger" in self._faults
        if lost or self._awaits_trigger:
            self._awaits_trigger = False
            self.forget_zone(now_ns)
            self.repaired("trigger", now_ns)
        return lost

    def not_armed(self, words: str) -> None:
        self.cause = self.cause or words

    def forget_zone(self, now_ns: int) -> None:
        """Something unseen may lie between trigger and gate: purge it."""
        self.zone_known = False
        self._known_from_ns = now_ns if self.permit or not self._permits else None

    def fault(self, source: str, words: str, now_ns: int) -> bool:
        """A device failed; returns whether this is news."""
        news = source not in self._faults
        self._faults.setdefault(source, words)
        self.cause = self.cause or words
        self.forget_zone(now_ns)
        return news

    def repaired(self, source: str, now_ns: int) -> None:
        """The device works again; the zone is purged before anything is released."""
        if self._faults.pop(source, None) is not None:
            self.forget_zone(now_ns)
            self._forget_cause()

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
            self.cause = ""

    def stopping(self, words: str) -> None:
        self._stopping = True
        self.cause = self.cause or words

    def resume(self, now_ns: int) -> None:
        """The stop is complete and the process stays: wait for an eye, then purge."""
        self._stopping = False
        self._forget_cause()
        self.forget_zone(now_ns)

    def permit_is(self, on: bool, now_ns: int) -> None:
        """The permit was written. A belt that begins to run, or comes to a stand, makes the zone unknown."""
        changed = on is not self.permit
        self.permit = on
        if changed:
            self.forget_zone(now_ns)

    def wants_permit(self, finishing: bool) -> bool:
        """Whether the belt may run.

        A silent eye does not stop it at once (every part is rejected, the limit on missing verdicts stops it), unless
        the eye alone sees the parts come; one that says it cannot inspect does. While stopping, the belt empties the
        zone if it was running.
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
        return state is LineState.STOPPING and finishing and self.permit

    def settle(self, now_ns: int) -> None:
        """READY once the zone is known and an eye can inspect. A bypass lets what is unknown pass as well."""
        inspects = self.state is LineState.PURGING and self.eye.live and self.eye.ready
        if (inspects or self.state is LineState.BYPASSED) and self._purged(now_ns):
            self.zone_known = True

    def _purged(self, now_ns: int) -> bool:
        return self._known_from_ns is not None and now_ns - self._known_from_ns >= self._transit_ns

    def purged_ns(self, now_ns: int) -> int | None:
        """When the purge under way will be over, None when none is under way."""
        if self.zone_known or self._known_from_ns is None or self._purged(now_ns):
            return None
        return self._known_from_ns + self._transit_ns
