"""Labels that people give to kept pictures: a set for edge-train that grows by one copy and one row for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge.clock import SECOND, Clock
from edge.durable import hold_folder, sync_folder, write_synced, write_whole
from edge.errors import ConfigError, JournalError
from edge.journal.completeness import name_of
from edge.panel.acts import require
from edge.panel.language import say
from edge.panel.pictures import Pictures
from edge.panel.users import Role, User
from edge.picture_set import COLUMNS, GOOD, LABELS, read_set
from edge.set_writer import as_csv

WHO = "labelled-by.csv"  # when, who, file, label before, label after
IMAGES = "images"
_OWN = (IMAGES, WHO)  # what a first press that was killed may have left
_UNDONE_AT_MOST = 200

Row = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Step:
    file: str
    before: Row | None
    after: Row


class Labels:
    """The set in one folder. Each press is on the disk when its method returns; nobody else has the set open then.

    All raise ConfigError for what cannot be done, JournalError when the disk fails, RefusedError for the role.
    """

    def __init__(self, folder: Path, classes: Sequence[str], pictures: Pictures, clock: Clock) -> None:
        self._folder = folder
        self.choices = (GOOD, *classes)
        self._pictures = pictures
        self._clock = clock
        self._steps: dict[str, list[_Step]] = {}

    def of_part(self, part_id: int) -> dict[str, str]:
        """Camera -> label of a part's pictures, those that have one."""
        known = {row[0]: row[1] for row in self._rows()} if self._folder.is_dir() else {}
        files = {camera: _file(part_id, camera) for camera in self._pictures.cameras}
        return {camera: known[file] for camera, file in files.items() if known.get(file)}

    def label(self, user: User, part_id: int, camera: str, label: str) -> str:
        """Give a picture a label; returns it. The picture is copied first, as it will give way to newer ones."""
        require(user, Role.OPERATOR, "label")
        if label not in self.choices:
            choices = ", ".join(self.choices)
            raise ConfigError(say("no.no_such_label", label=repr(label[:40]), choices=choices))
        file = _file(part_id, camera)
        with self._alone():
            rows = self._rows()
            before = next((row for row in rows if row[0] == file), None)
            if before is None or not (self._folder / file).is_file():
                self._copy(part_id, camera, file)
            after = (file, label, before[2] if before else f"part-{name_of(part_id)}", before[3] if before else "")
            self._store(rows, before, after)
            self._tell(user, file, before[1] if before else "", label)
        steps = self._steps.setdefault(user.name, [])
        steps.append(_Step(file, before, after))
        del steps[:-_UNDONE_AT_MOST]
        return label

    def undo(self, user: User) -> str:
        """Take back the last label that this user gave here; returns in words what was done."""
        require(user, Role.OPERATOR, "label")
        steps = self._steps.get(user.name, [])
        with self._alone():
            while steps:
                step = steps.pop()
                rows = self._rows()
                if step.after in rows:
                    self._store(rows, step.after, step.before or (step.file, "", step.after[2], step.after[3]))
                    was = step.before[1] if step.before else ""
                    self._tell(user, step.file, step.after[1], was)
                    return say("no.taken_back", file=step.file, label=was or say("no.labelled_nothing"))
        raise ConfigError(say("no.nothing_back"))

    # --- files ---

    def _rows(self) -> list[Row]:
        if not (self._folder / LABELS).is_file():
            self._refuse_strangers()
            return []
        return [
            (each.name, each.label, each.group, each.mask.relative_to(self._folder).as_posix() if each.mask else "")
            for each in read_set(self._folder)
        ]

    def _refuse_strangers(self) -> None:
        """A labels.csv would make edge-train overlook folders such as ok/ and ng/."""
        others = [path.name for path in self._folder.iterdir() if path.name not in _OWN]
        if others:
            raise ConfigError(say("no.strangers", folder=self._folder, other=others[0], labels=LABELS))

    def _store(self, rows: list[Row], before: Row | None, after: Row) -> None:
        rows = [after if row == before else row for row in rows] if before else [*rows, after]
        with _disk(self._folder / LABELS):
            write_whole(self._folder / LABELS, as_csv([COLUMNS, *rows]).encode())

    def _copy(self, part_id: int, camera: str, file: str) -> None:
        data, path = self._pictures.whole(part_id, camera), self._folder / file
        with _disk(path):
            path.parent.mkdir(exist_ok=True)
            write_whole(path, data)
            sync_folder(self._folder)

    def _tell(self, user: User, file: str, before: str, after: str) -> None:
        path = self._folder / WHO
        moment = datetime.fromtimestamp(self._clock.wall_ns() // SECOND, timezone.utc)
        with _disk(path):
            if not path.exists():
                write_synced(path, as_csv([("at", "who", "file", "before", "after")]).encode())
            with path.open("a", encoding="utf-8") as log:
                log.write(as_csv([(f"{moment:%Y-%m-%dT%H:%M:%SZ}", user.name, file, before, after)]))
                log.flush()
                os.fsync(log.fileno())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes into the set: not edge-train label, not edge collect, no other press."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            held = hold_folder(self._folder)
        except BlockingIOError as error:
            raise ConfigError(say("no.set_in_use", folder=self._folder)) from error
        except OSError as error:
            raise JournalError(say("no.cannot_write", path=self._folder, error=error.strerror)) from error
        try:
            yield
        finally:
            os.close(held)


def _file(part_id: int, camera: str) -> str:
    return f"{IMAGES}/{part_id:016x}_{camera}.jpg"


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalError(say("no.cannot_write", path=path, error=error.strerror)) from error
