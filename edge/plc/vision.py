"""The words of OPC 40100-1 (OPC UA for Machine Vision) that the OPC UA link uses, and what they say of a part; pure.

The words and their numbers are the specification's; the nodes are this station's own, so a client of the companion
specification finds its vocabulary here, not its types. docs/plc.md says what is conformant and what is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edge.plc.table import Packml, Result, ResultFlag, ShownVerdict
from edge.records import GateOutcome, Reason


class VisionState(IntEnum):
    """States of the VisionStateMachine, with their StateNumber."""

    PREOPERATIONAL = 1
    HALTED = 2
    ERROR = 3
    OPERATIONAL = 4


class AutomaticState(IntEnum):
    """States of its AutomaticMode sub-machine, with their StateNumber."""

    INITIALIZED = 5
    READY = 6
    SINGLE_EXECUTION = 7
    CONTINUOUS_EXECUTION = 8


class ResultState(IntEnum):
    """Values of ResultStateDataType."""

    UNDEFINED = 0
    COMPLETED = 1
    PROCESSING = 2
    ABORTED = 3
    FAILED = 4


def browse_name(state: VisionState | AutomaticState) -> str:
    """The state's name as the specification writes it."""
    return state.name.replace("_", " ").title().replace(" ", "")


_STATES: dict[Packml, tuple[VisionState, AutomaticState | None]] = {
    Packml.STOPPED: (VisionState.HALTED, None),
    Packml.STARTING: (VisionState.OPERATIONAL, AutomaticState.INITIALIZED),
    Packml.SUSPENDED: (VisionState.OPERATIONAL, AutomaticState.READY),
    Packml.EXECUTE: (VisionState.OPERATIONAL, AutomaticState.CONTINUOUS_EXECUTION),
    Packml.STOPPING: (VisionState.HALTED, None),
    Packml.HELD: (VisionState.ERROR, None),
    Packml.ABORTED: (VisionState.ERROR, None),
}


def states(state: int) -> tuple[VisionState, AutomaticState | None]:
    """The station's PackML state in the states of the vision system; before it has one it is preoperational."""
    if state not in set(Packml):
        return VisionState.PREOPERATIONAL, None
    return _STATES[Packml(state)]


@dataclass(frozen=True, slots=True)
class ReadyResult:
    """A ResultReady event: the fields of ResultDataType that this station fills, and what it decided."""

    result_id: str
    job_id: str
    part_id: str
    is_partial: bool
    is_simulated: bool
    result_state: ResultState
    internal_recipe_id: str
    verdict: str
    outcome: str
    reason: str
    score: float


def ready_result(result: Result) -> ReadyResult:
    """A result block in these words. Job and part are one here; the result's number tells repeated ends apart."""
    part = f"{result.part_session}-{result.part_number}"
    verdict = ShownVerdict(result.verdict)
    return ReadyResult(
        result_id=f"{part}-{result.sequence}",
        job_id=part,
        part_id=part,
        is_partial=False,
        is_simulated=bool(result.flags & ResultFlag.SIMULATED),
        result_state=ResultState.FAILED if verdict is ShownVerdict.UNKNOWN else ResultState.COMPLETED,
        internal_recipe_id=str(result.recipe),
        verdict=verdict.name,
        outcome=GateOutcome(result.outcome).name,
        reason=Reason(result.reason).name,
        score=-1.0 if result.score > 1_000 else result.score / 1_000,
    )
