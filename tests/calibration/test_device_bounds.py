"""A device without scipy computes the bounds of the host."""

import pytest

from calibration.bounds import upper_bound
from edge.bounds import upper_bound as on_the_device


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.999999])
def test_a_device_computes_the_same_bound_without_scipy(confidence):
    counts = [
        (events, trials) for trials in (*range(1, 40), 59, 168, 232, 2_000) for events in range(min(trials, 25))
    ]
    counts += [(trials - 1, trials) for trials in (2, 50, 1_000, 200_000)]
    counts += [(0, 200_000), (5_000, 100_000), (100_000, 200_000), (35_262, 50_000)]
    for events, trials in counts:
        assert on_the_device(events, trials, confidence) == pytest.approx(
            upper_bound(events, trials, confidence), abs=1e-9, rel=1e-9
        )
