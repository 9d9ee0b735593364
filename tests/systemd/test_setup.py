"""edge setup writes what differs, starts what does not run, leaves others' files alone, takes away all of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import BundleError, ConfigError
from edge.station import Station, load, parse
from edge.systemd.command import setup
from edge.systemd.machine import Machine
from edge.systemd.setup import changes, refuse, remove, set_up
from edge.systemd.units import plan
from tests.bundles import OTHER_KEY, a_bundle, store_key
from tests.contracts.source_tree import ROOT
from tests.systemd.test_units import EXAMPLES, LANES, PLC_GATE, RELAYS, example

BIN = Path("/opt/kenpin/bin")
SYSUSERS = Path("/etc/sysusers.d/kenpin.conf")


class Pretended(Machine):
    """A machine below a folder; its systemd only keeps what was asked of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.asked: list[str] = []
        self.active: set[str] = set()

    def is_active(self, unit: str) -> bool:
        return unit in self.active

    def start(self, unit: str) -> None:
        self.active.add(unit)

    def _call(self, *words: str, hint: str = "") -> str:
        self.asked.append(" ".join(words))
        return ""

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*") if path.is_file()
        }


@pytest.fixture
def machine(tmp_path: Path) -> Pretended:
    return Pretended(tmp_path / "machine")


def up(stations: list[Station], machine: Machine) -> list[str]:
    return list(set_up(stations, machine, BIN))


def test_the_second_time_nothing_is_written_and_nothing_started(machine: Pretended) -> None:
    assert up([RELAYS], machine)[-2:] == [
        "kenpin-line@packing-1.service: started",
        "kenpin-eye@packing-1.service: started",
    ]
    before = machine.files()
    said = up([RELAYS], machine)
    assert machine.files() == before
    assert {words.rpartition(": ")[2] for words in said} == {"same", "runs"}


def test_a_changed_station_is_written_and_a_person_says_when_it_restarts(machine: Pretended) -> None:
    up([RELAYS], machine)
    moved = example(
        "rest-open",
        ("usb-relay-board-if00", "usb-relay-board-if01"),
        ("trigger_to_gate_ms = 900", "trigger_to_gate_ms = 9000"),
    )
    said = up([moved], machine)
    assert "/etc/udev/rules.d/90-kenpin-packing-1.rules: changed" in said
    assert any(
        re.match(r"kenpin-line@packing-1.service: runs as it was .* systemctl restart", words) for words in said
    )


def restarts(said: list[str]) -> set[str]:
    """The kinds of services that a person is told to restart."""
    found = [re.match(r"kenpin-(\w+)@\S+: runs as it was .* systemctl restart", words) for words in said]
    return {match[1] for match in found if match}


BEFORE = {"gate": "pulse_ms = 80", "comment": "# A USB camera", "panel": "idle_min = 5", "metrics": ":9300"}
AFTER = {"gate": "pulse_ms = 81", "comment": "# One USB camera", "panel": "idle_min = 6", "metrics": ":9301"}


def shown(changed: str = "") -> Station:
    """A station with a panel and figures; one place of its file is as AFTER says."""
    found = BEFORE | {name: AFTER[name] for name in AFTER if name == changed}
    more = f'[panel]\n{found["panel"]}\n[metrics]\nlisten = "127.0.0.1{found["metrics"]}"\n'
    return example("first-station", *((BEFORE[name], found[name]) for name in ("gate", "comment")), more=more)


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ("gate", {"line", "eye", "panel", "metrics"}),
        ("comment", set()),
        ("panel", {"panel"}),
        ("metrics", {"metrics"}),
    ],
)
def test_services_that_run_with_another_station_file_are_named(
    machine: Pretended, changed: str, stale: set[str]
) -> None:
    up([shown()], machine)
    assert restarts(up([shown(changed)], machine)) == stale
    assert (shown(changed).agreed == shown().agreed) is ("eye" not in stale), "else eye and line refuse each other"


def test_a_file_of_somebody_else_is_left_alone_and_named(machine: Pretended) -> None:
    place = machine.root / SYSUSERS.relative_to("/")
    place.parent.mkdir(parents=True)
    place.write_text("u kenpin 999\n")
    with pytest.raises(ConfigError, match=r"kenpin\.conf is in the way"):
        up([RELAYS], machine)
    assert machine.files() == {"etc/sysusers.d/kenpin.conf": "u kenpin 999\n"}


def test_a_station_that_needs_less_loses_what_it_needs_no_more(machine: Pretended) -> None:
    more = '[mqtt]\nhost = "192.0.2.30"\n'
    up([example("rest-open", more=more)], machine)
    said = up([RELAYS], machine)
    gone = "/etc/systemd/system/kenpin-outbox@packing-1.service.d/station.conf"
    assert f"{gone}: removed" in said and gone.lstrip("/") not in machine.files()
    assert "systemctl disable --quiet --now kenpin-outbox@packing-1.service" in machine.asked


