"""The station's Modbus server on a hostile network: few may connect, one may write, nothing else can be reached."""

from __future__ import annotations

import random
import re
import shutil
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from edge.clock import SystemClock
from edge.options import ModbusServerPlc
from edge.plc import modbus_server
from edge.plc.modbus_server import ModbusServerLink
from edge.plc.table import BASES, Orders, Status
from tests.peers import eventually
from tests.peers.plcs import ModbusClientPlc, free_port
from tests.peers.waiting import missing
from tests.plc.golden import GOLDEN, ORDERS, RESULT, STATUS
from tests.plc.raw_modbus import Client

ORDERS_AT = BASES[Orders]


class Server:
    """The link, and what it told of refusals."""

    def __init__(self, **keys: object) -> None:
        self.told: list[str] = []
        options = ModbusServerPlc.model_validate({"kind": "modbus_server", "port": free_port()} | keys)
        self.link = ModbusServerLink(options, SystemClock(), self.told.append)
        self.port = self.link.port
        self.link.connect()
        self.link.publish(RESULT)
        self.link.heartbeat(STATUS)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def test_the_bytes_on_the_wire_are_these(server: Server) -> None:
    """Word for word, through the library's own encoder: one that turns them round is found here."""
    with Client(server.port) as plc:
        answer = plc.read_inputs()
    assert answer[:2] == bytes([4, 2 * 20])
    assert answer[2:].hex(" ", 2) == GOLDEN[Status]


def test_the_plc_s_words_arrive_as_they_were_sent(server: Server) -> None:
    with Client(server.port) as plc:
        assert plc.write(0x3132, 0x3334, 0x3536, 0x3738, 1) == struct.pack(">BHH", 16, ORDERS_AT, 5)
        assert server.link.poll() == ORDERS
        assert plc.ask(struct.pack(">BHH", 6, ORDERS_AT + 2, 7)) == struct.pack(">BHH", 6, ORDERS_AT + 2, 7)
        assert server.link.poll().ack == 7


REFUSED = {
    "a register before": (struct.pack(">BHHBH", 16, ORDERS_AT - 1, 1, 2, 5), 2),
    "a register behind": (struct.pack(">BHH", 6, ORDERS_AT + 5, 5), 2),
    "across the end": (struct.pack(">BHHBHH", 16, ORDERS_AT + 4, 2, 4, 5, 5), 2),
    "register 0": (struct.pack(">BHH", 6, 0, 5), 2),
    "a coil": (struct.pack(">BHH", 5, 0, 0xFF00), 1),
    "coils": (struct.pack(">BHHBB", 15, 0, 3, 1, 7), 1),
    "a mask": (struct.pack(">BHHH", 22, ORDERS_AT, 0, 5), 1),
    "read and write at once": (struct.pack(">BHHHHBH", 23, 0, 1, ORDERS_AT, 1, 2, 5), 1),
    "a restart": (struct.pack(">BHH", 8, 1, 0), 1),
    "listen only": (struct.pack(">BHH", 8, 4, 0), 1),
    "a file": (struct.pack(">BBBHHHH", 21, 9, 6, 1, 0, 1, 5), 1),
    "the identity": (struct.pack(">BBBB", 43, 14, 1, 0), 1),
    "reading beyond the map": (struct.pack(">BHH", 4, 70, 20), 2),
    "reading before the PLC's words": (struct.pack(">BHH", 3, 0, 5), 2),
}


@pytest.mark.parametrize("request_bytes, code", REFUSED.values(), ids=REFUSED)
def test_what_is_not_the_plc_s_is_refused_and_told(server: Server, request_bytes: bytes, code: int) -> None:
    with Client(server.port) as plc:
        assert plc.ask(request_bytes) == bytes([request_bytes[0] | 0x80, code])
        assert server.link.poll() == Orders()
        assert len(server.told) == 1 and server.told[0].startswith("127.0.0.1 tried")
        assert plc.read_inputs()


def test_a_flood_of_refusals_is_told_once(server: Server) -> None:
    with Client(server.port) as plc:
        for _ in range(30):
            plc.write(5, address=0)
    assert len(server.told) == 1


def test_a_stranger_cannot_connect() -> None:
    with Server(peers=["127.0.0.1/32"]) as server:
        with Client(server.port, "127.0.0.9") as stranger:
            assert stranger.is_closed()
        with Client(server.port) as plc:
            assert plc.read_inputs()
        assert server.told == ["127.0.0.9 tried to connect and is not one of plc.peers"]


