"""A device installs, switches and rolls back bundles whole or not at all, and trusts none without verifying it."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge import install as install_file
from edge.bundle import key_id
from edge.clock import SECOND, ManualClock
from edge.errors import BundleError, ConfigError, JournalError
from edge.install import install, installed, keep, open_active, probation_of, rollback
from edge.probation import Probation
from edge.station import Station, parse
from tests.bundles import KEY, OTHER_KEY, PICTURES, a_bundle, a_manifest, store_key
from tests.infer.students import SPEC, student
from tests.install_kills import TEXT, kill_again_and_again

STUDENT = student(a_manifest().input)
MAY_2026 = 1_777_593_600 * SECOND


def a_station(folder: Path) -> Station:
    return parse(TEXT.encode(), folder / "station.toml")


@pytest.fixture
def station(tmp_path):
    store_key(tmp_path / "keys")
    return a_station(tmp_path)


def put(tmp_path, station, version, key=KEY, **changes):
    path = a_bundle(tmp_path / f"cap-a-{version}.bundle", key, STUDENT, version=version, **changes)
    return install(path, station, ManualClock(wall_ns=MAY_2026))


def folder_of(station, product="cap-a"):
    return station.station.state_dir / "bundles" / product


def versions(station):
    return [(item.version, item.active) for item in installed(station)]


def test_an_installed_bundle_is_opened(tmp_path, station):
    assert put(tmp_path, station, 3).version == 3
    (tmp_path / "cap-a-3.bundle").unlink()
    bundle = open_active(station, "cap-a")
    assert bundle.manifest.version == 3
    assert bundle.model(bundle.manifest.entry("ort")) == STUDENT
    assert [(item.product, item.version, item.active) for item in installed(station)] == [("cap-a", 3, True)]


def test_products_live_beside_each_other(tmp_path, station):
    put(tmp_path, station, 3)
    put(tmp_path, station, 1, product="cap-b")
    assert [(item.product, item.version) for item in installed(station)] == [("cap-a", 3), ("cap-b", 1)]
    assert open_active(station, "cap-b").manifest.version == 1


def test_a_bundle_for_a_product_that_the_station_does_not_name_is_told(tmp_path, station, caplog):
    put(tmp_path, station, 1)
    assert not caplog.records, "a station that only collects names no product"
    for product, told in (("cap-b", True), ("cap-a", False)):
        caplog.clear()
        identity = station.station.model_copy(update={"product": product})
        put(tmp_path, station.model_copy(update={"station": identity}), 2)
        assert ("inspects cap-b, not cap-a: correct station.product" in caplog.text) is told


def test_a_newer_version_becomes_active_and_the_older_is_retained(tmp_path, station):
    put(tmp_path, station, 3)
    put(tmp_path, station, 4)
    assert versions(station) == [(3, False), (4, True)]


def test_the_same_bundle_again_changes_nothing(tmp_path, station):
    put(tmp_path, station, 3)
    before = (folder_of(station) / "3.bundle").stat()
    put(tmp_path, station, 3)
    assert (folder_of(station) / "3.bundle").stat() == before


@pytest.mark.parametrize(("version", "classes"), [(2, ("scratch",)), (3, ("dent",))])
def test_an_older_version_and_another_bundle_of_the_same_version_are_refused(tmp_path, station, version, classes):
    put(tmp_path, station, 3)
    with pytest.raises(BundleError, match=r"version 3 is installed; compile it with a higher --version"):
        put(tmp_path, station, version, classes=classes)
    assert versions(station) == [(3, True)]


def test_an_expired_bundle_is_refused_by_wall_time_at_install_only(tmp_path, station):
    with pytest.raises(
        BundleError, match="expired at 2026-04-30T00:00:00Z; compile it again, or set this machine's"
    ):
        put(tmp_path, station, 3, expires="2026-04-30T00:00:00Z")
    put(tmp_path, station, 3, expires="2026-05-02T00:00:00+00:00")
    path = tmp_path / "cap-a-4.bundle"
    a_bundle(path, version=4, expires="2026-05-02T00:00:00Z")
    with pytest.raises(BundleError, match="expired"):
        install(path, station, ManualClock(wall_ns=MAY_2026 + 2 * 86_400 * SECOND))
    assert open_active(station, "cap-a").manifest.version == 3


def test_nothing_of_a_bundle_that_cannot_be_trusted_is_kept(tmp_path, station):
    path = a_bundle(tmp_path / "x.bundle", OTHER_KEY)
    with pytest.raises(BundleError, match="unknown key"):
        install(path, station)
    assert not folder_of(station).exists()


def test_a_copy_that_went_wrong_is_not_used(tmp_path, station, monkeypatch):
    """The disk wrote something else than it was given."""
    put(tmp_path, station, 3)
    monkeypatch.setattr(install_file, "write_synced", lambda path, data: path.write_bytes(data[:-1] + b"?"))
    with pytest.raises(BundleError, match="changed after it was signed"):
        put(tmp_path, station, 4)
    assert versions(station) == [(3, True)]


def test_a_stored_bundle_that_was_damaged_is_refused_and_replaced_by_installing_it_again(tmp_path, station):
    put(tmp_path, station, 3)
    stored = folder_of(station) / "3.bundle"
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match="damaged or was changed"):
        open_active(station, "cap-a")
    put(tmp_path, station, 3)
    assert open_active(station, "cap-a").manifest.version == 3


def test_a_revoked_key_stops_the_next_start_and_its_product_can_be_signed_anew(tmp_path, station):
    put(tmp_path, station, 3)
    store_key(tmp_path / "keys", OTHER_KEY, "other")
    (tmp_path / "keys" / "revoked.txt").write_text(key_id(KEY.public_key()).hex())
    with pytest.raises(BundleError, match="revoked key"):
        open_active(station, "cap-a")
    put(tmp_path, station, 3, OTHER_KEY)
    assert open_active(station, "cap-a").key_id == key_id(OTHER_KEY.public_key())


def test_a_bundle_under_another_ones_name_is_refused(tmp_path, station):
    put(tmp_path, station, 3)
    put(tmp_path, station, 4)
    (folder_of(station) / "3.bundle").replace(folder_of(station) / "4.bundle")
    with pytest.raises(BundleError, match="is cap-a version 3 under another name; remove it"):
        open_active(station, "cap-a")


def test_only_the_latest_versions_are_retained_and_the_last_that_was_proven_on_the_line(tmp_path, station):
    for version in range(1, 9):
        put(tmp_path, station, version)
    assert [version for version, _ in versions(station)] == [1, 4, 5, 6, 7, 8]
    assert probation_of(station, "cap-a") == Probation(version=8, back_to=1)
    keep(station, "cap-a", 8)
    put(tmp_path, station, 9)
    assert [version for version, _ in versions(station)] == [5, 6, 7, 8, 9]
    assert probation_of(station, "cap-a") == Probation(version=9, back_to=8)


# --- accepted on this device, watched on the line -----------------------------------------------------------------


def stating(version, **scores):
    """A bundle's entry that states these scores of its two pictures."""
    names = dict(zip(("first", "second"), PICTURES, strict=True))
    entry = a_manifest(STUDENT).models[0]
    return {"models": (replace(entry, scores={names[key]: value for key, value in scores.items()}),)}


