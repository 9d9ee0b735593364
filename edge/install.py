"""Bundles on this device: installed whole or not at all, activated by one symlink, verified again at every opening.

    STATE_DIR/bundles/PRODUCT/VERSION.bundle    the retained versions
    STATE_DIR/bundles/PRODUCT/active            a symlink to one of them
    STATE_DIR/bundles/PRODUCT/VERSION.threshold where a person has moved it, see edge.moved
    STATE_DIR/bundles/PRODUCT/probation, left   what is watched, and what the station has left by itself: edge.probation
    STATE_DIR/bundles/PRODUCT/.lock             held while something changes here

A kill or a power cut at any instant leaves the old bundle active or the new one. What becomes active here has been
accepted on this device; whether it also does on the line, the eye watches.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import moved, probation
from edge.acceptance import accept
from edge.bundle import MAX_BYTES, Bundle, KeyRing, load_keys, read_bundle
from edge.clock import Clock, SystemClock
from edge.durable import PARTIAL, sync_folder, write_synced
from edge.errors import BundleError
from edge.kept import (
    ACTIVE,
    BusyError,
    active_version,
    changing,
    file_of,
    folder_of,
    names_in,
    open_kept,
    root_of,
    target_of,
    versions_in,
)
from edge.manifest import Manifest
from edge.moved import Moved
from edge.probation import Probation, Returned
from edge.station import Station

log = logging.getLogger(__name__)

RETAINED = 4  # versions kept below the active one


@dataclass(frozen=True, slots=True)
class Installed:
    """One retained version of a product; `active` where a station opens this one, `words` what to say of it.

    `left`: the station has left it by itself, and goes back past it."""

    product: str
    version: int
    active: bool
    path: Path
    words: str = ""
    left: bool = False


def install(path: Path, station: Station, clock: Clock | None = None) -> Manifest:
    """Verify a bundle, accept it on this device's engine, keep a verified copy and make it the product's active one.

    Installing the newest version again is harmless: it becomes active, and is copied only where the stored one no
    longer verifies (damaged, or its key revoked); a threshold that was moved for it stays in force. The running eye
    takes it up when it starts again, and watches it where there is a version to go back to. Raises BundleError for a
    bundle that cannot be trusted, has expired by the wall clock, is not newer than the newest installed one or is not
    accepted, JournalError when the disk refuses; nothing has changed then.
    """
    clock = clock or SystemClock()
    keys = load_keys(station.station.keys_dir)
    bundle = verified(path, keys, clock)
    manifest = bundle.manifest
    folder = folder_of(station, manifest.product)
    copy = b"" if _is_stored(bundle, keys, folder) else _read(path)  # root may read it, the station's user need not
    there = _moved(station, folder, manifest.version)
    held = moved.in_force(bundle, there)
    log.info("%s", accept(held, station.engine, clock).sentence())
    with changing(folder):
        if not _is_stored(bundle, keys, folder):
            _keep_copy(copy, bundle, keys, folder)
            if there is not None and there.bundle != bundle.sha256:
                moved.remove(folder, manifest.version)
        _watch(folder, manifest.version, station.new_bundle.watch_parts)
        _activate(folder, manifest.version)
        probation.forget_return(folder)
        probation.forget_left(folder, manifest.version)
        _drop_old(folder, manifest.version)
    inspected = sorted(set(station.products().values()))
    if inspected and manifest.product not in inspected:
        log.warning(
            "%s inspects %s, not %s: correct station.product there, or give edge-compile another --product",
            station.source,
            ", ".join(inspected),
            manifest.product,
        )
    return _told(held, station)


def verified(path: Path, keys: KeyRing, clock: Clock) -> Bundle:
    """What this file holds, signed by one of the keys and not expired. Raises BundleError."""
    bundle = read_bundle(path, keys)
    if bundle.manifest.has_expired(clock.wall_ns()):
        raise BundleError(
            f"{path} expired at {bundle.manifest.expires}; compile it again, or set this machine's clock if it is wrong"
        )
    return bundle


def _told(bundle: Bundle, station: Station) -> Manifest:
    """What is in force of a bundle; that its threshold was moved is said."""
    with suppress(BundleError):  # a version of before may have no model for the engine of today
        entry = bundle.manifest.entry(station.engine.kind, station.engine.precision)
        if (found := moved.moved_for(bundle, entry)) is not None:
            log.warning("%s", found.sentence())
    return bundle.manifest


def _is_stored(bundle: Bundle, keys: KeyRing, folder: Path) -> bool:
    """Whether this very bundle is retained already. Raises BundleError for one that is not newer than the newest."""
    manifest = bundle.manifest
    newest = max(versions_in(folder), default=0)
    stored = _digest(folder, newest, keys) if manifest.version == newest else ""
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
    target = target_of(folder)
    active = next((known for known in versions_in(folder) if file_of(folder, known).name == target), 0)
    if active == version:
        return
    if not parts or not active:
        probation.end(folder)
        return
    watched = probation.read(folder, active)  # one that was never kept is none to go back to
    probation.begin(folder, version, watched.back_to if watched else active, active)


def rollback(product: str, station: Station, version: int | None = None) -> Manifest:
    """Make the newest retained version below the active one active again, whether it has expired or not; or `version`,
    which is below it too.

    Passed over are versions that no longer verify (the key was revoked, the file is damaged) and those that the station
    has left by itself, which only naming them chooses. Raises BundleError when none is left, which says why for each,
    and JournalError when the disk refuses.
    """
    folder = folder_of(station, product)
    with changing(folder, must_exist=True):
        active = active_version(folder)
        if version is None:
            bundle = _go_back(station, folder, active, active - 1)
        else:
            bundle = _choose(station, folder, active, version)
        probation.end(folder)
        probation.forget_return(folder)
    return _told(bundle, station)


def _choose(station: Station, folder: Path, active: int, version: int) -> Bundle:
    """Make this version active, which a person has named."""
    below = [known for known in sorted(versions_in(folder)) if known < active]
    if version not in below:
        raise BundleError(
            f"version {version} is none to go back to from {folder.name} version {active}; "
            f"there are: {', '.join(map(str, below)) or 'none'}"
        )
    bundle = open_version(station, folder.name, version)
    _activate(folder, version)
    probation.forget_left(folder, version)
    return bundle


def _go_back(station: Station, folder: Path, active: int, most: int) -> Bundle:
    """Make the newest version up to `most` active that still verifies, and that the station has not left by itself."""
    left, refusals = probation.left(folder), []
    for version in sorted((version for version in versions_in(folder) if version <= most), reverse=True):
        if version in left:
            refusals.append(f"version {version} {left[version].why}: `edge rollback --version {version}` takes it")
            continue
        try:
            bundle = open_version(station, folder.name, version)
        except BundleError as error:
            refusals.append(str(error))
            continue
        _activate(folder, version)
        if refusals:
            log.warning("passed over: %s", "; ".join(refusals))
        return bundle
    found = ": " + "; ".join(refusals) if refusals else ""
    raise BundleError(
        f"no version of {folder.name} before {active} can be used{found}; install a bundle with a higher version"
    )


def installed(station: Station) -> list[Installed]:
    """Every retained version, by product and version. Reads names and small files only: no bundle is verified."""
    found: list[Installed] = []
    root = root_of(station)
    for folder in [root / name for name in names_in(root) if (root / name).is_dir()]:
        active, left = target_of(folder), probation.left(folder)
        for version in sorted(versions_in(folder)):
            path = file_of(folder, version)
            is_active = path.name == active
            words = _words(folder, version) if is_active else left[version].left_words() if version in left else ""
            words = "; ".join(each for each in (words, _moved_words(station, folder, version)) if each)
            found.append(Installed(folder.name, version, is_active, path, words, version in left))
    return found


def before(kept: Sequence[Installed]) -> int:
    """The version of a product's `kept` ones that a rollback goes to, if it still verifies; 0 where there is none."""
    active = next((one.version for one in kept if one.active), 0)
    return max((one.version for one in kept if one.version < active and not one.left), default=0)


