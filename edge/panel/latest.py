"""The newest judged picture of each camera, asked of the eye while somebody looks: once a second, however many look."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

from edge.clock import MS, SECOND, Clock
from edge.control import Control, Shown, picture_name
from edge.errors import ConfigError, ControlError, JournalError, RefusedError
from edge.journal import files
from edge.journal.completeness import name_of
from edge.journal.rows import DECIDED
from edge.panel.language import say
from edge.panel.pictures import painted
from edge.panel.words import reason_words
from edge.station import Station

EVERY_NS = 900 * MS
_AGAIN_NS = 30 * SECOND  # after an eye that knows no such question
_NEWEST = 500  # verdicts among which a part's is looked for
_VERDICT = f"""
SELECT kind, reason, score, threshold FROM {DECIDED}
WHERE number > (SELECT MAX(number) FROM {DECIDED}) - {_NEWEST} AND part_id = {{part_id}}
"""  # noqa: S608


@dataclass(slots=True)
class _Camera:
    asked_ns: int | None = None
    told: Shown | None = None
    jpeg: bytes = b""
    verdict: dict[str, Any] | None = None
    is_older: bool = False  # the eye knows no such question
    refusal: str = ""

    @property
    def words(self) -> str:
        return say("no.older_eye") if self.is_older else self.refusal


class Latest:
    """Any thread may ask; while one waits for the eye, the others get what was seen last."""

    def __init__(self, station: Station, control: Control, clock: Clock) -> None:
        self._run_dir = station.station.run_dir
        self._journal = station.journal.dir
        self._control = control
        self._clock = clock
        self._cameras = {camera.name: _Camera() for camera in station.camera}
        self._looking = threading.Lock()

    def now(self, camera: str, is_up: bool) -> dict[str, Any]:
        """What the page says of the picture; without an `id` there is none. `is_up`: the eye answers. Raises
        ConfigError for a camera that there is not."""
        one = self._known(camera)
        if is_up and self._looking.acquire(blocking=False):
            try:
                self._look(camera, one)
            finally:
                self._looking.release()
        told = one.told
        if told is None or not told.part_id:
            return {"camera": camera, "words": one.words}
        verdict = one.verdict or {"verdict": told.kind, "reason": "", "score": None, "threshold": None}
        return {
            "camera": camera,
            "id": f"{told.part_id:x}",
            "name": name_of(told.part_id),
            "at_ms": told.wall_ns // MS,
            **verdict,
            "words": reason_words(verdict["reason"]),
        }

    def picture(self, camera: str, part_id: int) -> bytes:
        """The JPEG with its heat map painted over it. Raises ConfigError where another part's has come meanwhile."""
        one = self._known(camera)
        told, jpeg = one.told, one.jpeg
        if told is None or told.part_id != part_id:
            raise ConfigError(say("no.newer_picture"))
        return jpeg

    def _known(self, camera: str) -> _Camera:
        if camera not in self._cameras:
            raise ConfigError(say("no.no_camera", camera=repr(camera[:40])))
        return self._cameras[camera]

    def _look(self, camera: str, one: _Camera) -> None:
        now_ns = self._clock.now_ns()
        if one.asked_ns is not None and now_ns - one.asked_ns < EVERY_NS:
            return
        one.asked_ns = now_ns
        try:
            told = self._control.picture(camera)
        except RefusedError as error:
            one.refusal = str(error)
            return
        except ControlError:
            one.is_older, one.asked_ns = True, now_ns + _AGAIN_NS
            return
        one.is_older, one.refusal = False, ""
        if told.part_id and (one.told is None or told.part_id != one.told.part_id):
            self._take(camera, one, told)
        if one.told is not None and one.verdict is None:
            one.verdict = self._verdict(one.told.part_id)

    def _take(self, camera: str, one: _Camera, told: Shown) -> None:
        with suppress(OSError, ConfigError):  # it has given way to a newer one: the next look finds that
            path = (
                f"{self._run_dir}/{picture_name(told.part_id, camera)}"  # no Path, as in edge/journal/pictures.py
            )
            with open(path, "rb") as file:
                one.jpeg = painted(file.read())
            one.told, one.verdict = told, None

    def _verdict(self, part_id: int) -> dict[str, Any] | None:
        """What is on record of the part; None where its record has not come to the disk yet."""
        days = files.day_files(self._journal)
        with suppress(JournalError):
            for row in files.rows(days[-1], _VERDICT.format(part_id=part_id)) if days else ():
                score = row["score"]
                return {
                    "verdict": row["kind"],
                    "reason": row["reason"],
                    "score": score if score is not None and isfinite(score) else None,
                    "threshold": row["threshold"],
                }
        return None
