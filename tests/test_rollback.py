"""The way back leads to a version that verifies, and past those that the station has left by itself."""

from __future__ import annotations

import pytest

from edge import install as install_file
from edge.bundle import key_id
from edge.errors import BundleError
from edge.install import give_up, installed, keep, open_active, probation_of, rollback
from edge.probation import Probation
from tests.bundles import OTHER_KEY, store_key
from tests.test_install import a_station, folder_of, put, versions


@pytest.fixture
def station(tmp_path):
    store_key(tmp_path / "keys")
    return a_station(tmp_path)


def test_rollback_returns_to_the_version_before_and_installing_forward_again(tmp_path, station):
    for version in (3, 5, 8):
        put(tmp_path, station, version)
    assert rollback("cap-a", station).version == 5
    assert rollback("cap-a", station).version == 3
    assert open_active(station, "cap-a").manifest.version == 3
    assert versions(station) == [(3, True), (5, False), (8, False)]
    with pytest.raises(BundleError, match="no version of cap-a before 3 can be used; install"):
        rollback("cap-a", station)
    put(tmp_path, station, 8)
    assert versions(station)[-1] == (8, True)


def test_rollback_never_returns_to_a_revoked_or_damaged_version(tmp_path, station):
    store_key(tmp_path / "keys", OTHER_KEY, "other")
    put(tmp_path, station, 1)
    put(tmp_path, station, 2, OTHER_KEY)
    put(tmp_path, station, 3)
    put(tmp_path, station, 4)
    (tmp_path / "keys" / "revoked.txt").write_text(key_id(OTHER_KEY.public_key()).hex())
    (folder_of(station) / "3.bundle").write_bytes(b"")
    assert rollback("cap-a", station).version == 1
    put(tmp_path, station, 4)
    (folder_of(station) / "1.bundle").unlink()
    with pytest.raises(BundleError, match=r"can be used: .*3\.bundle is unsigned.*; .*revoked key"):
        rollback("cap-a", station)
    assert open_active(station, "cap-a").manifest.version == 4


def test_rollback_may_return_to_an_expired_bundle(tmp_path, station):
    put(tmp_path, station, 1, expires="2026-05-02T00:00:00Z")
    put(tmp_path, station, 2)
    assert rollback("cap-a", station).version == 1


def leave(station, version, back_to, why="left 6 of its first 16 parts without a verdict"):
    """As the station does by itself on the line."""
    return give_up(station, "cap-a", Probation(version, back_to), why, 0)


def test_rollback_passes_over_what_the_station_has_left_by_itself_and_says_so(tmp_path, station, caplog):
    for version in (1, 2, 3):
        put(tmp_path, station, version)
        keep(station, "cap-a", version)
    put(tmp_path, station, 4)
    assert leave(station, 4, 3).startswith("cap-a is back at version 3: version 4 left 6")
    put(tmp_path, station, 5)
    keep(station, "cap-a", 5)
    assert rollback("cap-a", station).version == 3
    assert (
        "passed over: version 4 left 6 of its first 16 parts without a verdict: `edge rollback --v" in caplog.text
    )
    notes = {item.version: item.words for item in installed(station)}
    assert notes[4] == "the station has gone back from it: it left 6 of its first 16 parts without a verdict"
    assert rollback("cap-a", station).version == 2, "the versions below it as ever"


def test_the_station_itself_does_not_go_back_to_what_it_has_left(tmp_path, station):
    for version in (1, 2):
        put(tmp_path, station, version)
    leave(station, 2, 1)
    put(tmp_path, station, 3)
    (folder_of(station) / "1.bundle").unlink()
    with pytest.raises(BundleError, match="no version of cap-a before 3 can be used: version 2 left 6 of its"):
        leave(station, 3, 2)
    assert versions(station) == [(2, False), (3, True)]


@pytest.mark.parametrize("choose", ["by name", "by installing it again", "by its parts"])
def test_a_person_may_choose_it_all_the_same_and_then_it_is_one_like_others(tmp_path, station, choose):
    put(tmp_path, station, 1)
    put(tmp_path, station, 2)
    leave(station, 2, 1)
    if choose == "by name":
        put(tmp_path, station, 3)
        assert rollback("cap-a", station, 2).version == 2
        assert probation_of(station, "cap-a") is None
    else:
        put(tmp_path, station, 2)
        assert probation_of(station, "cap-a") == Probation(version=2, back_to=1)
        if choose == "by its parts":
            keep(station, "cap-a", 2)
    put(tmp_path, station, 4)
    assert rollback("cap-a", station).version == (3 if choose == "by name" else 2)
    assert not any(item.left for item in installed(station))


@pytest.mark.parametrize(("version", "there"), [(3, "1, 2"), (7, "1, 2"), (4, "1, 2")])
def test_only_a_kept_version_below_the_active_one_can_be_named(tmp_path, station, version, there):
    for known in (1, 2, 3, 4):
        put(tmp_path, station, known)
    rollback("cap-a", station)
    with pytest.raises(
        BundleError, match=f"version {version} is none to go back to from cap-a version 3; .*: {there}$"
    ):
        rollback("cap-a", station, version)
    (folder_of(station) / "2.bundle").write_bytes(b"")
    with pytest.raises(BundleError, match=r"2\.bundle is unsigned"):
        rollback("cap-a", station, 2)
    assert (3, True) in versions(station)


def test_versions_that_failed_push_out_none_that_was_good(tmp_path, station):
    put(tmp_path, station, 1)
    for version in range(2, 9):
        put(tmp_path, station, version)
        leave(station, version, 1)
    put(tmp_path, station, 9)
    keep(station, "cap-a", 9)
    put(tmp_path, station, 10)
    keep(station, "cap-a", 10)
    assert [version for version, _ in versions(station)] == [1, 5, 6, 7, 8, 9, 10]
    assert [rollback("cap-a", station).version for _ in range(2)] == [9, 1]


def test_a_cut_between_two_steps_of_an_installation_leaves_the_active_version_watched(
    tmp_path, station, monkeypatch
):
    put(tmp_path, station, 1)
    put(tmp_path, station, 2)
    with monkeypatch.context() as cut:
        cut.setattr(install_file, "_activate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            put(tmp_path, station, 3)
    assert versions(station) == [(1, False), (2, True), (3, False)]
    assert probation_of(station, "cap-a") == Probation(version=2, back_to=1)
    put(tmp_path, station, 3)
    assert probation_of(station, "cap-a") == Probation(version=3, back_to=1), "version 2 was never proven"
