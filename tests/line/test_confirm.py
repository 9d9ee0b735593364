"""The confirm sensor: a reject that was seen, one that was not, and a part that nobody rejected."""

from __future__ import annotations

from edge.clock import MS
from edge.line.confirm import Confirm
from edge.line.core import LineCore
from edge.line.events import CONFIRM, TRIGGER, Armed, EdgeSeen, InputBack
from edge.line.limits import Bounds
from edge.line.settings import Settings
from edge.line.zone import Zone
from edge.records import Edge, GateEvent, GateOutcome, Kind, Reason, Sensed, TimeSource

AFTER, WINDOW = 60 * MS, 25 * MS


def ended(part_id: int) -> GateEvent:
    return GateEvent(0, part_id, 0, 0, 0, 0, 0, 0, 0, 0, GateOutcome.FIRED, Kind.REJECT, Reason.DEFECT)


def confirm(*rejected_at_ms: int, counts: bool = True) -> Confirm:
    made = Confirm(AFTER, WINDOW)
    for part_id, at_ms in enumerate(rejected_at_ms, 1):
        made.expect(part_id, at_ms * MS, counts)
    return made


def test_a_reject_that_is_seen_in_its_window_ends_with_the_time_it_was_seen() -> None:
    made = confirm(100)
    assert made.seen(140 * MS)
    made.ended(ended(1))
    assert [(event.sensed, event.sensed_ns) for event in made.settled(141 * MS)] == [(Sensed.SEEN, 140 * MS)]
    assert not made.waits


def test_the_end_of_a_reject_waits_until_it_can_be_seen_no_more() -> None:
    made = confirm(100)
    made.ended(ended(1))
    assert made.settled(185 * MS) == [] and made.next_ns() == 185 * MS + 1
    assert [event.sensed for event in made.settled(185 * MS + 1)] == [Sensed.MISSED]
    assert made.next_ns() is None


def test_one_sighting_confirms_one_reject_the_older_first() -> None:
    made = confirm(100, 120)
    assert made.seen(170 * MS)
    made.ended(ended(1))
    made.ended(ended(2))
    assert [(event.part_id, event.sensed) for event in made.settled(300 * MS)] == [
        (1, Sensed.SEEN),
        (2, Sensed.MISSED),
    ]


def test_a_bouncing_sensor_sees_its_part_again_and_alarms_nobody() -> None:
    made = confirm(100)
    assert made.seen(140 * MS) and made.seen(143 * MS)


def test_of_a_part_that_is_longer_than_one_several_may_be_seen_until_its_end_has_come_by() -> None:
    made = confirm(100)
    assert made.seen(160 * MS)
    made.goes_on(1, 150 * MS)
    assert made.seen(235 * MS)
    assert not made.seen(236 * MS)
    made.goes_on(2, 300 * MS)  # of one that was let pass nothing is expected
    assert not made.seen(330 * MS)
    unseen = confirm(100)
    unseen.goes_on(1, 150 * MS)
    unseen.ended(ended(1))
    assert [event.sensed for event in unseen.settled(236 * MS)] == [Sensed.UNWATCHED]


def test_what_nobody_rejected_is_an_alarm_unless_the_zone_was_unknown() -> None:
    made = confirm()
    assert not made.seen(500 * MS)
    made.unsure(500 * MS)
    assert made.seen(590 * MS)
    assert not made.seen(500 * MS + AFTER + 2 * WINDOW + 1)


def test_a_released_part_waits_for_nothing() -> None:
    made = confirm()
    made.ended(ended(7))
    assert made.settled(0) == [ended(7)]


def test_touching_parts_may_be_seen_as_one() -> None:
    made = confirm(100, counts=False)
    made.ended(ended(1))
    assert [event.sensed for event in made.settled(300 * MS)] == [Sensed.UNWATCHED]


def test_the_line_wakes_when_a_slot_begins_to_know_what_the_sensor_may_see() -> None:
    zone = Zone(200 * MS, 30 * MS, 10 * MS, 40 * MS, 60 * MS, 5 * MS, rest_rejects=True)
    core = LineCore(Settings(zone, Bounds(0, 0, 0, escapes=False), permits=False, confirm=(AFTER, WINDOW)), 3, 1, 0)
    born_ns = 307 * MS
    core.step(0, 0, [Armed(), InputBack(TRIGGER), InputBack(CONFIRM)])
    core.step(born_ns, 0, [EdgeSeen(Edge(True, born_ns, 0, TimeSource.POLL, 1), TRIGGER)])
    now_ns, woken_ns = born_ns, []
    while now_ns < zone.slot_start(born_ns):
        now_ns = core.due_ns(now_ns)
        woken_ns.append(now_ns)
        core.step(now_ns, 0)
    assert woken_ns[-1] == zone.slot_start(born_ns)
