"""Links to a PLC, chosen by kind: results and states to it, recipe and heartbeat from it. Used by the eye alone.

A link carries the three blocks of `edge.plc.table` and decides nothing: that is `edge.plc.handshake`'s part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.plc.table import Orders, Result, Status

TABLE = {
    "enip": "edge.plc.enip:EnipLink",
    "modbus_client": "edge.plc.modbus_client:ModbusClientLink",
    "modbus_server": "edge.plc.modbus_server:ModbusServerLink",
    "opcua": "edge.plc.opcua:OpcUaLink",
    "s7": "edge.plc.s7:S7Link",
}

# Takes what somebody tried and was refused, in words for the journal; may be called by any thread.
Refused = Callable[[str], None]


class PlcLink(Protocol):
    """A way to a PLC: constructed with its options, a clock, and a `Refused`.

    For one thread. Every call takes at most the options' `timeout_ms`, for each request that it is made of; there are
    no retries. Every failure raises PlcError, and the link is closed then: only `connect` brings it back.
    """

    def connect(self) -> None:
        """Open the way: connect to the PLC, or begin to serve it."""
        ...

    def publish(self, result: Result) -> None:
        """Show the PLC a part's result; `heartbeat` tells it afterwards that the result is there."""
        ...

    def heartbeat(self, status: Status) -> None:
        """Write the station's status, with the next count of its heartbeat."""
        ...

    def poll(self) -> Orders:
        """What the PLC has written last; also finds out whether somebody else has written the station's words."""
        ...

    def close(self) -> None:
        """Let go of the connection or the port; never raises, may be called twice."""
        ...
