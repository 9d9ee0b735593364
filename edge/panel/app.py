"""The panel over HTTP: pages, what their scripts ask for, and acts; who asks was looked at by the guard before."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from edge import __version__
from edge.clock import Clock
from edge.errors import ConfigError, ControlError, KenpinError, RefusedError
from edge.manifest import PRODUCT_NAME
from edge.panel.access import AccessNotes
from edge.panel.acts import Acts, NotAllowedError, require
from edge.panel.desk import Desk
from edge.panel.downloads import Downloads
from edge.panel.guard import LOGIN, Guard
from edge.panel.language import around, known, language, of_scripts, others, say
from edge.panel.options import Panel
from edge.panel.scores import DAYS, EDGES
from edge.panel.sessions import Session, Sessions
from edge.panel.throttle import Throttle
from edge.panel.users import Role, User, Users

log = logging.getLogger(__name__)

_SIGNING_IN = 4  # at once: passwords that wait to be hashed must not take all threads
FILES = Path(__file__).with_name("page")
SERVED = {
    "ask.js": "text/javascript",
    "ask_first.js": "text/javascript",
    "bundles.js": "text/javascript",
    "charts.js": "text/javascript",
    "evidence.js": "text/javascript",
    "export.js": "text/javascript",
    "live.js": "text/javascript",
    "login.js": "text/javascript",
    "part.js": "text/javascript",
    "threshold.js": "text/javascript",
    "panel.css": "text/css",
    "panel.svg": "image/svg+xml",
}
WORDS = "words.js"  # beside them: what the scripts say, in the language of whoever asks
PAGES = Environment(loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined)
PAGES.globals |= {"say": say, "around": around, "language": language, "others": others}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Login(_Body):
    """Somebody signs in."""

    name: str = Field(max_length=100)
    password: str = Field(max_length=1_000)


class Because(_Body):
    """An act that only needs its reason."""

    why: str = Field(max_length=400)


class BeginBypass(Because):
    """A bypass from now on."""

    minutes: float = Field(gt=0, le=1_440, allow_inf_nan=False)


class Change(Because):
    """Another installed version is to be active."""

    product: str = Field(pattern=PRODUCT_NAME)
    version: int = Field(ge=1, lt=10**10)


class Move(Because):
    """A threshold is to be another one, or (None) the bundle's own."""

    product: str = Field(pattern=PRODUCT_NAME)
    value: float | None = Field(gt=0, lt=1)


class Lot(_Body):
    """Another lot."""

    lot: str = Field(max_length=200)


class Label(_Body):
    """A label for one picture."""

    part: str = Field(pattern="^[0-9a-f]{1,16}$")
    camera: str = Field(max_length=100)
    label: str = Field(max_length=100)


class Nothing(_Body):
    """An act that needs nothing beside who asks."""


class Refused(BaseModel):
    """Why not, in words for a person."""

    error: str


