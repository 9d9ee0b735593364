"""Bundles on this device: installed whole or not at all, activated by one symlink, verified again at every opening.

    STATE_DIR/bundles/PRODUCT/VERSION.bundle    the retained versions
    STATE_DIR/bundles/PRODUCT/active            a symlink to one of them
    STATE_DIR/bundles/PRODUCT/probation         the active version is watched, see edge.probation
    STATE_DIR/bundles/PRODUCT/.lock             held while something changes here

A kill or a power cut at any instant leaves the old bundle active or the new one. What becomes active here has been
accepted on this device; whether it also does on the line, the eye watches.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge import probation
from edge.acceptance import accept
from edge.bundle import Bundle, KeyRing, load_keys, read_bundle
from edge.clock import Clock, SystemClock
from edge.durable import PARTIAL, sync_folder, write_synced
from edge.errors import BundleError, ConfigError, JournalError
from edge.manifest import PRODUCT_NAME, Manifest
from edge.probation import Probation, Returned
from edge.station import Station

log = logging.getLogger(__name__)

ACTIVE = "active"
RETAINED = 4  # versions kept below the active one
_SUFFIX = ".bundle"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Installed:
    """One retained version of a product; `active` where a station opens this one, `words` what to say of it."""

    product: str
    version: int
    active: bool
    path: Path
    words: str = ""


def install(path: Path, station: Station, clock: Clock | None = None) -> Manifest:
    """Verify a bundle, accept it on this device's engine, keep a verified copy and make it the product's active one.

    Installing the newest version again is harmless: it becomes active, and is copied only where the stored one no
    longer verifies (damaged, or its key revoked). The running eye takes it up when it starts again, and watches it
    where there is a version to go back to. Raises BundleError for a bundle that cannot be trusted, has expired by the
    wall clock, is not newer than the newest installed one or is not accepted, JournalError when the disk refuses;
    nothing has changed then.
    """
    clock = clock or SystemClock()
    keys = load_keys(station.station.keys_dir)
    bundle = read_bundle(path, keys)
    manifest = bundle.manifest
    if manifest.has_expired(clock.wall_ns()):
        raise BundleError(
            f"{path} expired at {manifest.expires}; compile it again, or set this machine's clock if it is wrong"
        )
    folder = _folder(station, manifest.product)
    _is_stored(bundle, keys, folder)
    log.info("%s", accept(bundle, station.engine, clock).sentence())
    with _changing(folder):
        if not _is_stored(bundle, keys, folder):
            _keep_copy(path, bundle, keys, folder)
        _watch(folder, manifest.version, station.new_bundle.watch_parts)
        _activate(folder, manifest.version)
        probation.forget_return(folder)
        _drop_old(folder, manifest.version)
    inspected = sorted(set(station.products().values()))
    if inspected and manifest.product not in inspected:
        log.warning(
            "%s inspects %s, not %s: correct station.product there, or give edge-compile another --product",
            station.source,
            ", ".join(inspected),
            manifest.product,
        )
    return manifest


def _is_stored(bundle: Bundle, keys: KeyRing, folder: Path) -> bool:
    """Whether this very bundle is retained already. Raises BundleError for one that is not newer than the newest."""
    manifest = bundle.manifest
    newest = max(_versions(folder), default=0)
    stored = _digest(folder, manifest.product, newest, keys) if manifest.version == newest else ""
    if manifest.version > newest or stored is None:
        return False
    if stored != bundle.sha256:
        raise BundleError(
            f"{bundle.path} is {manifest.product} version {manifest.version}, version {newest} is installed; "
            "compile it with a higher --version, or go back with `edge rollback`"
        )
    return True


def _watch(folder: Path, version: int, parts: int) -> None:
    """Let the next run watch this version, unless it is active already or there is none to go back to."""
    target = _target(folder)
    active = next((known for known in _versions(folder) if _file(folder, known).name == target), 0)
    if active == version:
        return
    if not parts or not active:
        probation.end(folder)
        return
    watched = probation.read(folder, active)  # one that was never kept is none to go back to
    probation.begin(folder, version, watched.back_to if watched else active)


def rollback(product: str, station: Station) -> Manifest:
    """Make the newest retained version below the active one active again, whether it has expired or not.

    One that no longer verifies (its key was revoked, the file is damaged) is passed over. Raises BundleError when
    none is left, which says what was wrong with each, and JournalError when the disk refuses.
    """
    folder = _folder(station, product)
    keys = load_keys(station.station.keys_dir)
    with _changing(folder, must_exist=True):
        active = _active_version(folder)
        manifest = _go_back(folder, product, active, active - 1, keys)
        probation.end(folder)
        probation.forget_return(folder)
    return manifest


def _go_back(folder: Path, product: str, active: int, most: int, keys: KeyRing) -> Manifest:
    """Make the newest version up to `most` that still verifies active."""
    refusals: list[str] = []
    for version in sorted((version for version in _versions(folder) if version <= most), reverse=True):
        try:
            manifest = _open(folder, product, version, keys).manifest
        except BundleError as error:
            refusals.append(str(error))
            continue
        _activate(folder, version)
        return manifest
    found = ": " + "; ".join(refusals) if refusals else ""
    raise BundleError(
        f"no version of {product} before {active} can be used{found}; install a bundle with a higher version"
    )


def installed(station: Station) -> list[Installed]:
    """Every retained version, by product and version. Reads names only: nothing is verified."""
    found: list[Installed] = []
    root = _root(station)
    for folder in [root / name for name in _names(root) if (root / name).is_dir()]:
        active = _target(folder)
        for version in sorted(_versions(folder)):
            path = _file(folder, version)
            is_active = path.name == active
            words = _words(folder, version) if is_active else ""
            found.append(Installed(folder.name, version, is_active, path, words))
    return found


def _words(folder: Path, active: int) -> str:
    """Whether the active version is still watched, and how it came back, if it did."""
    if watched := probation.read(folder, active):
        return f"new: watched, else back to {watched.back_to}"
    left = probation.returned(folder, active)
    return f"version {left.version} {left.why}" if left else ""


def open_active(station: Station, product: str) -> Bundle:
    """The product's active bundle, verified now; needs no clock. Raises BundleError."""
    return open_version(station, product, _active_version(_folder(station, product)))


