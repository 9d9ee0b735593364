"""States and reasons as the people at the line read them, and what they are to do."""

from __future__ import annotations

from edge.control import Status
from edge.panel.language import known, say
from edge.station import Station

DOWN = "DOWN"  # beside the names of edge.health.Level: the eye does not answer


def state_words(status: Status) -> dict[str, str]:
    """level, headline, cause and todo of a station that answers."""
    level = status.level
    headline, todo = known(f"state.{level}", level), known(f"todo.{level}", "")
    if level == "FAULT" and status.can_acknowledge:
        todo = say("todo.acknowledge")
    if level == "READY" and status.mode == "shadow":
        headline, todo = say("state.shadow"), say("todo.shadow")
    if level == "READY" and status.mode == "collect":
        headline, todo = say("state.collect"), ""
    return {"level": level, "headline": headline, "cause": status.cause, "todo": todo}


def down_words(station: Station, words: str) -> dict[str, str]:
    """The same where the eye does not answer."""
    mode = station.station.mode
    todo = say(
        "todo.down",
        meanwhile=say(f"todo.down_{mode}"),
        command=f"edge setup {station.source}",
        by_hand=f"edge {'collect' if mode == 'collect' else 'run'}",
    )
    return {"level": DOWN, "headline": say("state.DOWN"), "cause": words, "todo": todo}


def reason_words(name: str) -> str:
    """What a reason of a record means; its name where nobody knows it."""
    return known(f"reason.{name}", name)


def verdict_words(name: str) -> str:
    """A verdict's name for people."""
    return known(f"verdict.{name}", name)
