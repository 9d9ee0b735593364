"""What the station wrote into a PLC's memory must still stand there: else somebody else writes there too."""

from __future__ import annotations

from edge.errors import PlcError
from edge.plc.table import Result, Status


class Written:
    """The blocks as they were written last on this connection."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._result: Result | None = None

    def note(self, block: Status | Result) -> None:
        """This block was written, and the PLC confirmed it."""
        if isinstance(block, Status):
            self._status = block
        else:
            self._result = block

    def compare(self, where: str, status: Status, result: Result) -> None:
        """What was read back. Raises PlcError when it is not what was written."""
        for written, found in ((self._status, status), (self._result, result)):
            if written is not None and found != written:
                raise PlcError(
                    f"{where} holds other words than this station wrote ({found}, not {written}): look for a second "
                    "station, a program that writes there, a PLC that forgot its memory, swapped bytes"
                )
