"""The station as a Modbus TCP server: a PLC reads status and results from it and writes five words into it.

Input registers hold what the station says: Modbus itself has no way to write them. What a PLC writes are the holding
registers of `Orders`; everything else is answered with an exception. It runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.clock import MS, Clock
from edge.errors import PlcError
from edge.options import ModbusServerPlc
from edge.plc import Refused
from edge.plc.loop_thread import LoopThread
from edge.plc.owner import Owner, is_peer
from edge.plc.seldom import Seldom
from edge.plc.table import BASES, SPAN, Orders, Result, Status, from_registers, size, to_registers

log = logging.getLogger(__name__)

_READ_HOLDING, _READ_INPUT, _WRITE_ONE, _WRITE_MANY = 3, 4, 6, 16
_SERVED = (_READ_HOLDING, _READ_INPUT, _WRITE_ONE, _WRITE_MANY)
_WRITES = (_WRITE_ONE, _WRITE_MANY)
_IDLE_S = 10.0  # a connection without a whole request for so long is closed
_REQUESTS_PER_S = 200  # of one connection; a faster one has to wait
_PEER: ContextVar[str] = ContextVar("modbus_peer", default="")
_ORDERS = BASES[Orders]

# The library's lines about peers would fill the log; what matters is told to the journal.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusServerLink:
    """`publish` and `heartbeat` take effect for the next request, each as a whole; `poll` never waits."""

    def __init__(self, options: ModbusServerPlc, clock: Clock, refused: Refused) -> None:
        self._options = options
        self._clock = clock
        self._tell = refused
        self._seldom = Seldom()
        patience_ms = options.heartbeat_timeout_ms
        assert patience_ms is not None, "a PLC is always expected here"
        self._owner = Owner(round(patience_ms * MS))
        self._shown = [0] * SPAN
        self._orders = [0] * size(Orders)
        self._loop: LoopThread | None = None
        self._server: _Server | None = None

    def __str__(self) -> str:
        return f"Modbus server {self._options.listen}:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._options.port

    def connect(self) -> None:
        """Begin to listen; what an earlier connection was told or wrote is forgotten."""
        self.close()
        self._shown, self._orders = [0] * SPAN, [0] * size(Orders)
        self._loop = LoopThread("plc-modbus")
        self.publish(Result())
        try:
            self._loop.run(self._listen, self._options.timeout_ms / 1_000)
        except (OSError, RuntimeError) as error:
            self.close()
            raise PlcError(
                f"cannot listen on {self._options.listen}:{self.port} ({error}): is the port taken, is the address "
                "this machine's, may this user open ports below 1024?"
            ) from error

    async def _listen(self) -> None:
        self._server = _Server(self, self._options.listen, self.port)
        await self._server.serve_forever(background=True)

    def publish(self, result: Result) -> None:
        self._show(result)

    def heartbeat(self, status: Status) -> None:
        self._show(status)

    def _show(self, block: Status | Result) -> None:
        if self._loop is None:
            raise PlcError(f"{self} does not listen: connect first")
        begin, registers = BASES[type(block)], to_registers(block)
        shown = list(self._shown)
        shown[begin : begin + len(registers)] = registers
        self._shown = shown  # the server's thread sees the old list or the new one

    def poll(self) -> Orders:
        if self._loop is None:
            raise PlcError(f"{self} does not listen: connect first")
        return from_registers(Orders, self._orders)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        loop, self._loop = self._loop, None
        server, self._server = self._server, None
        if loop is None:
            return
        try:
            if server is not None:
                loop.run(server.shutdown, self._options.timeout_ms / 1_000)
        except PlcError as error:
            log.warning("%s did not end in order: %s", self, error)
        finally:
            loop.close()

    # --- in the server's thread ---

    def admits(self, host: str, connections: int) -> bool:
        """Whether a new connection may stay."""
        if not is_peer(host, self._options.peers):
            self._refuse(host, "tried to connect and is not one of plc.peers")
        elif connections > self._options.max_connections:
            self._refuse(
                host, "was refused: too many connections", f": {self._options.max_connections} are open already"
            )
        else:
            return True
        return False

    async def access(
        self, function: int, _start: int, address: int, _count: int, registers: list[int], values: Any
    ) -> ExcCodes | None:
        """Called by the library for each request, before it reads from `registers` or writes `values` there."""
        if function == _READ_INPUT:
            registers[:] = self._shown
            return None
        if function == _READ_HOLDING:
            registers[:] = self._orders
            return None
        return self._write(address, [int(value) for value in values]) if values else None

    def _write(self, address: int, values: list[int]) -> ExcCodes | None:
        host = _PEER.get()
        if not self._owner.admits(host, self._clock.now_ns()):
            self._refuse(host, "tried to write like a second master", f": {self._owner.host} does")
            return ExcCodes.DEVICE_BUSY
        begin = address - _ORDERS
        orders = list(self._orders)
        orders[begin : begin + len(values)] = values
        self._orders = orders
        return None

    def was_refused(self, host: str, request: ModbusPDU | None, answer: ModbusPDU) -> None:
        """A request is answered with an exception."""
        if answer.exception_code == ExcCodes.DEVICE_BUSY:
            return  # a second master, told already
        if request is None:
            self._refuse(host, "sent what is no Modbus request")
        elif request.function_code in _SERVED:
            verb = "write" if request.function_code in _WRITES else "read"
            self._refuse(host, f"tried to {verb} registers outside of the map", f", from {request.address}")
        else:
            self._refuse(host, "tried a Modbus function that is not served", f": {request.function_code}")

    def _refuse(self, host: str, tried: str, detail: str = "") -> None:
        words = self._seldom.words(host, tried, self._clock.now_ns(), detail)
        if words:
            self._tell(words)


class _Server(ModbusTcpServer):
    """The library's server with the map's registers, four functions, and connections that know their peer."""

    def __init__(self, link: ModbusServerLink, host: str, port: int) -> None:
        unused = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        holding = [SimData(_ORDERS, values=[0] * size(Orders), datatype=DataType.REGISTERS)]
        inputs = [SimData(0, values=[0] * SPAN, datatype=DataType.REGISTERS)]
        device = SimDevice(0, simdata=(unused, unused, holding, inputs), action=link.access)
        super().__init__(device, address=(host, port))
        self.link = link

    def callback_new_connection(self) -> _Connection:
        return _Connection(self)


class _Connection(ServerRequestHandler):
    """One peer's connection: closed when it is idle, slowed down when it floods."""

    def __init__(self, server: _Server) -> None:
        super().__init__(server, None, None, None)  # type: ignore[no-untyped-call]
        self._link = server.link
        self._server = server
        self._host = ""
        self._idle: asyncio.TimerHandle | None = None
        self._second = 0
        self._requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._host = transport.get_extra_info("peername")[0]
        if self._link.admits(self._host, len(self._server.active_connections)):
            self._rest()
        else:
            self.close()

    def callback_disconnected(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        super().callback_disconnected(exc)

    def callback_data(self, data: bytes, addr: Any = None) -> int:
        used = super().callback_data(data, addr)
        if used:
            self._rest()
        return used

    async def handle_request(self) -> None:
        request = self.last_pdu
        if request is None:
            return
        self._pace()
        if request.function_code in _SERVED:
            _PEER.set(self._host)
            await super().handle_request()  # type: ignore[no-untyped-call]
            return
        refusal = ExceptionResponse(request.function_code, ExcCodes.ILLEGAL_FUNCTION, device_id=request.dev_id)
        refusal.transaction_id = request.transaction_id
        self.server_send(refusal, self.last_addr)

    def server_send(self, pdu: ModbusPDU, addr: Any) -> None:
        if pdu.isError():
            self._link.was_refused(self._host, self.last_pdu, pdu)
        super().server_send(pdu, addr)  # type: ignore[no-untyped-call]

    def _rest(self) -> None:
        """Wait for the next request, not for ever."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self.loop.call_later(_IDLE_S, self.close)

    def _pace(self) -> None:
        second = int(self.loop.time())
        if second != self._second:
            self._second, self._requests = second, 0
        self._requests += 1
        if self._requests > _REQUESTS_PER_S and self.transport is not None:
            self.transport.pause_reading()  # type: ignore[attr-defined]
            self.loop.call_at(second + 1, self._go_on)

    def _go_on(self) -> None:
        if self.transport is not None:
            self.transport.resume_reading()  # type: ignore[attr-defined]
