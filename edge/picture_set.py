"""Labelled picture sets: a folder with labels.csv (`file,label,group,mask`), or plain folders named by label."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError

LABELS = "labels.csv"
COLUMNS = ("file", "label", "group", "mask")
REQUIRED = ("file", "label")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
GOOD = "ok"

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a set: `path` and `mask` (None without one) are absolute or relative as the folder was given.

    `name` is the file relative to the set's folder. `label` is "ok", a defect class, or "" when unlabelled.
    Pictures of one physical thing share a `group`.
    """

    path: Path
    label: str
    group: str
    mask: Path | None
    name: str


def read_set(folder: Path) -> list[Picture]:
    """The pictures of a set, in the order of labels.csv; plain folders in the order of their names.

    Every file is checked to exist; none is decoded. Raises ConfigError that names the file, the line and the fix.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder: give the folder that holds {LABELS} or ok/ and ng/")
    if (folder / LABELS).is_file():
        return _from_csv(folder)
    return _from_folders(folder)


def _from_csv(folder: Path) -> list[Picture]:
    table = folder / LABELS
    pictures: list[Picture] = []
    first_lines: dict[str, int] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(table, reader.fieldnames or [])
            for row in reader:
                picture = _picture(folder, row, f"{table} line {reader.line_num}")
                before = first_lines.setdefault(picture.name, reader.line_num)
                if before != reader.line_num:
                    raise ConfigError(
                        f"{table} line {reader.line_num}: {picture.name} is listed on line {before} already; "
                        "remove one of the two"
                    )
                pictures.append(picture)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read {table}: {error}; save it as UTF-8 text with commas") from error
    if not pictures:
        raise ConfigError(f"{table} lists no pictures; add rows of {','.join(COLUMNS)}")
    return pictures


def _check_columns(table: Path, columns: object) -> None:
    names = [str(name) for name in columns] if isinstance(columns, list | tuple) else []
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in names]
    if unknown or missing or len(set(names)) != len(names):
        wrong = f"unknown columns {unknown}" if unknown else f"missing columns {missing}" if missing else "repeats"
        raise ConfigError(f"{table} line 1: {wrong}; the columns are {','.join(COLUMNS)}")


def _picture(folder: Path, row: dict[str, str | None], where: str) -> Picture:
    if None in row or None in row.values():
        raise ConfigError(f"{where}: more or fewer values than columns; quote values that contain commas")
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    path = _inside(folder, values["file"], where)
    mask = _inside(folder, values["mask"], where) if values["mask"] else None
    name = Path(values["file"]).as_posix()
    return Picture(path, values["label"], values["group"] or name, mask, name)


def _inside(folder: Path, name: str, where: str) -> Path:
    """The existing file that a row names; it must lie in the set's folder."""
    if not name:
        raise ConfigError(f"{where}: the file is empty; name a picture, relative to {folder}")
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(f"{where}: {name} leaves {folder}; name a file inside it")
    if not path.is_file():
        raise ConfigError(f"{where}: {path} does not exist; restore the file or remove the row")
    return path


def _from_folders(folder: Path) -> list[Picture]:
    pictures = [
        Picture(path, label.name, f"{label.name}/{path.name}", None, f"{label.name}/{path.name}")
        for label in sorted(folder.iterdir())
        if label.is_dir()
        for path in sorted(label.iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not pictures:
        raise ConfigError(f"{folder} holds neither {LABELS} nor folders of pictures such as ok/ and ng/; add one")
    for picture in pictures:
        if not _is_text(picture.name):
            raise ConfigError(
                f"{folder} holds {picture.name!r}, a name that is not UTF-8: rename the file or folder"
            )
    return pictures


def _is_text(name: str) -> bool:
    """Whether a name can be written into a table: Linux lets files be named by any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def select(pictures: Iterable[Picture], patterns: str | None) -> list[Picture]:
    """The pictures whose group matches one of the comma-separated `patterns` (`pos0*,pos11`), in their order.

    Patterns are globs over the whole group name, case counts; None or "" selects all. Raises ConfigError for a
    pattern that matches no group, since a misspelt one would silently shrink the set.
    """
    known = list(pictures)
    if not patterns:
        return known
    globs = [glob.strip() for glob in patterns.split(",") if glob.strip()]
    groups = sorted({picture.group for picture in known})
    for glob in globs:
        if not any(fnmatchcase(group, glob) for group in groups):
            raise ConfigError(f"no group matches {glob!r}; the groups are {_some(groups)}")
    return [picture for picture in known if any(fnmatchcase(picture.group, glob) for glob in globs)]


def _some(names: Sequence[str], most: int = 12) -> str:
    """The names for a message, cut where there are many."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def read_image(path: Path, mono: bool = False) -> Image:
    """The picture as uint8 H x W x 3 (BGR), or H x W with `mono`; EXIF rotation is ignored, alpha dropped.

    Raises ConfigError when the file is missing, broken or empty.
    """
    try:
        # not cv2.imread: it prints instead of raising, and fails on some file names
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; restore the file or remove its row") from error
    colour = cv2.IMREAD_GRAYSCALE if mono else cv2.IMREAD_COLOR
    return _decode(data, colour | cv2.IMREAD_IGNORE_ORIENTATION, path)


def _decode(data: NDArray[np.uint8], flags: int, path: Path) -> Image:
    image = None
    if data.size:
        try:
            image = cv2.imdecode(data, flags)
        except cv2.error as error:
            raise ConfigError(f"cannot decode {path}: {error.err}; restore the file or remove its row") from error
    if image is None:
        raise ConfigError(f"{path} is no readable picture; restore the file or remove its row")
    return np.asarray(image, np.uint8)


def read_mask(picture: Picture, height: int, width: int) -> Image:
    """The picture's defect mask as uint8 height x width of 0 or 1 (1 = defect); all 0 without a mask.

    Raises ConfigError when the mask's size is not the picture's.
    """
    if picture.mask is None:
        return np.zeros((height, width), np.uint8)
    mask = read_image(picture.mask, mono=True)
    if mask.shape != (height, width):
        raise ConfigError(
            f"{picture.mask} is {mask.shape[1]} x {mask.shape[0]}, its picture {width} x {height}; draw it again"
        )
    return np.asarray(mask != 0, np.uint8)
