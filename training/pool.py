"""A pool of unlabelled pictures: which belong to it, and how the network sees them, kept in one file of uint8."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.leaks import fingerprint_of, seen_in
from edge.durable import write_whole
from edge.errors import ConfigError
from edge.picture_set import LABELS, SUFFIXES, Picture, read_image, read_set, select
from edge.pixels import InputSpec, Pixels

LEAST = 16  # pictures; fewer teach nothing, and a batch needs as many
NAMED = 12  # broken pictures in a message
DIGEST = 16  # bytes of blake2b over a picture file's contents
LAYOUT = b"2"  # of the cache and what stands beside it

Digests = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The pictures of a pool, each file's content once. `digests`: of the files, uint8 N x 16.

    `left_out`, `repeated`: how many are not. `barred`: fingerprints of pictures that must not be learnt from, however
    they were saved.
    """

    paths: tuple[Path, ...]
    digests: Digests
    barred: frozenset[str]
    left_out: int
    repeated: int


@dataclass(frozen=True, slots=True, eq=False)
class Cached:
    """The pool as the network sees it: uint8 N x H x W x C on disk, the fingerprints of the same N pictures.

    `skipped`: what is wrong with unreadable ones. `left_out`: pictures that are barred, saved as another file.
    """

    images: NDArray[np.uint8]
    fingerprints: tuple[str, ...]
    skipped: tuple[str, ...]
    left_out: int


def gather(folder: Path, leave_out: Sequence[Path], leave_groups: str) -> Pool:
    """The pictures of `folder`: those that its labels.csv lists, else all in its folders; labels are not looked at.

    Left out are those that a set of `leave_out` holds too, by the contents of the files or the name of a group, and
    the groups that match the patterns `leave_groups`; `open_cache` leaves out those of the same pixels. Raises
    ConfigError where fewer than 16 are left.
    """
    pictures = pictures_in(folder)
    barred = {picture.group for picture in select(pictures, leave_groups)} if leave_groups else set()
    return without(pictures, [picture for other in leave_out for picture in pictures_in(other)], barred)


def without(pictures: Sequence[Picture], others: Sequence[Picture], barred: Collection[str] = ()) -> Pool:
    """`gather` for pictures of which the `others` are left out, and the groups that are `barred`."""
    barred = set(barred) | {picture.group for picture in others if picture.group != picture.name}
    known = _digests(pictures)
    groups = np.array([picture.group in barred for picture in pictures])
    out = groups | _among(known, _digests(others))
    first = np.zeros(len(known), np.bool_)
    first[np.unique(known, axis=0, return_index=True)[1]] = True
    kept = np.flatnonzero(first & ~out)
    if len(kept) < LEAST:
        raise ConfigError(
            f"{len(kept)} different pictures to pretrain on ({int(out.sum())} of {len(pictures)} left out): "
            f"collect {LEAST} at least, several hundred to gain from it"
        )
    repeated = int((~first & ~out).sum())
    paths = tuple(pictures[index].path for index in kept.tolist())
    return Pool(paths, known[kept], seen_in(others).pictures, int(out.sum()), repeated)


def _digests(pictures: Sequence[Picture]) -> Digests:
    told = np.empty((len(pictures), DIGEST), np.uint8)
    for row, picture in zip(told, pictures, strict=True):
        try:
            digest = hashlib.blake2b(picture.path.read_bytes(), digest_size=DIGEST).digest()
        except OSError as error:
            raise ConfigError(f"cannot read {picture.path}: {error.strerror}; restore or remove it") from error
        row[:] = np.frombuffer(digest, np.uint8)
    return told


def _among(asked: Digests, known: Digests) -> NDArray[np.bool_]:
    there = {row.tobytes() for row in known}
    return np.array([row.tobytes() in there for row in asked], np.bool_)


