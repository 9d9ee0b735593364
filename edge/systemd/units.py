"""The files that run stations as services of systemd: pure texts, by the path where each belongs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files as resources
from math import ceil
from pathlib import Path

from edge.device_key import PRIVATE
from edge.options import OutputOptions
from edge.station import Station
from edge.systemd import needs
from edge.systemd.needs import Needs

MARK = "# Written by edge setup, which writes it again; edge setup --remove takes it away.\n"
UNITS = Path("/etc/systemd/system")
_SYSUSERS = Path("/etc/sysusers.d/kenpin.conf")
_FOR = "# for "
_WATCHDOG_S = 2  # a loop that only turns comes round once a second
_ANSWERS = 18  # of two outputs with every guard, from the first connection to the level that is read back
_ENDS_S = 20  # beyond the line's longest stop: what eye and line give themselves, with room
_USER = f"""{MARK}
u kenpin - "Kenpin inspection" /var/lib/kenpin
"""
_JETSON = (
    "DevicePolicy=auto",  # its camera stack opens devices that differ between boards
    "BindPaths=-/tmp/argus_socket",
)


@dataclass(frozen=True, slots=True)
class File:
    """A file of the system. `stations` are those whose it is; none: it serves all stations of the machine."""

    path: Path
    text: str
    stations: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What stations that share an eye need on a machine; the units in the order in which they are started."""

    files: tuple[File, ...]
    units: tuple[str, ...]


def plan(stations: Sequence[Station], bin_dir: Path) -> Plan:
    """For one eye of these stations, named after the first, run by the Python environment that has `bin_dir`."""
    first = _name(stations[0])
    sending = [station for station in stations if station.mqtt is not None]
    shown = [station for station in stations if station.panel is not None]
    told = [station for station in stations if station.metrics is not None]
    more = {"outbox": sending, "panel": shown, "metrics": told}
    kinds = ("line", "eye", *(kind for kind, some in more.items() if some))
    owned = [(_drop_in("eye", first), _eye(stations)), (_tmpfiles(first), _folders(stations))]
    owned += [(_drop_in("line", _name(station)), _line(station)) for station in stations]
    owned += [(_drop_in("outbox", _name(station)), _outbox(station)) for station in sending]
    owned += [(_drop_in("panel", _name(station)), _panel(station)) for station in shown]
    owned += [(_drop_in("metrics", _name(station)), _metrics(station)) for station in told]
    rules = list(_rules(stations))
    if rules:
        owned.append(
            (
                Path(f"/etc/udev/rules.d/90-kenpin-{first}.rules"),
                _lines('ACTION=="remove", GOTO="end"', *rules, 'LABEL="end"'),
            )
        )
    sources = tuple(station.source.resolve() for station in stations)
    heading = f"{MARK}{_FOR}{' '.join(map(str, sources))}\n\n"
    shared = [File(UNITS / f"kenpin-{kind}@.service", _template(kind, bin_dir)) for kind in kinds]
    lines = [f"kenpin-line@{_name(station)}.service" for station in stations]
    return Plan(
        (File(_SYSUSERS, _USER), *shared, *(File(path, heading + text, sources) for path, text in owned)),
        (
            *lines,
            f"kenpin-eye@{first}.service",
            *(f"kenpin-{kind}@{_name(station)}.service" for kind, some in more.items() for station in some),
        ),
    )


def stations_of(text: str) -> tuple[Path, ...]:
    """The stations that a file of ours says it is for."""
    for line in text.splitlines():
        if line.startswith(_FOR):
            return tuple(Path(word) for word in line.removeprefix(_FOR).split())
    return ()


def _name(station: Station) -> str:
    return station.station.name


def _drop_in(kind: str, name: str) -> Path:
    return UNITS / f"kenpin-{kind}@{name}.service.d" / "station.conf"


def _tmpfiles(name: str) -> Path:
    return Path(f"/etc/tmpfiles.d/kenpin-{name}.conf")


def _template(kind: str, bin_dir: Path) -> str:
    folder = resources("edge.systemd")
    text = (folder / f"kenpin-{kind}@.service").read_text(encoding="utf-8")
    hardening = (folder / "hardening.conf").read_text(encoding="utf-8")
    return MARK + text.replace("@HARDENING@\n", hardening).replace("@BIN@", str(bin_dir))


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


# --- drop-ins ---------------------------------------------------------------------------------------------------


def _line(station: Station) -> str:
    found = needs.line_needs(station)
    return _lines(
        _read(station),
        "[Service]",
        f"Environment=STATION={station.source.resolve()}",
        _ends_in([station]),
        _watchdog(station),
        *_opened(found),
    )