def open_version(station: Station, product: str, version: int) -> Bundle:
    """A retained version of the product, verified now; needs no clock. Raises BundleError."""
    return _open(_folder(station, product), product, version, load_keys(station.station.keys_dir))


# --- watched on the line ----------------------------------------------------------------------------------------


def probation_of(station: Station, product: str) -> Probation | None:
    """What the product's active version must still prove; None where it is not watched. Raises BundleError."""
    folder = _folder(station, product)
    return probation.read(folder, _active_version(folder))


def returned(station: Station, product: str) -> str:
    """The words on a version that the station left by itself for the active one; "" where it did not."""
    folder = _folder(station, product)
    found = probation.returned(folder, _active_version(folder))
    return found.sentence(product) if found else ""


def run_begins(station: Station, product: str, known: Probation) -> None:
    """Count this run as unclean until `run_ended`. Raises JournalError."""
    folder = _folder(station, product)
    with _changing(folder, must_exist=True):
        probation.run_begins(folder, known)


def run_ended(station: Station, product: str, known: Probation) -> None:
    """The run has ended in order; another bundle that was installed meanwhile is left as it is. Raises JournalError."""
    folder = _folder(station, product)
    with _changing(folder, must_exist=True):
        if probation.read(folder, known.version) is not None:
            probation.run_ended(folder, known)


def keep(station: Station, product: str, version: int) -> None:
    """The watched version has proven itself. Raises JournalError."""
    folder = _folder(station, product)
    with _changing(folder, must_exist=True):
        if probation.read(folder, version) is not None:
            probation.end(folder)


def give_up(station: Station, product: str, known: Probation, why: str, wall_ns: int) -> str:
    """Go from a watched version back to the one of before, and keep why; the words for people.

    Raises BundleError where no version of before can be used, or another one was made active meanwhile; JournalError.
    """
    folder = _folder(station, product)
    keys = load_keys(station.station.keys_dir)
    with _changing(folder, must_exist=True):
        if _active_version(folder) != known.version:
            raise BundleError(
                f"version {known.version} of {product} is not active any more; start the station again"
            )
        manifest = _go_back(folder, product, known.version, known.back_to, keys)
        what = Returned(known.version, manifest.version, why, wall_ns)
        probation.note_return(folder, what)
        probation.end(folder)
    return what.sentence(product)


