"""The labelling page over HTTP: files for the browser, pictures by their number, and acts as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse

from edge.errors import ConfigError, KenpinError
from training.labelling.desk import Act, Desk
from training.labelling.guard import Guard
from training.labelling.views import View, Views

FILES = Path(__file__).with_name("page")
SERVED = {
    "label.js": "text/javascript",
    "view.js": "text/javascript",
    "label.css": "text/css",
    "label.svg": "image/svg+xml",
}
PICTURE_SIZE = "x-picture-size"


def make_app(desk: Desk, key: str) -> Guard:
    """The page and all that it asks for, below /`key`/."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _Routes(desk).add_to(app)
    app.add_exception_handler(KenpinError, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    return Guard(app, key)


class _Routes:
    """Plain functions run in threads: a large picture that is decoded holds up no key."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._views = Views()

    def add_to(self, app: FastAPI) -> None:
        for path, answer in (
            ("/", self.page), ("/files/{name}", self.file), ("/set", self.set), ("/news", self.news),
            ("/picture/{number}", self.picture), ("/part/{number}", self.part), ("/mask/{number}", self.mask),
        ):  # fmt: skip
            app.add_api_route(path, answer, methods=["GET"], response_model=None)
        app.add_api_route("/act", self.act, methods=["POST"], response_model=None)
        app.add_api_route("/leave", self.leave, methods=["POST"], response_model=None)

    def page(self) -> Response:
        return FileResponse(FILES / "label.html", media_type="text/html")

    def file(self, name: str) -> Response:
        if name not in SERVED:
            raise ConfigError(f"there is no file {name}: load the page again")
        return FileResponse(FILES / name, media_type=SERVED[name])

    def set(self) -> dict[str, Any]:
        return self._desk.opened()

    def news(self, window: str, since: int) -> dict[str, Any]:
        return self._desk.news(window[:40], since)

    def act(self, act: Act, since: int) -> dict[str, Any]:
        return self._desk.do(act, since)

    def leave(self, window: str) -> None:
        self._desk.leave(window)

    def picture(self, number: int) -> Response:
        return _shown(self._views.whole(self._desk.picture(number)))

    def part(self, number: int, left: int, top: int, width: int, height: int) -> Response:
        return _shown(self._views.part(self._desk.picture(number), left, top, width, height))

    def mask(self, number: int) -> Response:
        return _shown(self._views.mask(self._desk.picture(number)))


def _shown(view: View) -> Response:
    return Response(view.data, media_type=view.media_type, headers={PICTURE_SIZE: f"{view.width}x{view.height}"})


def _refused(_request: Request, error: Exception) -> Response:
    """409 for what a person can mend, 507 for a disk that fails."""
    return JSONResponse({"error": str(error)}, 409 if isinstance(error, ConfigError) else 507)


def _malformed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return JSONResponse({"error": f"{where}: {first['msg']}: load the page again"}, 422)
