"""One bundle measured several times on this machine, as the values that edge-bench writes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.bundle_profile import Plan, medians, profile
from benchmarks.looks import STAGES, Looks
from benchmarks.recorder import Span
from edge.bundle import Bundle
from edge.clock import MS, Clock
from edge.errors import KenpinError
from edge.eye.student import Student, load
from edge.infer import TABLE
from edge.infer import Engine as LoadedEngine
from edge.kinds import find
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


def bench_bundle(
    bundle: Bundle, options: Engine, plan: Plan, runs: int, against: str | None, clock: Clock
) -> Measured:
    """Measure `runs` times: the medians under the key "bench", all of them as its "runs", and the report's keys of the
    last. Where a run fails, or a person ends it, those before it are kept and `partial` says why.

    Raises BundleError where the bundle holds no such model, and what ends the first run.
    """
    load_average = os.getloadavg()[0]
    began_ns = clock.now_ns()
    student = load(bundle, options, clock)
    startup_ns = clock.now_ns() - began_ns
    other = None if against is None else _other_engine(bundle, options, against)
    print(f"{student.product} version {student.version}: {model_line(student.entry)}")
    pictures = [picture.image for picture in bundle.acceptance()]
    each: list[dict[str, Any]] = []
    ended_by: KenpinError | KeyboardInterrupt | None = None
    try:
        for _ in range(runs):
            measured, looks, span = profile(student, pictures, clock, plan, other)
            each.append(measured.to_dict())
    except (KenpinError, KeyboardInterrupt) as error:
        if not each:
            raise
        ended_by = error
    finally:
        student.engine.close()
        if other is not None:
            other.close()
    facts = {"bundle_sha256": bundle.sha256, "threads": options.threads, "load_average": round(load_average, 2)}
    told: dict[str, Any] = {"runs": each} if len(each) > 1 else {}
    if against is not None:
        told["against"] = against
    values = _report_of(looks, startup_ns).to_dict()
    values["bench"] = _identity(student) | facts | medians(each) | told
    if ended_by is None:
        return Measured(values, span=span)
    values["partial"] = f"{len(each)} of {runs} runs: {str(ended_by) or 'ended by hand'}"
    return Measured(values, getattr(ended_by, "exit_code", ENDED_BY_HAND), span)


def _other_engine(bundle: Bundle, options: Engine, precision: str) -> LoadedEngine:
    entry = bundle.manifest.entry(options.kind, precision)
    engine: LoadedEngine = find(TABLE, options.kind, "engine")(options)
    engine.load(bundle.model(entry))
    return engine


def _identity(student: Student) -> dict[str, Any]:
    entry = student.entry
    model = {"file": entry.file, "sha256": entry.sha256, "target": entry.target, "precision": entry.precision}
    return {"product": student.product, "version": student.version, "model": model}


def _report_of(looks: Looks, startup_ns: int) -> Report:
    """The run at saturation under the public keys; what a bench without a line has not, is 0 or null."""
    counts = Counts()
    counts.parts = looks.count
    counts.verdicts.update(looks.verdicts)
    counts.reasons.update({reason: times for reason, times in looks.reasons.items() if times})
    counts.frame("captured", looks.count)
    empty = Series(1).summary(MS)
    latency = {stage: looks.stages[stage].summary(MS) if stage in STAGES else empty for stage in ALL_STAGES}
    done = report(counts, Timing(1), startup_ns, "READY", "", 0)
    return replace(done, latency_ms=latency)
