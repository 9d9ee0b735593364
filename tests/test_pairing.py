"""Frames find their parts whatever the order, and in doubt nobody gets one."""

import random

import pytest

from edge.clock import MS
from edge.pairing import Missing, Paired, Pairing, Result, Sighting, Unpaired, View
from edge.records import Part, Reason

TOP = View("top", offset_ns=10 * MS, window_ns=20 * MS)
LIMIT = 300 * MS


def part(number: int, born_ms: float, token: int = 0) -> Part:
    born_ns = round(born_ms * MS)
    return Part(number, born_ns, 0, born_ns, born_ns + LIMIT, born_ns + 2 * LIMIT, token=token)


def frame(number: int, captured_ms: float, counter: int = -1, view: int = 0, **more: object) -> Sighting:
    return Sighting(view, number, round(captured_ms * MS), counter=counter, **more)  # type: ignore[arg-type]


def pairing(*views: View) -> Pairing:
    return Pairing(views or (TOP,), max_parts=64, max_frames=4, hold_ns=250 * MS)


def born(pairs: Pairing, item: Part) -> list[Result]:
    return pairs.birth(item, item.deadline_ns)


def test_a_frame_pairs_with_the_part_that_was_born_before_it() -> None:
    pairs = pairing()
    assert born(pairs, part(1, 100)) == []
    assert pairs.frame(frame(1, 112)) == [Paired(part(1, 100), frame(1, 112))]


def test_a_frame_waits_for_a_birth_that_comes_later() -> None:
    pairs = pairing()
    assert pairs.frame(frame(1, 112)) == []
    assert born(pairs, part(1, 100)) == [Paired(part(1, 100), frame(1, 112))]


@pytest.mark.parametrize(("captured_ms", "fits"), [(89.9, False), (90, True), (130, True), (130.1, False)])
def test_a_frame_fits_from_the_windows_first_to_its_last_instant(captured_ms: float, fits: bool) -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    assert bool(pairs.frame(frame(1, captured_ms))) is fits


def test_the_stated_errors_of_frame_and_birth_widen_the_window() -> None:
    pairs = pairing()
    late = Part(1, 100 * MS, 3 * MS, 0, LIMIT, LIMIT)
    pairs.birth(late, LIMIT)
    assert pairs.frame(frame(1, 135.1, err_ns=2 * MS)) == []
    assert isinstance(pairs.frame(frame(2, 135.2, err_ns=3 * MS))[0], Paired)


def test_two_parts_that_fit_one_frame_get_none() -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    born(pairs, part(2, 115))
    assert pairs.frame(frame(1, 118)) == [
        Unpaired(frame(1, 118)),
        Missing(part(1, 100), 0, Reason.AMBIGUOUS),
        Missing(part(2, 115), 0, Reason.AMBIGUOUS),
    ]


def test_a_pair_is_doubted_when_a_later_birth_fits_its_frame_too() -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    pairs.frame(frame(1, 118))
    assert not pairs.is_doubted(1)
    assert born(pairs, part(2, 115)) == [Missing(part(2, 115), 0, Reason.AMBIGUOUS)]
    assert pairs.is_doubted(1)


def test_a_pair_is_doubted_when_a_second_frame_fits_its_part() -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    pairs.frame(frame(1, 112))
    assert pairs.frame(frame(2, 114)) == [Unpaired(frame(2, 114))]
    assert pairs.is_doubted(1)


def test_a_part_without_a_frame_is_missing_it_at_its_limit_and_not_before() -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    assert pairs.next_limit_ns() == 400 * MS
    assert pairs.expire(400 * MS - 1) == []
    assert pairs.expire(400 * MS) == [Missing(part(1, 100), 0, Reason.NO_FRAME)]
    assert pairs.expire(900 * MS) == []
    assert pairs.next_limit_ns() is None


def test_a_frame_after_the_limit_is_no_help() -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    pairs.expire(400 * MS)
    assert pairs.frame(frame(1, 112)) == [Unpaired(frame(1, 112))]


def test_a_repeated_frame_makes_the_waiting_part_stale() -> None:
    pairs = pairing()
    born(pairs, part(1, 100))
    assert pairs.frame(frame(7, 50, repeat=True)) == [Unpaired(frame(7, 50, repeat=True))]
    assert pairs.expire(400 * MS) == [Missing(part(1, 100), 0, Reason.STALE_FRAME)]