def _read(station: Station, section: str = "") -> str:
    """What a unit makes of the station file: where that differs, the running unit is of another file."""
    own = getattr(station, section).model_dump_json().encode() if section else b""
    return f"# the station file as read: {station.agreed.hex()}{sha256(own).hexdigest()[:16] if own else ''}"


def _eye(stations: Sequence[Station]) -> str:
    lines = " ".join(f"kenpin-line@{_name(station)}.service" for station in stations)
    sources = " ".join(str(station.source.resolve()) for station in stations)
    return _lines(
        *map(_read, stations),
        "[Unit]",
        f"Wants={lines}",
        f"After={lines}",
        "",
        "[Service]",
        f'Environment="STATIONS={sources}"',
        _ends_in(stations),
        *_opened(needs.eye_needs(stations)),
    )


def _outbox(station: Station) -> str:
    found = needs.outbox_needs(station)
    return _lines(
        _read(station, "mqtt"), "[Service]", f"Environment=STATION={station.source.resolve()}", *_opened(found)
    )


def _panel(station: Station) -> str:
    """It is reached over the network: what only eye and line need of the state folder is hidden from it."""
    found, key = needs.panel_needs(station), station.station.state_dir / PRIVATE
    return _lines(
        _read(station, "panel"),
        "[Service]",
        f"Environment=STATION={station.source.resolve()}",
        *_opened(found),
        f"InaccessiblePaths=-{key}",
    )


def _metrics(station: Station) -> str:
    """It asks the eye, and looks at nothing else of the station."""
    key = station.station.state_dir / PRIVATE
    return _lines(
        _read(station, "metrics"),
        "[Service]",
        f"Environment=STATION={station.source.resolve()}",
        *_opened(needs.metrics_needs()),
        f"InaccessiblePaths=-{key}",
    )


def _ends_in(stations: Sequence[Station]) -> str:
    """A stop finishes the parts in the zone: it must not be cut short."""
    return f"TimeoutStopSec={ceil(max(station.longest_stop_ms for station in stations) / 1_000) + _ENDS_S}"


def _watchdog(station: Station) -> str:
    """While the outputs are opened again the loop waits for each answer of a slow device: that is no hanging line."""
    outputs = (station.gate.output if station.gate else None, station.line_permit)
    longest_ms = max(
        (getattr(each, "timeout_ms", 0.0) for each in outputs if isinstance(each, OutputOptions)), default=0.0
    )
    return f"WatchdogSec={_WATCHDOG_S + ceil(_ANSWERS * longest_ms / 1_000)}"


def _opened(found: Needs) -> Iterator[str]:
    """What the hardening closes and these needs open again."""
    if found.devices:
        yield "PrivateDevices=no"
        yield from (f"DeviceAllow={name} rw" for name in found.devices)
    if found.groups:
        yield f"SupplementaryGroups={' '.join(found.groups)}"
    if found.hosts:
        yield "PrivateNetwork=no"
        yield "RestrictAddressFamilies=AF_INET AF_INET6" + (" AF_NETLINK" if found.searches else "")
        yield from (f"IPAddressAllow={host}" for host in found.hosts)
    if found.low_ports:
        yield from (f"{kind}=CAP_NET_BIND_SERVICE" for kind in ("CapabilityBoundingSet", "AmbientCapabilities"))
    if found.makes_code:
        yield "MemoryDenyWriteExecute=no"
    if found.jetson:
        yield from ("PrivateDevices=no", *_JETSON)
    yield f"ReadWritePaths={' '.join(map(str, found.writes))}"
    yield from (f"LoadCredential={name}:{path}" for name, path in found.secrets)


# --- folders and devices ----------------------------------------------------------------------------------------


def _folders(stations: Sequence[Station]) -> str:
    """Members of the group may ask the station and read its records. The log outlives the machine's restarts."""
    paths = dict.fromkeys(path for station in stations for path in needs.folders(station))
    made = [f"d {path} 0750 kenpin kenpin" for path in sorted(paths)]
    return _lines(*made, "d /var/log/journal 2755 root systemd-journal")


def _rules(stations: Sequence[Station]) -> Iterator[str]:
    """udev: a port and a chip belong to the station alone, nobody probes a port, bytes come at once."""
    for path in needs.own_nodes(stations):
        name = path.removeprefix("/dev/")
        if path == name or name.startswith("pts/"):
            continue
        match = f'SYMLINK=="{name}"' if "/" in name else f'KERNEL=="{name}"'
        yield f'SUBSYSTEM=="tty|gpio", {match}, GROUP="kenpin", MODE="0660", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
        yield f'SUBSYSTEM=="tty", {match}, DRIVERS=="ftdi_sio", ATTR{{device/latency_timer}}="1"'
    if needs.has_usb_cameras(stations):
        yield 'SUBSYSTEM=="usb", ENV{ID_USB_INTERFACES}=="*:ef0500:*", GROUP="kenpin", MODE="0660"'
