"""Frame ids of any width become a count without gaps but those of lost frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.frame_ids import FrameIds


def steps(ids: list[int]) -> list[int]:
    counter = FrameIds()
    return [counter.step(frame_id) for frame_id in ids]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2, 3], [1, 1, 1]),
        ([7, 9, 20], [1, 2, 11]),  # lost frames
        ([65_534, 65_535, 1, 2], [1, 1, 1, 1]),  # 16 bits, 0 is skipped
        ([65_530, 3], [1, 8]),  # frames lost over the wrap
        ([65_535, 0, 1], [1, 1, 1]),  # a camera that does not skip 0
        ([65_535, 65_536, 65_537], [1, 1, 1]),  # 64 bits
        ([1 << 40, (1 << 40) + 1], [1, 1]),
        ([5, 5], [1, 0]),
        ([300, 1], [1, -299]),  # it began anew
        ([1 << 20, 1], [1, 1 - (1 << 20)]),
    ],
)
def test_the_step_between_two_ids(ids: list[int], expected: list[int]) -> None:
    assert steps(ids) == expected


@given(first=st.integers(1, 65_535), gaps=st.lists(st.integers(1, 1_000), max_size=300))
def test_every_frame_is_counted_over_any_wrap(first: int, gaps: list[int]) -> None:
    at, ids = first, [first]
    for gap in gaps:
        at += gap
        ids.append((at - 1) % 65_535 + 1)
    assert sum(steps(ids)[1:]) == sum(gaps)