def pictures_in(folder: Path) -> list[Picture]:
    """The pictures of a set with labels.csv, else of any folder with folders, each a group of its own.

    Raises ConfigError.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder: give one that holds pictures, or {LABELS}")
    if (folder / LABELS).is_file():
        return read_set(folder)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ConfigError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}): give another folder")
    names = [path.relative_to(folder).as_posix() for path in paths]
    return [Picture(path, "", name, None, name) for path, name in zip(paths, names, strict=True)]


@dataclass(frozen=True, slots=True)
class _About:
    """Beside the cache: by its row what is wrong with a picture, and the fingerprint of each, "" where unreadable."""

    skipped: dict[str, str]
    fingerprints: list[str]


def cache_path(pool: Pool, spec: InputSpec, folder: Path) -> Path:
    """Where the pool's pictures are kept: the name stands for their contents, their order and the geometry."""
    key = hashlib.blake2b(LAYOUT + pool.digests.tobytes() + spec.to_json().encode(), digest_size=8)
    return folder / f"pool-{key.hexdigest()}.npy"


def fill_cache(pool: Pool, spec: InputSpec, path: Path, skip: bool, tick: Callable[[], None]) -> None:
    """Read every picture once into `path`, unless it is there; `tick` after each.

    Raises ConfigError that names the pictures which cannot be used; with `skip` they are left out.
    """
    if path.is_file():
        _refuse_broken(_about(path).skipped, skip)
        for _ in pool.paths:
            tick()
        return
    partial = path.with_name(path.name + ".partial")
    try:
        about = _convert(pool.paths, spec, partial, tick)
        _refuse_broken(about.skipped, skip)
        write_whole(path.with_suffix(".json"), (json.dumps(asdict(about), indent=2) + "\n").encode())
        partial.replace(path)
    except OSError as error:
        raise ConfigError(
            f"cannot write {partial}: {error.strerror}; free some space or choose another -o"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _convert(paths: Sequence[Path], spec: InputSpec, target: Path, tick: Callable[[], None]) -> _About:
    """Write the pictures as one array, with blank rows where one cannot be used."""
    pixels, blank = Pixels(spec), bytes(spec.height * spec.width * spec.channels)
    about = _About({}, [])
    # not a memory-map: where the disk is full, writing to one kills the process
    with target.open("wb") as file:
        shape = (len(paths), *spec.shape()[1:])
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for index, path in enumerate(paths):
            try:
                image = read_image(path)
                row, name = pixels.to_input(image).tobytes(), fingerprint_of(image)
            except ConfigError as error:
                about.skipped[str(index)] = str(error) if str(path) in str(error) else f"{path}: {error}"
                row, name = blank, ""
            about.fingerprints.append(name)
            file.write(row)
            tick()
    return about


def _about(path: Path) -> _About:
    return _About(**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))


def _refuse_broken(broken: dict[str, str], skip: bool) -> None:
    if broken and not skip:
        rest = f"; and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        raise ConfigError(
            f"pictures that cannot be used, {len(broken)}: {'; '.join(list(broken.values())[:NAMED])}{rest}. "
            "Mend or remove them, or leave them out with --skip-unreadable"
        )


def open_cache(pool: Pool, path: Path) -> Cached:
    """What `fill_cache` wrote, less what is barred. Raises ConfigError where that leaves too few pictures."""
    about = _about(path)
    images = np.load(path, mmap_mode="c")  # torch wants what it could write
    kept = [row for row, name in enumerate(about.fingerprints) if name and name not in pool.barred]
    if len(kept) < LEAST:
        raise ConfigError(f"only {len(kept)} pictures can be read and may be used: collect {LEAST} at least")
    left_out = len(images) - len(about.skipped) - len(kept)
    # pictures that were skipped are blank rows: the ones that are used are copied where there are any
    chosen = images if len(kept) == len(images) else images[kept]
    names = tuple(about.fingerprints[row] for row in kept)
    return Cached(chosen, names, tuple(about.skipped.values()), left_out)
