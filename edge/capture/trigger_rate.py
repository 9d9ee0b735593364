"""How often a camera can be triggered: what its shutter, its exposure and its free-running rate allow; pure."""

from __future__ import annotations


def most_triggers_per_s(exposure_us: float, free_rate_hz: float, rolling: bool) -> float:
    """Triggers a second that all become frames.

    A global shutter exposes the next frame while one is read out. A rolling one must read a frame out before a trigger
    can start the next exposure: 45 frames a second running freely can be 15 under a trigger.
    """
    exposure_s, readout_s = exposure_us / 1e6, 1.0 / free_rate_hz
    return 1.0 / (exposure_s + readout_s if rolling else max(exposure_s, readout_s))
