"""Examines what the cameras send beside what network cards, USB ports and the kernel's buffers take."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from edge.doctor.finding import Finding, Here, graded
from edge.options import Camera, CvCamera, GigeCamera, GstCamera
from edge.station import Station

_USB_MB, _SOCKET_BYTES = 128, 4_000_000
_MB = 1_000_000
_FULL = 0.8  # the rest is for headers, packets that are sent again, and bursts
_JUMBO = 9_000
_ISOCHRONOUS = 24_576_000  # bytes a second: 3 x 1024 in each microframe, the most of one USB 2 camera (UVC)
_USB2_MBIT = 480
_USB3_AT_USB2 = "2.10"  # the version that a USB 3 device states where it finds USB 2 only
_LEAST_GIGE_MBIT = 1_000
_STATE_IT = "state width, height and fps (of a uri, not a pipeline): then edge doctor holds it against its link"


@dataclass(frozen=True, slots=True)
class Link:
    """What carries pictures: bytes a second at most, and the remedy where that is too little."""

    name: str
    bytes_per_s: float
    remedy: str


def examine(station: Station, here: Here) -> Iterator[Finding]:
    """For each camera its need and its port, then each link with the needs of all its cameras."""
    carried: dict[Link, dict[str, float]] = {}
    for camera in station.camera:
        if isinstance(camera, GigeCamera):
            yield _buffers(camera, here)
        address, port = _address(camera), _usb_port(camera, here)
        card = _card_to(address, here) if address else ""
        links = [*_network(card, here), *_usb(camera, port, here)]
        if not (address or port or isinstance(camera, GigeCamera)):
            continue
        need, words = need_of(camera, station)
        is_well = need is not None or _is_compressed(camera)
        yield graded("camera", is_well, f"camera {camera.name} sends {words}", _STATE_IT)
        yield from _card(camera, card, here)
        yield from _port(camera, port, here)
        for link in links:
            carried.setdefault(link, {})[camera.name] = need or 0
    for link, needs in carried.items():
        if any(needs.values()):
            yield _load(link, needs)


def need_of(camera: Camera, station: Station) -> tuple[float | None, str]:
    """Bytes a second that the camera sends at the most, as far as the station file says; and the words for it."""
    width, height = getattr(camera, "width", None), getattr(camera, "height", None)
    per_s, depth = _rate(camera, station), _bytes_per_pixel(camera)
    if _is_compressed(camera):
        return None, "compressed pictures: how many bytes depends on what they show"
    if not width or not height or not per_s or not depth:
        parts = {"size": width and height, "rate": per_s, "pixels": depth}
        return (
            None,
            f"unknown: the station file does not say {', '.join(name for name in parts if not parts[name])}",
        )
    need = width * height * depth * per_s
    return need, f"{need / _MB:.1f} MB/s at most ({width} x {height} x {depth:g} bytes, {per_s:.4g} a second)"


def _is_compressed(camera: Camera) -> bool:
    return isinstance(camera, GstCamera) and camera.encoding not in (None, "raw")


def _rate(camera: Camera, station: Station) -> float | None:
    """Pictures a second; of a triggered camera one for each part, at the least pitch."""
    every_ms = getattr(camera, "trigger_every_ms", None)
    if camera.triggered and every_ms is None and station.travel is not None:
        every_ms = station.travel.shortest_pitch_ms
    return 1_000 / every_ms if camera.triggered and every_ms else getattr(camera, "fps", None)


def _bytes_per_pixel(camera: Camera) -> float | None:
    """On the wire. A camera of V4L2 sends YUY2 where it is not told otherwise."""
    if isinstance(camera, GigeCamera):
        bits = int(re.sub(r"\D", "", camera.pixel_format))
        if camera.pixel_format in ("RGB8", "BGR8"):
            return 3
        if camera.pixel_format.endswith("p"):
            return bits / 8
        return {8: 1, 10: 2, 12: 2, 16: 2}[bits] if not camera.pixel_format.endswith("Packed") else 1.5
    if isinstance(camera, GstCamera) and camera.uri:
        scheme = camera.uri.partition("://")[0]
        if scheme == "gige":
            return 1 if camera.pixel_format == "GRAY8" else 3
        return 2 if scheme == "v4l2" else None
    return 2 if isinstance(camera, CvCamera) else None


def _load(link: Link, needs: dict[str, float]) -> Finding:
    share = sum(needs.values()) / link.bytes_per_s
    words = (
        f"{link.name}: {sum(needs.values()) / _MB:.1f} of {link.bytes_per_s / _MB:.1f} MB/s for {', '.join(needs)}"
    )
    if not all(needs.values()):
        words += ", without what is not known"
    return graded("camera", share <= _FULL, words, link.remedy, "advice" if share <= 1 else "wrong")


# --- the network --------------------------------------------------------------------------------------------------


def _address(camera: Camera) -> str:
    """The IPv4 address of a GigE Vision camera; empty where it has none, or a name."""
    named = getattr(camera, "address", "")
    if isinstance(camera, GstCamera) and camera.uri.startswith("gige://"):
        named = camera.uri.removeprefix("gige://")
    return named if re.fullmatch(r"\d+(\.\d+){3}", named) else ""


def _card_to(address: str, here: Here) -> str:
    """The network card that the kernel's table of routes names for it: the narrowest network that holds it."""
    wanted, best = int(IPv4Address(address)), (-1, "lo" if address.startswith("127.") else "")
    for line in here.text("proc/net/route").splitlines()[1:]:
        fields = line.split()
        network, mask = (int.from_bytes(bytes.fromhex(fields[place]), "little") for place in (1, 7))
        if wanted & mask == network:
            best = max(best, (mask, fields[0]))
    return best[1]


