"""What a GenICam camera says of itself: its name, how it is triggered and how often it can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.capture.trigger_rate import most_triggers_per_s
from edge.options import GigeCamera

# Old cameras have the names before SFNC 2.
RATES = ("ResultingFrameRate", "ResultingFrameRateAbs", "AcquisitionResultingFrameRate")
SHUTTERS = ("SensorShutterMode", "ShutterMode")
# What went wrong on the way, by Aravis' names of a stream's counters.
LOSSES = {
    "n_failures": "frames incomplete",
    "n_underruns": "times without a free buffer",
    "n_missing_packets": "packets missing",
    "n_resent_packets": "packets sent again",
}


def first_of(camera: Any, names: Sequence[str]) -> str:
    """The first of these features that the camera has, "" when it has none."""
    return next((name for name in names if camera.is_feature_available(name)), "")


def name_of(camera: Any) -> str:
    """Maker, model and serial number."""
    return f"{camera.get_vendor_name()} {camera.get_model_name()} (serial {camera.get_device_serial_number()})"


def exposure_us(camera: Any) -> float | None:
    return float(camera.get_exposure_time()) if camera.is_exposure_time_available() else None


def triggers_per_s(camera: Any) -> float | None:
    """None where the camera does not say enough."""
    exposed_us, told = exposure_us(camera), first_of(camera, RATES)
    if exposed_us is None or not (told or camera.is_frame_rate_available()):
        return None
    free_hz = camera.get_float(told) if told else camera.get_frame_rate_bounds()[1]
    return most_triggers_per_s(exposed_us, free_hz, is_rolling(camera)) if free_hz > 0 else None


def is_rolling(camera: Any) -> bool:
    shutter = first_of(camera, SHUTTERS)
    return bool(shutter) and "rolling" in camera.get_string(shutter).lower()


def trigger_words(camera: Any, options: GigeCamera) -> str:
    """How it is triggered, and how often it can be."""
    if not options.triggered:
        return "runs freely"
    rate = triggers_per_s(camera)
    most = "" if rate is None else f", at most {rate:.0f} times a second"
    shutter = " with its rolling shutter" if is_rolling(camera) else ""
    by = (
        "fired by Kenpin"
        if options.trigger_every_ms
        else f"{options.trigger_edge} edge of {options.trigger_source}"
    )
    return f"exposes when triggered ({by}){most}{shutter}"


def losses(stream: Any) -> dict[str, int]:
    """What went wrong on the way since the stream was made, in words."""
    told = [stream.get_info_name(index) for index in range(stream.get_n_infos())]
    return {words: int(stream.get_info_uint64_by_name(name)) for name, words in LOSSES.items() if name in told}


def losses_words(stream: Any) -> str:
    """The same as a sentence, "" where nothing went wrong."""
    return ", ".join(f"{count} {words}" for words, count in losses(stream).items() if count)
