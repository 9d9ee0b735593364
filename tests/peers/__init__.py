"""Real peers for the tests: a libmodbus device in C, pseudo-terminal pairs by socat, relay boards that listen,
a GPIO chip.

    with ModbusServer() as server, PtyPair() as pty, RelayBoard(pty.peer, "lcus") as board: ...

A peer that cannot be built or started fails the test where CI is set, and skips it elsewhere with the reason.
"""

from tests.peers.boards import RelayBoard, RelayEdge
from tests.peers.gpio import GpioChip, gpio_chip
from tests.peers.modbus import CoilEdge, ModbusServer
from tests.peers.modem import ModemPort
from tests.peers.node import node_peer
from tests.peers.pty_pair import PtyPair
from tests.peers.raw_slave import RawSlave, sealed
from tests.peers.waiting import eventually, hurry, punctual

__all__ = [
    "CoilEdge",
    "GpioChip",
    "ModbusServer",
    "ModemPort",
    "PtyPair",
    "RawSlave",
    "RelayBoard",
    "RelayEdge",
    "eventually",
    "gpio_chip",
    "hurry",
    "node_peer",
    "punctual",
    "sealed",
]
