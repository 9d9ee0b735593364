"""Who may use the labelling page: programs of this machine that know its address, and pages that it served itself."""

from __future__ import annotations

import json
from secrets import compare_digest
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 1_000_000  # bytes
NAMES = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Lets a request through to `app` when its host is this machine, its path begins with the key, and what
    writes comes from the page itself.

    A page of another site can make a browser send requests here, even under a name of its own that it points at this
    machine; but it neither knows the key nor can it choose the headers Host and Origin.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(send, *refusal)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_encoded(HEADERS)]
            await send(message)

        inside = scope["path"].removeprefix(f"/{self._key}")
        await self._app({**scope, "path": inside, "raw_path": inside.encode()}, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if _name(f"//{host}") not in NAMES:
            return 421, "this page is for this machine alone: open it as 127.0.0.1 or localhost"
        first, slash, _ = scope["path"].removeprefix("/").partition("/")
        if not slash or not compare_digest(first.encode(), self._key.encode()):
            return 403, "open the whole address that edge-train label has printed"
        if scope["method"] not in ("GET", "HEAD") and headers.get("origin") != f"http://{host}":
            return 403, "only the labelling page itself may change labels"
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or int(length) > LONGEST_BODY:
            return 413, f"send at most {LONGEST_BODY} bytes, and say how many"
        return None


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


async def _answer(send: Send, status: int, words: str) -> None:
    headers = _encoded({**HEADERS, "content-type": "application/json"})
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": words}).encode()})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