# What is answered beside 200; /api/live and its like are asked for by scripts, which want JSON for every no.
_NO: dict[int | str, dict[str, Any]] = {
    code: {"model": Refused, "description": "not so, and why"} for code in ("4XX", "5XX")
}
_NO_PAGE: dict[int | str, dict[str, Any]] = {
    303: {"description": "sign in first"},
    **{code: {"description": "not so, and why", "content": {"text/html": {}}} for code in ("4XX", "5XX")},
}
_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}, **_NO}
_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/*": {}, "image/*": {}}}, **_NO}


def make_app(desk: Desk, acts: Acts, users: Users, panel: Panel, clock: Clock, access: AccessNotes) -> Guard:
    """The panel of one station, behind its guard; `access` hears who signs in."""
    sessions = Sessions(clock, users.find, panel.idle_min * 60, panel.session_h * 3_600)
    is_secure = panel.certificate is not None
    name = f"kenpin-{desk.station.station.name}"
    cookie = f"__Host-{name}" if is_secure else name  # browsers share cookies between ports
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _Door(users, sessions, Throttle(clock), cookie, is_secure, access).add_to(app)
    _Pages(desk, users).add_to(app)
    _Changes(desk, acts).add_to(app)
    Downloads(desk.station, panel.shifts, access).add_to(app)
    app.add_exception_handler(KenpinError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    for status in _UNREAD:
        app.add_exception_handler(status, _unread)
    return Guard(app, sessions, panel.names, cookie, is_secure)


def _add(app: FastAPI, method: str, routes: dict[str, Callable[..., Any]]) -> None:
    for path, answer in routes.items():
        app.add_api_route(path, answer, methods=[method], response_model=None, responses=_NO)


def _who(request: Request) -> User:
    session: Session = request.state.session
    return session.user


class _Door:
    """Signing in and out."""

    def __init__(
        self,
        users: Users,
        sessions: Sessions,
        throttle: Throttle,
        cookie: str,
        is_secure: bool,
        access: AccessNotes,
    ) -> None:
        self._access = access
        self._users = users
        self._sessions = sessions
        self._throttle = throttle
        self._waiting = threading.BoundedSemaphore(_SIGNING_IN)
        self._cookie: dict[str, Any] = {
            "key": cookie, "path": "/", "secure": is_secure, "httponly": True, "samesite": "strict",
        }  # fmt: skip

    def add_to(self, app: FastAPI) -> None:
        _add(app, "POST", {"/api/login": self.login, "/api/logout": self.logout})

    def login(self, request: Request, asked: Login) -> Response:
        if not self._waiting.acquire(blocking=False):
            return JSONResponse({"error": say("no.busy_login")}, 429, {"retry-after": "1"})
        try:
            return self._tried(request, asked)
        finally:
            self._waiting.release()

    def _tried(self, request: Request, asked: Login) -> Response:
        address = request.client.host if request.client else ""
        wait_s = self._throttle.begin(asked.name, address)
        if wait_s:
            words = say("no.wait", seconds=f"{wait_s:.0f}")
            return JSONResponse({"error": words}, 429, {"retry-after": f"{wait_s:.0f}"})
        user = self._users.check(asked.name, asked.password)
        if user is None:
            known = self._users.find(asked.name)  # another name may be a password that went into the wrong field
            self._tell(
                f"a login as {known.name if known else 'nobody known'} from {address} failed", logging.WARNING
            )
            return JSONResponse({"error": say("no.wrong_password")}, 403)
        self._throttle.succeeded(asked.name, address)
        self._sessions.end(request.state.token)
        self._tell(f"{user.name} ({user.role.name.lower()}) signed in from {address}")
        answer = JSONResponse({})
        answer.set_cookie(value=self._sessions.begin(user), **self._cookie)
        return answer

    def logout(self, request: Request, _asked: Nothing) -> Response:
        self._sessions.end(request.state.token)
        self._tell(f"{_who(request).name} signed out")
        answer = JSONResponse({})
        answer.delete_cookie(**self._cookie)
        return answer

    def _tell(self, words: str, level: int = logging.INFO) -> None:
        log.log(level, "%s", words)
        self._access.tell(words)


class _Pages:
    """What can be looked at. Plain functions run in threads: none of them holds up another."""

    def __init__(self, desk: Desk, users: Users) -> None:
        self._desk = desk
        self._users = users

    def add_to(self, app: FastAPI) -> None:
        """Pages for people, with the files and pictures that they show."""
        app.get("/files/{name}", response_class=Response, responses=_FILE)(self.file)
        app.get("/picture/{part_id}/{camera}", response_class=Response, responses=_PICTURE)(self.picture)
        app.get("/latest/{part_id}/{camera}", response_class=Response, responses=_PICTURE)(self.latest)
        pages: dict[str, Callable[..., Any]] = {
            LOGIN: self.login, "/": self.home, "/part/{part_id}": self.part, "/threshold": self.threshold,
            "/bundles": self.bundles, "/export": self.export,
        }  # fmt: skip
        for path, page in pages.items():
            app.get(path, response_class=HTMLResponse, responses=_NO_PAGE)(page)
        told: dict[str, Callable[..., Any]] = {
            "/api/live": self.live, "/api/timing": self.timing, "/api/thresholds": self.thresholds,
            "/api/bundles": self.told_bundles, "/api/lots": self.lots, "/api/threshold_at": self.threshold_at,
            "/api/drift": self.drift,
        }  # fmt: skip
        _add(app, "GET", told)

    def file(self, name: str) -> Response:
        if name == WORDS:
            return Response(f"export const WORDS = {json.dumps(of_scripts())};\n", media_type="text/javascript")
        if name not in SERVED:
            return JSONResponse({"error": say("no.no_file")}, 404)
        return FileResponse(FILES / name, media_type=SERVED[name])

    def login(self) -> Response:
        return self._page("login.html", None, has_users=bool(self._users.all()))

    def home(self, request: Request) -> Response:
        station = self._desk.station
        return self._page(
            "live.html", request, mode=station.station.mode, has_shifts=bool(self._desk.shifts),
            bypass_max_min=station.limits.bypass_max_min,
            cameras=self._desk.pictures.cameras,
        )  # fmt: skip

    def part(self, request: Request, part_id: str) -> Response:
        labels = self._desk.labels
        told = self._desk.part(_number(part_id))
        return self._page("part.html", request, part=told, choices=labels.choices if labels else ())

    def threshold(self, request: Request) -> Response:
        return self._page("threshold.html", request, days=DAYS)

    def bundles(self, request: Request) -> Response:
        return self._page("bundles.html", request, chooses=bool(self._desk.station.recipes))

    def export(self, request: Request) -> Response:
        require(_who(request), Role.OPERATOR, "export")
        return self._page("export.html", request, shifts=self._desk.shifts)

    def picture(self, part_id: str, camera: str, small: bool = False, heat: bool = False) -> Response:
        pictures = self._desk.pictures
        try:
            show = pictures.small if small else pictures.painted if heat else pictures.whole
            return Response(show(_number(part_id), camera), media_type="image/jpeg")
        except ConfigError as error:
            return JSONResponse({"error": str(error)}, 404)

    def latest(self, part_id: str, camera: str) -> Response:
        try:
            return Response(self._desk.latest.picture(camera, _number(part_id)), media_type="image/jpeg")
        except ConfigError as error:
            return JSONResponse({"error": str(error)}, 404)

    def live(self, over: str = "start", show: str = "all", revision: str = "", camera: str = "") -> dict[str, Any]:
        return self._desk.live(over, show == "rejects", revision, camera)

    def told_bundles(self) -> dict[str, Any]:
        return self._desk.bundles()

    def lots(self) -> dict[str, Any]:
        return {"lots": self._desk.lots()}

    def drift(self) -> dict[str, Any]:
        return self._desk.drift()

    def timing(self) -> dict[str, Any]:
        return self._desk.timing()

    def thresholds(self) -> dict[str, Any]:
        return {"edges": EDGES, "products": self._desk.thresholds.told()}

    def threshold_at(
        self, product: Annotated[str, Query(pattern=PRODUCT_NAME)], value: Annotated[float, Query(gt=0, lt=1)]
    ) -> dict[str, Any]:
        return self._desk.thresholds.at(product, value)

    def _page(self, name: str, request: Request | None, **values: Any) -> Response:
        session: Session | None = request.state.session if request is not None else None
        shown = {
            "station": self._desk.station.station.name,
            "version": __version__,
            "user": session.user if session else None,
            "csrf": session.csrf if session else "",
            "may_operate": session is not None and session.user.role >= Role.OPERATOR,
            "may_engineer": session is not None and session.user.role >= Role.ENGINEER,
        }
        return HTMLResponse(PAGES.get_template(name).render(**shown, **values))


class _Changes:
    """What changes something; `acts` and `labels` ask for the role."""

    def __init__(self, desk: Desk, acts: Acts) -> None:
        self._labels = desk.labels
        self._thresholds = desk.thresholds
        self._acts = acts

    def add_to(self, app: FastAPI) -> None:
        routes: dict[str, Callable[..., Any]] = {
            "/api/acknowledge": self.acknowledge, "/api/bypass": self.bypass, "/api/end_bypass": self.end_bypass,
            "/api/lot": self.lot, "/api/label": self.label, "/api/undo": self.undo,
            "/api/change_bundle": self.change_bundle, "/api/start_again": self.start_again,
            "/api/move_threshold": self.move_threshold,
        }  # fmt: skip
        _add(app, "POST", routes)

    def acknowledge(self, request: Request, asked: Because) -> dict[str, str]:
        return {"words": self._acts.acknowledge(_who(request), asked.why).words}

    def bypass(self, request: Request, asked: BeginBypass) -> dict[str, str]:
        return {"words": self._acts.bypass(_who(request), asked.minutes * 60, asked.why).words}

    def end_bypass(self, request: Request, asked: Because) -> dict[str, str]:
        return {"words": self._acts.end_bypass(_who(request), asked.why).words}

    def lot(self, request: Request, asked: Lot) -> dict[str, str]:
        return {"words": self._acts.set_lot(_who(request), asked.lot).words}

    def change_bundle(self, request: Request, asked: Change) -> dict[str, str]:
        return {"words": self._acts.change_bundle(_who(request), asked.product, asked.version, asked.why).words}

    def move_threshold(self, request: Request, asked: Move) -> dict[str, str]:
        require(_who(request), Role.ENGINEER, "threshold")
        if asked.value is not None:
            self._thresholds.refuse_unproven(asked.product, asked.value)
        return {"words": self._acts.move_threshold(_who(request), asked.product, asked.value, asked.why).words}

    def start_again(self, request: Request, asked: Because) -> dict[str, str]:
        return {"words": self._acts.start_again(_who(request), asked.why).words}

    def label(self, request: Request, asked: Label) -> dict[str, str]:
        if self._labels is None:
            raise ConfigError(say("no.no_labels_dir"))
        return {"label": self._labels.label(_who(request), _number(asked.part), asked.camera, asked.label)}

    def undo(self, request: Request, _asked: Nothing) -> dict[str, str]:
        if self._labels is None:
            raise ConfigError(say("no.no_labels_dir"))
        return {"words": self._labels.undo(_who(request))}


def _number(part_id: str) -> int:
    """A part's id from its hexadecimal digits. Raises ConfigError."""
    if not 1 <= len(part_id) <= 16 or set(part_id) - set("0123456789abcdef") or int(part_id, 16) >= 2**63:
        raise ConfigError(say("no.no_part"))
    return int(part_id, 16)


def _refused(request: Request, error: Exception) -> Response:
    """Words for a person: 403 for the role, 409 where the station or the files say no, 503 without the eye, 507 for a
    disk that fails."""
    status = 507
    if isinstance(error, NotAllowedError):
        status = 403
    elif isinstance(error, RefusedError | ConfigError):
        status = 409
    elif isinstance(error, ControlError):
        status = 503
    if request.method == "GET" and not request.url.path.startswith(("/api/", "/picture/", "/latest/")):
        return HTMLResponse(PAGES.get_template("error.html").render(words=str(error)), status)
    return JSONResponse({"error": str(error)}, status)


# What the framework refuses before anybody here is asked.
_UNREAD = {400: "no.unreadable", 404: "no.no_page", 405: "no.other_way"}


def _unread(_request: Request, error: Exception) -> Response:
    status: int = getattr(error, "status_code", 400)
    return JSONResponse({"error": say(_UNREAD[status])}, status)


def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return JSONResponse({"error": say(_UNREAD[400])}, 422)
    name = ".".join(str(step) for step in first["loc"][1:])
    key, bound = _WRONG.get(first["type"], ("no.other_form", ""))
    why = say(key, bound=f"{first['ctx'][bound]:g}" if bound else "")
    return JSONResponse({"error": say("no.malformed", field=known(f"field.{name}", name), why=why)}, 422)


# What a field is not, by the word of the framework, and where that tells the bound.
_WRONG = {
    "greater_than": ("no.more_than", "gt"),
    "greater_than_equal": ("no.at_least", "ge"),
    "less_than": ("no.less_than", "lt"),
    "less_than_equal": ("no.at_most", "le"),
    "string_too_long": ("no.too_long", "max_length"),
    "finite_number": ("no.no_number", ""),
    "float_parsing": ("no.no_number", ""),
    "float_type": ("no.no_number", ""),
    "int_parsing": ("no.no_number", ""),
    "int_type": ("no.no_number", ""),
    "missing": ("no.left_out", ""),
    "extra_forbidden": ("no.not_known", ""),
}
