"""A panel that a test serves to itself, an eye that answers as the test likes, and plain HTTP to ask with."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn

from edge.clock import SECOND, Clock, SystemClock
from edge.control import Answer as EyeAnswer
from edge.control import (
    AskDrift,
    AskFigures,
    AskPicture,
    Control,
    Done,
    Figures,
    NoteAccess,
    Refused,
    Request,
    Shown,
    picture_name,
)
from edge.eye.reception import SOURCE, Reception
from edge.health import Progress
from edge.heat_map import heat_map, with_heat_map
from edge.nearness import Drift, LimitNow
from edge.panel.access import AccessNotes
from edge.panel.acts import Acts
from edge.panel.app import make_app
from edge.panel.desk import Desk
from edge.panel.options import Panel
from edge.panel.serve import configured, listening
from edge.panel.users import Role, Users
from edge.pixels import InputSpec
from edge.station import Station, load
from tests.eye.stations import Bench, lay_out
from tests.peers.http_answer import Answer
from tests.peers.waiting import eventually
from tests.test_metrics import figures

PASSWORDS = {"vera": "look only 123", "otto": "operate it 123", "erna": "engineer it 123"}
ROLES = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "erna": Role.ENGINEER}


def a_station(folder: Path, **keys: Any) -> Station:
    """A station with a bundle and three users; nothing runs."""
    lay_out(folder, gate='kind = "memory"', permit='kind = "memory"', bypass_max_min=30, **keys)
    station = load(folder / "station.toml")
    users = Users(station.station.state_dir)
    for name, password in PASSWORDS.items():
        users.add(name, ROLES[name], password)
    return station


def a_user(bench: Bench, name: str, role: Role) -> None:
    """May sign in at a panel of this bench."""
    bench.station.station.state_dir.mkdir(exist_ok=True)
    Users(bench.station.station.state_dir).add(name, role, PASSWORDS[name])


def keep_picture(
    station: Station, part_id: int, kind: str = "reject", day: str = "2026-11-24", is_hot: bool = False
) -> bytes:
    """A picture of this part as the eye would have kept it; its bytes. `is_hot`: its heat map shows something."""
    path = station.journal.dir / "pictures" / day / f"{part_id:016x}_top_{kind}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(a_picture(is_hot))
    return path.read_bytes()


def show_picture(station: Station, eye: Eye, part_id: int, kind: str = "REJECT", camera: str = "top") -> None:
    """The eye shows this part to who asks."""
    station.station.run_dir.mkdir(parents=True, exist_ok=True)
    (station.station.run_dir / picture_name(part_id, camera)).write_bytes(a_picture(is_hot=True))
    eye.shows = Shown(part_id=part_id, kind=kind, wall_ns=SystemClock().wall_ns())


def a_picture(is_hot: bool) -> bytes:
    shades = (np.add.outer(np.arange(96), np.arange(640)) % 256).astype(np.uint8)
    data = cv2.imencode(".jpg", np.dstack([shades] * 3))[1].tobytes()
    hot = heat_map(np.eye(4, dtype=np.float32), InputSpec(32, 32))
    return with_heat_map(data, hot) if is_hot else data


@dataclass
class Eye:
    """What a station's eye was asked, and what it says of itself."""

    told: Figures = field(default_factory=figures)
    asked: list[Request] = field(default_factory=list)
    refuses: str = ""
    drift: Drift = field(default_factory=lambda: Drift(span_s=600, views=[]))
    shows: Shown = field(default_factory=lambda: Shown(part_id=0, kind="", wall_ns=0))
    looks: int = 0  # how often it was asked for a picture
    access: list[str] = field(default_factory=list)  # who signed in

    def says(self, **status: Any) -> None:
        self.told = self.told.model_copy(update={"status": self.told.status.model_copy(update=status)})

    def limits(self, *limits: LimitNow) -> None:
        self.told = self.told.model_copy(update={"limits": list(limits)})

    def answer(self, request: Request, _peer: object) -> EyeAnswer:
        if isinstance(request, AskFigures):
            return self.told
        if isinstance(request, AskDrift):
            return self.drift
        if isinstance(request, AskPicture):
            self.looks += 1
            return self.shows
        if isinstance(request, NoteAccess):
            self.access.append(request.words)
            return Done(words="noted", by="kenpin")
        self.asked.append(request)
        if self.refuses:
            return Refused(words=self.refuses)
        return Done(words=f"done: {request.ask}", by="kenpin")


@contextmanager
def an_eye(station: Station) -> Iterator[Eye]:
    """Answers on the station's control socket."""
    eye, clock, stop = Eye(), SystemClock(), threading.Event()
    reception = Reception(
        station.station.run_dir, clock, Progress(clock, {SOURCE: SECOND}), eye.answer, lambda words: None
    )
    thread = threading.Thread(target=reception.run, args=(stop,))
    thread.start()
    try:
        yield eye
    finally:
        stop.set()
        thread.join()
        reception.close()


@dataclass
class Visitor:
    """A browser without scripts: it keeps its cookie, and sends what the panel's own page would."""

    port: int
    cookie: str = ""
    csrf: str = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        """A header that is None is left out."""
        given: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie or None}
        if method == "POST":
            given |= {"Origin": self.address, "X-CSRF": self.csrf or None}
            given |= {"Content-Type": "application/json", "Content-Length": str(len(body or b""))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        door = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            door.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value is not None:
                    door.putheader(name, value)
            door.endheaders(body)
            reply = door.getresponse()
            return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            door.close()

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: object, **headers: str | None) -> Answer:
        return self.ask("POST", path, json.dumps(body).encode(), **headers)

    def login(self, name: str, password: str | None = None) -> Answer:
        """Signs in and takes up the page's CSRF token."""
        answer = self.post("/api/login", {"name": name, "password": password or PASSWORDS[name]})
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            found = re.search(r'name="csrf" content="([^"]+)"', self.get("/").text)
            assert found is not None
            self.csrf = found[1]
        return answer


@dataclass(frozen=True)
class Served:
    """A panel at work."""

    station: Station
    port: int
    users: Users

    def visitor(self, name: str = "") -> Visitor:
        """Somebody new, signed in where they have a name."""
        visitor = Visitor(self.port)
        if name:
            assert visitor.login(name).status == 200
        return visitor


@contextmanager
def served(station: Station, clock: Clock | None = None, **panel: Any) -> Iterator[Served]:
    """The panel of this station in a thread; `panel` are options of [panel]."""
    options, clock, users = Panel(**panel), clock or SystemClock(), Users(station.station.state_dir)
    access, stop = AccessNotes(Control(station), clock), threading.Event()
    app = make_app(Desk(station, options, clock), Acts(Control(station)), users, options, clock, access)
    with listening("127.0.0.1", 0, options.peers) as door:
        server = uvicorn.Server(configured(app, options, door))
        thread = threading.Thread(target=server.run, args=([door],))
        thread.start()
        threading.Thread(target=access.run, args=(stop,), daemon=True).start()
        try:
            eventually(lambda: server.started, "the panel is served")
            yield Served(station, door.getsockname()[1], users)
        finally:
            server.should_exit = True
            stop.set()
            thread.join()


def until(holds: Callable[[], bool], what: str) -> None:
    """Patience for what a panel shows a moment later."""
    eventually(holds, what, 30.0, 0.05)
