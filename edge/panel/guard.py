"""What every request must be before anybody looks at it: for this host, small, from the panel's own page, signed in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from secrets import compare_digest
from typing import Any
from urllib.parse import urlsplit

from edge.errors import ConfigError
from edge.panel.language import COOKIE, listen, say
from edge.panel.sessions import Session, Sessions

LONGEST_BODY = 16_384  # bytes
_BODY_WITHIN_S = 5.0
CSRF, ACTIVE = "x-csrf", "x-active"
LOGIN = "/login"
_OPEN = (LOGIN, "/api/login")  # without a session; so are the files of the page
_FILES = "/files/"
EXPORT = "/export/"  # begins the path of what is taken out
_JSON = ("/api/", "/picture/", "/latest/")  # what scripts ask for: 401 instead of the page to sign in
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Refusal(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, words: str, **headers: str) -> None:
        super().__init__(words)
        self.status = status
        self.headers = headers


class Guard:
    """Lets a request through to `app` with its session in `scope["state"]`, or answers it itself.

    A page of another site can make a browser send requests here, even under a name of its own that it points at this
    machine; but it can choose neither Host nor Origin, and knows no session's CSRF token.
    """

    def __init__(
        self, app: App, sessions: Sessions, names: frozenset[str], cookie: str, is_secure: bool = False
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._names = names
        self._cookie = cookie
        self._scheme = "https" if is_secure else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            headers = _headers(scope)
            listen(_cookie(headers, COOKIE), headers.get("accept-language", ""))
            self._refuse_foreign(scope, headers)
            scope["state"] = {"token": _cookie(headers, self._cookie), "session": self._session(scope, headers)}
            body = await _whole_body(scope, headers, receive)
        except _Refusal as refusal:
            await _answer(send, refusal)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_encoded(HEADERS)]
            await send(message)

        await self._app(scope, _replayed(body, receive), send_guarded)

    def _refuse_foreign(self, scope: Scope, headers: dict[str, str]) -> None:
        """Raises _Refusal for what is not of this host or, where it changes something, not from its own page."""
        host, method = headers.get("host", ""), scope["method"]
        if _name(f"//{host}") not in self._names:
            raise _Refusal(421, say("no.no_host"))
        if method not in ("GET", "HEAD", "POST"):
            raise _Refusal(405, say("no.method"), allow="GET, HEAD, POST")
        if scope["path"].startswith(EXPORT) and headers.get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        ):
            raise _Refusal(403, say("no.foreign_export"))
        if method != "POST":
            return
        if headers.get("origin") != f"{self._scheme}://{host}":
            raise _Refusal(403, say("no.foreign_change"))
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise _Refusal(415, say("no.not_json"))

    def _session(self, scope: Scope, headers: dict[str, str]) -> Session | None:
        """Who asks; None where nobody must be signed in. Raises _Refusal."""
        path, changes = scope["path"], scope["method"] == "POST"
        if path in _OPEN or path.startswith(_FILES):
            return None
        is_page = not path.startswith(_JSON)
        try:
            session = self._sessions.find(
                _cookie(headers, self._cookie), changes or is_page or headers.get(ACTIVE) == "1"
            )
        except ConfigError as error:
            raise _Refusal(500, str(error)) from error
        if session is None:
            if is_page:
                raise _Refusal(303, say("no.sign_in"), location=LOGIN)
            raise _Refusal(401, say("no.sign_in"))
        if changes and not compare_digest(headers.get(CSRF, "").encode(), session.csrf.encode()):
            raise _Refusal(403, say("no.old_page"))
        return session


def _cookie(headers: dict[str, str], wanted: str) -> str:
    """Read by hand: other programs of a host leave cookies that the library stumbles over."""
    for each in headers.get("cookie", "").split(";"):
        name, _, value = each.strip().partition("=")
        if name == wanted:
            return value
    return ""


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name. Raises _Refusal for one that decides something and stands there twice."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in found and name in ("host", "origin", "content-length", "content-type", CSRF):
            raise _Refusal(400, say("no.twice", name=name))
        found[name] = raw_value.decode("latin-1")
    return found


async def _whole_body(scope: Scope, headers: dict[str, str], receive: Receive) -> bytes:
    """All that is sent, which must be little and come soon. Raises _Refusal."""
    length = headers.get("content-length", "0")
    most = LONGEST_BODY if scope["method"] == "POST" else 0
    if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()) or int(length) > most:
        raise _Refusal(413, say("no.too_much", most=most))
    if int(length) == 0:
        return b""
    try:
        return await asyncio.wait_for(_received(receive, most), _BODY_WITHIN_S)
    except asyncio.TimeoutError as error:
        raise _Refusal(408, say("no.no_rest"), connection="close") from error


async def _received(receive: Receive, most: int) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and len(body) <= most
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


async def _answer(send: Send, refusal: _Refusal) -> None:
    headers = _encoded({**HEADERS, **refusal.headers, "content-type": "application/json"})
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": str(refusal)}).encode()})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