def _words(folder: Path, active: int) -> str:
    """Whether the active version is still watched, and how it came back, if it did."""
    if watched := probation.read(folder, active):
        return f"new: watched, else back to {watched.back_to}"
    left = probation.returned(folder, active)
    return f"version {left.version} {left.why}" if left else ""


def _moved_words(station: Station, folder: Path, version: int) -> str:
    try:
        found = _moved(station, folder, version)
    except BundleError as error:
        return str(error)
    return "" if found is None else found.short()


def open_active(station: Station, product: str) -> Bundle:
    """The product's active bundle, verified now, as it is judged here: with its threshold, or the one that was moved on
    this device. Needs no clock. Raises BundleError."""
    return open_version(station, product, active_version(folder_of(station, product)))


def open_version(station: Station, product: str, version: int) -> Bundle:
    """A retained version of the product, in the same way. Raises BundleError."""
    folder = folder_of(station, product)
    bundle = open_kept(folder, version, load_keys(station.station.keys_dir))
    return moved.in_force(bundle, _moved(station, folder, version))


# --- a threshold that is moved on the device --------------------------------------------------------------------


def _moved(station: Station, folder: Path, version: int) -> Moved | None:
    """Raises BundleError for a file that cannot be trusted."""
    return moved.read(folder, version, station.station.state_dir)


