"""What root does for a station belongs to the station's user; links that a broken service has laid lead it nowhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import ConfigError, EngineError, JournalError
from edge.infer.engine_cache import EngineCache
from edge.install import install, keep, open_active, rollback
from edge.panel.users import LOCK, Role, Users
from edge.station import Station
from edge.threshold import move_to
from tests.eye.stations import Bench, bundle, lay_out

KENPIN = 1_234
ORIGIN = {"model": "a student"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where other users than root get to."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def station(folder: Path) -> Station:
    """A station as a service has it, all files its user's."""
    other = a_station(folder / "other")  # this Python may be root's alone: it has to have loaded all it needs
    put(other, 2)
    move_to(other, "cap-a", 0.42, "anna", "grey parts")
    found = a_station(folder)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, KENPIN, KENPIN, follow_symlinks=False)
    return found


def a_station(folder: Path) -> Station:
    lay_out(folder, gate='kind = "memory"', permit='kind = "memory"')
    return Bench(folder, list, list).station


@pytest.fixture
def of_root(folder: Path) -> Path:
    """A folder with a file that are root's."""
    (folder / "etc").mkdir()
    (folder / "etc" / "shadow").write_text("root's own")
    return folder / "etc"


def bundles_of(station: Station) -> Path:
    return station.station.state_dir / "bundles" / "cap-a"


def put(station: Station, version: int) -> None:
    install(bundle(station.source.parent / f"{version}.bundle", version=version, is_judged=True), station)


def owners(*paths: Path) -> set[int]:
    return {path.lstat().st_uid for path in paths}


def is_untouched(of_root: Path) -> bool:
    shadow = of_root / "shadow"
    return (
        owners(of_root, shadow) == {0}
        and shadow.read_text() == "root's own"
        and list(of_root.iterdir()) == [shadow]
    )


def test_what_root_installs_and_moves_is_the_stations_users(station: Station) -> None:
    put(station, 2)
    move_to(station, "cap-a", 0.42, "anna", "grey parts")
    put(station, 3)
    rollback("cap-a", station)
    assert open_active(station, "cap-a").manifest.models[0].threshold == 0.42
    made = [*bundles_of(station).iterdir(), *station.journal.dir.iterdir(), *station.station.state_dir.iterdir()]
    assert len(made) > 10 and owners(*made) == {KENPIN}
    assert os.geteuid() == os.getegid() == 0


def test_what_root_installed_before_there_was_a_user_is_handed_over(station: Station) -> None:
    known = [bundles_of(station).parent, bundles_of(station), *bundles_of(station).iterdir()]
    for path in known:
        os.chown(path, 0, 0, follow_symlinks=False)
    put(station, 2)
    assert owners(*(path for path in known if not path.is_symlink())) == {KENPIN}


@pytest.mark.parametrize("what", ["bundles", "cap-a"])
def test_a_folder_that_leads_elsewhere_is_not_followed(station: Station, of_root: Path, what: str) -> None:
    path = bundles_of(station) if what == "cap-a" else bundles_of(station).parent
    path.rename(path.with_name("aside"))
    path.symlink_to(of_root)
    if what == "bundles":
        (of_root / "cap-a").symlink_to(of_root)
    for act in (lambda: put(station, 2), lambda: rollback("cap-a", station)):
        with pytest.raises(JournalError, match="check the folder's rights"):
            act()
    (of_root / "cap-a").unlink(missing_ok=True)
    assert is_untouched(of_root)


@pytest.mark.parametrize("name", ["2.bundle.partial", "probation.partial", "active.partial", ".lock"])
def test_a_file_that_leads_elsewhere_is_not_written(station: Station, of_root: Path, name: str) -> None:
    (bundles_of(station) / name).unlink(missing_ok=True)
    (bundles_of(station) / name).symlink_to(of_root / "shadow")
    try:
        put(station, 2)
    except JournalError:
        assert name == ".lock", "what is left half-done is swept away"
    assert is_untouched(of_root)


def test_another_name_of_somebody_elses_file_is_not_given_away(station: Station, of_root: Path) -> None:
    (bundles_of(station) / "9.bundle.old").hardlink_to(of_root / "shadow")
    put(station, 2)
    keep(station, "cap-a", 2)
    (bundles_of(station) / "9.bundle.old").unlink()
    assert is_untouched(of_root)


def test_engines_are_kept_for_the_stations_user_and_in_no_other_place(station: Station, of_root: Path) -> None:
    folder = station.station.state_dir / "engines"
    EngineCache(folder).keep(ORIGIN, b"an engine")
    assert len(list(folder.iterdir())) == 2 and owners(folder, *folder.iterdir()) == {KENPIN}
    assert EngineCache(folder).find(ORIGIN) == b"an engine"
    folder.rename(folder.with_name("aside"))
    folder.symlink_to(of_root)
    with pytest.raises(EngineError, match="check its rights"):
        EngineCache(folder).keep(ORIGIN, b"an engine")
    assert is_untouched(of_root)


def test_the_panels_users_are_the_stations_and_their_lock_leads_nowhere(station: Station, of_root: Path) -> None:
    users = Users(station.station.state_dir)
    users.add("anna", Role.OPERATOR, "correct horse 9")
    assert owners(*station.station.state_dir.glob("panel-users*")) == {KENPIN}
    lock = station.station.state_dir / LOCK
    lock.unlink()
    lock.symlink_to(of_root / "shadow")
    with pytest.raises(ConfigError, match="Permission denied"):
        users.remove("anna")
    assert is_untouched(of_root)
