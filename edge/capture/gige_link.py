"""One opened camera in Aravis: control, settings, stream and buffers. The only file that knows the library."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import gi  # type: ignore[import-untyped, import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from edge.capture import About, gige_facts
from edge.capture.device_clock import Captured, DeviceClock, Latch, WallStamps
from edge.capture.frame_ids import FrameIds
from edge.capture.gige_settings import apply, check_selected_trigger, check_trigger
from edge.capture.pixel_formats import Decoder
from edge.capture.pulse import Pulse
from edge.capture.silence import Silence
from edge.clock import MS, SECOND, Clock
from edge.errors import CameraError, ConfigError
from edge.options import GigeCamera

try:
    gi.require_version("Aravis", "0.8")
    from gi.repository import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        Aravis,
        GLib,
    )
except (ImportError, ValueError) as error:
    raise ConfigError(
        f"camera kind 'gige' needs Aravis' bindings ({error}): apt install gir1.2-aravis-0.8"
    ) from error

log = logging.getLogger(__name__)

OPEN_S = 10.0
SPARE = 3  # buffers beside those that wait: one is read, one is filled, one is on its way
SLICE_S = 0.1  # a waiting reader looks so often whether the camera is still there
LATCHES = 3
PRIMARY_IP = 0x0A14  # GigE Vision's register for the address of the program in control
# What latches the device's clock, where the latched time is then, and whether it is in ticks instead of ns.
LATCHERS = (
    ("TimestampLatch", "TimestampLatchValue", False),
    ("GevTimestampControlLatch", "GevTimestampValue", True),
)

Image = NDArray[np.uint8]

_search = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A complete picture: `number` counts the camera's frames from 1, `lost` those of them that were not handed out."""

    image: Image
    captured: Captured
    number: int
    lost: int
    copies: int


@contextmanager
def _translated() -> Iterator[None]:
    """Aravis' errors as CameraError."""
    try:
        yield
    except GLib.Error as error:
        raise CameraError(error.message) from error