def _mbit(card: str, here: Here) -> int:
    """0 where it says none: without a cable, or where it is no real card."""
    told = here.text(f"sys/class/net/{card}/speed")
    return int(told) if told.isdigit() else 0


def _network(card: str, here: Here) -> Iterator[Link]:
    speed = _mbit(card, here) if card else 0
    if speed:
        remedy = "a network card of its own for each camera, a faster link, a region or a smaller pixel_format"
        yield Link(f"network {card} ({speed} Mbit/s)", speed * _MB / 8, remedy)


def _card(camera: Camera, card: str, here: Here) -> Iterator[Finding]:
    if not card or card == "lo":
        return
    name, speed = f"camera {camera.name}: network {card}", _mbit(card, here)
    if here.text(f"sys/class/net/{card}/carrier") == "0":
        yield Finding("camera", "wrong", f"{name} has no link", "plug the cable in, power the camera or its switch")
        return
    words = f"{name} runs at {speed} Mbit/s" if speed else f"{name} does not tell its speed"
    remedy = "GigE Vision needs 1000 Mbit/s: look at cable, switch and ethtool (a wire that is broken gives 100)"
    yield graded("camera", speed >= _LEAST_GIGE_MBIT, words, remedy)
    told = here.text(f"sys/class/net/{card}/mtu")
    if told.isdigit():
        yield _packets(camera, card, int(told))


def _packets(camera: Camera, card: str, mtu: int) -> Finding:
    """GigE Vision sends a picture as packets: few large ones cost the processor less than many small ones."""
    asked = getattr(camera, "packet_bytes", None)
    words = f"camera {camera.name}: packets of up to {mtu} bytes by {card}"
    if asked and asked > mtu:
        remedy = f"ip link set {card} mtu {_JUMBO}, and jumbo frames on the switch; or a smaller packet_bytes"
        return Finding("camera", "wrong", f"{words}, packet_bytes is {asked}", remedy)
    remedy = f"ip link set {card} mtu {_JUMBO}, jumbo frames on the switch, then packet_bytes = 8000"
    return graded("camera", mtu >= _JUMBO - 1_000, words, remedy)


