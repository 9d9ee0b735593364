"""The folders in which bundles are kept: their names, the active version, and one change at a time."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.bundle import Bundle, KeyRing, read_bundle
from edge.durable import PARTIAL, sync_folder
from edge.errors import BundleError, ConfigError, JournalError
from edge.manifest import PRODUCT_NAME
from edge.ownership import as_owner_of, hand_over
from edge.station import Station

ACTIVE = "active"
_SUFFIX = ".bundle"
_LOCK = ".lock"


class BusyError(Exception):
    """Another process changes this folder just now; ask again."""


def root_of(station: Station) -> Path:
    return station.station.state_dir / "bundles"


def folder_of(station: Station, product: str) -> Path:
    if not re.fullmatch(PRODUCT_NAME, product):
        raise ConfigError(
            f"product {product!r}: use up to 40 letters, digits, dots, dashes and underscores, no dot first"
        )
    return root_of(station) / product


def file_of(folder: Path, version: int) -> Path:
    return folder / f"{version}{_SUFFIX}"


def names_in(folder: Path) -> list[str]:
    """What lies in the folder, sorted; nothing where there is none. Raises ConfigError."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}; use sudo, or join the group kenpin") from error


def versions_in(folder: Path) -> list[int]:
    names = names_in(folder)
    return [int(found[1]) for name in names if (found := re.fullmatch(r"([1-9][0-9]{0,9})\.bundle", name))]


def target_of(folder: Path) -> str:
    """The file name that `active` points to, empty when it is absent or no symlink."""
    try:
        return str((folder / ACTIVE).readlink())
    except OSError:
        return ""


def active_version(folder: Path) -> int:
    target = target_of(folder)
    for version in versions_in(folder):
        if file_of(folder, version).name == target:
            return version
    raise BundleError(f"no bundle of {folder.name} is active: edge install X.bundle --station STATION.TOML")


def open_kept(folder: Path, version: int, keys: KeyRing) -> Bundle:
    """A retained version, verified; a bundle under another one's name is refused."""
    path = file_of(folder, version)
    bundle = read_bundle(path, keys)
    manifest = bundle.manifest
    if (manifest.product, manifest.version) != (folder.name, version):
        raise BundleError(
            f"{path} is {manifest.product} version {manifest.version} under another name; "
            "remove it and install that bundle again"
        )
    return bundle


@contextmanager
def changing(folder: Path, must_exist: bool = False, waits: bool = True) -> Iterator[None]:
    """One process at a time changes a product's folder; what a killed one left half-done is removed first. Root does it
    as the owner of the state folder: the eye is to go back by itself.

    Raises BusyError where another one must not be waited for, BundleError, JournalError.
    """
    if must_exist and not folder.is_dir():
        raise BundleError(f"no bundle of {folder.name} is installed: edge install X.bundle --station STATION.TOML")
    state_dir, lock = folder.parent.parent, -1
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            hand_over(state_dir, folder.parent.name, folder.name)
        with as_owner_of(state_dir):
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(lock, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
            sync_folder(folder.parent)
            for left in folder.glob(f"*{PARTIAL}"):
                left.unlink()
            yield
    except BlockingIOError as error:
        raise BusyError from error
    except OSError as error:
        raise JournalError(
            f"cannot write {folder}: {error.strerror}; free disk space or check the folder's rights"
        ) from error
    finally:
        if lock >= 0:
            os.close(lock)