def test_a_frame_nobody_was_born_for_is_unpaired_after_the_hold() -> None:
    pairs = pairing()
    pairs.frame(frame(1, 100))
    assert pairs.expire(349 * MS) == []
    assert pairs.expire(350 * MS) == [Unpaired(frame(1, 100))]


def test_waiting_frames_are_bounded_and_the_oldest_falls_out() -> None:
    pairs = pairing()
    for number in range(4):
        assert pairs.frame(frame(number, number * 100)) == []
    assert pairs.frame(frame(4, 400)) == [Unpaired(frame(0, 0))]


def test_waiting_parts_are_bounded_and_the_oldest_is_an_overrun() -> None:
    pairs = Pairing((TOP,), max_parts=2, max_frames=4, hold_ns=MS)
    born(pairs, part(1, 100))
    born(pairs, part(2, 200))
    assert born(pairs, part(3, 300)) == [Missing(part(1, 100), 0, Reason.OVERRUN)]


def test_trigger_counters_settle_which_of_two_parts_a_frame_shows() -> None:
    pairs = pairing()
    born(pairs, part(1, 0, token=11))
    pairs.frame(frame(1, 10, counter=501))
    born(pairs, part(2, 100, token=12))
    born(pairs, part(3, 115, token=13))
    assert pairs.frame(frame(2, 118, counter=502)) == [Paired(part(2, 100, token=12), frame(2, 118, counter=502))]
    assert pairs.frame(frame(3, 119, counter=503)) == [Paired(part(3, 115, token=13), frame(3, 119, counter=503))]
    assert not pairs.is_doubted(2)


def test_a_counter_that_slipped_costs_two_parts_and_then_counts_anew() -> None:
    pairs = pairing()
    born(pairs, part(1, 0, token=1))
    pairs.frame(frame(1, 10, counter=1))
    for number in (2, 3):
        slipped = frame(number, 100 * number + 10, counter=number + 1)
        born(pairs, part(number, 100 * number, token=number))
        assert pairs.frame(slipped) == [
            Unpaired(slipped),
            Missing(part(number, 100 * number, token=number), 0, Reason.AMBIGUOUS),
        ]
    for number in (4, 5):
        born(pairs, part(number, 100 * number, token=number))
        assert isinstance(pairs.frame(frame(number, 100 * number + 10, counter=number + 1))[0], Paired)


def test_two_late_frames_that_fall_to_neighbours_do_not_shift_the_line() -> None:
    pairs = pairing()
    for number in range(1, 6):
        born(pairs, part(number, 100 * number, token=number))
    assert isinstance(pairs.frame(frame(1, 110, counter=1))[0], Paired)
    for number in (2, 3):  # each comes at the time of the next part
        late = frame(number, 100 * number + 110, counter=number)
        assert pairs.frame(late) == [
            Unpaired(late),
            Missing(part(number + 1, 100 * number + 100, token=number + 1), 0, Reason.AMBIGUOUS),
        ]
    assert isinstance(pairs.frame(frame(5, 510, counter=5))[0], Paired)


def test_every_view_of_a_part_gets_its_own_camera_frame() -> None:
    side = View("side", offset_ns=50 * MS, window_ns=20 * MS)
    pairs = pairing(TOP, side)
    born(pairs, part(1, 100))
    assert pairs.frame(frame(1, 150, view=1)) == [Paired(part(1, 100), frame(1, 150, view=1))]
    assert pairs.expire(400 * MS) == [Missing(part(1, 100), 0, Reason.NO_FRAME)]


def test_an_eye_born_part_pairs_by_token_alone() -> None:
    pairs = pairing(View("top", births=True))
    pairs.frame(frame(41, 100))
    pairs.frame(frame(42, 100.1))
    assert born(pairs, part(1, 100, token=42)) == [Paired(part(1, 100, token=42), frame(42, 100.1))]
    assert born(pairs, part(2, 100, token=99)) == []


def free() -> Pairing:
    return pairing(View("top", window_ns=20 * MS, triggered=False))


def test_a_free_running_camera_gives_the_frame_nearest_to_the_instant() -> None:
    pairs = free()
    born(pairs, part(1, 100))
    assert pairs.frame(frame(1, 84)) == []
    assert pairs.frame(frame(2, 97)) == []
    assert pairs.frame(frame(3, 110)) == [Paired(part(1, 100), frame(2, 97))]