FIRST, SECOND = 10 / 255, 200 / 255  # what the student says of grey pictures


def test_a_bundle_whose_scores_this_device_finds_too_is_installed(tmp_path, station, caplog):
    caplog.set_level("INFO")
    put(tmp_path, station, 3, **stating(3, first=FIRST + 0.04, second=SECOND - 0.01))
    assert "accepted on this device: FP32, 2 pictures, scores within 0.0400 of the host's" in caplog.text


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (
            {"first": FIRST + 0.06, "second": SECOND},
            r"ok/1\.png scores 0\.0392, the bundle states 0\.0992 \+- 0\.05",
        ),
        ({"first": FIRST, "second": 1.0}, r"2\.png scores 0\.7843, the bundle states 1\.0000"),
    ],
)
def test_a_bundle_that_this_device_judges_otherwise_changes_nothing(tmp_path, station, scores, message):
    put(tmp_path, station, 3)
    before = sorted(folder_of(station).iterdir())
    with pytest.raises(BundleError, match=message):
        put(tmp_path, station, 4, **stating(4, **scores))
    assert versions(station) == [(3, True)]
    assert sorted(folder_of(station).iterdir()) == before


def test_a_bundle_without_stated_scores_must_reject_its_defects(tmp_path, station):
    entry = replace(a_manifest(STUDENT).models[0], threshold=0.9)
    with pytest.raises(BundleError, match=r"the defect of .*2\.png passes with 0\.7843; nothing was changed"):
        put(tmp_path, station, 3, models=(entry,))
    assert installed(station) == []


