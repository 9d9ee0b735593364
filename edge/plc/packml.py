"""The station's state in the words of PackML (ISA-TR88.00.02): who has to act is in the state's name; pure.

SUSPENDED: the cause is outside, the station goes on by itself. HELD: the cause is here, a person may have to look.
ABORTED: something failed that does not come back by itself, or the gate cannot be trusted.
"""

from __future__ import annotations

from edge.health import Level, Standing
from edge.line.messages import LineState
from edge.plc.table import ErrorCode, Mode, Packml

# The name under which the PLC's link reports to the station's health.
SOURCE = "plc"

_ENDING = (Level.STOPPING, LineState.STOPPING)
_FAILED = (Level.FAULT, LineState.FAULT)
_LIMITED = (Level.STOPPED, LineState.STOPPED)
_COMING = (LineState.STARTING, LineState.PURGING)


def packml(standing: Standing, line: LineState | None) -> Packml:
    """The state for the eye's standing and the line's state, None when no line is connected."""
    told = (standing.level, line)
    if _any(told, _ENDING):
        return Packml.STOPPING
    if _any(told, _FAILED):
        return Packml.ABORTED
    if _any(told, _LIMITED):
        return Packml.HELD
    if standing.level is Level.READY or line is LineState.BYPASSED:
        return Packml.EXECUTE
    if standing.source not in ("", SOURCE):
        return Packml.HELD
    if standing.source == SOURCE or line is LineState.SUSPENDED:
        return Packml.SUSPENDED
    return Packml.STARTING if line in _COMING else Packml.HELD


def error(standing: Standing, line: LineState | None) -> ErrorCode:
    """The station's own error, without what is wrong on the link."""
    told = (standing.level, line)
    if _any(told, _FAILED):
        return ErrorCode.FAULT
    if _any(told, _LIMITED):
        return ErrorCode.LIMIT
    return ErrorCode.NONE if standing.level is Level.READY else ErrorCode.NOT_READY


def mode(shadow: bool, line: LineState | None) -> Mode:
    """What the station is used for; a bypass shows itself."""
    if line is LineState.BYPASSED:
        return Mode.BYPASS
    return Mode.SHADOW if shadow else Mode.PRODUCTION


def _any(told: tuple[Level, LineState | None], levels: tuple[Level, LineState]) -> bool:
    return told[0] is levels[0] or told[1] is levels[1]
