"""One bundle measured several times on this machine, as the values that edge-bench writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.bundle_profile import ROUNDS, Plan, Run, together
from benchmarks.looks import STAGES, Looks
from benchmarks.paired import paired
from benchmarks.ranks import ranks_ms
from benchmarks.recorder import Span
from benchmarks.tables import SPANS
from edge.bundle import Bundle
from edge.clock import Clock
from edge.errors import KenpinError
from edge.eye.student import Student, load
from edge.infer import TABLE
from edge.infer import Engine as LoadedEngine
from edge.kinds import find
from edge.manifest import ModelEntry
from edge.options import Engine
from edge.report import Counts, Report, report
from edge.screen import model_line
from edge.timing import STAGES as ALL_STAGES
from edge.timing import Series, Timing

ENDED_BY_HAND = 130  # as shells say it of SIGINT


@dataclass(frozen=True, slots=True)
class Measured:
    """What is written, and the exit code; `values` has the key "partial" where not all was measured.

    `span` is the time at full work, None where there was none.
    """

    values: dict[str, Any]
    exit_code: int = 0
    span: Span | None = None


class EndedByHandError(KenpinError):
    """Ctrl-C came before there was anything to keep."""

    exit_code = ENDED_BY_HAND


def bench_bundle(
    bundle: Bundle,
    options: Engine,
    plan: Plan,
    runs: int,
    against: str | None,
    clock: Clock,
    rival: Bundle | None = None,
) -> Measured:
    """Measure `runs` times: all of them together under the key "bench" and under the report's keys, each one as its
    "runs". Where a run fails, or a person ends it, those before it are kept, of the first one its rounds, and `partial`
    says why. `rival` judges this bundle's pictures in turns with it.

    Raises BundleError where a bundle holds no such model, and what ends the first run before its first round is over.
    """
    if against is not None:
        bundle.manifest.entry(options.kind, against)
    load_average = os.getloadavg()[0]
    began_ns = clock.now_ns()
    student = load(bundle, options, clock)
    startup_ns = clock.now_ns() - began_ns
    print(f"{student.product} version {student.version}: {model_line(student.entry)}")
    pictures = [picture.image for picture in bundle.acceptance()]
    with ExitStack() as ending:
        ending.callback(student.engine.close)
        other = None if against is None else _other_engine(bundle, options, against)
        if other is not None:
            ending.callback(other.close)
        theirs = None if rival is None else load(rival, options, clock)
        if theirs is not None:
            ending.callback(theirs.engine.close)
        each, partial, code = _measured(lambda: Run(student, pictures, clock, plan, other, theirs), runs)
    facts = {"bundle_sha256": bundle.sha256, "threads": options.threads, "seconds": plan.seconds}
    facts["load_average"] = round(load_average, 2)
    told: dict[str, Any] = {"runs": [run.profile().to_dict() for run in each]} if len(each) > 1 else {}
    if against is not None:
        told["against"] = against
    if theirs is not None and rival is not None:
        told["against_bundle"] = _identity(theirs) | {"bundle_sha256": rival.sha256} | _over_rival(each)
    values = _report_of([run.looks for run in each], startup_ns).to_dict()
    values["bench"] = _identity(student) | facts | together(each) | told
    values["bench"]["spans"] = {name: SPANS[name] for name in (*each[0].spans(), *STAGES)}
    if partial:
        values["partial"] = partial
    return Measured(values, code, each[-1].span)


def _over_rival(runs: Sequence[Run]) -> dict[str, Any]:
    """Paired of all rounds of all runs, by what was compared."""
    return {
        name: asdict(paired([ratio for run in runs for ratio in run.over_rival()[name]]))
        for name in runs[0].over_rival()
    }


def _measured(begin: Callable[[], Run], runs: int) -> tuple[list[Run], str, int]:
    """The runs to keep, at least one, of the first also its rounds; where they are not all, why, and the exit code."""
    each: list[Run] = []
    for _ in range(runs):
        run = begin()
        try:
            run.measure()
        except (KenpinError, KeyboardInterrupt) as error:
            why = str(error) or "ended by hand"
            code = getattr(error, "exit_code", ENDED_BY_HAND)
            if each:
                return each, f"{len(each)} of {runs} runs: {why}", code
            if run.rounds:
                return [run], f"0 of {runs} runs, {run.rounds} of {ROUNDS} rounds of the first: {why}", code
            if isinstance(error, KenpinError):
                raise
            raise EndedByHandError(
                "ended by hand before a first round was over: there is nothing to keep"
            ) from error
        each.append(run)
    return each, "", 0


def _other_engine(bundle: Bundle, options: Engine, precision: str) -> LoadedEngine:
    entry = bundle.manifest.entry(options.kind, precision)
    engine: LoadedEngine = find(TABLE, options.kind, "engine")(options)
    engine.load(bundle.model(entry))
    return engine


def identity(product: str, version: int, entry: ModelEntry) -> dict[str, Any]:
    """What a result says of who judged."""
    model = {"file": entry.file, "sha256": entry.sha256, "target": entry.target, "precision": entry.precision}
    return {"product": product, "version": version, "model": model}


def _identity(student: Student) -> dict[str, Any]:
    return identity(student.product, student.version, student.entry)


def _report_of(all_looks: Sequence[Looks], startup_ns: int) -> Report:
    """The pictures at saturation under the public keys; what a bench without a line has not, is 0 or null."""
    counts = Counts()
    for looks in all_looks:
        counts.parts += looks.count
        counts.verdicts.update(looks.verdicts)
        counts.reasons.update({reason: times for reason, times in looks.reasons.items() if times})
        counts.frame("captured", looks.count)
    latency = {
        stage: ranks_ms(Series.of([looks.stages[stage] for looks in all_looks] if stage in STAGES else []))
        for stage in ALL_STAGES
    }
    done = report(counts, Timing(1), startup_ns, "READY", "", 0)
    return replace(done, latency_ms=latency)
