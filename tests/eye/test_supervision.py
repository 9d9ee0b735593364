"""Whoever looks is told the line's own counts beside the limits, and how far pictures are from what was learned."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.clock import SECOND, ManualClock
from edge.control import ANSWER_BYTES, packed
from edge.coverage import FARTHEST, Floats, Outside
from edge.eye.likeness import STEP, WINDOW, Likeness
from edge.eye.supervision import Supervision
from edge.eye.trend import KEPT, SPAN_NS, Trend
from edge.line.messages import LimitCounts
from edge.nearness import Drift, DriftOf, DriftSpan, LimitNow
from edge.station import Confirm, Limits, Station
from tests.line.lines import station_file

OUTSIDE = Outside(np.zeros(4, np.float32), np.eye(4, dtype=np.float32)[:2], np.ones(2, np.float32), 0.01, 4.0)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return station_file(tmp_path, gate='kind = "memory"', permit='kind = "memory"')


def limits_of(station: Station, counts: LimitCounts | None, more: list[LimitNow] | None = None) -> list[LimitNow]:
    desk: Any = SimpleNamespace(limit_counts=counts)
    return Supervision(station, desk, {}, lambda: more or [], ManualClock()).limits()


# --- limits ---


def test_each_limit_is_told_with_its_count_and_what_happens_then(station: Station) -> None:
    limits = Limits(consecutive_rejects=10, window_rejects=30, window_parts=200, warn=("unknown_in_a_row",))
    station = station.model_copy(update={"limits": limits})
    known = {each.name: each for each in limits_of(station, LimitCounts(4, 0, 2, 1, 17))}
    assert known["consecutive_rejects"] == LimitNow(name="consecutive_rejects", count=4, bound=10, then="stop")
    assert known["window_rejects"] == LimitNow(name="window_rejects", count=17, bound=30, among=200, then="stop")
    assert known["unknown_in_a_row"] == LimitNow(name="unknown_in_a_row", count=2, bound=3, then="warn")
    assert known["missed_deadlines"].count == 1
    assert "unconfirmed_rejects" not in known, "there is no confirm sensor"


def test_what_the_line_has_not_told_is_not_known(station: Station) -> None:
    assert {each.count for each in limits_of(station, None)} == {None}


def test_a_confirm_sensor_is_a_limit_and_so_is_a_bundle_that_is_watched(station: Station) -> None:
    confirm = Confirm.model_construct(after_ms=20.0, window_ms=10.0)
    bundle = LimitNow(name="unknown_max", count=3, bound=21, among=1_000, then="go_back", product="cap-a")
    told = limits_of(station.model_copy(update={"confirm": confirm}), LimitCounts(0, 1, 0, 0, 0), [bundle])
    assert {each.name: each.count for each in told}["unconfirmed_rejects"] == 1 and told[-1] == bundle


# --- how far out ---


def place(likeness: Likeness, far: float, parts: int) -> None:
    """Parts at so many limits."""
    embedding: Floats = np.array([2 * far, 0, 0, 0], np.float32)
    for _ in range(parts):
        likeness.place(embedding)


def a_likeness(clock: ManualClock, outside: Outside | None = OUTSIDE) -> Likeness:
    return Likeness("p, camera top", (), clock, lambda *_: None, outside)


def test_distances_are_told_in_limits_with_those_beyond(station: Station) -> None:
    clock = ManualClock(SPAN_NS)
    likeness = a_likeness(clock)
    desk: Any = None
    supervision = Supervision(station, desk, {(0, 0): likeness}, list, clock)
    product, camera = station.products()[0], station.camera[0].name
    assert supervision.drift(0).views == [DriftOf(product=product, camera=camera, has_coverage=True)]
    place(likeness, 0.5, STEP)
    clock.advance(SPAN_NS)
    place(likeness, 1.5, STEP)
    clock.advance(30 * SECOND)
    (told,) = supervision.drift(0).views
    assert (told.parts, told.unlike, told.allowed) == (20, 10, 10)
    assert told.distance == pytest.approx(1.0)
    assert told.spans == [
        DriftSpan(ago_s=630, parts=10, distance=0.5, unlike=0),
        DriftSpan(ago_s=30, parts=10, distance=1.5, unlike=10),
    ]
    assert supervision.views(0) == [told.model_copy(update={"spans": []})]


def test_the_newest_parts_alone_make_the_newest_figure() -> None:
    likeness = a_likeness(ManualClock(SPAN_NS))
    place(likeness, 1.5, WINDOW)
    place(likeness, 0.25, WINDOW)
    assert likeness.newest is not None
    assert (likeness.newest.distance, likeness.newest.unlike) == (pytest.approx(0.25), 0)


def test_what_is_no_number_is_far_out_and_still_a_number_when_told() -> None:
    assert OUTSIDE.in_limits(np.full(4, np.nan, np.float32)) == FARTHEST
    assert OUTSIDE.in_limits(np.full(4, 1e15, np.float32)) == FARTHEST
    assert OUTSIDE.in_limits(np.zeros(4, np.float32)) == 0


def test_a_bundle_that_does_not_say_is_told_as_such(station: Station) -> None:
    likeness, desk = a_likeness(ManualClock(SPAN_NS), None), SimpleNamespace()
    place(likeness, 3, 50)
    supervision = Supervision(station, desk, {(0, 0): likeness}, list, ManualClock())  # type: ignore[arg-type]
    (told,) = supervision.drift(0).views
    assert not told.has_coverage and told.parts == 0 and told.spans == []


def test_months_of_parts_are_a_bounded_list() -> None:
    trend = Trend()
    for span in range(20_000):
        trend.add(span * SPAN_NS + 5, STEP, 8.0, 1)
        trend.add(span * SPAN_NS + 7, STEP, 4.0, 0)
    assert len(trend.spans) == KEPT
    assert trend.spans[-1].began_ns == 19_999 * SPAN_NS
    assert (trend.spans[0].parts, trend.spans[0].total, trend.spans[0].unlike) == (20, 12.0, 1)


def test_the_largest_answer_fits_a_packet() -> None:
    span = DriftSpan(ago_s=10**7, parts=10**7, distance=9.999, unlike=10**7)
    view = DriftOf(
        product="x" * 60, camera="y" * 60, has_coverage=True, parts=60, distance=9.999, unlike=60, allowed=30,
        spans=[span] * KEPT,
    )  # fmt: skip
    assert len(packed(Drift(span_s=600, views=[view] * 8))) < ANSWER_BYTES
