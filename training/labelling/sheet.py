"""The labels of a picture set while people change them: each change is on the disk before it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge.durable import write_whole
from edge.errors import ConfigError, JournalError
from edge.picture_set import COLUMNS, GOOD, LABELS, SUFFIXES, Picture, read_set
from edge.set_writer import as_csv, encoded_mask
from training.labelling.masks import Stroke, draw, mask_of

UNSORTED = ("images", "unlabelled")  # folders whose name says nothing of the pictures in them
MASKS = "masks"
UNDONE_AT_MOST = 500
LONGEST_CLASS = 40


@dataclass(frozen=True, slots=True)
class Row:
    """A line of labels.csv; `group` and `mask` may be empty. `changed` counts up over the whole sheet."""

    file: str
    label: str
    group: str
    mask: str
    changed: int = 0


@dataclass(frozen=True, slots=True)
class _Step:
    """What undo needs: a row before a change, and its mask's file then (None: the change left that alone)."""

    number: int
    before: Row
    after: Row
    mask: bytes | None


class Sheet:
    """The rows of one set by number, 0 .. len - 1. A number means the same picture as long as the sheet lives.

    Not for two threads at once. What another program writes into labels.csv is read again before each change and stays.
    Methods raise ConfigError for what cannot be done, and JournalError when the disk fails; nothing has changed then.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._table = folder / LABELS
        self._stamp = self._now()  # before it is read: what changes meanwhile is read again
        self.rows = [_row(folder, picture) for picture in pictures_in(folder)]
        self.revision = 0
        self._steps: list[_Step] = []
        self._drawn: set[str] = set()  # mask files that did not exist before

    def picture(self, number: int) -> Picture:
        """The picture of this number."""
        row = self._row(number)
        mask = self.folder / row.mask if row.mask else None
        return Picture(self.folder / row.file, row.label, row.group or row.file, mask, row.file)

    def classes(self) -> list[str]:
        """The defect classes in use, sorted."""
        return sorted({row.label for row in self.rows} - {"", GOOD})

    # --- changes ---

    def label(self, number: int, label: str, was: str) -> None:
        """Give a picture a label ("" takes it away); `was` is what the person saw. A good picture has no mask."""
        self.refresh()
        before = self._row(number)
        if before.label != was:
            raise ConfigError(
                f"{before.file} was labelled {before.label or 'nothing'!r} meanwhile: look again, then press the key"
            )
        after = replace(before, label=checked_label(label), mask="" if label == GOOD else before.mask)
        self._do(number, after, None)

    def stroke(self, number: int, stroke: Stroke) -> None:
        """Paint into a defect's mask, or erase; an empty mask is none."""
        self.refresh()
        before = self._row(number)
        if before.label in ("", GOOD):
            raise ConfigError("a mask shows where a defect is: give the picture its defect class first")
        mask = draw(mask_of(self.picture(number)), stroke)
        if not mask.any():
            if before.mask:
                self._do(number, replace(before, mask=""), None)
            return
        file = before.mask if self._is_own(number) else self._new_mask_file(before.file)
        self._do(number, replace(before, mask=file), encoded_mask(mask))

    def wipe(self, number: int) -> None:
        """Take a picture's mask away."""
        self.refresh()
        self._do(number, replace(self._row(number), mask=""), None)

    def undo(self) -> int | None:
        """Take the last change back; returns the picture's number, None when there is nothing to undo."""
        self.refresh()
        while self._steps:
            step = self._steps.pop()
            if _content(self.rows[step.number]) == _content(step.after):
                self._store(step.number, step.before, step.mask)
                return step.number
        return None

    def _row(self, number: int) -> Row:
        if not 0 <= number < len(self.rows):
            raise ConfigError(f"there is no picture {number}: load the page again")
        return self.rows[number]

    def _do(self, number: int, after: Row, mask: bytes | None) -> None:
        before = self.rows[number]
        if mask is None and _content(after) == _content(before):
            return
        kept = self._mask_bytes(before) if before.mask and (mask is not None or not after.mask) else None
        self._store(number, after, mask)
        self._steps = [*self._steps[1 - UNDONE_AT_MOST :], _Step(number, before, after, kept)]

    def _store(self, number: int, after: Row, mask: bytes | None) -> None:
        """The mask's file is whole before a row names it, and goes after no row does."""
        before = self.rows[number]
        self.revision += 1
        rows = [*self.rows]
        rows[number] = replace(after, changed=self.revision)
        try:
            if mask is not None:
                self._write_mask(after.mask, mask)
            if self._stamp is None or _content(after) != _content(before):
                self._write_table(rows)
            self.rows = rows
            if before.mask in self._drawn - {after.mask}:
                (self.folder / before.mask).unlink(missing_ok=True)
        except OSError as error:
            raise JournalError(
                f"cannot write {error.filename or self._table}: {error.strerror}; free disk space or check the rights"
            ) from error

    def _write_table(self, rows: Sequence[Row]) -> None:
        write_whole(self._table, as_csv([COLUMNS, *map(_content, rows)]).encode())
        self._stamp = self._now()

    def _write_mask(self, file: str, mask: bytes) -> None:
        path = self.folder / file
        if self._stamp is None:  # a folder of masks alone would be taken for a label
            self._write_table(self.rows)
        if not path.exists():
            self._drawn.add(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, mask)

    def _mask_bytes(self, row: Row) -> bytes:
        try:
            return (self.folder / row.mask).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"cannot read {row.mask}: {error.strerror}; restore it or take it out of the row"
            ) from error

    def _is_own(self, number: int) -> bool:
        """Whether the picture has a mask file that may be written over."""
        mask = self.rows[number].mask
        shared = any(row.mask == mask for index, row in enumerate(self.rows) if index != number)
        return mask.lower().endswith(".png") and not shared

    def _new_mask_file(self, picture: str) -> str:
        path = Path(picture)
        inside = path.relative_to("images") if path.parts[0] == "images" and len(path.parts) > 1 else path
        for count in range(1, len(self.rows) + 2):
            name = f"{path.stem}.png" if count == 1 else f"{path.stem}-{count}.png"
            file = (Path(MASKS) / inside).with_name(name)
            if not (self.folder / file).exists():
                break
        return file.as_posix()

    # --- what others write ---

    def refresh(self) -> bool:
        """Read labels.csv again where another program has changed it; returns whether it had."""
        stamp = self._now()
        if stamp == self._stamp:
            return False
        if stamp is None:
            raise ConfigError(f"{self._table} is gone: put it back, or start edge-train label again")
        found = {row.file: row for row in (_row(self.folder, picture) for picture in pictures_in(self.folder))}
        gone = [row.file for row in self.rows if row.file not in found]
        if gone:
            raise ConfigError(f"{self._table} lists {gone[0]} no longer: start edge-train label again")
        self.revision += 1
        rows = [self._newer(row, found.pop(row.file)) for row in self.rows]
        self.rows = [*rows, *(replace(row, changed=self.revision) for row in found.values())]
        self._stamp = stamp
        return True

    def _newer(self, row: Row, found: Row) -> Row:
        return row if _content(row) == _content(found) else replace(found, changed=self.revision)

    def _now(self) -> tuple[int, int, int] | None:
        """What tells one labels.csv from the next; None without one."""
        try:
            state = self._table.stat()
        except FileNotFoundError:
            return None
        return state.st_mtime_ns, state.st_size, state.st_ino


