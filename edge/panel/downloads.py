"""Exports over HTTP: who may, one at a time, in pieces, and on record before the first of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from edge.panel.access import AccessNotes
from edge.panel.acts import require
from edge.panel.export import Journals, Selection, file_name, span_of
from edge.panel.guard import EXPORT, Receive, Scope, Send
from edge.panel.language import say
from edge.panel.sessions import Session
from edge.panel.users import Role
from edge.station import Station

_NO: dict[int | str, dict[str, Any]] = {
    code: {"description": "not so, and why", "content": {"text/html": {}, "application/json": {}}}
    for code in ("4XX", "5XX")
}
Day = Annotated[str, Query(pattern=r"^\d{4}-\d{2}-\d{2}$|^$")]
Shift = Annotated[str, Query(pattern=r"^\d{2}:\d{2}$|^$")]
Lot = Annotated[str, Query(max_length=60)]


class Downloads:
    """What an operator takes out. Not a viewer: a screen on the wall stays signed in for long, and what it shows one by
    one is another thing than all of it in a file."""

    def __init__(self, station: Station, shifts: tuple[str, ...], access: AccessNotes) -> None:
        self._station = station.station.name
        self._journals = Journals(station.journal.dir)
        self._shifts = shifts
        self._access = access
        self._one = threading.BoundedSemaphore(1)  # it reads much: whoever looks must not wait for several

    def add_to(self, app: FastAPI) -> None:
        for name, kind, answer in (
            ("parts.csv", "text/csv", self.parts),
            ("pictures.zip", "application/zip", self.pictures),
        ):
            responses: dict[int | str, dict[str, Any]] = {
                200: {"content": {kind: {}}},
                303: {"description": "sign in first"},
                **_NO,
            }
            app.get(f"{EXPORT}{name}", response_class=Response, responses=responses)(answer)

    def parts(self, request: Request, day: Day = "", shift: Shift = "", lot: Lot = "") -> Response:
        return self._sent(request, (day, shift, lot), "text/csv; charset=utf-8", ".csv", self._journals.parts)

    def pictures(self, request: Request, day: Day = "", shift: Shift = "", lot: Lot = "") -> Response:
        return self._sent(request, (day, shift, lot), "application/zip", ".zip", self._journals.pictures)

    def _sent(
        self,
        request: Request,
        asked: tuple[str, str, str],
        kind: str,
        suffix: str,
        made: Callable[[Selection], Iterator[bytes]],
    ) -> Response:
        session: Session = request.state.session
        require(session.user, Role.OPERATOR, "export")
        if not self._one.acquire(blocking=False):
            return JSONResponse({"error": say("no.busy_export")}, 429, {"retry-after": "5"})
        try:
            selected = self._selected(*asked)
            self._access.tell(
                f"{session.user.name} took {request.url.path.removeprefix(EXPORT)} of {selected.name}"
            )
            name = file_name(self._station, selected, suffix)
            return _Download(made(selected), kind, name, self._one.release)
        except BaseException:
            self._one.release()
            raise

    def _selected(self, day: str, shift: str, lot: str) -> Selection:
        if lot:
            return self._journals.of_lot(lot)
        since, until = span_of(day, shift, self._shifts)
        when = say("no.when_shift", day=day, shift=shift) if shift else day
        return self._journals.in_time(f"{day} shift {shift}" if shift else day, since, until, when)


class _Download(StreamingResponse):
    """A file that is sent as it is made; `done` is called once, also where nobody takes it to the end."""

    def __init__(self, pieces: Iterator[bytes], kind: str, name: str, done: Callable[[], None]) -> None:
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        super().__init__(pieces, media_type=kind, headers=headers)
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._done()
