"""What a shutter, an exposure and a free-running rate allow under a trigger."""

from __future__ import annotations

import pytest

from edge.capture.trigger_rate import most_triggers_per_s


@pytest.mark.parametrize(
    ("exposure_us", "free_hz", "rolling", "most"),
    [
        (1_000, 100, False, 100),  # the readout limits
        (20_000, 100, False, 50),  # the exposure limits
        (1_000, 100, True, 1_000 / 11),  # both, one after the other
        (44_444, 45, True, 15),  # 45 frames a second running freely are 15 under a trigger
    ],
)
def test_most_triggers(exposure_us: float, free_hz: float, rolling: bool, most: float) -> None:
    assert most_triggers_per_s(exposure_us, free_hz, rolling) == pytest.approx(most, rel=1e-3)