def has_moved(station: Station, product: str, version: int) -> bool:
    """Whether anything is kept as a moved threshold of this version, in force or not, whole or not."""
    return moved.path_of(folder_of(station, product), version).exists()


def moved_of(station: Station, product: str, version: int) -> Moved | None:
    """What is kept as a moved threshold of this version, in force or not. Raises BundleError for a damaged file."""
    return _moved(station, folder_of(station, product), version)


def open_as_signed(station: Station, product: str) -> Bundle:
    """The product's active bundle with its own threshold, whatever was moved here. Raises BundleError."""
    folder = folder_of(station, product)
    return open_kept(folder, active_version(folder), load_keys(station.station.keys_dir))


def move_threshold(station: Station, what: Moved, key: Ed25519PrivateKey) -> None:
    """From the eye's next start the model is judged at another threshold; `key` is the device's.

    Raises BundleError where another bundle has become active meanwhile, JournalError when the disk refuses.
    """
    with _still_active(station, what.product, what.bundle) as folder:
        moved.write(folder, what, key)


def reset_threshold(station: Station, bundle: Bundle) -> None:
    """From the eye's next start the bundle's own threshold is in force again. Raises BundleError, JournalError."""
    manifest = bundle.manifest
    with _still_active(station, manifest.product, bundle.sha256) as folder:
        moved.remove(folder, manifest.version)


@contextmanager
def _still_active(station: Station, product: str, sha256: str) -> Iterator[Path]:
    with changing(folder_of(station, product), must_exist=True):
        if open_as_signed(station, product).sha256 != sha256:
            raise BundleError(
                f"another bundle of {product} has become active meanwhile: look at it, then ask again"
            )
        yield folder_of(station, product)


# --- watched on the line ----------------------------------------------------------------------------------------


def probation_of(station: Station, product: str) -> Probation | None:
    """What the product's active version must still prove; None where it is not watched. Raises BundleError."""
    folder = folder_of(station, product)
    return probation.read(folder, active_version(folder))


def returned(station: Station, product: str) -> str:
    """The words on a version that the station left by itself for the active one; "" where it did not."""
    folder = folder_of(station, product)
    found = probation.returned(folder, active_version(folder))
    return found.sentence(product) if found else ""