def test_a_bundle_that_is_too_slow_for_the_station_is_not_installed(tmp_path):
    store_key(tmp_path / "keys")
    station = parse(f'{TEXT}[engine]\nkind = "ort"\nmax_ms = 0.0001'.encode(), tmp_path / "station.toml")
    with pytest.raises(BundleError, match=r"an inference takes .* ms, engine\.max_ms allows 0\.0001"):
        install(a_bundle(tmp_path / "x.bundle", model=STUDENT), station)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"a student", "does not run on this device"),
        (student(a_manifest().input, score=math.nan), "gets no sound score"),
        (student(SPEC), "the model's input is not the one of the manifest"),
    ],
)
def test_a_model_that_does_not_run_here_is_not_installed(tmp_path, station, model, message):
    path = a_bundle(tmp_path / "x.bundle", model=model)
    with pytest.raises(BundleError, match=message):
        install(path, station)
    assert installed(station) == []


def test_a_bundle_with_no_model_for_the_stations_engine_is_not_installed(tmp_path, station):
    entry = replace(a_manifest(STUDENT).models[0], target="trt")
    with pytest.raises(BundleError, match="holds no model for ort, only trt fp32"):
        put(tmp_path, station, 3, models=(entry,))


def test_the_first_bundle_is_not_watched_and_a_person_ends_the_watch_of_another(tmp_path, station):
    put(tmp_path, station, 3)
    assert probation_of(station, "cap-a") is None
    put(tmp_path, station, 4)
    assert probation_of(station, "cap-a") == Probation(version=4, back_to=3)
    rollback("cap-a", station)
    assert probation_of(station, "cap-a") is None


# --- what is not there, and names -------------------------------------------------------------------------------


def test_a_product_that_is_not_installed_is_said_so(station):
    assert installed(station) == []
    for act in (lambda: open_active(station, "cap-a"), lambda: rollback("cap-a", station)):
        with pytest.raises(BundleError, match=r"edge install X\.bundle --station STATION\.TOML$"):
            act()
    assert not station.station.state_dir.exists()


@pytest.mark.parametrize("product", ["", ".", "..", "../x", "a/b", "x" * 41, ".hidden", "a b", "a\n", "ä"])
def test_a_product_name_that_could_leave_the_folder_is_refused(station, product):
    for act in (lambda: open_active(station, product), lambda: rollback(product, station)):
        with pytest.raises(ConfigError, match="use up to 40 letters"):
            act()


@pytest.mark.parametrize("target", ["../../elsewhere.bundle", "none.bundle", "", "3.bundle/../3.bundle"])
def test_an_active_link_that_points_elsewhere_is_not_followed(tmp_path, station, target):
    put(tmp_path, station, 3)
    a_bundle(tmp_path / "state" / "elsewhere.bundle")
    link = folder_of(station) / "active"
    link.unlink()
    if target:
        link.symlink_to(target)
    with pytest.raises(BundleError, match="no bundle of cap-a is active"):
        open_active(station, "cap-a")