def test_removing_one_of_two_stations_leaves_the_other_whole(machine: Pretended) -> None:
    up([PLC_GATE], machine)
    alone = machine.files()
    up([RELAYS], machine)
    list(remove([RELAYS.source], machine))
    assert machine.files() == alone
    override = machine.root / "etc/systemd/system/kenpin-eye@filling-2.service.d/override.conf"
    override.write_text("[Service]\nNice=1\n")
    list(remove([PLC_GATE.source], machine))
    assert list(machine.files()) == [str(override.relative_to(machine.root))], "a person's own drop-in is theirs"


def test_what_a_run_by_hand_left_is_named_before_anything_starts(machine: Pretended) -> None:
    folder = machine.root / "var/lib/kenpin"
    (folder / "bundles").mkdir(parents=True)
    up([PLC_GATE], machine)
    machine.active.clear()
    (folder / "device.key").touch()
    if os.geteuid() == 0:
        with pytest.raises(ConfigError, match="chown -R kenpin:kenpin /var/lib/kenpin"):
            up([PLC_GATE], machine)
        assert not machine.active


def test_lanes_are_removed_together(machine: Pretended) -> None:
    up(LANES, machine)
    with pytest.raises(ConfigError, match=r"lanes-right\.toml shares their eye"):
        list(remove([LANES[0].source], machine))
    list(remove([lane.source for lane in LANES], machine))
    assert machine.files() == {}


def test_what_was_never_set_up_is_not_removed(machine: Pretended) -> None:
    with pytest.raises(ConfigError, match="nothing to remove"):
        list(remove([RELAYS.source], machine))


def on_disk(folder: Path, text: str, name: str = "line.toml") -> Station:
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return load(path)


def first_station() -> str:
    return (EXAMPLES / "first-station.toml").read_text()


def test_every_reason_against_a_service_is_told_at_once(machine: Pretended, tmp_path: Path) -> None:
    text = first_station().replace('product = "cap-a"', 'product = "cap-a"\nkeys_dir = "/root/keys"')
    station = on_disk(tmp_path, text + '[mqtt]\nhost = "192.0.2.30"\nusername = "u"\npassword_file = "word"\n')
    station.source.chmod(0o666)
    with pytest.raises(ConfigError) as refused:
        refuse([station], machine)
    told = str(refused.value)
    for words in ("/root/keys: services see no home", "word: the file is missing", "others than root may write it"):
        assert words in told


def test_a_station_is_held_against_those_that_are_services_already(machine: Pretended, tmp_path: Path) -> None:
    up([on_disk(tmp_path, first_station())], machine)
    second = on_disk(tmp_path, first_station().replace("line-3", "line-4"), "other.toml")
    with pytest.raises(ConfigError, match=r"state_dir: .* have the same"):
        refuse([second], machine)


def test_a_lane_is_not_taken_out_of_its_eye_unnoticed(machine: Pretended, tmp_path: Path) -> None:
    texts = {name: (EXAMPLES / f"lanes-{name}.toml").read_text() for name in ("left", "right")}
    left, right = (on_disk(tmp_path, text, f"{name}.toml") for name, text in texts.items())
    up([left, right], machine)
    with pytest.raises(ConfigError, match="share an eye: give all of them"):
        refuse([left], machine)


def test_dry_run_prints_the_files_for_anybody(tmp_path: Path) -> None:
    folder = ROOT / "examples"
    environment = dict(os.environ, PYTHONPATH=str(ROOT), COLUMNS="100")
    command = [sys.executable, "-m", "edge", "setup", "--dry-run", str(folder / "rest-open.toml")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:  # a tree in somebody's home, or of another owner, is refused
        assert done.returncode == 78 and "cannot be set up as services" in done.stderr
        return
    for file in plan([load(folder / "rest-open.toml")], Path(sys.prefix) / "bin").files:
        assert f"==> {file.path} (" in done.stdout
        assert file.text in done.stdout


def test_a_dry_run_refuses_a_bundle_that_could_not_be_installed(tmp_path: Path) -> None:
    store_key(tmp_path / "keys")
    text = (EXAMPLES / "rest-open.toml").read_text().replace("[station]", '[station]\nkeys_dir = "keys"', 1)
    station = on_disk(tmp_path, text).source
    with pytest.raises(BundleError, match=r"missing\.bundle"):
        setup([station], bundle=[tmp_path / "missing.bundle"], dry_run=True)
    with pytest.raises(BundleError, match="key"):
        setup([station], bundle=[a_bundle(tmp_path / "other.bundle", key=OTHER_KEY)], dry_run=True)


def test_changes_of_a_new_machine_are_all_new(machine: Pretended) -> None:
    made = plan([RELAYS], BIN)
    assert {change.what for change in changes(made, [RELAYS], machine)} == {"new"}


def test_secrets_that_systemd_hands_over_take_the_place_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = first_station() + '[mqtt]\nhost = "192.0.2.30"\nusername = "u"\npassword_file = "word"\n'
    (tmp_path / "given").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    station = on_disk(tmp_path, text)
    assert station.mqtt is not None and station.mqtt.password_file == tmp_path / "word"
    (tmp_path / "given" / "line-3.mqtt.password_file").write_text("secret\n")
    station = on_disk(tmp_path, text)
    assert (
        station.mqtt is not None and station.mqtt.password_file == tmp_path / "given" / "line-3.mqtt.password_file"
    )
    assert parse(text.encode(), tmp_path / "line.toml").mqtt is not None
