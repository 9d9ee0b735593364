"""States and reasons as the people at the line read them, and what they are to do."""

from __future__ import annotations

from edge.control import Status
from edge.records import Reason
from edge.station import Station

DOWN = "DOWN"  # beside the names of edge.health.Level: the eye does not answer
_HEADLINES = {
    "READY": "Inspecting",
    "BYPASSED": "BYPASS",
    "NOT_READY": "Not ready",
    "STOPPED": "Stopped by a limit",
    "FAULT": "Fault",
    "STOPPING": "Stopping",
}
_TODO = {
    "BYPASSED": "End the bypass as soon as parts can be inspected again.",
    "NOT_READY": "It tries again by itself; no part is released meanwhile. See to what is named here.",
    "STOPPED": "Look at the line, mend what is wrong, then acknowledge.",
    "FAULT": "Mend what is named here; no part is released meanwhile.",
    "STOPPING": "The parts between trigger and gate are finished, then the station ends.",
}
REASONS = {
    Reason.NONE: "",
    Reason.DEFECT: "the score reached the threshold",
    Reason.LATE: "the verdict came too late",
    Reason.NO_FRAME: "no picture came",
    Reason.STALE_FRAME: "an old picture came again",
    Reason.BAD_FRAME: "the picture is black, too bright, blurred or of another size",
    Reason.ENGINE_ERROR: "the network could not be run",
    Reason.BAD_SCORE: "the network said nothing sensible",
    Reason.OVERRUN: "parts came faster than they can be judged",
    Reason.NO_VERDICT: "nobody spoke for the part in time",
    Reason.PURGE: "born before the zone was known: after a start or a lost edge",
    Reason.OTHER_EPOCH: "born before this eye connected",
    Reason.JOURNAL: "the verdict could not be recorded",
    Reason.STOPPING: "the station was stopping",
    Reason.STATION_STOPPED: "the line was stopped",
    Reason.OUTPUT_ERROR: "the gate was not written or not confirmed",
    Reason.LATE_WRITE: "the gate could not be written in time",
    Reason.TOUCHING: "too near to its neighbour",
    Reason.AMBIGUOUS: "pictures and parts could not be told apart",
    Reason.LINE_LOST: "the line process ended with the part before the gate",
    Reason.BYPASS: "a bypass let it pass",
    Reason.LENGTH: "too long or too short for a part",
    Reason.UNTRACKED: "seen before the gate without a trigger",
    Reason.MISSING: "not seen before the gate",
    Reason.INTERLOCK: "an interlock was not as it must be",
}


def state_words(status: Status) -> dict[str, str]:
    """level, headline, cause and todo of a station that answers."""
    level = status.level
    todo = _TODO.get(level, "")
    if level == "FAULT" and status.can_acknowledge:
        todo = "Mend what is named here, then acknowledge."
    headline = _HEADLINES.get(level, level)
    if level == "READY" and status.mode == "shadow":
        headline, todo = "Judging in shadow", "The gate is not moved: every part passes."
    if level == "READY" and status.mode == "collect":
        headline, todo = "Collecting pictures", ""
    return {"level": level, "headline": headline, "cause": status.cause, "todo": todo}


def down_words(station: Station, words: str) -> dict[str, str]:
    """The same where the eye does not answer."""
    name, mode = station.station.name, station.station.mode
    meanwhile = {
        "inspect": "No part is released until it is back.",
        "shadow": "Nothing is judged until it is back.",
        "collect": "No picture is recorded until it is back.",
    }[mode]
    start = f"systemctl start kenpin-eye@{name}, or edge {'collect' if mode == 'collect' else 'run'} by hand"
    return {
        "level": DOWN,
        "headline": "The eye does not answer",
        "cause": words,
        "todo": f"{meanwhile} Call who looks after the station: {start}; why it ended is in its log.",
    }


def reason_words(name: str) -> str:
    """What a reason of a record means; its name where nobody knows it."""
    try:
        return REASONS[Reason[name]]
    except KeyError:
        return name
