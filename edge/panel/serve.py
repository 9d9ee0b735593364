"""`edge panel`: serves the page until it is told to stop."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import uvicorn

from edge.clock import SystemClock
from edge.control import Control
from edge.errors import ConfigError, DeviceError
from edge.panel.access import AccessNotes
from edge.panel.acts import Acts
from edge.panel.app import make_app
from edge.panel.desk import Desk
from edge.panel.door import ASKS_WITHIN_S, WAITING, Door, protocol_of
from edge.panel.guard import Guard
from edge.panel.options import Panel
from edge.panel.users import Users
from edge.station import Station

AT_ONCE = WAITING + 60  # connections; more are answered 503
_ENDS_S = 2
_LONGEST_HEAD = 32_768  # bytes of a request's line and headers


class Server:
    """The panel of one station. Raises ConfigError for options that contradict each other."""

    def __init__(self, station: Station, panel: Panel) -> None:
        mistakes = panel.mistakes()
        if mistakes:
            raise ConfigError(f"{station.source}: {'; '.join(mistakes)}")
        clock = SystemClock()
        self._panel = panel
        self.users = Users(station.station.state_dir)
        self.users.all()
        control = Control(station)
        self._access = AccessNotes(control, clock)
        self._app = make_app(Desk(station, panel, clock), Acts(control), self.users, panel, clock, self._access)

    def run(self, say: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT, whose handlers of before are called then; `say` is told the address. Raises
        ConfigError for a certificate that cannot be used, DeviceError where the address cannot be listened at."""
        with listening(*self._panel.address, self._panel.reached_from) as door:
            config = configured(self._app, self._panel, door)
            _load(config, self._panel.certificate, self._panel.private_key)
            host, port = door.getsockname()[:2]
            scheme = "https" if self._panel.certificate else "http"
            say(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/")
            threading.Thread(target=self._access.run, args=(threading.Event(),), daemon=True).start()
            uvicorn.Server(config).run([door])


def configured(app: Guard, panel: Panel, door: Door) -> uvicorn.Config:
    """How the panel is served: nothing is told of the server, little is taken at once, no header of a proxy counts."""
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",  # another one would not ask the door
        http=protocol_of(door),
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=AT_ONCE,
        timeout_keep_alive=round(ASKS_WITHIN_S),
        timeout_graceful_shutdown=_ENDS_S,
        ssl_certfile=panel.certificate,
        ssl_keyfile=panel.private_key,
        ssl_ciphers="ECDHE+AESGCM:ECDHE+CHACHA20",
    )


def _load(config: uvicorn.Config, certificate: Path | None, key: Path | None) -> None:
    """Reads the certificate now. Raises ConfigError."""
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot use {certificate} with {key}: {error}; give PEM files that belong together"
        ) from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2


def listening(host: str, port: int, peers: Sequence[IPv4Network | IPv6Network] = ()) -> Door:
    """A socket at this address for these networks, or for all; port 0 is any free one. Raises DeviceError."""
    door = Door(socket.AF_INET6 if ":" in host else socket.AF_INET, peers)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen()  # who opens the address before the page is up waits for it
    except OSError as error:
        door.close()
        raise DeviceError(f"cannot listen at {host}:{port}: {error.strerror}; choose another --listen") from error
    return door
