"""How near a station is to its limits, and how far its pictures are from what was learned: answers of its eye."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.packet import Packet


class LimitNow(Packet):
    """A limit of the station file, by its key there: `count` so far (None while no line tells it), `bound` are too many
    and 0 turns it off. They are counted among the last `among` parts, or in a row where that is 0. What happens
    `then`: the line stops until somebody acknowledges, it is only told, or the station goes back to its bundle of
    before; only that one is of a `product`."""

    name: str
    count: int | None
    bound: int
    among: int = 0
    then: Literal["stop", "warn", "go_back"]
    product: str = ""


class DriftSpan(Packet):
    """The parts of ten minutes that began `ago_s` ago: their mean distance, and how many lay beyond the limit."""

    ago_s: int
    parts: int
    distance: float
    unlike: int


class DriftOf(Packet):
    """What one camera shows of the product that runs. Distances are in that which 95 % of held-out pictures stay
    within, so 1 is the limit. `unlike` of the newest `parts` lay beyond it; more than `allowed` are told. Without
    `has_coverage` the bundle does not say how far its pictures reach."""

    product: str
    camera: str
    has_coverage: bool
    parts: int = 0
    distance: float = 0
    unlike: int = 0
    allowed: int = 0
    spans: list[DriftSpan] = Field(default=[])


class Drift(Packet):
    """Each camera's since the eye began; its spans, the oldest first, are of `span_s` each."""

    answer: Literal["drift"] = "drift"
    span_s: int
    views: list[DriftOf]