def run_begins(station: Station, product: str, known: Probation) -> None:
    """Count this run as unclean until `run_ended`. Raises JournalError."""
    folder = folder_of(station, product)
    with changing(folder, must_exist=True):
        probation.run_begins(folder, known)


def run_ended(station: Station, product: str, known: Probation) -> None:
    """The run has ended in order; another bundle that was installed meanwhile is left as it is. Raises JournalError."""
    folder = folder_of(station, product)
    with changing(folder, must_exist=True):
        if _is_watched(folder, known.version):
            probation.run_ended(folder, known)


def keep(station: Station, product: str, version: int) -> bool:
    """The watched version has proven itself. False where that cannot be noted yet, since another process changes the
    folder: it may copy a bundle for longer than the watchdog waits. Raises BundleError, JournalError."""
    folder = folder_of(station, product)
    try:
        with changing(folder, must_exist=True, waits=False):
            if _is_watched(folder, version):
                probation.end(folder)
                probation.forget_left(folder, version)
    except BusyError:
        return False
    return True


def _is_watched(folder: Path, version: int) -> bool:
    """Whether this version is still the active one, and watched."""
    return active_version(folder) == version and probation.read(folder, version) is not None


def give_up(station: Station, product: str, known: Probation, why: str, wall_ns: int) -> str:
    """Go from a watched version back to the one of before, and keep why; the words for people.

    Raises BundleError where no version of before can be used, or another one was made active meanwhile; JournalError.
    """
    folder = folder_of(station, product)
    with changing(folder, must_exist=True):
        if active_version(folder) != known.version:
            raise BundleError(
                f"version {known.version} of {product} is not active any more; start the station again"
            )
        probation.note_left(folder, Returned(known.version, known.back_to, why, wall_ns))
        bundle = _go_back(station, folder, known.version, known.back_to)
        what = Returned(known.version, bundle.manifest.version, why, wall_ns)
        probation.note_return(folder, what)
        probation.end(folder)
    return what.sentence(product)


# --- changes ------------------------------------------------------------------------------------------------------


def _digest(folder: Path, version: int, keys: KeyRing) -> str | None:
    """The SHA-256 of a retained version; None when it no longer verifies, and may be replaced."""
    try:
        return open_kept(folder, version, keys).sha256
    except BundleError:
        return None


def _keep_copy(copy: bytes, bundle: Bundle, keys: KeyRing, folder: Path) -> None:
    """Write the copy, verify it on the disk, then give it its name."""
    final = file_of(folder, bundle.manifest.version)
    partial = final.with_name(final.name + PARTIAL)
    write_synced(partial, copy)
    if read_bundle(partial, keys).sha256 != bundle.sha256:
        raise BundleError(f"{bundle.path} changed while it was copied; install it again")
    partial.replace(final)
    sync_folder(folder)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)  # whatever it has become since it was verified
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; give the path of a .bundle file") from error


def _activate(folder: Path, version: int) -> None:
    target = file_of(folder, version).name
    if target_of(folder) == target:
        return
    partial = folder / f"{ACTIVE}{PARTIAL}"
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(folder / ACTIVE)
    sync_folder(folder)


def _drop_old(folder: Path, active: int) -> None:
    """Keep the newest versions below the active one; those that the station has left by itself push out none."""
    watched, left = probation.read(folder, active), probation.left(folder)
    below = sorted(version for version in versions_in(folder) if version < active)
    good, bad = [one for one in below if one not in left], [one for one in below if one in left]
    kept = {*good[-RETAINED:], *bad[-RETAINED:], watched.back_to if watched else active}
    dropped = [version for version in below if version not in kept]
    for version in dropped:
        file_of(folder, version).unlink(missing_ok=True)
        moved.path_of(folder, version).unlink(missing_ok=True)
    probation.forget_left(folder, *dropped)