def pictures_in(folder: Path) -> list[Picture]:
    """The set's pictures; without labels.csv also those that lie in the folder itself or in images/, unlabelled.

    Raises ConfigError.
    """
    if (folder / LABELS).is_file() or not folder.is_dir():
        return read_set(folder)
    loose = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in SUFFIXES]
    found = [Picture(path, "", path.name, None, path.name) for path in loose]
    try:
        found += [picture for picture in read_set(folder) if picture.label != MASKS]
    except ConfigError:
        if not loose:
            raise
    return [replace(picture, label="") if picture.label in UNSORTED else picture for picture in found]


def checked_label(label: str) -> str:
    """The label as it is stored. Raises ConfigError for one that labels.csv would not give back."""
    clean = label.strip()
    if len(clean) > LONGEST_CLASS or not clean.isprintable():
        raise ConfigError(f"a class is at most {LONGEST_CLASS} letters long, on one line: choose a shorter name")
    return clean


def _row(folder: Path, picture: Picture) -> Row:
    mask = picture.mask.relative_to(folder).as_posix() if picture.mask else ""
    return Row(picture.name, picture.label, picture.group if picture.group != picture.name else "", mask)


def _content(row: Row) -> tuple[str, str, str, str]:
    return row.file, row.label, row.group, row.mask
