"""Modbus TCP by hand: any bytes from any address, and a PLC that polls the station's server in a thread."""

from __future__ import annotations

import socket
import struct
import threading

from edge.plc.table import BASES, LENGTH, Orders, Result, Status, blocks_from_registers, to_registers
from tests.plc.stand_in import PlcProgram

ORDERS_AT = BASES[Orders]


class Client:
    """Raw Modbus TCP from an address of one's choice."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 3, source_address=(source, 0))
        self.socket.settimeout(3)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, pdu: bytes, transaction: int = 1) -> bytes:
        """The answer's bytes behind the header; empty when the connection was closed."""
        try:
            self.socket.sendall(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, 1) + pdu)
            head = self._exactly(7)
            return self._exactly(struct.unpack(">H", head[4:6])[0] - 1) if head else b""
        except (ConnectionError, BrokenPipeError):
            return b""

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def is_closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def read_inputs(self) -> bytes:
        return self.ask(struct.pack(">BHH", 4, 0, 20))

    def write(self, *values: int, address: int = ORDERS_AT) -> bytes:
        head = struct.pack(">BHHB", 16, address, len(values), 2 * len(values))
        return self.ask(head + struct.pack(f">{len(values)}H", *values))


class FieldPlc:
    """A PLC beside the belt: scans every 10 ms while it is in RUN, connects again whenever it can."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, name="field-plc")
        self.program = PlcProgram()
        self.in_run = True
        self.status = Status()
        self.seen: list[Status] = []

    def __enter__(self) -> FieldPlc:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._end.is_set():
            try:
                with Client(self._port) as client:
                    self._scan_while(client)
            except OSError:
                self._end.wait(0.05)

    def _scan_while(self, client: Client) -> None:
        while not self._end.wait(0.01):
            answer = client.ask(struct.pack(">BHH", 4, 0, ORDERS_AT))
            if not answer:
                return
            registers = struct.unpack(f">{ORDERS_AT}H", answer[2:])
            self.status, result, _ = blocks_from_registers([*registers, *[0] * (LENGTH - ORDERS_AT)])
            self.seen.append(self.status)
            if self.in_run and not client.write(*to_registers(self.program.scan(self.status, result))):
                return

    def results(self) -> list[Result]:
        """What it has taken so far."""
        return list(self.program.taken)
