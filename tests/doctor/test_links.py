"""edge doctor holds what the cameras send against network cards, USB ports and the kernel's buffers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.doctor import links
from edge.doctor.finding import Finding, Here
from edge.station import Station, load
from tests.contracts.source_tree import ROOT

GIGE = """kind = "gige"
address = "192.168.10.20"
width = {width}
height = 1000
"""
V4L2 = """kind = "gst"
uri = "v4l2:///dev/video{number}"
width = 1280
height = 720
fps = {fps}
"""
ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth1\t000AA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth2\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0"""
CARD = "sys/class/net/eth1"
WELL = {
    "proc/net/route": ROUTES,
    "proc/sys/net/core/rmem_max": "33554432",
    f"{CARD}/speed": "1000",
    f"{CARD}/carrier": "1",
    f"{CARD}/mtu": "9000",
    "sys/class/net/eth0/speed": "10",
}


def a_station(folder: Path, *cameras: str) -> Station:
    """The first station with these cameras; a part each 90 ms at the least."""
    text = (ROOT / "examples" / "first-station.toml").read_text()
    before, _, after = text.partition("[[camera]]")
    sections = [f'[[camera]]\nname = "c{number}"\n{camera}' for number, camera in enumerate(cameras)]
    (folder / "station.toml").write_text(before + "\n".join(sections) + "\n" + after[after.index("[trigger]") :])
    return load(folder / "station.toml")


def a_machine(root: Path, files: dict[str, str]) -> Here:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    return Here(root)


def usb(root: Path, number: int, port: str, speed: str, version: str = "3.20", bus_speed: str = "5000") -> Here:
    """A camera of V4L2 as the kernel shows it: a link into the tree of USB devices."""
    device = root / f"sys/bus/usb/devices/{port}"
    interface = device / f"{port}:1.0"
    interface.mkdir(parents=True)
    files = {"speed": speed, "version": version, "busnum": port.partition("-")[0], "serial": f"S{number}"}
    a_machine(device, files)
    node = root / f"sys/class/video4linux/video{number}"
    node.mkdir(parents=True)
    (node / "device").symlink_to(interface)
    return a_machine(root, {f"sys/bus/usb/devices/usb{port.partition('-')[0]}/speed": bus_speed})


def unwell(station: Station, here: Here) -> list[Finding]:
    return [found for found in links.examine(station, here) if found.grade != "well"]


def test_a_camera_that_fits_its_card_is_told_with_its_need_and_its_card(tmp_path: Path) -> None:
    station, here = a_station(tmp_path, GIGE.format(width=2_000)), a_machine(tmp_path, WELL)
    assert unwell(station, here) == []
    words = [found.words for found in links.examine(station, here)]
    assert "camera c0 sends 22.2 MB/s at most (2000 x 1000 x 1 bytes, 11.11 a second)" in words
    assert "network eth1 (1000 Mbit/s): 22.2 of 125.0 MB/s for c0" in words


@pytest.mark.parametrize(
    ("path", "text", "grade", "remedy"),
    [
        ("proc/sys/net/core/rmem_max", "212992", "advice", "net.core.rmem_max"),
        (f"{CARD}/speed", "100", "wrong", "card of its own"),
        (f"{CARD}/mtu", "1500", "advice", "jumbo frames"),
        (f"{CARD}/carrier", "0", "wrong", "cable"),
    ],
)
def test_what_is_planted_in_the_network_is_found_with_its_remedy(
    tmp_path: Path, path: str, text: str, grade: str, remedy: str
) -> None:
    here = a_machine(tmp_path, WELL | {path: text})
    found = unwell(a_station(tmp_path, GIGE.format(width=2_000)), here)
    assert any(one.grade == grade and remedy in one.remedy for one in found), found


def test_two_cameras_of_one_card_are_added_up(tmp_path: Path) -> None:
    camera = GIGE.format(width=5_000) + 'pixel_format = "Mono12p"\n'  # 83.3 MB/s
    here = a_machine(tmp_path, WELL)
    assert unwell(a_station(tmp_path, camera), here) == []
    (found,) = unwell(a_station(tmp_path, camera, camera.replace(".20", ".21")), here)
    assert found.grade == "wrong" and "166.7 of 125.0 MB/s for c0, c1" in found.words


def test_packets_that_do_not_fit_the_card_are_wrong(tmp_path: Path) -> None:
    here = a_machine(tmp_path, WELL | {f"{CARD}/mtu": "1500"})
    (found,) = unwell(a_station(tmp_path, GIGE.format(width=2_000) + "packet_bytes = 8000\n"), here)
    assert found.grade == "wrong" and "packet_bytes is 8000" in found.words and "mtu 9000" in found.remedy


def test_what_the_station_file_does_not_say_is_said(tmp_path: Path) -> None:
    camera = 'kind = "gige"\naddress = "192.168.10.20"\n'
    (found,) = unwell(a_station(tmp_path, camera), a_machine(tmp_path, WELL))
    assert "does not say size" in found.words and "width" in found.remedy


def test_a_usb_3_camera_at_a_usb_2_port_is_found(tmp_path: Path) -> None:
    here = usb(tmp_path, 63, "1-2", "480", "2.10", "480")
    slow, port, bus = unwell(a_station(tmp_path, V4L2.format(number=63, fps=30)), here)
    assert slow.words == "camera c0: USB at 480 Mbit/s, though it is a USB 3 device"
    assert port.grade == "wrong" and "55.3 of 24.6 MB/s" in port.words and "USB 3 port" in port.remedy
    assert bus.grade == "wrong" and "55.3 of 48.0 MB/s" in bus.words


def test_a_usb_camera_that_fits_needs_nothing_and_two_at_one_bus_are_added_up(tmp_path: Path) -> None:
    usb(tmp_path, 63, "2-1", "5000")
    here = usb(tmp_path, 64, "2-2", "5000")
    assert unwell(a_station(tmp_path, V4L2.format(number=63, fps=60)), here) == []
    both = [V4L2.format(number=63, fps=120), V4L2.format(number=64, fps=120)]
    (found,) = unwell(a_station(tmp_path, *both), here)
    assert found.grade == "advice" and found.words == "USB bus 2 (5000 Mbit/s): 442.4 of 500.0 MB/s for c0, c1"
    assert "another USB controller" in found.remedy


def test_a_usb3_vision_camera_is_found_by_its_serial_and_so_are_its_buffers(tmp_path: Path) -> None:
    usb(tmp_path, 63, "2-1", "480", "2.10")
    here = a_machine(tmp_path, {"sys/module/usbcore/parameters/usbfs_memory_mb": "16"})
    found = unwell(a_station(tmp_path, 'kind = "gige"\nserial = "S63"\nwidth = 640\nheight = 480\n'), here)
    assert [one.words for one in found] == [
        "USB buffers up to 16 MB",
        "camera c0: USB at 480 Mbit/s, though it is a USB 3 device",
    ]


def test_compressed_pictures_and_pipelines_are_no_guess(tmp_path: Path) -> None:
    here = usb(tmp_path, 63, "2-1", "480", "2.00", "480")
    camera = V4L2.format(number=63, fps=30) + 'encoding = "jpeg"\n'
    assert unwell(a_station(tmp_path, camera), here) == []
    camera = 'kind = "gst"\npipeline = "v4l2src device=/dev/video63 ! appsink name=frames"\n'
    (found,) = unwell(a_station(tmp_path, camera), here)
    assert "does not say size, rate, pixels" in found.words and "not a pipeline" in found.remedy
