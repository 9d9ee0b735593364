"""A PLC for the tests: the program of docs/plc.md, one scan at a time, and what it has taken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from edge.plc.table import Flag, Orders, Result, Status


@dataclass
class PlcProgram:
    """`scan` reads the station's blocks and returns what the PLC writes."""

    recipe: int = 0
    command: int = 0
    looks: bool = True  # False: its program lives, but does not get to the results
    orders: Orders = field(default_factory=Orders)
    taken: list[Result] = field(default_factory=list)

    def scan(self, status: Status, result: Result) -> Orders:
        ack = self.orders.ack
        if self._is_new(status, result):
            self.taken.append(result)
            ack = result.sequence
        self.orders = Orders(self.orders.heartbeat + 1 & 0xFFFF, status.session, ack, self.recipe, self.command)
        return self.orders

    def _is_new(self, status: Status, result: Result) -> bool:
        is_whole = result.sequence == result.seal == status.result_sequence
        return (
            self.looks
            and bool(status.flags & Flag.RESULT_VALID)
            and is_whole
            and result.sequence != self.orders.ack
        )

    def restart(self, keeps_ack: bool) -> None:
        """As after STOP and RUN: the heartbeat begins anew, retained words stay."""
        self.orders = replace(Orders(), ack=self.orders.ack if keeps_ack else 0)
