"""A labelling page that a test serves to itself, small sets to label, and plain HTTP to ask with."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn

from edge.clock import SystemClock
from edge.picture_set import read_set
from tests.peers.http_answer import Answer
from tests.peers.waiting import eventually
from training.labelling.app import make_app
from training.labelling.desk import Desk
from training.labelling.serve import listening
from training.labelling.sheet import Sheet

KEY = "the-key"


def store(path: Path, width: int = 64, height: int = 48) -> None:
    """A picture with something in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shades = np.add.outer(np.arange(height), np.arange(width)) % 256
    cv2.imencode(".png", np.dstack([shades, shades, shades]).astype(np.uint8))[1].tofile(path)


def a_set(folder: Path, rows: list[str]) -> Path:
    """A set with these lines of labels.csv."""
    for row in rows:
        store(folder / row.split(",")[0])
    (folder / "labels.csv").write_text("\n".join(["file,label,group,mask", *rows, ""]), encoding="utf-8")
    return folder


def labels_of(folder: Path) -> dict[str, str]:
    """What training would read."""
    return {picture.name: picture.label for picture in read_set(folder)}


@dataclass(frozen=True)
class Page:
    """A served page; requests carry what its own scripts would send, unless told otherwise."""

    port: int
    key: str = KEY

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.key}/"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        given = {"Host": f"127.0.0.1:{self.port}", "Origin": f"http://127.0.0.1:{self.port}"} | headers
        door = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            door.putrequest(method, path, skip_host=True)
            length = {} if body is None else {"Content-Type": "application/json", "Content-Length": str(len(body))}
            for name, value in (length | given).items():
                if value is not None:
                    door.putheader(name.replace("_", "-"), value)
            door.endheaders(body)
            reply = door.getresponse()
            return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            door.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", f"/{self.key}/{path}")

    def act(self, kind: str, number: int = 0, since: int = 0, window: str = "one", **more: Any) -> Answer:
        body = {"window": window, "kind": kind, "picture": number, **more}
        return self.ask("POST", f"/{self.key}/act?since={since}", json.dumps(body).encode())


@contextmanager
def served(folder: Path, **desk: Any) -> Iterator[Page]:
    """The page of this set, in a thread."""
    with listening(0) as door:
        app = make_app(Desk(Sheet(folder), SystemClock(), **desk), KEY)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, args=([door],))
        thread.start()
        try:
            eventually(lambda: server.started, "the page is served")
            yield Page(door.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
