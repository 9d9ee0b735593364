"""What can go wrong on the floor, each as one happening in the world."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from edge.clock import MS
from edge.line.events import EdgeSeen
from edge.records import Edge, TimeSource
from tests.conveyor.item import Item
from tests.conveyor.plant import INTERLOCK_AIR
from tests.conveyor.seeing_eye import SeeingEye

if TYPE_CHECKING:
    from tests.conveyor.actuator import Coil
    from tests.conveyor.world import World

Happening: TypeAlias = "Callable[[World, float], None]"


def _stall(world: World, ms: float) -> None:
    if world.line.lives:
        world.line.stall(round(ms * MS))


def _kill(world: World, ms: float) -> None:
    world.restart_ms = ms
    world.line.kill()


def _kill_in_a_call(world: World, ms: float) -> None:
    world.restart_ms = 40 * ms
    if world.line.lives:
        world.line.kill(calls=max(1, round(ms)))


def _stop(world: World, ms: float) -> None:
    world.restart_ms = ms
    world.line.stop(end=True)


def _eye_stops(world: World, ms: float) -> None:
    """The eye asks a line that is not its child to stop, ends, and comes back."""
    world.eye.stop_line()
    world.after(ms, _restart_eye, world)


def _restart_eye(world: World) -> None:
    if world.eye.lives:
        world.eye.crash()
    world.eye.start()


def _eye_crashes(world: World, ms: float) -> None:
    if world.eye.lives:
        world.eye.crash()
        world.after(ms, world.eye.start)


def _eye_hangs(world: World, ms: float) -> None:
    world.eye.hang(round(ms * MS))


def _eye_unready(world: World, ms: float) -> None:
    world.eye.change_ready(False)
    world.after(ms, world.eye.change_ready, True)


def _cut(world: World, _ms: float) -> None:
    world.line.cut()


def _write_fault(which: str, fault: str) -> Happening:
    def happens(world: World, ms: float) -> None:
        coil: Coil = getattr(world, which)
        coil.faults.extend([fault] * max(1, round(ms)))

    return happens


def _slow(which: str) -> Happening:
    def happens(world: World, ms: float) -> None:
        coil: Coil = getattr(world, which)
        coil.faults.append(float(ms))

    return happens


def _away(which: str) -> Happening:
    def happens(world: World, ms: float) -> None:
        coil: Coil = getattr(world, which)
        coil.away = True
        world.after(ms, setattr, coil, "away", False)

    return happens


def _lose_trigger(world: World, ms: float) -> None:
    if world.photo_eye.is_lost:
        return
    world.photo_eye.lose(min(ms, 100, world.plant.to_gate / 3))
    world.after(ms + 1, world.photo_eye.find)


def _skip(world: World, ms: float) -> None:
    world.photo_eye.skips += round(ms)
    world.photo_eye.tells_going = False


def _skip_rise(world: World, ms: float) -> None:
    world.photo_eye.skips += round(ms)
    world.photo_eye.tells_going = True


def _late(world: World, ms: float) -> None:
    world.photo_eye.late_ms = ms
    world.after(100, setattr, world.photo_eye, "late_ms", 0.0)


def _between(world: World) -> list[Item]:
    """The items that lie wholly between photo-eye and gate."""
    mm = world.belt.mm(world.now_ns)
    return [item for item in world.on_belt if item.front_mm + item.length_mm < mm]


def _take(world: World, share: float) -> None:
    items = _between(world)
    if items:
        item = items[int(share * 0.999 * len(items))]
        world.take(item)


def _add(world: World, share: float) -> None:
    """A hand puts a part where there is room for its middle to be no neighbour's."""
    plant = world.plant
    length_mm = plant.pulse * plant.speed
    front_mm = world.belt.mm(world.now_ns) - share * (plant.gate_mm - length_mm) - length_mm * 1.1
    room_mm = length_mm * 1.15
    if all(abs(item.front_mm - front_mm) > room_mm for item in world.items[-40:]):
        world.lay(Item(len(world.items), front_mm, length_mm, True, unseen="a hand put it behind the photo-eye"))


def _drift(world: World, _ms: float) -> None:
    world.haul.drift()


def _lose_second(world: World, ms: float) -> None:
    if not world.second_eye.is_lost:
        world.second_eye.lose(min(ms, 20))
        world.after(ms + 1, world.second_eye.find)


def _belt_runs_at(share: float) -> Happening:
    def happens(world: World, ms: float) -> None:
        world.haul.want(share)
        world.after(ms, world.haul.want, 1.0)

    return happens


def _jog(world: World, share: float) -> None:
    """The belt is stopped, runs back a little less than it may, and goes on."""
    world.haul.want(0.0)
    world.after(world.plant.run_down + 60, _back, world, share * world.plant.reverse * 0.8)


