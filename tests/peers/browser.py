"""A real browser without a window, driven over a pair of pipes by the DevTools protocol: no driver is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.peers.waiting import eventually, missing

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip


class NavigatedError(AssertionError):
    """Another page came while this one was asked."""


class Browser:
    """One tab. `requests` are the addresses that it has asked for, `complaints` what its console has said."""

    def __init__(self, replies: int, orders: int) -> None:
        self._replies = os.fdopen(replies, "rb", buffering=0)
        self._orders = os.fdopen(orders, "wb", buffering=0)
        self._rest = b""
        self._number = 0
        self._session = ""
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def close(self) -> None:
        self._replies.close()
        self._orders.close()

    def attach(self, width: int, height: int) -> None:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self._call(f"{domain}.enable")
        phone = width < 600
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )

    def open(self, address: str) -> None:
        self._call("Page.navigate", url=address)

    def ask(self, code: str) -> Any:
        """What this JavaScript expression says; a promise is waited for."""
        answer = self._call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, css: str) -> str:
        """What a person reads there; nothing where it is hidden, or while another page comes."""
        try:
            return str(self.ask(f"(document.querySelector({json.dumps(css)})?.innerText ?? '').trim()"))
        except NavigatedError:
            return ""

    def wait_for(self, css: str, words: str, within_s: float = 10.0) -> None:
        eventually(lambda: words in self.text(css), f"{words!r} in {css}", within_s, 0.02)

    def picture(self, css: str = "", scale: float = 1) -> bytes:
        """What it looks like, as PNG: the window, or one element of the page."""
        window = "({ x: scrollX, y: scrollY, width: innerWidth, height: innerHeight })"
        element = (
            "(({ x, y, width, height }) => ({ x: x + scrollX, y: y + scrollY, width, height }))"
            f"(document.querySelector({json.dumps(css)}).getBoundingClientRect())"
        )
        clip = self.ask(element if css else window) | {"scale": scale}
        told = self._call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=bool(css))
        return base64.b64decode(told["data"])

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def drag(self, *points: tuple[float, float]) -> None:
        """The left button goes down at the first point and up at the last."""
        for index, (x, y) in enumerate(points):
            self._mouse("mouseMoved", x, y, 1 if index else 0)
            if index == 0:
                self._mouse("mousePressed", x, y, 1)
        self._mouse("mouseReleased", *points[-1], 0)

    def _mouse(self, kind: str, x: float, y: float, held: int) -> None:
        button = "none" if kind == "mouseMoved" else "left"
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=held, clickCount=1)

    def _call(self, method: str, **values: Any) -> dict[str, Any]:
        self._number += 1
        order: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if self._session:
            order["sessionId"] = self._session
        self._orders.write(json.dumps(order).encode() + b"\0")
        while True:
            told = self._told()
            if told.get("id") == self._number:
                if "navigated" in told.get("error", {}).get("message", ""):
                    raise NavigatedError(told)
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    def _told(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            some = self._replies.read(1 << 20)
            assert some, "the browser has ended"
            self._rest += some
        line, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        self._note(told.get("method"), told.get("params", {}))
        return told

    def _note(self, event: str | None, values: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(values["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.complaints.append(str(values["args"]))


@contextmanager
def browser(folder: Path, width: int = 1280, height: int = 800) -> Iterator[Browser]:
    """A fresh browser with an empty profile in `folder`, gone at the end; skips where none is installed."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing("install chromium")
    orders_read, orders_write = os.pipe()
    replies_read, replies_write = os.pipe()
    # the browser reads from descriptor 3 and writes to 4
    shell = ["bash", "-c", f'exec "$@" 3<&{orders_read} 4>&{replies_write}', "browser"]
    process = subprocess.Popen(
        [*shell, program, *OPTIONS, f"--user-data-dir={folder / 'profile'}"],
        pass_fds=(orders_read, replies_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(orders_read)
    os.close(replies_write)
    tab = Browser(replies_read, orders_write)
    try:
        tab.attach(width, height)
        yield tab
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        tab.close()
