"""Asks a GenICam camera for each setting and reads it back: cameras answer yes and do something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edge.capture.gige_facts import first_of
from edge.errors import CameraError
from edge.options import GigeCamera

NEAR = 0.05  # cameras round exposure and gain to their own steps
EDGES = {"rising": "RisingEdge", "falling": "FallingEdge"}
# Old cameras have the names before SFNC 2.
DELAYS = ("TriggerDelay", "TriggerDelayAbs")
DEBOUNCERS = ("LineDebouncerTime", "LineDebouncerTimeAbs")


def apply(camera: Any, options: GigeCamera) -> None:
    """Set what the options ask for. Raises CameraError for what the camera lacks or does not take, and GLib.Error."""
    if camera.is_feature_available("AcquisitionMode"):
        camera.set_string("AcquisitionMode", "Continuous")
    _set_pixel_format(camera, options.pixel_format)
    _set_region(camera, options)
    _set_light(camera, options)
    if options.triggered:
        _set_trigger(camera, options)
    else:
        camera.clear_triggers()
        _set_rate(camera, options.fps)


def check_trigger(camera: Any, wanted: bool) -> None:
    """The trigger mode as the camera has it now: some set it back when they start, or when they lose their power.

    Leaves FrameStart selected. Raises CameraError when it is not as it must be.
    """
    if not camera.is_feature_available("TriggerMode"):
        return
    if not camera.is_feature_available("TriggerSelector"):
        check_selected_trigger(camera, wanted)
        return
    for trigger in sorted(camera.dup_available_triggers(), key=lambda name: name == "FrameStart"):
        camera.set_string("TriggerSelector", trigger)
        check_selected_trigger(camera, wanted and trigger == "FrameStart")


def check_selected_trigger(camera: Any, wanted: bool) -> None:
    """The same for the trigger that is selected."""
    mode = camera.get_string("TriggerMode")
    if mode != ("On" if wanted else "Off"):
        raise CameraError(
            f"its trigger mode is {mode}, not {'On' if wanted else 'Off'}: it did not keep what was set; its pictures "
            "would belong to other parts; load its default user set, or update its firmware"
        )


def _set_pixel_format(camera: Any, wanted: str) -> None:
    known = camera.dup_available_pixel_formats_as_strings()
    if wanted not in known:
        raise CameraError(f"pixel_format = {wanted!r} is not one of {', '.join(known)}")
    camera.set_pixel_format_from_string(wanted)


def _set_region(camera: Any, options: GigeCamera) -> None:
    """The offsets go to 0 first: a region may not leave the sensor on its way to its place."""
    if camera.is_region_offset_available():
        before = camera.get_region()
        camera.set_region(0, 0, before.width, before.height)
    most = camera.get_width_bounds()[1], camera.get_height_bounds()[1]
    at = options.offset_x, options.offset_y
    size = options.width or most[0] - at[0], options.height or most[1] - at[1]
    for axis, width, offset in ((0, "width", "offset_x"), (1, "height", "offset_y")):
        if at[axis] + size[axis] > most[axis]:
            raise CameraError(
                f"{offset} = {at[axis]} and {width} = {size[axis]} reach over its {most[axis]} pixels"
            )
    _on_step(size, (camera.get_width_increment(), camera.get_height_increment()), ("width", "height"))
    camera.set_region(0, 0, *size)
    if any(at):
        _on_step(at, (camera.get_x_offset_increment(), camera.get_y_offset_increment()), ("offset_x", "offset_y"))
        camera.set_region(*at, *size)
    got = camera.get_region()
    if (got.x, got.y, got.width, got.height) != (*at, *size):
        raise CameraError(f"it gives {got.width} x {got.height} at {got.x}, {got.y} and not the region asked for")


def _on_step(values: tuple[int, int], steps: tuple[int, int], keys: tuple[str, str]) -> None:
    for value, step, key in zip(values, steps, keys, strict=True):
        if value % max(1, step):
            raise CameraError(f"{key} = {value} is no multiple of its step of {step}")


def _set_light(camera: Any, options: GigeCamera) -> None:
    if options.exposure_us is not None:
        if camera.is_feature_available("ExposureAuto"):
            camera.set_string("ExposureAuto", "Off")
        _within(options.exposure_us, camera.get_exposure_time_bounds(), "exposure_us")
        camera.set_exposure_time(options.exposure_us)
        _near("exposure_us", options.exposure_us, camera.get_exposure_time())
    if options.gain is not None:
        if camera.is_feature_available("GainAuto"):
            camera.set_string("GainAuto", "Off")
        _within(options.gain, camera.get_gain_bounds(), "gain")
        camera.set_gain(options.gain)
        _near("gain", options.gain, camera.get_gain())


def _set_rate(camera: Any, fps: float | None) -> None:
    if fps is None:
        return
    camera.set_frame_rate(fps)
    _near("fps", fps, camera.get_frame_rate())


def _set_trigger(camera: Any, options: GigeCamera) -> None:
    if not camera.is_feature_available("TriggerMode"):
        raise CameraError("it has no trigger; set triggered = false")
    known = camera.dup_available_trigger_sources()
    if options.trigger_source not in known:
        raise CameraError(f"trigger_source = {options.trigger_source!r} is not one of {', '.join(known)}")
    if camera.is_feature_available("AcquisitionFrameRateEnable"):
        camera.set_boolean("AcquisitionFrameRateEnable", False)  # it would hold triggers back
    camera.set_trigger(options.trigger_source)
    if options.trigger_source == "Software":
        return
    camera.set_string("TriggerActivation", EDGES[options.trigger_edge])
    _set_time(camera, DELAYS, options.trigger_delay_us, "trigger_delay_us")
    if camera.is_feature_available("LineSelector"):
        camera.set_string("LineSelector", options.trigger_source)
    _set_time(camera, DEBOUNCERS, options.trigger_debounce_us, "trigger_debounce_us")


def _set_time(camera: Any, names: Sequence[str], wanted_us: float, key: str) -> None:
    """A time that need not be there while none is wanted."""
    name = first_of(camera, names)
    if not name:
        if wanted_us:
            raise CameraError(f"it has no {names[0]}: remove {key}")
        return
    low, high = camera.get_float_bounds(name)
    _within(max(low, wanted_us), (low, high), key)
    camera.set_float(name, max(low, wanted_us))
    if wanted_us:
        _near(key, wanted_us, camera.get_float(name))


def _within(value: float, bounds: tuple[float, float], key: str) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise CameraError(f"{key} = {value:g} is not within its {low:g} to {high:g}")


def _near(key: str, wanted: float, got: float) -> None:
    if abs(got - wanted) > max(NEAR * abs(wanted), 1e-3):
        raise CameraError(f"it refused {key} = {wanted:g} and gives {got:g}")