# --- USB ----------------------------------------------------------------------------------------------------------


def video_node(camera: Camera) -> str:
    """The device that the camera opens, as far as its settings tell; empty where they name none."""
    if isinstance(camera, CvCamera):
        source = str(camera.source)
        path = f"/dev/video{source}" if source.isdigit() else source
        return path if path.startswith("/dev/") else ""
    if not isinstance(camera, GstCamera):
        return ""
    named = re.search(r"v4l2src\b[^!]*?\bdevice=\"?([^\s\"!]+)", camera.pipeline)
    return named[1] if named else camera.uri.partition("v4l2://")[2]


def _usb_port(camera: Camera, here: Here) -> str:
    """The kernel's folder of the camera as a USB device; empty where it is none or not plugged in."""
    node = video_node(camera)
    if node:
        folder = f"sys/class/video4linux/{Path(os.path.realpath(node)).name}/device/.."
        return folder if here.text(f"{folder}/speed") else ""
    serial = camera.serial if isinstance(camera, GigeCamera) else ""
    if not serial:
        return ""
    return next(
        (path.rpartition("/")[0] for path, told in here.files("sys/bus/usb/devices/*/serial") if told == serial), ""
    )


def _usb(camera: Camera, port: str, here: Here) -> Iterator[Link]:
    """The camera's own port, and the bus that it shares with others."""
    speed, bus = here.text(f"{port}/speed") if port else "", here.text(f"{port}/busnum") if port else ""
    if speed.isdigit():
        most = _usb_bytes(int(speed))
        if int(speed) == _USB2_MBIT and video_node(camera):
            most = _ISOCHRONOUS
        yield Link(
            f"USB port of {camera.name} ({speed} Mbit/s)", most, "a USB 3 port and cable, a lower rate or size"
        )
    shared = here.text(f"sys/bus/usb/devices/usb{bus}/speed") if bus else ""
    if shared.isdigit():
        remedy = "plug one camera into a port of another USB controller (lsusb -t)"
        yield Link(f"USB bus {bus} ({shared} Mbit/s)", _usb_bytes(int(shared)), remedy)


def _usb_bytes(mbit: int) -> float:
    """A second, at the most: a tenth of the bits, by the line's coding (USB 3) or by what is between the data."""
    return mbit * _MB / 10


def _port(camera: Camera, port: str, here: Here) -> Iterator[Finding]:
    speed = here.text(f"{port}/speed") if port else ""
    if speed.isdigit():
        is_slowed = int(speed) <= _USB2_MBIT and here.text(f"{port}/version") == _USB3_AT_USB2
        words = f"camera {camera.name}: USB at {speed} Mbit/s"
        if is_slowed:
            words += ", though it is a USB 3 device"
        yield graded(
            "camera", not is_slowed, words, "a USB 3 port (blue, SS) and a USB 3 cable, without a hub of USB 2"
        )


def _buffers(camera: GigeCamera, here: Here) -> Finding:
    if camera.address:
        most = here.text("proc/sys/net/core/rmem_max")
        remedy = f"sysctl net.core.rmem_max={2 * _SOCKET_BYTES}: frames are lost where the kernel cannot hold them"
        is_well = not most.isdigit() or int(most) >= _SOCKET_BYTES
        return graded("camera", is_well, f"network buffers up to {most or 'an unknown number of'} bytes", remedy)
    most = here.text("sys/module/usbcore/parameters/usbfs_memory_mb")
    remedy = "usbcore.usbfs_memory_mb=1000 on the kernel's command line: USB3 cameras need it"
    is_well = not most.isdigit() or int(most) == 0 or int(most) >= _USB_MB
    return graded("camera", is_well, f"USB buffers up to {most or 'an unknown number of'} MB", remedy)
