"""Whoever holds connections to the panel without using them loses them, and keeps nobody else out."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_network
from pathlib import Path

import pytest

from edge.panel import door, guard
from edge.station import Station
from tests.panel.panels import Served, a_station, served

SOON_S = 0.4
DRIP_S = 0.05


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return a_station(tmp_path_factory.mktemp("station"))


@pytest.fixture
def panel(station: Station, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(door, "ASKS_WITHIN_S", SOON_S)
    with served(station) as panel:
        yield panel


def knock(panel: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", panel.port), timeout=20)


def ask(panel: Served, path: str = "/login", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{panel.port}\r\n{more}\r\n".encode()


def ends_within_s(connection: socket.socket, drip: bytes) -> float:
    """How long it took until the other end closed, while this one sends a byte now and then."""
    began, connection_is_open = time.monotonic(), True
    connection.settimeout(DRIP_S)
    while connection_is_open and time.monotonic() - began < 20:
        with suppress(TimeoutError):
            try:
                connection.sendall(drip)
                connection_is_open = connection.recv(65_536) != b""
            except ConnectionError:
                connection_is_open = False
    assert not connection_is_open, "it stays"
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("address", "is_let_in"),
    [("192.0.2.9", True), ("192.0.3.9", False), ("::ffff:192.0.2.9", True), ("::ffff:127.0.0.1", False),
     ("2001:db8::7", True), ("fe80::1%lo", False)],
)  # fmt: skip
def test_an_address_is_among_the_peers_also_where_ipv6_carries_it(address: str, is_let_in: bool) -> None:
    assert door.is_among(address, (ip_network("192.0.2.0/24"), ip_network("2001:db8::/64"))) is is_let_in


@pytest.mark.parametrize(("peers", "answers"), [(["127.0.0.2/32"], False), (["127.0.0.0/30"], True)])
def test_nobody_but_the_peers_is_answered(station: Station, peers: list[str], answers: bool) -> None:
    """By the panel itself, whatever the kernel filters."""
    with served(station, peers=peers) as panel, knock(panel) as stranger:
        with suppress(ConnectionError):
            stranger.sendall(ask(panel, more="Connection: close\r\n"))
            assert (stranger.recv(65_536) != b"") is answers
        with socket.create_connection(("127.0.0.1", panel.port), 20, ("127.0.0.2", 0)) as peer:
            peer.sendall(ask(panel))
            assert peer.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "slow"])
@pytest.mark.parametrize("first", [b"", b"GET /login HTTP/1.1\r\nX-", None], ids=["new", "in its head", "answered"])
def test_who_does_not_ask_in_time_is_sent_away(panel: Served, first: bytes | None, drip: bytes) -> None:
    with knock(panel) as connection:
        connection.sendall(ask(panel) if first is None else first)
        assert first is not None or connection.recv(15) == b"HTTP/1.1 200 OK"
        assert 0.8 * SOON_S < ends_within_s(connection, drip) < 10


def test_who_asks_now_and_then_stays(panel: Served) -> None:
    browser = http.client.HTTPConnection("127.0.0.1", panel.port, timeout=20)
    browser.connect()
    first = browser.sock
    for _ in range(8):
        time.sleep(SOON_S / 4)
        browser.request("GET", "/files/panel.svg")
        assert browser.getresponse().read().startswith(b"<svg")
    assert browser.sock is first
    browser.close()


def test_a_body_that_drips_wins_no_time(panel: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_BODY_WITHIN_S", SOON_S)
    head = ask(panel, "/api/login", f"Origin: http://127.0.0.1:{panel.port}\r\nContent-Type: application/json\r\n")
    head = head.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9999\r\n\r\n")
    with knock(panel) as connection:
        connection.sendall(head)
        assert 0.8 * SOON_S < ends_within_s(connection, b"x") < 10


def test_who_does_not_take_the_answers_is_sent_away(panel: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "ANSWERED_WITHIN_S", SOON_S)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", panel.port))
        connection.settimeout(20)
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(ask(panel, "/files/panel.css") * 100)


def test_a_handshake_that_does_not_come_is_not_waited_for(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "ASKS_WITHIN_S", SOON_S)
    key, certificate = tmp_path / "panel.key", tmp_path / "panel.crt"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    words = ("openssl", "req", "-x509", *curve, "-subj", "/CN=localhost", "-keyout", key, "-out", certificate)
    subprocess.run(words, check=True, capture_output=True)
    with served(station, certificate=certificate, private_key=key) as panel, knock(panel) as connection:
        assert 0.8 * SOON_S < ends_within_s(connection, b"") < 10


def test_many_who_wait_keep_nobody_out_and_the_oldest_give_way(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "WAITING", 20)
    with served(station) as panel, ExitStack() as stack:
        held = [stack.enter_context(knock(panel)) for _ in range(100)]
        assert panel.visitor("otto").get("/api/live").status == 200
        for connection in held[:80]:
            assert connection.recv(1) == b""
        held[-1].sendall(ask(panel))
        assert held[-1].recv(15) == b"HTTP/1.1 200 OK"
