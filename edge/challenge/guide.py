"""Leads a person through a challenge test of the running station, and watches journal and status meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from edge import __version__
from edge.challenge.judge import Finding, born_ns, ended, judge
from edge.challenge.person import Aborted, Person
from edge.challenge.plan import FailSafe, Step, not_watched
from edge.challenge.report import Report, Result, SignedReport, StepReport, outcome_of
from edge.clock import MS, SECOND, Clock
from edge.control import Control, Status
from edge.errors import RefusedError
from edge.journal.reading import newest_part, parts_after
from edge.journal.rows import PartRow
from edge.station import Station

_LOOK_EVERY_NS = 200 * MS
_ACKNOWLEDGE_AGAIN_NS = 5 * SECOND  # a fault that stays is not acknowledged in every round
_LOOK = "The station is {status.level}: {status.cause}. Look at the line; going on acknowledges it."
_NOT_DONE = Finding("not done", "the person ended the test")


class Guide:
    """`patience_ns` is how long the station and its parts are waited for in each step."""

    def __init__(self, station: Station, control: Control, person: Person, clock: Clock, patience_ns: int) -> None:
        self._station = station
        self._control = control
        self._person = person
        self._clock = clock
        self._patience_ns = patience_ns
        self._journal = station.journal.dir
        self._model = ""
        self._has_ended = False  # the person does not go on

    def conduct(self, steps: Sequence[Step], who: str) -> SignedReport:
        """Do all steps, seal the report; a person who ends the test gets one of what was done.

        Raises RefusedError for a station that cannot be tested now, ControlError when it goes away, JournalError.
        """
        self._refuse_untestable()
        self._person.tell(self._control.begin_challenge(who).words)
        began = self._utc()
        done = [self._report(step, who) for step in steps]
        report = Report(
            kenpin=__version__,
            station=self._station.station.name,
            station_file=self._station.digest.hex(),
            product=self._control.status().product,
            model=self._model,
            who=who,
            began=began,
            ended=self._utc(),
            result=outcome_of([step.result for step in done]),
            steps=tuple(done),
            not_watched=tuple(not_watched(self._station)),
        )
        return SignedReport(report=report, seal=self._control.seal_challenge(report.result, report.sha256(), who))

    def _refuse_untestable(self) -> None:
        status = self._control.status()
        if status.mode != "inspect":
            raise RefusedError(f"the station is in {status.mode} mode and rejects nothing: test it in inspect mode")
        if status.bypass_left_s:
            raise RefusedError("the station lets parts pass in a bypass: edge bypass --end, then test it")

    def _report(self, step: Step, who: str) -> StepReport:
        began = self._utc()
        try:
            finding = _NOT_DONE if self._has_ended else self._do(step, who)
        except Aborted:
            self._has_ended = True
            finding = _NOT_DONE
        self._person.tell(f"{step.name}: {finding.result.upper()}, {finding.words}")
        return StepReport(
            name=step.name,
            asked=step.asked,
            result=finding.result,
            words=finding.words,
            began=began,
            ended=self._utc(),
            parts=finding.parts,
        )

    def _do(self, step: Step, who: str) -> Finding:
        cause = self._wait_ready(step, who, ask=True)
        if cause:
            return Finding("failed", f"the station was not READY for it: {cause}")
        left_out = self._person.ask(step.asked)
        if left_out:
            return Finding("skipped", left_out)
        finding = self._watch(step)
        return self._undone(step, finding, who) if isinstance(step, FailSafe) else finding

    def _undone(self, step: FailSafe, finding: Finding, who: str) -> Finding:
        """What was found stays found when the person does not go on."""
        try:
            self._person.ask(f"{step.undo} A stop is acknowledged then.")
        except Aborted:
            self._has_ended = True
            result: Result = "failed" if finding.result == "failed" else "not done"
            return Finding(
                result, f"{finding.words}; the person ended the test before it was undone", finding.parts
            )
        cause = self._wait_ready(step, who, ask=False)
        if cause:
            return Finding("failed", f"{finding.words}; but then it did not become READY: {cause}", finding.parts)
        return finding

    def _wait_ready(self, step: Step, who: str, ask: bool) -> str:
        """Empty once the station is READY, else why it is not. A stop is acknowledged, by asking first where asked."""
        until_ns = self._clock.now_ns() + self._patience_ns
        again_ns, told = 0, ""
        while (status := self._control.status()).level != "READY":
            now_ns = self._clock.now_ns()
            if now_ns >= until_ns:
                return f"it is {status.level}: {status.cause}"
            if status.can_acknowledge and now_ns >= again_ns:
                left_out = self._person.ask(_LOOK.format(status=status)) if ask else ""
                if left_out:
                    return f"{status.cause}, not acknowledged: {left_out}"
                self._acknowledge(step, who)
                again_ns = self._clock.now_ns() + _ACKNOWLEDGE_AGAIN_NS
                until_ns = self._clock.now_ns() + self._patience_ns if ask else until_ns
            elif told != status.cause:
                told = status.cause
                self._person.tell(f"waiting: the station is {status.level}: {status.cause}")
            self._pause()
        return ""

    def _acknowledge(self, step: Step, who: str) -> None:
        try:
            self._person.tell(self._control.acknowledge(f"challenge test, {step.name}", who).words)
        except RefusedError as error:
            self._person.tell(str(error))  # the fault has just ended by itself

    def _watch(self, step: Step) -> Finding:
        """From the person's word on, until the step is judged or nobody waits any more."""
        last, begun_ns = newest_part(self._journal), self._clock.now_ns()
        told = 0
        while True:
            is_over = self._has_ended or self._clock.now_ns() >= begun_ns + self._patience_ns
            status = self._control.status()
            rows = [row for row in parts_after(self._journal, last) if born_ns(row) >= begun_ns]
            self._remember_model(rows)
            finding = judge(step, rows, status, is_over)
            if finding is not None:
                return finding
            told = self._tell_news(rows, status, told)
            try:
                self._pause()
            except Aborted:
                self._has_ended = True

    def _tell_news(self, rows: Sequence[PartRow], status: Status, told: int) -> int:
        through = len(ended(rows))
        if through != told:
            self._person.tell(f"{through} parts are through; the station is {status.level}")
        return through

    def _remember_model(self, rows: Sequence[PartRow]) -> None:
        for row in rows:
            if row.decided is not None and row.decided.verdict.model:
                self._model = row.decided.verdict.model

    def _pause(self) -> None:
        try:
            self._clock.sleep_until(self._clock.now_ns() + _LOOK_EVERY_NS)
        except KeyboardInterrupt as error:
            raise Aborted from error

    def _utc(self) -> str:
        seconds = self._clock.wall_ns() // SECOND
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat().removesuffix("+00:00")
