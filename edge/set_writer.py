"""Writes labelled picture sets: a picture is on the disk before the row that names it, so a kill leaves no bad row."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from edge.clock import SECOND
from edge.collecting import Encoding
from edge.durable import PARTIAL, sync_folder, write_synced, write_whole
from edge.errors import ConfigError, JournalError
from edge.picture_set import COLUMNS, LABELS, Image, Picture

_IMAGES, _MASKS = "images", "masks"
_SUFFIXES: dict[Encoding, str] = {"png": ".png", "jpeg": ".jpg", "bmp": ".bmp"}
_DROPPING = ".dropping"  # the files that are on their way out, while their rows may be gone already
_A_COMMIT_NS = 60 * SECOND
_SETTINGS: dict[Encoding, tuple[int, ...]] = {
    # camera noise defeats deflate's search: run lengths alone are as small and twice as fast
    "png": (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    "jpeg": (cv2.IMWRITE_JPEG_QUALITY, 95),
    "bmp": (),
}


def encoded(image: Image, encoding: Encoding = "png") -> bytes:
    """The picture as a file's content; png and bmp keep every bit. image: uint8 H x W x 3 (BGR) or H x W.

    Raises ConfigError for an array that is no such picture.
    """
    try:
        done, data = cv2.imencode(_SUFFIXES[encoding], image, _SETTINGS[encoding])
    except cv2.error:
        done = False
    if not done:
        raise ConfigError(
            f"cannot encode a picture of shape {image.shape} as {encoding}; give uint8 H x W x 3 or H x W"
        )
    return bytes(data)


def encoded_mask(mask: Image) -> bytes:
    """The file of a mask (H x W, non-zero = defect): a png of 0 and 255."""
    return encoded(np.where(mask != 0, np.uint8(255), np.uint8(0)))


@dataclass(frozen=True, slots=True)
class NewPicture:
    """A picture that is to be stored: `data` is the file's content, `name` its name without folder and suffix."""

    name: str
    data: bytes
    label: str
    group: str


