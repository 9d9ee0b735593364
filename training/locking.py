"""`edge-train lock`: whole groups move out of a set into the acceptance set, which nothing is ever taught with."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.errors import ConfigError
from edge.picture_set import LABELS, Picture, read_set, select
from edge.set_writer import labels_csv
from training.results import make_folder, write


def lock(folder: Path, out: Path, groups: str) -> tuple[list[Picture], list[Picture]]:
    """Move the pictures of `groups`, with masks and rows, from the set in `folder` into that in `out`.

    Returns what `out` then holds and what stays. Killed at any moment nothing is lost: called again with the same
    groups it goes on. Raises ConfigError, before anything is moved, where something would be lost or learnt from.
    """
    held, given = _sets(folder, out)
    names = {one.name for one in held}
    moved = [one for one in given if one.name in names]
    chosen = select([*held, *(one for one in given if one.name not in names)], groups)
    chosen = [one for one in chosen if one.name not in names]
    gone = {one.name for one in (*moved, *chosen)}
    stay = [one for one in given if one.name not in gone]
    if not stay:
        raise ConfigError(f"--groups {groups} are all groups of {folder}: some must stay, to learn from")
    for path in _files(folder, [*moved, *chosen]):
        if (out / path).exists() and not filecmp.cmp(folder / path, out / path, shallow=False):
            raise ConfigError(f"{out / path} is another picture than {folder / path}: rename one of them")
    for path in _files(folder, chosen):
        make_folder((out / path).parent)
        write(out / path, (folder / path).read_bytes())
    locked = [*held, *(_moved(one, folder, out) for one in chosen)]
    write(out / LABELS, labels_csv(out, locked))
    write(folder / LABELS, labels_csv(folder, stay))
    for path in _files(out, locked) - _files(folder, stay):
        if (folder / path).is_file() and filecmp.cmp(folder / path, out / path, shallow=False):
            (folder / path).unlink()
    return locked, stay


def _sets(folder: Path, out: Path) -> tuple[list[Picture], list[Picture]]:
    """What is locked already, and the set that groups are taken from."""
    if out.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"{out} and {folder} lie in each other: give -o a folder beside the set")
    given = read_set(folder)
    if not (folder / LABELS).is_file():
        raise ConfigError(f"{folder} has no {LABELS}, so no groups: edge-train label {folder} writes one")
    return (read_set(out) if (out / LABELS).is_file() else []), given


def _files(folder: Path, pictures: Sequence[Picture]) -> set[Path]:
    """Pictures and masks, relative to the set's folder."""
    paths = [path for one in pictures for path in (one.path, one.mask) if path is not None]
    return {path.relative_to(folder) for path in paths}


def _moved(picture: Picture, folder: Path, out: Path) -> Picture:
    mask = picture.mask and out / picture.mask.relative_to(folder)
    return replace(picture, path=out / picture.path.relative_to(folder), mask=mask)