def test_a_late_birth_still_finds_the_free_running_frame_of_its_instant() -> None:
    pairs = free()
    for number, captured_ms in enumerate((84, 97, 110, 123)):
        pairs.frame(frame(number, captured_ms))
    assert born(pairs, part(1, 100)) == [Paired(part(1, 100), frame(1, 97))]


def test_two_parts_that_fit_the_nearest_free_running_frame_get_none() -> None:
    pairs = free()
    born(pairs, part(1, 100))
    born(pairs, part(2, 105))
    kinds = [type(result) for result in pairs.frame(frame(1, 103))]
    assert kinds == [Missing, Missing] or kinds == []
    assert {type(result) for result in pairs.frame(frame(2, 116))} <= {Missing}
    assert all(isinstance(result, Missing) for result in pairs.expire(900 * MS) if not isinstance(result, Unpaired))


# --- ten thousand parts ---


class Conveyor:
    """Parts with frames that arrive late, early, twice, or never, and births that are late too."""

    def __init__(self, seed: int, pitch_ms: float, window_ms: float, touching: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.window_ms = window_ms
        self.owner: dict[int, int] = {}
        self.events: list[tuple[float, int, object]] = []
        at_ms, last_arrival = 1_000.0, 0.0
        for number in range(1, 2_501):
            near = self.random.random() < touching
            at_ms += self.random.uniform(0.1, 1.0) * pitch_ms if near else pitch_ms * self.random.uniform(1, 2)
            self.events.append((at_ms + self.random.expovariate(1 / 5), number * 4, part(number, at_ms)))
            last_arrival = self._frames(number, at_ms, last_arrival)
        self.events.sort(key=lambda event: event[:2])

    def _frames(self, number: int, born_ms: float, last_arrival: float) -> float:
        luck = self.random.random()
        if luck < 0.03:
            return last_arrival
        captured_ms = born_ms + 10 + self.random.uniform(-1, 1) * self.window_ms
        arrival = max(last_arrival, captured_ms + self.random.choice((0.1, 5, 60)))
        self.owner[number] = number
        self.events.append((arrival, number * 4 + 1, frame(number, captured_ms)))
        if luck > 0.97:
            again = frame(number, captured_ms, repeat=True)
            self.events.append((arrival, number * 4 + 2, again))
        return arrival


def run(conveyor: Conveyor) -> tuple[int, int, int]:
    """(right, wrong, without) over all parts, each verdict settled one limit after its birth."""
    pairs = Pairing((View("top", 10 * MS, round(conveyor.window_ms * MS)),), 64, 8, 250 * MS)
    got: dict[int, int] = {}
    ended: list[int] = []
    pending: list[tuple[float, int, int]] = []
    right = wrong = 0

    def settle(until_ms: float) -> None:
        nonlocal right, wrong
        while pending and pending[0][0] <= until_ms:
            _, part_id, number = pending.pop(0)
            if not pairs.is_doubted(part_id):
                right += part_id == number
                wrong += part_id != number

    for at_ms, _, item in conveyor.events:
        settle(at_ms)
        results = born(pairs, item) if isinstance(item, Part) else pairs.frame(item)  # type: ignore[arg-type]
        results += pairs.expire(round(at_ms * MS))
        for result in results:
            if isinstance(result, Paired):
                got[result.part.part_id] = result.frame.number
                pending.append((at_ms + 30, result.part.part_id, result.frame.number))
                ended.append(result.part.part_id)
            elif isinstance(result, Missing):
                ended.append(result.part.part_id)
    settle(float("inf"))
    ended += [result.part.part_id for result in pairs.expire(10**18) if isinstance(result, Missing)]
    assert sorted(ended) == list(range(1, 2_501))
    return right, wrong, len(ended) - len(got)


@pytest.mark.parametrize("seed", range(4))
def test_of_ten_thousand_parts_none_meets_the_frame_of_another(seed: int) -> None:
    """4 x 2,500 parts, the window at its greatest allowed value: half the pitch."""
    right, wrong, without = run(Conveyor(seed, pitch_ms=50, window_ms=24.9))
    assert wrong == 0
    assert right > 2_300
    assert without < 150


@pytest.mark.parametrize("seed", range(4))
def test_touching_parts_are_doubted_and_never_mixed_up(seed: int) -> None:
    right, wrong, _ = run(Conveyor(seed, pitch_ms=50, window_ms=10, touching=0.1))
    assert wrong == 0
    assert right > 1_500
