"""How near the station is to its limits, and how far its pictures are from what was learned, for whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edge.clock import SECOND, Clock
from edge.eye.desk import Desk
from edge.eye.likeness import Likeness
from edge.eye.trend import SPAN_NS
from edge.nearness import Drift, DriftOf, DriftSpan, LimitNow
from edge.station import Station

_IN_A_ROW = ("consecutive_rejects", "unknown_in_a_row", "missed_deadlines", "unconfirmed_rejects")


class Supervision:
    """Any thread may ask; nothing is decided here. likeness: by recipe and view."""

    def __init__(
        self,
        station: Station,
        desk: Desk,
        likeness: Mapping[tuple[int, int], Likeness],
        new_bundles: Callable[[], list[LimitNow]],
        clock: Clock,
    ) -> None:
        self._station = station
        self._desk = desk
        self._likeness = likeness
        self._new_bundles = new_bundles
        self._clock = clock

    def limits(self) -> list[LimitNow]:
        """Those of the station file with the line's own counts, then those of bundles that are watched."""
        limits, counts = self._station.limits, self._desk.limit_counts
        names = [*_IN_A_ROW, "window_rejects"]
        if self._station.confirm is None or self._station.station.mode == "shadow":
            names.remove("unconfirmed_rejects")  # nobody sees them
        return [
            LimitNow(
                name=name,
                count=None if counts is None else getattr(counts, name),
                bound=getattr(limits, name),
                among=0 if name in _IN_A_ROW else limits.window_parts,
                then="warn" if name in limits.warn else "stop",
            )
            for name in names
        ] + self._new_bundles()

    def words(self) -> str:
        """In what the pictures are not as learned; empty while they are."""
        return "; ".join(each.words for each in list(self._likeness.values()) if each.words)

    def drift(self, recipe: int) -> Drift:
        """Of the parts of this recipe; no view while its bundle is being loaded."""
        views = [view.model_copy(update={"spans": self._spans(one)}) for view, one in self._seen(recipe)]
        return Drift(span_s=SPAN_NS // SECOND, views=views)

    def views(self, recipe: int) -> list[DriftOf]:
        """The same without what was before."""
        return [view for view, _ in self._seen(recipe)]

    def _seen(self, recipe: int) -> Iterator[tuple[DriftOf, Likeness]]:
        product = self._station.products()[recipe]
        for view, camera in enumerate(self._station.camera):
            one = self._likeness.get((recipe, view))
            if one is not None:
                yield _now(product, camera.name, one), one

    def _spans(self, one: Likeness) -> list[DriftSpan]:
        now_ns = self._clock.now_ns()
        return [
            DriftSpan(
                ago_s=(now_ns - each.began_ns) // SECOND,
                parts=each.parts,
                distance=round(each.total / each.parts, 3),
                unlike=each.unlike,
            )
            for each in one.trend.spans
        ]


def _now(product: str, camera: str, one: Likeness) -> DriftOf:
    newest = one.newest
    if newest is None:
        return DriftOf(product=product, camera=camera, has_coverage=one.has_coverage)
    return DriftOf(
        product=product,
        camera=camera,
        has_coverage=True,
        parts=newest.parts,
        distance=round(newest.distance, 3),
        unlike=newest.unlike,
        allowed=newest.allowed,
    )
