"""The steps of a challenge test: which test pieces a person sends, what they provoke, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from edge.errors import ConfigError
from edge.records import Kind
from edge.station import Interlock, Station


@dataclass(frozen=True, slots=True)
class Pieces:
    """The next `count` parts are test pieces; each must get the verdict `wanted`, and the gate must obey.

    `confirmed`: there is a sensor that must have seen every rejected one.
    """

    name: str
    asked: str
    count: int
    wanted: Kind
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class FailSafe:
    """Something is made to fail: the station must say that it cannot inspect, or reject what comes.

    Without `reject_is_enough` a rejected part proves nothing, because what failed is the gate's own.
    """

    name: str
    asked: str
    undo: str
    reject_is_enough: bool


Step: TypeAlias = Pieces | FailSafe


def plan(station: Station, bad: int, good: int) -> list[Step]:
    """The memory test with `bad` known-bad pieces in a row, `good` known-good ones, then each sensor's failure.

    Raises ConfigError where a limit of the station would stop it among the pieces.
    """
    limits = station.limits
    if 0 < limits.consecutive_rejects < bad and "consecutive_rejects" not in limits.warn:
        most = limits.consecutive_rejects
        raise ConfigError(f"--bad {bad}: {most} rejects in a row stop this station; give {most} at most")
    asked = (
        f"Take {bad} known-bad test pieces and let no other part come. Go on, then put them on the belt in a row."
    )
    steps: list[Step] = [Pieces("memory test", asked, bad, Kind.REJECT, station.confirm is not None)]
    if good:
        asked = f"Take known-good parts, {good} of them. Go on, then put them on the belt in a row."
        steps.append(Pieces("good parts", asked, good, Kind.PASS))
    steps += [_covered(f"camera {camera.name}", "a part", reject_is_enough=True) for camera in station.camera]
    if station.second_eye is not None:
        steps.append(_covered("the second photo-eye", "a known-good part", reject_is_enough=True))
    if station.confirm is not None:
        steps.append(_covered("the confirm sensor", "a known-bad part", reject_is_enough=False))
    return steps + [_provoked(interlock) for interlock in station.interlock]


def not_watched(station: Station) -> list[str]:
    """What such a test is expected to try and this station has no sensor for."""
    missing = []
    if not station.interlock:
        missing.append("air pressure, reject bin, gate position: there is no [[interlock]]")
    if station.confirm is None:
        missing.append("whether a rejected part is in the bin: there is no [confirm]")
    return missing


def _covered(what: str, part: str, *, reject_is_enough: bool) -> FailSafe:
    asked = f"Cover {what}. Go on when it sees nothing, then put {part} on the belt."
    return FailSafe(f"{what} covered", asked, f"Uncover {what}. Go on when it is free.", reject_is_enough)


def _provoked(interlock: Interlock) -> FailSafe:
    name = interlock.name
    asked = f"Provoke interlock {name}: its input must not be {interlock.well}. Go on when that is done."
    return FailSafe(f"interlock {name}", asked, f"Make interlock {name} well. Go on when it is.", False)