class PictureSetWriter:
    """Appends pictures to a set, all of one encoding.

    One writer per folder. Raises ConfigError for a foreign labels.csv and JournalError when the disk fails.
    """

    def __init__(self, folder: Path, encoding: Encoding = "png") -> None:
        self._folder = folder
        self._table = folder / LABELS
        self._encoding: Encoding = encoding
        self._sizes: dict[str, int] = {}  # bytes of each listed file, in the order of the rows
        self._complete_ns = 0  # what is younger than this, by the wall clock, may lack its row
        self.bytes = 0
        self._open_table()

    def holds(self, name: str) -> bool:
        """Whether labels.csv lists the picture of this name, however it is encoded."""
        return any(f"{_IMAGES}/{name}{suffix}" in self._sizes for suffix in _SUFFIXES.values())

    def __len__(self) -> int:
        return len(self._sizes)

    # --- opening ---

    def _open_table(self) -> None:
        """Create labels.csv, or check the existing one, drop the torn last line of a power cut and end a drop."""
        try:
            (self._folder / _IMAGES).mkdir(parents=True, exist_ok=True)
            if not self._table.exists():
                write_whole(self._table, (",".join(COLUMNS) + "\n").encode())
                return
            self._complete_ns = self._table.stat().st_mtime_ns
            data = self._table.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if whole != data:
                self._complete_ns -= _A_COMMIT_NS  # the rows of one commit are torn: its files are older than that
                write_whole(self._table, whole)
        except OSError as error:
            raise _disk_error(self._table, error) from error
        lines = whole.decode("utf-8-sig", errors="replace").splitlines()
        if lines[:1] != [",".join(COLUMNS)]:
            raise ConfigError(f"{self._table} does not start with {','.join(COLUMNS)}; write into another folder")
        for row in csv.reader(lines[1:]):
            if row:
                self._sizes[row[0]] = _size(self._folder / row[0])
        self.bytes = sum(self._sizes.values())
        self._finish_drop()

    def sweep(self, prefixes: Sequence[str]) -> int:
        """Delete what a kill left of pictures whose names begin so: files without a row, younger than labels.csv was.

        Returns how many. Older ones are a person's, who took their rows out. Raises JournalError.
        """
        try:
            found = [
                Path(entry.path)
                for entry in os.scandir(self._folder / _IMAGES)
                if entry.name.startswith(tuple(prefixes))
                and (entry.name.endswith(PARTIAL) or entry.stat().st_mtime_ns >= self._complete_ns)
                and f"{_IMAGES}/{entry.name}" not in self._sizes
            ]
            for path in found:
                path.unlink()
        except OSError as error:
            raise _disk_error(self._folder / _IMAGES, error) from error
        return len(found)

    # --- adding ---

    def add(self, image: Image, name: str, label: str, group: str, mask: Image | None = None) -> Path:
        """Store one picture as images/<name>.png and append its row; returns the file's path.

        image: uint8 H x W x 3 (BGR) or H x W. mask: H x W, non-zero = defect, stored as masks/<name>.png.
        A picture that is listed already is refused with ConfigError; the file of a row that a power cut prevented
        is written anew. Blocks until file and row are on disk.
        """
        picture = NewPicture(name, encoded(image, self._encoding), label, group)
        file, mask_file = self._file_of(picture), ""
        try:
            if mask is not None:
                mask_file = f"{_MASKS}/{name}.png"
                (self._folder / _MASKS).mkdir(exist_ok=True)
                write_whole(self._folder / mask_file, encoded_mask(mask))
            write_whole(self._folder / file, picture.data)
            self._append([(file, label, group or file, mask_file)])
        except OSError as error:
            raise _disk_error(self._folder / file, error) from error
        self._listed(file, len(picture.data))
        return self._folder / file

    def add_all(self, pictures: Sequence[NewPicture]) -> None:
        """Store pictures with their rows, which costs the disk less than one by one; else as `add`."""
        files = [self._file_of(picture) for picture in pictures]
        try:
            for file, picture in zip(files, pictures, strict=True):
                self._put(self._folder / file, picture.data)
            sync_folder(self._folder / _IMAGES)
            self._append(
                [(file, each.label, each.group or file, "") for file, each in zip(files, pictures, strict=True)]
            )
        except OSError as error:
            raise _disk_error(self._folder / _IMAGES, error) from error
        for file, picture in zip(files, pictures, strict=True):
            self._listed(file, len(picture.data))

    @staticmethod
    def _put(path: Path, data: bytes) -> None:
        """The file is whole on the disk; its name comes there with its folder."""
        partial = path.with_name(path.name + PARTIAL)
        try:
            write_synced(partial, data)
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def _file_of(self, picture: NewPicture) -> str:
        name = picture.name
        if not name or "/" in name or name.startswith("."):
            raise ConfigError(f"picture name {name!r}: use a plain file name without a folder")
        file = f"{_IMAGES}/{name}{_SUFFIXES[self._encoding]}"
        if self.holds(name):
            raise ConfigError(f"{self._folder / file} exists already; choose another name or an empty folder")
        return file

    def _append(self, rows: Iterable[tuple[str, ...]]) -> None:
        with self._table.open("a", newline="", encoding="utf-8") as file:
            file.write(as_csv(rows))
            file.flush()
            os.fsync(file.fileno())

    def _listed(self, file: str, size: int) -> None:
        self._sizes[file] = size
        self.bytes += size

    # --- dropping ---

    def drop_oldest(self, size: int) -> int:
        """Delete the oldest pictures, with their rows, until `size` bytes are free; returns how many went.

        What has a label or a mask is a person's work and stays. Blocks: labels.csv is written anew. Raises
        JournalError.
        """
        try:
            with self._table.open(newline="", encoding="utf-8-sig") as table:
                rows = [tuple(row) for row in islice(csv.reader(table), 1, None) if row]
            going = set(self._oldest(rows, size))
            if not going:
                return 0
            write_whole(self._folder / _DROPPING, "\n".join(sorted(going)).encode())
            kept = [row for row in rows if row[0] not in going]
            write_whole(self._table, as_csv([COLUMNS, *kept]).encode())
            for file in going:
                self.bytes -= self._sizes.pop(file)
            self._finish_drop()
        except OSError as error:
            raise _disk_error(self._table, error) from error
        return len(going)

    def _oldest(self, rows: Iterable[Sequence[str]], size: int) -> Iterator[str]:
        freed = 0
        for row in rows:
            if freed >= size:
                return
            if row[0] in self._sizes and not any((*row[1:2], *row[3:])):
                freed += self._sizes[row[0]]
                yield row[0]

    def _finish_drop(self) -> None:
        """Delete the files whose rows were dropped; a kill in between is made up for at the next start."""
        dropping = self._folder / _DROPPING
        if not dropping.exists():
            return
        for file in dropping.read_text(encoding="utf-8").splitlines():
            if file not in self._sizes:
                (self._folder / _IMAGES / Path(file).name).unlink(missing_ok=True)
        dropping.unlink()


def as_csv(rows: Iterable[Sequence[str]]) -> str:
    """The rows as labels.csv has them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def labels_csv(folder: Path, pictures: Iterable[Picture]) -> bytes:
    """The labels.csv of the set in `folder` with all of its `pictures`."""
    rows = [
        (one.name, one.label, one.group, one.mask.relative_to(folder).as_posix() if one.mask else "")
        for one in pictures
    ]
    return as_csv([COLUMNS, *rows]).encode()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # a row of a file that somebody took away; read_set says so


def _disk_error(path: Path, error: OSError) -> JournalError:
    return JournalError(f"cannot write {path}: {error.strerror}; free disk space or check the folder's rights")