def _back(world: World, ms: float) -> None:
    """Back by so many ms of travel at full speed, in one step and slowly: it is a jog, not a race."""
    if world.belt.speed:
        world.haul.want(1.0)
        return
    slow = 0.1
    world.haul.step(-slow)
    world.after(ms / slow, world.haul.step, 0.0)
    world.after(ms / slow + 50, world.haul.want, 1.0)


def _reverse(world: World, share: float) -> None:
    """Further back than it may: the zone must be purged."""
    world.haul.want(0.0)
    world.after(world.plant.run_down + 60, _far_back, world, world.plant.reverse * (1.3 + share))


def _far_back(world: World, ms: float) -> None:
    world.after(world.plant.reverse * 10 + 2 * world.plant.poll, _ran_back, world, world.mm())
    _back(world, ms)


def _ran_back(world: World, from_mm: float) -> None:
    if from_mm - world.mm() > world.plant.reverse * world.plant.speed:
        world.unsure()


def _encoder_away(world: World, ms: float) -> None:
    if not world.encoder.is_away:
        world.encoder.is_away = True
        world.after(ms, setattr, world.encoder, "is_away", False)


def _encoder_anew(world: World, _ms: float) -> None:
    world.encoder.begin_anew()
    world.unsure()


def _encoder_dies(world: World, ms: float) -> None:
    """Until the line has noticed: before that it looks like a belt that stands."""
    if not world.encoder.is_frozen:
        world.encoder.freeze()
        world.after(world.plant.dead_after + ms, _mend_encoder, world)


def _mend_encoder(world: World) -> None:
    if world.encoder.dead.open_ns is None:
        world.encoder.thaw()
        world.withdraw()
    else:
        world.after(50, _mend_encoder, world)


def _slip(world: World, share: float) -> None:
    """Pulses are lost: as many as a second eye can make up for, while nothing lies behind it."""
    plant = world.plant
    behind = [item for item in world.on_belt if world.mm() - item.front_mm > plant.second_mm - plant.slack_mm]
    if behind:
        return
    world.encoder.lose(share * plant.slip_mm)
    for item in world.on_belt:
        item.mismeasured |= item.front_mm <= world.mm() <= item.front_mm + item.length_mm


def _repeat_frames(world: World, ms: float) -> None:
    if isinstance(world.eye, SeeingEye):
        world.eye.frames_repeat += round(ms)


def _fire_camera(world: World, _ms: float) -> None:
    world.eye.trigger()


def _air_low(world: World, ms: float) -> None:
    if world.air:
        _tell_air(world, False)
        world.after(ms, _tell_air, world, True)


def _tell_air(world: World, well: bool) -> None:
    world.air = well
    edge = Edge(well, world.now_ns, 0, TimeSource.POLL, 0)
    world.after(1, world.line.tell, EdgeSeen(edge, INTERLOCK_AIR))


def _gate_sticks(world: World, ms: float) -> None:
    if world.stuck.open_ns is None:
        world.stuck.begin(world.now_ns)
        world.valve.stick(world.now_ns)
        world.after(ms, _gate_loosens, world)


def _gate_loosens(world: World) -> None:
    world.valve.loosen(world.gate.level, world.now_ns)
    world.after(world.plant.lead + world.plant.lag_error + 1, _is_loose, world)


def _is_loose(world: World) -> None:
    world.stuck.end(world.now_ns)


def _bypass(world: World, ms: float) -> None:
    world.eye.bypass(round(ms * MS))


HAPPENINGS: dict[str, Happening] = {
    "line stalls": _stall,
    "line is killed": _kill,
    "line dies in a call": _kill_in_a_call,
    "line is stopped": _stop,
    "eye stops the line": _eye_stops,
    "eye crashes": _eye_crashes,
    "eye hangs": _eye_hangs,
    "eye is not ready": _eye_unready,
    "connection breaks": _cut,
    "gate write fails": _write_fault("gate", "fails"),
    "gate answer is lost": _write_fault("gate", "loses"),
    "gate write is slow": _slow("gate"),
    "gate lies": _write_fault("gate", "lies"),
    "gate is away": _away("gate"),
    "permit write fails": _write_fault("permit", "fails"),
    "permit answer is lost": _write_fault("permit", "loses"),
    "permit write is slow": _slow("permit"),
    "permit is away": _away("permit"),
    "trigger is lost": _lose_trigger,
    "edges are skipped": _skip,
    "rising edges are skipped": _skip_rise,
    "edges are late": _late,
    "part is taken": _take,
    "part is added": _add,
    "speed drifts": _drift,
    "belt stops": _belt_runs_at(0.0),
    "belt is slow": _belt_runs_at(0.3),
    "belt jogs": _jog,
    "belt runs back": _reverse,
    "encoder is away": _encoder_away,
    "encoder begins anew": _encoder_anew,
    "encoder stands": _encoder_dies,
    "encoder loses pulses": _slip,
    "second eye is lost": _lose_second,
    "camera repeats frames": _repeat_frames,
    "camera fires alone": _fire_camera,
    "air is low": _air_low,
    "gate sticks": _gate_sticks,
    "person lets pass": _bypass,
}