def test_by_default_only_this_machine_is_listened_to() -> None:
    options = ModbusServerPlc(kind="modbus_server")
    assert options.listen == "127.0.0.1"
    assert options.peers == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_a_second_master_is_refused_and_told_until_the_first_is_silent() -> None:
    with (
        Server(heartbeat_timeout_ms=400) as server,
        Client(server.port) as plc,
        Client(server.port, "127.0.0.9") as second,
    ):
        plc.write(1, 2, 3, 0, 0)
        assert second.write(9, 9, 9, 9, 1) == bytes([0x90, 6])
        assert server.link.poll() == Orders(1, 2, 3, 0, 0)
        assert server.told == ["127.0.0.9 tried to write like a second master: 127.0.0.1 does"]
        assert second.read_inputs(), "reading is free"
        eventually(lambda: second.write(9, 9, 9, 9, 1)[:1] == b"\x10", "the first is silent")
        assert plc.write(1, 2, 3, 0, 0) == bytes([0x90, 6])


def test_connections_are_bounded_and_those_that_are_there_go_on() -> None:
    with Server(max_connections=2) as server, Client(server.port) as plc, Client(server.port) as other:
        assert plc.read_inputs() and other.read_inputs()
        for _ in range(5):
            with Client(server.port) as one_too_many:
                assert one_too_many.is_closed()
        assert plc.read_inputs() and other.read_inputs()
        assert server.told == ["127.0.0.1 was refused: too many connections: 2 are open already"]


def test_a_place_becomes_free_again() -> None:
    with Server(max_connections=1) as server:
        for _ in range(3):
            with Client(server.port) as plc:
                assert plc.read_inputs()
            eventually(lambda: _can_read(server.port), "a free place")


def _can_read(port: int) -> bool:
    with Client(port) as plc:
        return plc.read_inputs() != b""


def test_a_connection_that_dribbles_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus_server, "_IDLE_S", 0.3)
    with Client(server.port) as slow:
        for byte in b"\x00\x01\x00\x00":
            slow.socket.sendall(bytes([byte]))
            time.sleep(0.05)
        assert slow.is_closed()
    assert _can_read(server.port)


def test_garbage_reaches_nothing(server: Server) -> None:
    """Random bytes, and frames with a right header around random bytes."""
    noise = random.Random(5)
    for number in range(60):
        with Client(server.port) as bad:
            bad.socket.settimeout(0.02)
            body = noise.randbytes(noise.randrange(1, 300))
            header = struct.pack(">HHHB", number, 0, len(body) + 1, 1) if number % 2 else b""
            writes = {5, 6, 15, 16, 22, 23}
            if header and body[0] in writes:
                body = b"\x2b" + body[1:]
            try:
                bad.socket.sendall(header + body)
                bad.socket.recv(300)
            except OSError:
                pass
    assert server.link.poll() == Orders()
    assert _can_read(server.port)


def test_a_flood_is_slowed_down_and_others_are_served(server: Server) -> None:
    request = struct.pack(">HHHB", 1, 0, 6, 1) + struct.pack(">BHH", 4, 0, 20)
    with Client(server.port, "127.0.0.9") as flood, Client(server.port) as plc:
        until = time.monotonic() + 1.5
        answers, waits = 0, list[float]()
        flood.socket.settimeout(0.2)
        while time.monotonic() < until:
            began = time.monotonic()
            assert plc.read_inputs()
            waits.append(time.monotonic() - began)
            for _ in range(20):
                try:
                    flood.socket.sendall(request)
                    answers += len(flood.socket.recv(400)) > 0
                except TimeoutError:
                    break
        assert answers <= 3 * 200 + 50
        assert statistics.median(waits) < 0.1


def test_closing_ends_every_connection() -> None:
    with Server() as server, Client(server.port) as plc:
        assert plc.read_inputs()
        server.link.close()
        assert plc.is_closed()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.port), 1)


def test_mbpoll_reads_the_same_words(server: Server) -> None:
    if shutil.which("mbpoll") is None:
        missing("no mbpoll: install mbpoll")
    command = f"mbpoll -m tcp -a 1 -0 -1 -q -t 3:hex -r 0 -c 20 -p {server.port} 127.0.0.1"
    output = subprocess.run(command.split(), capture_output=True, text=True, timeout=20, check=True).stdout
    found = re.findall(r"\[(\d+)\]:\s+0x([0-9A-F]{4})", output)
    assert [int(place) for place, _ in found] == list(range(20))
    assert " ".join(word.lower() for _, word in found) == GOLDEN[Status]


def test_a_plc_of_another_make_is_refused_alike() -> None:
    plc = ModbusClientPlc()
    plc.start()
    try:
        with Server(port=plc.port) as server:
            plc.arrive()
            assert plc.status() == STATUS
            assert plc.ask("coil 0 1").startswith("error 1 ")
            assert plc.ask("one 0 5").startswith("error 2 ")
            assert plc.ask(f"one {ORDERS_AT} 77") == "77"
            assert server.link.poll() == Orders(heartbeat=77)
            assert plc.status() == STATUS != Status()
    finally:
        plc.stop()