# --- folders ----------------------------------------------------------------------------------------------------


def _root(station: Station) -> Path:
    return station.station.state_dir / "bundles"


def _folder(station: Station, product: str) -> Path:
    if not re.fullmatch(PRODUCT_NAME, product):
        raise ConfigError(
            f"product {product!r}: use up to 40 letters, digits, dots, dashes and underscores, no dot first"
        )
    return _root(station) / product


def _file(folder: Path, version: int) -> Path:
    return folder / f"{version}{_SUFFIX}"


def _names(folder: Path) -> list[str]:
    """What lies in the folder, sorted; nothing where there is none. Raises ConfigError."""
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}; use sudo, or join the group kenpin") from error


def _versions(folder: Path) -> list[int]:
    names = _names(folder)
    return [int(found[1]) for name in names if (found := re.fullmatch(r"([1-9][0-9]{0,9})\.bundle", name))]


def _target(folder: Path) -> str:
    """The file name that `active` points to, empty when it is absent or no symlink."""
    try:
        return str((folder / ACTIVE).readlink())
    except OSError:
        return ""


def _active_version(folder: Path) -> int:
    target = _target(folder)
    for version in _versions(folder):
        if _file(folder, version).name == target:
            return version
    raise BundleError(f"no bundle of {folder.name} is active: edge install X.bundle --station STATION.TOML")


def _open(folder: Path, product: str, version: int, keys: KeyRing) -> Bundle:
    """A retained version, verified; a bundle under another one's name is refused."""
    path = _file(folder, version)
    bundle = read_bundle(path, keys)
    manifest = bundle.manifest
    if (manifest.product, manifest.version) != (product, version):
        raise BundleError(
            f"{path} is {manifest.product} version {manifest.version} under another name; "
            "remove it and install that bundle again"
        )
    return bundle


def _digest(folder: Path, product: str, version: int, keys: KeyRing) -> str | None:
    """The SHA-256 of a retained version; None when it no longer verifies, and may be replaced."""
    try:
        return _open(folder, product, version, keys).sha256
    except BundleError:
        return None


# --- changes ----------------------------------------------------------------------------------------------------


@contextmanager
def _changing(folder: Path, must_exist: bool = False) -> Iterator[None]:
    """One process at a time changes a product's folder; what a killed one left half-done is removed first."""
    lock = -1
    try:
        if must_exist and not folder.is_dir():
            raise BundleError(
                f"no bundle of {folder.name} is installed: edge install X.bundle --station STATION.TOML"
            )
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"*{PARTIAL}"):
            left.unlink()
        yield
        _hand_over(folder)
    except OSError as error:
        raise JournalError(
            f"cannot write {folder}: {error.strerror}; free disk space or check the folder's rights"
        ) from error
    finally:
        if lock >= 0:
            os.close(lock)


def _hand_over(folder: Path) -> None:
    """What root makes here belongs to whoever owns the state folder: the eye is to go back by itself."""
    if os.geteuid() != 0:
        return
    owner = folder.parent.parent.stat()
    for path in (folder.parent, folder, *folder.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _keep_copy(path: Path, bundle: Bundle, keys: KeyRing, folder: Path) -> None:
    """Copy, verify the copy on the disk, then give it its name."""
    final = _file(folder, bundle.manifest.version)
    partial = final.with_name(final.name + PARTIAL)
    write_synced(partial, _read(path))
    if read_bundle(partial, keys).sha256 != bundle.sha256:
        raise BundleError(f"{path} changed while it was copied; install it again")
    partial.replace(final)
    sync_folder(folder)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; give the path of a .bundle file") from error


def _activate(folder: Path, version: int) -> None:
    target = _file(folder, version).name
    if _target(folder) == target:
        return
    partial = folder / f"{ACTIVE}{PARTIAL}"
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(folder / ACTIVE)
    sync_folder(folder)


def _drop_old(folder: Path, active: int) -> None:
    watched = probation.read(folder, active)
    below = sorted(version for version in _versions(folder) if version < active)
    for version in below[:-RETAINED]:
        if watched is None or version != watched.back_to:
            _file(folder, version).unlink(missing_ok=True)
