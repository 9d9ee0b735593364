"""`edge-train label`: serves the labelling page on this machine until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import uvicorn

from edge.clock import SystemClock
from edge.durable import hold_folder
from edge.errors import ConfigError
from training.labelling.app import make_app
from training.labelling.desk import Desk
from training.labelling.log import Effort, effort, read_log
from training.labelling.sheet import Sheet
from training.suggestions import read_suggestions

HOST = "127.0.0.1"


def label_set(
    folder: Path, order: Path | None, classes: Sequence[str], port: int, say: Callable[[str], None]
) -> Effort:
    """Serve until the process is asked to stop; returns what labelling this set has cost, earlier days too.

    `port` 0 takes any free one. `say` is told the address. Raises ConfigError for a set that cannot be labelled, is
    being recorded or labelled already, or a port that is taken.
    """
    alone = hold_set(folder)
    try:
        sheet = Sheet(folder)
        asked = read_suggestions(order, [row.file for row in sheet.rows]) if order else []
        key = secrets.token_urlsafe(16)
        app = make_app(Desk(sheet, SystemClock(), asked, classes), key)
        with listening(port) as door:
            say(f"http://{HOST}:{door.getsockname()[1]}/{key}/")
            _serve(uvicorn.Config(app, log_level="error", lifespan="off", ws="none", server_header=False), door)
        return effort(read_log(folder))
    finally:
        os.close(alone)


def _serve(config: uvicorn.Config, door: socket.socket) -> None:
    config.timeout_graceful_shutdown = 2
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([door])


def listening(port: int) -> socket.socket:
    """A socket of this machine alone; 0 is any free port. Raises ConfigError when the port is taken."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((HOST, port))
        door.listen()  # who opens the address before the page is up waits for it
    except OSError as error:
        door.close()
        raise ConfigError(f"cannot serve on port {port}: {error.strerror}; choose another with --port") from error
    return door


def hold_set(folder: Path) -> int:
    """Nobody else labels this set or records into it until the returned descriptor is closed. Raises ConfigError."""
    try:
        return hold_folder(folder)  # as edge collect does
    except BlockingIOError as error:
        raise ConfigError(
            f"another edge-train label or edge collect uses {folder}: go on there, or stop that one"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"cannot open {folder}: {error.strerror}; give the folder that holds the pictures"
        ) from error