class Link:
    """From `start` to `release`, once; another opening is another Link.

    No attribute is set and no signal connected on Aravis' objects: such an object would be freed with the interpreter
    locked, and freeing one waits seconds for a camera without power.
    """

    def __init__(self, options: GigeCamera, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._camera: Any = None
        self._device: Any = None
        self._stream: Any = None
        self._memory: dict[Any, Image] = {}
        self._held: Any = None
        self._decoder: Decoder | None = None
        self._latcher: tuple[str, str, float] | None = None
        self._asking = threading.Lock()  # features are not safe to be asked by two threads
        self._pulse = Pulse(self._touch, clock, f"gige-pulse-{options.name}", round(options.timeout_ms * MS))
        self._ids = FrameIds()
        self._device_clock = DeviceClock(round(options.captured_err_ms * MS))
        self._arrivals = WallStamps(clock)
        self._silence = Silence(options, clock)
        self._fire_ns = 0
        self._delivered = 0
        self.count = 0

    # --- opening ---

    def start(self) -> None:
        """Take control of the camera, set it, allocate the buffers and start. Raises CameraError, also after 10 s."""
        until_ns = self._clock.now_ns() + round(OPEN_S * SECOND)
        for step in (
            self._take_control,
            self._set,
            self._make_stream,
            self._find_latch,
            self._begin,
        ):
            with _translated():
                step()
            if self._clock.now_ns() > until_ns:
                raise CameraError(f"it did not start within {OPEN_S:g} s")
        self._silence = Silence(self._options, self._clock)
        self._pulse.start()

    def _take_control(self) -> None:
        self._camera = Aravis.Camera.new(_name_of(self._options))
        self._device = self._camera.get_device()
        if self._camera.is_gv_device() and not self._device.is_controller():
            raise CameraError(self._controlled())

    def _set(self) -> None:
        with suppress(GLib.Error):  # a program that crashed may have left it running; most cameras are not
            self._camera.stop_acquisition()
        apply(self._camera, self._options)
        self._set_packets()

    def _begin(self) -> None:
        self._camera.start_acquisition()
        check_trigger(self._camera, self._options.triggered)
        self._fire_ns = self._clock.now_ns()

    def _controlled(self) -> str:
        """Who has control, as far as the camera tells."""
        with suppress(GLib.Error):
            address = self._device.read_register(PRIMARY_IP)
            if address:
                told = ".".join(str(address >> shift & 0xFF) for shift in (24, 16, 8, 0))
                return f"a program on {told} controls it; end that program"
        return (
            "another program controls it; end that program (after a crash the camera frees itself within its "
            "heartbeat time-out, mostly 3 s)"
        )

    def _set_packets(self) -> None:
        if not self._camera.is_gv_device():
            return
        if self._options.packet_bytes is not None:
            self._camera.gv_set_packet_size_adjustment(Aravis.GvPacketSizeAdjustment.NEVER)
            self._camera.gv_set_packet_size(self._options.packet_bytes)
            got = self._camera.gv_get_packet_size()
            if got != self._options.packet_bytes:
                raise CameraError(f"it refused packet_bytes = {self._options.packet_bytes} and gives {got}")
        if self._options.packet_delay_ns is not None:
            self._camera.gv_set_packet_delay(self._options.packet_delay_ns)

    def _make_stream(self) -> None:
        region = self._camera.get_region()
        try:
            self._decoder = Decoder(self._options.pixel_format, region.width, region.height)
        except ValueError as error:
            raise CameraError(str(error)) from error
        self._stream = self._camera.create_stream(None, None)
        if self._camera.is_gv_device():
            resend = Aravis.GvStreamPacketResend
            self._stream.set_property(
                "packet-resend", resend.ALWAYS if self._options.packet_resend else resend.NEVER
            )
        size = self._camera.get_payload()
        if size < self._decoder.size():
            raise CameraError(f"its pictures have {size} bytes and should have {self._decoder.size()}")
        for _ in range(self._options.queue + SPARE):
            memory = np.zeros(size, np.uint8)
            buffer = Aravis.Buffer.new(size, memory.ctypes.data)
            self._memory[buffer] = memory
            self._stream.push_buffer(buffer)

    def _find_latch(self) -> None:
        for command, value, in_ticks in LATCHERS:
            if self._camera.is_feature_available(command) and self._camera.is_feature_available(value):
                ticks = self._device.get_timestamp_tick_frequency() if in_ticks else SECOND
                self._latcher = (command, value, SECOND / ticks) if ticks else None
                break
        self._latch()

    # --- service ---

    def next(self, timeout_s: float) -> Seen | None:
        """The next complete picture, None when none came in time. It is valid until the next call.

        Raises CameraError when the camera is lost, or its pictures are not what was agreed.
        """
        until_ns = self._clock.now_ns() + round(timeout_s * SECOND)
        self._give_back()
        while True:
            self._check()
            self._fire()
            wait_ns = min(until_ns - self._clock.now_ns(), round(SLICE_S * SECOND))
            if self._fire_ns:
                wait_ns = min(wait_ns, self._fire_ns - self._clock.now_ns())
            found = self._newest(self._pop(max(0, wait_ns)))
            if found is not None:
                self._silence.heard()
                return self._seen(found)
            self._silence.check()
            if self._clock.now_ns() >= until_ns:
                return None

    def _check(self) -> None:
        self._pulse.check()
        if self._camera.is_gv_device() and not self._device.is_controller():
            raise CameraError("control over it is lost")

    def _fire(self) -> None:
        """The software trigger, where it is its time."""
        every_ms = self._options.trigger_every_ms
        if every_ms is None or not self._options.triggered:
            self._fire_ns = 0
            return
        now_ns = self._clock.now_ns()
        if now_ns < self._fire_ns:
            return
        with self._asking, _translated():
            self._camera.software_trigger()
        every_ns = round(every_ms * MS)
        self._fire_ns = max(self._fire_ns + every_ns, now_ns - every_ns)

    def _pop(self, wait_ns: int) -> Any:
        """The next complete buffer; None when there is none in time, or the one that came was incomplete."""
        buffer = self._stream.timeout_pop_buffer(wait_ns // 1_000) if wait_ns else self._stream.try_pop_buffer()
        if buffer is None:
            return None
        status = buffer.get_status()
        if status == Aravis.BufferStatus.SUCCESS:
            return buffer
        self._stream.push_buffer(buffer)
        if status == Aravis.BufferStatus.SIZE_MISMATCH:
            raise CameraError("its pictures have another size than when it was opened")
        return None

    def _newest(self, buffer: Any) -> Any:
        """Of what a free-running camera has waiting, the newest."""
        while buffer is not None and not self._options.triggered:
            newer = self._pop(0)
            if newer is None:
                break
            self._stream.push_buffer(buffer)
            buffer = newer
        return buffer

    def _seen(self, buffer: Any) -> Seen:
        self._held = buffer
        step = self._ids.step(buffer.get_frame_id())
        if step < 1:
            raise CameraError("its frame ids went back: it has restarted")
        self.count += step
        self._delivered += 1
        arrived_ns = self._arrivals.monotonic_ns(buffer.get_system_timestamp())
        # without a clock of the camera's, Aravis gives its own stamp twice
        stamp_ns = buffer.get_timestamp() if buffer.get_timestamp() != buffer.get_system_timestamp() else 0
        captured = self._device_clock.captured(stamp_ns, arrived_ns)
        image = self._image(buffer)
        assert self._decoder is not None
        return Seen(image, captured, self.count, self.count - self._delivered, self._decoder.copies)

    def _image(self, buffer: Any) -> Image:
        decoder = self._decoder
        assert decoder is not None
        shape = buffer.get_image_width(), buffer.get_image_height()
        if shape != (decoder.width, decoder.height):
            raise CameraError(
                f"its pictures changed from {decoder.width} x {decoder.height} to {shape[0]} x {shape[1]}"
            )
        data = self._memory[buffer]
        padding = buffer.get_image_padding().x_padding
        if decoder.size(padding) > len(data):
            raise CameraError(f"its pictures have rows with {padding} bytes more than was agreed")
        image: Image = decoder.decode(data, padding).view()
        image.flags.writeable = False
        return image

    def _give_back(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._stream.push_buffer(held)

    # --- the pulse's thread ---

    def _touch(self) -> None:
        """Ask the camera something. Raises CameraError when it does not answer, or is not as it was set."""
        with self._asking, _translated():
            if not self._latch():
                self._device.read_register(0)
            if self._options.triggered:
                check_selected_trigger(self._camera, wanted=True)

    def _latch(self) -> bool:
        """Read the camera's clock, where that is possible."""
        if self._latcher is None:
            return False
        command, value, scale = self._latcher
        latches = []
        for _ in range(LATCHES):
            before_ns = self._clock.now_ns()
            self._device.execute_command(command)
            after_ns = self._clock.now_ns()
            device_ns = round(self._device.get_integer_feature_value(value) * scale)
            latches.append(Latch(before_ns, device_ns, after_ns))
        self._device_clock.set_by(latches)
        return True

    # --- what a person may want to know ---

    def about(self) -> About:
        """Raises CameraError when the camera does not answer."""
        with self._asking, _translated():
            camera = self._camera
            words = [
                gige_facts.name_of(camera),
                gige_facts.trigger_words(camera, self._options),
                self._clock_words(),
            ]
            if camera.is_gv_device():
                words.append(f"packets of {camera.gv_get_packet_size()} bytes")
            rate, exposure_us = gige_facts.triggers_per_s(camera), gige_facts.exposure_us(camera)
        lost = gige_facts.losses_words(self._stream)
        return About((*words, f"so far {lost}" if lost else "nothing lost so far"), rate, exposure_us)

    def _clock_words(self) -> str:
        if self._device_clock.is_latched:
            return "its clock can be latched"
        return f"its clock cannot be latched: capture times are stated to {self._options.captured_err_ms:g} ms"

    # --- the end ---

    def release(self) -> None:
        """Stop the camera and give up control; never raises. Waits for the driver's time-outs where nothing answers."""
        self._pulse.stop()
        lost = "" if self._stream is None else gige_facts.losses_words(self._stream)
        if lost:
            log.info("camera %r, since it was opened: %s", self._options.name, lost)
        if self._camera is not None and self._pulse.is_well:
            with suppress(GLib.Error):
                self._camera.stop_acquisition()
        self._held = None
        self._stream = None  # its thread ends here: before the memory goes that it writes into
        self._memory.clear()
        self._device = None
        self._camera = None


def _name_of(options: GigeCamera) -> str:
    """What Aravis opens the camera by: its address, or the id that a search finds. Raises CameraError."""
    if options.address:
        return options.address
    wanted = options.serial or options.id
    key = "serial" if options.serial else "id"
    with _search:
        Aravis.update_device_list()
        found = [_listed(index) for index in range(Aravis.get_n_devices())]
    for identity, names in found:
        if wanted in names[key]:
            return identity
    there = ", ".join(f"{identity} (serial {names['serial'][0]})" for identity, names in found)
    raise CameraError(f"no camera with {key} {wanted!r} answers; found: {there or 'none'}")


def _listed(index: int) -> tuple[str, dict[str, tuple[str, ...]]]:
    identity = Aravis.get_device_id(index)
    names = {
        "id": (identity, Aravis.get_device_physical_id(index)),
        "serial": (Aravis.get_device_serial_nbr(index),),
    }
    return identity, names
