"""What the labelling page can ask for and do, whatever carries it: one sheet, its log, the open windows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field

from edge.clock import SECOND, Clock
from edge.picture_set import GOOD, Picture
from training.labelling.log import LabelLog, read_log
from training.labelling.masks import Stroke
from training.labelling.sheet import Row, Sheet, checked_label
from training.suggestions import Suggestion

FIRST_CLASS = "ng"  # where the set names none
WINDOW_GONE_NS = 70 * SECOND  # a window in the background may ask once a minute only

Kind: TypeAlias = Literal["label", "stroke", "wipe", "undo"]


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did in `window`: to the picture of this number, which had the label `was` when they saw it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    window: Annotated[str, Field(max_length=40)]
    kind: Kind
    picture: int = 0
    label: Annotated[str, Field(max_length=200)] = ""
    was: str = ""
    stroke: Stroke | None = None


class Desk:
    """Serves any number of windows, one after the other; see Sheet for what is raised. For any thread."""

    def __init__(
        self, sheet: Sheet, clock: Clock, order: Sequence[Suggestion] = (), classes: Sequence[str] = ()
    ) -> None:
        self._sheet = sheet
        self._clock = clock
        self._log = LabelLog(sheet.folder, clock)
        self._asked = {one.file: (place, one.reason) for place, one in enumerate(order)}
        self._classes = _classes(sheet, classes)
        self._windows: dict[str, int] = {}  # when each was last heard of
        self._lock = threading.Lock()

    def opened(self) -> dict[str, Any]:
        """All that a window needs at first: classes, pictures in the order to label them, progress."""
        with self._lock:
            self._sheet.refresh()
            self._log.looking()
            rows = self._sheet.rows
            return {
                "set": self._sheet.folder.resolve().name,
                "pictures": [self._shown(number) for number in range(len(rows))],
                "order": sorted(range(len(rows)), key=self._place),
                **self._news("", self._sheet.revision),
            }

    def news(self, window: str, since: int) -> dict[str, Any]:
        """What has changed after revision `since`, and how many windows are open."""
        with self._lock:
            self._sheet.refresh()
            return self._news(window, since)

    def leave(self, window: str) -> None:
        """A window was closed."""
        with self._lock:
            self._windows.pop(window, None)

    def do(self, act: Act, since: int) -> dict[str, Any]:
        """Do it, write it down, and tell the news; `picture` is the number of the picture that changed, or None."""
        with self._lock:
            before = self._sheet.revision
            number = self._done(act)
            if self._sheet.revision != before and number is not None:
                row = self._sheet.rows[number]
                if row.label not in ("", GOOD, *self._classes):
                    self._classes.append(row.label)
                self._log.add("mask" if act.kind == "stroke" else act.kind, row.file, row.label)
            return {**self._news(act.window, since), "picture": number}

    def picture(self, number: int) -> Picture:
        """The picture of this number."""
        with self._lock:
            return self._sheet.picture(number)

    def _done(self, act: Act) -> int | None:
        if act.kind == "undo":
            return self._sheet.undo()
        if act.kind == "label":
            self._sheet.label(act.picture, act.label, act.was)
        elif act.kind == "wipe":
            self._sheet.wipe(act.picture)
        elif act.stroke is not None:
            self._sheet.stroke(act.picture, act.stroke)
        return act.picture

    def _news(self, window: str, since: int) -> dict[str, Any]:
        now_ns = self._clock.now_ns()
        if window:
            self._windows[window] = now_ns
        self._windows = {name: at for name, at in self._windows.items() if now_ns - at < WINDOW_GONE_NS}
        rows = self._sheet.rows
        labels, minutes = self._log.so_far()
        return {
            "revision": self._sheet.revision,
            "changed": [self._shown(number) for number, row in enumerate(rows) if row.changed > since],
            "windows": len(self._windows),
            "classes": self._classes,
            "labelled": sum(bool(row.label) for row in rows),
            "defects": sum(row.label not in ("", GOOD) for row in rows),
            "labels": labels,
            "minutes": minutes,
        }

    def _shown(self, number: int) -> dict[str, Any]:
        row = self._sheet.rows[number]
        shown = {"number": number, "file": row.file, "label": row.label, "group": row.group, "mask": bool(row.mask)}
        return shown | {"changed": row.changed, "reason": self._asked.get(row.file, (0, ""))[1]}

    def _place(self, number: int) -> tuple[bool, int, int]:
        """Unlabelled pictures first, as suggested; the rest in the order of the set."""
        row: Row = self._sheet.rows[number]
        return bool(row.label), self._asked.get(row.file, (len(self._asked), ""))[0], number


def _classes(sheet: Sheet, asked: Sequence[str]) -> list[str]:
    """The defect classes in the order of their keys: as asked, then as they were first used, so that keys stay."""
    used = [entry.label for entry in read_log(sheet.folder) if entry.act == "label"]
    known = set(sheet.classes())
    names = [checked_label(name) for name in asked] + [name for name in used if name in known] + sorted(known)
    classes = [name for name in dict.fromkeys(names) if name not in ("", GOOD)]
    return classes or [FIRST_CLASS]