def refuses_to_list(folder, monkeypatch):
    """As a folder of the service does to anybody else; root, who runs the tests, may read everything."""
    iterdir = Path.iterdir

    def listed(path):
        if path == folder or folder in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", listed)


@pytest.mark.parametrize("use", [installed, lambda station: open_active(station, "cap-a")])
def test_whoever_may_not_read_the_bundles_is_told_so(tmp_path, station, monkeypatch, use):
    put(tmp_path, station, 3)
    refuses_to_list(folder_of(station).parent, monkeypatch)
    with pytest.raises(ConfigError, match=r"bundles.*: Permission denied; use sudo, or join the group kenpin"):
        use(station)


def test_whoever_may_not_read_the_keys_is_told_so(tmp_path, station, monkeypatch):
    put(tmp_path, station, 3)
    refuses_to_list(tmp_path / "keys", monkeypatch)
    with pytest.raises(BundleError, match="keys: Permission denied; make it readable"):
        open_active(station, "cap-a")


def test_a_disk_that_refuses_leaves_the_old_bundle_active(tmp_path, station, monkeypatch):
    put(tmp_path, station, 3)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(JournalError, match="No space left on device; free disk space"):
            put(tmp_path, station, 4)
    assert open_active(station, "cap-a").manifest.version == 3
    put(tmp_path, station, 4)
    assert versions(station) == [(3, False), (4, True)]


# --- kill -9 at every step --------------------------------------------------------------------------------------


def killed_at_every_step(folder: Path) -> None:
    """In a process of its own: prints, for a kill before each operation on a file, the version that is active."""
    station = a_station(folder)
    for step in range(1, 100):
        child = os.fork()
        if child == 0:
            left = [step]

            def kill(event: str, arguments: tuple[object, ...], left: list[int] = left) -> None:
                changes = event in ("os.rename", "os.symlink", "os.remove", "os.mkdir")
                if changes or (event == "open" and "state" in str(arguments[0])):
                    left[0] -= 1
                    if left[0] == 0:
                        os.kill(os.getpid(), 9)

            sys.addaudithook(kill)
            install(folder / "cap-a-4.bundle", station, ManualClock(wall_ns=MAY_2026))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        bundle = open_active(station, "cap-a")
        print(bundle.manifest.version, len(bundle.acceptance()), os.WIFSIGNALED(status), flush=True)
        if not os.WIFSIGNALED(status):
            break
        link = folder_of(station) / "active"
        (folder_of(station) / "4.bundle").unlink(missing_ok=True)
        link.unlink()
        link.symlink_to("3.bundle")


def test_a_kill_at_any_instant_leaves_the_old_bundle_or_the_new(tmp_path, station):
    put(tmp_path, station, 3)
    a_bundle(tmp_path / "cap-a-4.bundle", model=STUDENT, version=4)
    code = "import sys, pathlib, tests.test_install as t; t.killed_at_every_step(pathlib.Path(sys.argv[1]))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert child.returncode == 0, child.stderr
    steps = [line.split() for line in child.stdout.splitlines()]
    assert all(version in "34" and pictures == "2" for version, pictures, _ in steps)
    assert [killed for *_, killed in steps] == ["True"] * (len(steps) - 1) + ["False"]
    assert steps[-1][0] == "4"
    assert len(steps) > 8
    left = sorted(path.name for path in folder_of(station).iterdir())
    assert left == [".lock", "3.bundle", "4.bundle", "active", "probation"]


def test_a_command_killed_at_a_random_instant_leaves_the_old_bundle_or_the_new(tmp_path):
    kills = int(os.environ.get("KENPIN_INSTALL_KILLS", "20"))
    assert sum(kill_again_and_again(tmp_path, kills, seed=3).values()) == kills
