"""The units open exactly what a station's file names, and systemd itself finds nothing to complain of in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.clock import SECOND
from edge.eye.bundle_changes import STARTS_AGAIN, STEADY_NS
from edge.station import Station, parse
from edge.systemd.needs import eye_needs, line_needs, outbox_needs
from edge.systemd.units import plan
from tests.contracts.source_tree import ROOT

EXAMPLES = ROOT / "examples"
NAMED_UNITS = ("multi-user", "sysinit", "basic", "shutdown")


def example(name: str, *changes: tuple[str, str], more: str = "") -> Station:
    """A station of the examples as if it stood in /etc/kenpin, with these changes."""
    text = (EXAMPLES / f"{name}.toml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return parse((text + more).encode(), Path(f"/etc/kenpin/{name}.toml"))


def drop_in(stations: list[Station], unit: str) -> list[str]:
    """The settings of the drop-in of this unit."""
    files = {str(file.path): file.text for file in plan(stations, Path(sys.prefix) / "bin").files}
    return files[f"/etc/systemd/system/{unit}.service.d/station.conf"].splitlines()


RELAYS = example("rest-open")
PLC_GATE = example("plc-gate")
LANES = [example("lanes-left"), example("lanes-right")]


def unit(name: str) -> str:
    """The text of a unit as it is installed."""
    files = {str(file.path): file.text for file in plan([RELAYS], Path(sys.prefix) / "bin").files}
    return files[f"/etc/systemd/system/{name}@.service"]


def test_an_eye_with_a_wrong_file_or_bundle_is_never_started() -> None:
    command = re.search(r"^ExecStartPre=\S+ -m edge check --quiet \$STATIONS$", unit("kenpin-eye"), re.MULTILINE)
    assert command is not None


@pytest.mark.parametrize("name", ["kenpin-line", "kenpin-eye"])
def test_the_log_can_be_asked_for_one_station(name: str) -> None:
    assert "LogExtraFields=KENPIN_STATION=%i" in unit(name).splitlines()


def test_a_line_with_a_serial_board_has_that_and_no_network() -> None:
    settings = drop_in([RELAYS], "kenpin-line@packing-1")
    assert {"DeviceAllow=char-ttyUSB rw", "DeviceAllow=char-ttyACM rw", "PrivateDevices=no"} <= set(settings)
    assert not [line for line in settings if "Network" in line or "AF_INET" in line or "IPAddress" in line]


def test_the_watchdog_of_a_line_waits_for_the_answers_of_its_outputs() -> None:
    assert "WatchdogSec=4" in drop_in([RELAYS], "kenpin-line@packing-1")
    slow = example("rest-open", ("[gate]", "[gate]\ntimeout_ms = 1500"))
    assert "WatchdogSec=29" in drop_in([slow], "kenpin-line@packing-1")


@pytest.mark.parametrize(("rest", "stop"), [("pass", 2 * 30.12), ("reject", 30.12)])
def test_a_stop_is_not_cut_short_where_the_belt_is_slow_and_the_gate_rests_open(rest: str, stop: float) -> None:
    """Transit and pulse, twice where the gate is held while the belt coasts; rounded up, with 20 s beyond."""
    slow = example("rest-open", ("trigger_to_gate_ms = 900", "trigger_to_gate_ms = 30000"), ('"pass"', f'"{rest}"'))
    for name in ("line", "eye"):
        assert f"TimeoutStopSec={int(stop) + 1 + 20}" in drop_in([slow], f"kenpin-{name}@packing-1")


def test_a_line_at_remote_io_reaches_its_addresses_and_no_device() -> None:
    settings = drop_in([PLC_GATE], "kenpin-line@filling-2")
    assert [line for line in settings if line.startswith("IPAddress")] == [
        "IPAddressAllow=192.0.2.11",
        "IPAddressAllow=192.0.2.10",
    ]
    assert not [line for line in settings if "Device" in line]


def test_a_host_that_is_a_name_cannot_be_filtered_and_is_still_reached() -> None:
    found = line_needs(example("plc-gate", ('"192.0.2.10"', '"plc.plant.example"')))
    assert found.hosts == ("192.0.2.11", "any")


def test_in_shadow_mode_no_output_is_opened() -> None:
    assert line_needs(example("rest-open", ('name = "packing-1"', 'name = "p"\nmode = "shadow"'))).devices == ()


def test_an_eye_with_a_usb_camera_has_the_video_devices_and_no_network() -> None:
    settings = drop_in([RELAYS], "kenpin-eye@packing-1")
    assert {"DeviceAllow=char-video4linux rw", "SupplementaryGroups=video"} <= set(settings)
    assert "PrivateNetwork=no" not in settings


@pytest.mark.parametrize(
    ("camera", "devices", "hosts"),
    [
        ('kind = "cv"\nsource = 2', ("char-video4linux",), ()),
        ('kind = "cv"\nsource = "rtsp://192.0.2.7/live"', (), ("192.0.2.7",)),
        ('kind = "gst"\nuri = "rtsp://user:word@192.0.2.7/live"\ncaptured_err_ms = 40', (), ("192.0.2.7",)),
        ('kind = "gst"\nuri = "file:///data/belt.mkv"', (), ()),
        ('kind = "gige"\naddress = "192.0.2.8"', (), ("192.0.2.8",)),
        ('kind = "gige"\nserial = "S1"', ("char-usb_device",), ("any",)),
    ],
)
def test_what_each_camera_needs(camera: str, devices: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    text = (EXAMPLES / "first-station.toml").read_text()
    text = re.sub(r'kind = "gst"\npipeline = .*', camera, text, count=1)
    found = eye_needs([parse(text.encode(), Path("/etc/kenpin/x.toml"))])
    assert (found.devices, found.hosts) == (devices, hosts)


def test_secrets_reach_only_the_process_that_needs_them() -> None:
    more = '[mqtt]\nhost = "192.0.2.30"\nusername = "line"\npassword_file = "mqtt.password"\n'
    station = example("first-station", more=more)
    assert outbox_needs(station).secrets == (("line-3.mqtt.password_file", Path("/etc/kenpin/mqtt.password")),)
    assert eye_needs([station]).secrets == ()
    assert "LoadCredential=line-3.mqtt.password_file:/etc/kenpin/mqtt.password" in drop_in(
        [station], "kenpin-outbox@line-3"
    )


def test_an_eye_that_somebody_lets_start_again_is_started_and_has_not_failed() -> None:
    (unit,) = [
        file.text
        for file in plan([RELAYS], Path(sys.prefix) / "bin").files
        if file.path.name == "kenpin-eye@.service"
    ]
    assert {f"SuccessExitStatus={STARTS_AGAIN}", f"RestartForceExitStatus={STARTS_AGAIN}"} <= set(unit.splitlines())
    burst, within_s = (
        int(re.search(rf"{name}=(\d+)", unit)[1]) for name in ("StartLimitBurst", "StartLimitIntervalSec")
    )  # type: ignore[index]
    assert within_s * SECOND / STEADY_NS < burst - 1, "asking again and again never makes systemd give it up"


def test_one_eye_runs_all_lanes_and_each_lane_has_a_line() -> None:
    made = plan(LANES, Path("/opt/kenpin/bin"))
    assert made.units == ("kenpin-line@left.service", "kenpin-line@right.service", "kenpin-eye@left.service")
    settings = drop_in(LANES, "kenpin-eye@left")
    assert 'Environment="STATIONS=/etc/kenpin/lanes-left.toml /etc/kenpin/lanes-right.toml"' in settings
    assert "Wants=kenpin-line@left.service kenpin-line@right.service" in settings


def test_a_serial_port_is_the_stations_alone_and_nobody_probes_it() -> None:
    files = {file.path.name: file.text for file in plan([RELAYS], Path("/opt/kenpin/bin")).files}
    rules = files["90-kenpin-packing-1.rules"]
    match = 'SYMLINK=="serial/by-id/usb-relay-board-if00"'
    assert f'SUBSYSTEM=="tty|gpio", {match}, GROUP="kenpin", MODE="0660", ENV{{ID_MM_DEVICE_IGNORE}}="1"' in rules
    assert f'{match}, DRIVERS=="ftdi_sio", ATTR{{device/latency_timer}}="1"' in rules


def test_a_panel_writes_records_and_labels_only_and_is_reached_by_its_peers(tmp_path: Path) -> None:
    settings = drop_in([example("first-station", more=PANEL)], "kenpin-panel@line-3")
    assert {
        "IPAddressAllow=localhost",
        "ReadWritePaths=/var/lib/kenpin/journal /var/lib/kenpin/labels",
        "InaccessiblePaths=-/var/lib/kenpin/device.key",
    } <= set(settings)
    assert not [line for line in settings if "Device" in line or "Capab" in line]
    made = plan([example("first-station", more=PANEL)], Path("/opt/kenpin/bin"))
    (folders,) = [file.text for file in made.files if file.path.name == "kenpin-line-3.conf"]
    assert "d /var/lib/kenpin/labels 0750 kenpin kenpin" in folders
    assert made.units[-1] == "kenpin-panel@line-3.service"
    settings = drop_in([example("first-station", more=OPEN_PANEL)], "kenpin-panel@line-3")
    assert {
        "IPAddressAllow=192.0.2.0/24",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "LoadCredential=line-3.panel.private_key:/etc/kenpin/p.key",
    } <= set(settings)
    assert "/var/lib/kenpin/labels" not in "".join(
        drop_in([example("first-station", more=PANEL)], "kenpin-eye@line-3")
    )


def test_who_tells_prometheus_writes_nothing_and_is_asked_by_this_machine_alone() -> None:
    settings = drop_in([example("first-station", more=METRICS)], "kenpin-metrics@line-3")
    assert {"IPAddressAllow=localhost", "InaccessiblePaths=-/var/lib/kenpin/device.key"} <= set(settings)
    assert not [line for line in settings if "Device" in line or "Capab" in line]
    assert [line for line in settings if line.startswith("ReadWritePaths")] == ["ReadWritePaths="]
    made = plan([example("first-station", more=PANEL + METRICS)], Path("/opt/kenpin/bin"))
    assert made.units[-2:] == ("kenpin-panel@line-3.service", "kenpin-metrics@line-3.service")


def test_without_a_section_there_is_no_panel_and_nobody_tells_prometheus() -> None:
    names = [file.path.name for file in plan([RELAYS], Path("/opt/kenpin/bin")).files]
    assert not [name for name in names if "panel" in name or "metrics" in name]


# --- by systemd's own judgement ---


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is missing: install systemd")
    return found


def laid_out(root: Path, stations: list[Station]) -> tuple[str, ...]:
    """The files below this root, where the programs that they start are links to the real ones; the units."""
    bin_dir = Path(sys.prefix) / "bin"
    made = plan(stations, bin_dir)
    for file in made.files:
        place = root / file.path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.text)
    units = root / "usr" / "lib" / "systemd" / "system"
    units.mkdir(parents=True)
    for name in NAMED_UNITS:
        (units / f"{name}.target").write_text("[Unit]\nDescription=stands in\n")
    python = root / (bin_dir / "python").relative_to("/")
    python.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(os.path.realpath(sys.executable), python)
    return made.units


PANEL = '[panel]\nlabels_dir = "/var/lib/kenpin/labels"\n'
OPEN_PANEL = (
    '[panel]\nlisten = "192.0.2.5:443"\ncertificate = "p.crt"\nprivate_key = "p.key"\npeers = ["192.0.2.0/24"]\n'
)
METRICS = '[metrics]\nlisten = "127.0.0.1:9400"\n'
MQTT = '[mqtt]\nhost = "broker.plant.example"\n'
STATIONS = {
    "relays": [RELAYS],
    "plc": [PLC_GATE],
    "lanes": LANES,
    "outbox": [example("first-station", more=MQTT)],
    "plc server": [example("recipes")],
    "panel": [example("first-station", more=PANEL)],
    "panel of a network": [example("first-station", more=OPEN_PANEL)],
    "metrics": [example("first-station", more=METRICS)],
}
MOST = {"kenpin-eye": 1.6, "kenpin-outbox": 1.2, "kenpin-panel": 1.5, "kenpin-metrics": 1.2}


@pytest.mark.parametrize("stations", STATIONS.values(), ids=STATIONS)
def test_systemd_finds_nothing_wrong_and_little_exposed(
    tmp_path: Path, analyze: str, stations: list[Station]
) -> None:
    units = laid_out(tmp_path, stations)
    for unit in units:
        checked = subprocess.run(
            [analyze, "verify", "--man=no", f"--root={tmp_path}", unit], capture_output=True, text=True
        )
        assert (checked.returncode, checked.stderr.strip()) == (0, ""), unit
        networked = any(line_needs(station).hosts for station in stations)
        most = MOST.get(unit.partition("@")[0], 1.7 if networked else 0.8)
        judged = subprocess.run(
            [analyze, "security", "--offline=true", f"--threshold={round(10 * most)}", f"--root={tmp_path}", unit],
            capture_output=True,
            text=True,
        )
        assert judged.returncode == 0, judged.stdout
