"""Who knocks at the panel: whoever asks for nothing, asks slowly or does not take the answer is sent away in time, and
gives way when many come."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.panel.guard import EXPORT

WAITING = 200  # connections that ask for nothing (yet); the one that has waited longest gives way to another one
ASKS_WITHIN_S = 10.0  # the handshake of TLS, and all of a request's head
ANSWERED_WITHIN_S = 30.0  # the rest of the request, and the answer taken
TAKEN_OUT_WITHIN_S = 300.0  # the answer where it is an export; one is made at a time
_IN_A_ROW = 8  # connections that are taken up before the others are served on


class Door(socket.socket):
    """A listening socket of an event loop that knows every connection it has accepted, from before a handshake of TLS.

    A connection waits until it `asks`, and again when it `has_its_answer`; the file descriptor names it. With `peers`
    nobody from another network is taken up.
    """

    def __init__(self, family: socket.AddressFamily, peers: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        super().__init__(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._peers = peers
        self._waiting: dict[int, _Guest] = {}
        self._asking: dict[int, _Guest] = {}
        self._in_a_row = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Called by the event loop, which would take up thousands before it reads of one."""
        if self._in_a_row >= _IN_A_ROW:
            raise BlockingIOError
        connection, address = super().accept()
        if self._peers and not is_among(address[0], self._peers):
            connection.close()
            raise ConnectionAbortedError
        if not self._in_a_row:
            asyncio.get_running_loop().call_soon(self._others_were_served)
        self._in_a_row += 1
        descriptor = connection.fileno()
        self._forget(descriptor)  # of a connection that was closed
        self._waits(descriptor, connection)
        if len(self._waiting) > WAITING:
            self._make_room()
        return connection, address

    def asks(self, descriptor: int, within_s: float) -> None:
        """The head of a request is there, whose answer must be taken within this time. Said again, it wins no time."""
        if descriptor in self._asking:
            return
        guest = self._forget(descriptor)
        if guest is not None:
            self._asking[descriptor] = _Guest(guest.connection, within_s, self._forget)

    def has_its_answer(self, descriptor: int) -> None:
        """What was asked for last is answered."""
        guest = self._forget(descriptor)
        if guest is not None:
            self._waits(descriptor, guest.connection)

    def _waits(self, descriptor: int, connection: socket.socket) -> None:
        self._waiting[descriptor] = _Guest(connection, ASKS_WITHIN_S, self._forget)

    def _forget(self, descriptor: int) -> _Guest | None:
        guest = self._waiting.pop(descriptor, None) or self._asking.pop(descriptor, None)
        if guest is not None:
            guest.timer.cancel()
        return guest

    def _make_room(self) -> None:
        for descriptor, guest in list(self._waiting.items()):
            if guest.connection.fileno() < 0:
                self._forget(descriptor)
        while len(self._waiting) > WAITING:
            next(iter(self._waiting.values())).leave()

    def _others_were_served(self) -> None:
        self._in_a_row = 0


def is_among(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the address is of one of the networks, also where IPv6 carries it."""
    known = ip_address(address)
    if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
        known = known.ipv4_mapped
    return any(known in network for network in networks)


class _Guest:
    """A connection that is ended when its time is over."""

    def __init__(self, connection: socket.socket, within_s: float, forget: Callable[[int], object]) -> None:
        self.connection = connection
        self._descriptor = connection.fileno()
        self._forget = forget
        self.timer = asyncio.get_running_loop().call_later(within_s, self.leave)

    def leave(self) -> None:
        """The event loop reads the end of the connection, and closes it."""
        self._forget(self._descriptor)
        with suppress(OSError):  # it has ended by itself
            self.connection.shutdown(socket.SHUT_RDWR)


def protocol_of(door: Door) -> type[asyncio.Protocol]:
    """HTTP as uvicorn speaks it, which tells the door how far each connection is."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self._descriptor = transport.get_extra_info("socket").fileno()
            super().connection_made(transport)

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                is_export = self.cycle.scope["path"].startswith(EXPORT)
                door.asks(self._descriptor, TAKEN_OUT_WITHIN_S if is_export else ANSWERED_WITHIN_S)

        def on_response_complete(self) -> None:
            door.has_its_answer(self._descriptor)
            super().on_response_complete()

    return Protocol
