"""A coil of a Modbus device: every write is confirmed by its own echo, and read back when it is armed."""

from __future__ import annotations

import os

from edge import options
from edge.clock import Clock
from edge.errors import OutputError
from edge.line.modbus_link import ModbusLink
from edge.line.modbus_tcp import tcp_link
from edge.line.outputs.claim import Claim
from edge.line.outputs.level import LevelOutput

# Who owns a device's outputs: one mark for all outputs of this process, never the 0 of a device that has just started.
_MARK = 1 + int.from_bytes(os.urandom(2), "big") % 0xFFFF


class Coil:
    """A coil with what guards it: the device's watchdog, and a register that says who commands.

    The first connection takes the device over from whoever marked it. From then on another mark is a second master,
    and nothing is written any more; a device without a mark has been restarted, and is marked again.
    """

    def __init__(self, link: ModbusLink, options: options.CoilOptions) -> None:
        self._link = link
        self._options = options
        self._owned = False
        self._level: bool | None = None

    def connect(self) -> None:
        self._level = None
        self._link.connect()
        self._own()
        self._arm_watchdog()

    def put(self, level: bool) -> int:
        if level == self._level:  # a heartbeat, so there is time to look
            self._must_be_ours()
        self._level = level
        return self._link.write_coil(self._options.coil, level)

    def get(self) -> bool | None:
        return self._link.read_coil(self._options.coil)

    def drop(self) -> None:
        self._link.close()

    def _own(self) -> None:
        register = self._options.owner_register
        if register is None:
            return
        mark = self._link.read_holding(register)[0]
        if mark != _MARK:
            if self._owned and mark:
                raise self._second_master(register, mark)
            self._link.write_register(register, _MARK)
            self._must_be_ours()
        self._owned = True

    def _must_be_ours(self) -> None:
        register = self._options.owner_register
        if register is None:
            return
        mark = self._link.read_holding(register)[0]
        if mark == 0:
            raise OutputError(
                f"{self._link} lost the owner's mark in register {register}: it was restarted, or does not keep "
                f"that register"
            )
        if mark != _MARK:
            raise self._second_master(register, mark)

    def _second_master(self, register: int, mark: int) -> OutputError:
        return OutputError(
            f"{self._link} is commanded by another master (register {register} holds {mark}, ours is {_MARK}): stop "
            f"that one, then start this line process again"
        )

    def _arm_watchdog(self) -> None:
        """Raises OutputError for a device that does not hold what its watchdog was told. Some keep it for ever and
        refuse to be told again while the watchdog runs, so it is told only when it holds something else."""
        chosen = self._options
        check = chosen.watchdog_check_register
        check = chosen.watchdog_register if check is None else check
        if chosen.watchdog_value is None or check is None:
            return
        if chosen.watchdog_register is not None and self._link.read_holding(check)[0] != chosen.watchdog_value:
            self._link.write_register(chosen.watchdog_register, chosen.watchdog_value)
        held = self._link.read_holding(check)[0]
        if held != chosen.watchdog_value:
            raise OutputError(
                f"{self._link} does not hold its watchdog's time (register {check} says {held}, should be "
                f"{chosen.watchdog_value}): look up the registers in its manual, and whether it wants a reset first"
            )


class ClaimedCoil(Coil):
    """A coil behind an address that any process of this machine could name too."""

    def __init__(self, link: ModbusLink, options: options.ModbusOutput) -> None:
        super().__init__(link, options)
        self._claim = Claim(f"modbus {options.host}:{options.port}/{options.device_id} coil {options.coil}")

    def connect(self) -> None:
        self._claim.take()
        super().connect()

    def drop(self) -> None:
        super().drop()
        self._claim.give_back()


class ModbusOutput(LevelOutput):
    """`write` returns when the echo arrived; it takes at most `timeout_ms`, twice that for a dribbling peer.
    A second master that writes the same coil is seen by `read_back`, and in `owner_register`: the wire cannot
    refuse it."""

    def __init__(self, options: options.ModbusOutput, clock: Clock) -> None:
        name = f"coil {options.coil} of {options.host}:{options.port}"
        link = tcp_link(options.host, options.port, options.device_id, options.timeout_ms, clock, OutputError)
        super().__init__(ClaimedCoil(link, options), name, options.invert)
