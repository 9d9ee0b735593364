"""`python -m edge.line station.toml [--child]`: the line process; `--child` ends it after the eye's Stop."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from edge.clock import SECOND, Clock, SystemClock
from edge.durable import hold
from edge.errors import ConfigError, DeviceError, KenpinError
from edge.health import Notifier
from edge.kinds import find
from edge.line import events, inputs, outputs, plc_gate, realtime
from edge.line.core import LineCore
from edge.line.events import StopAsked
from edge.line.eye_link import EyeLink
from edge.line.keeper import Keeper, Mailbox
from edge.line.log import Log
from edge.line.outputs.survival import refusals
from edge.line.plc_gate.conversation import Conversation
from edge.line.pulse import Pulse
from edge.line.ring import OutcomeRing
from edge.line.settings import Settings
from edge.line.watch import Counts, Edges, Watch
from edge.options import LineInput, MemoryOutput, PlcGate
from edge.station import Station, load

_STACK_BYTES = 512 * 1024  # all of it is locked in memory
_EPOCH_S = 1_577_836_800  # 2020-01-01


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 after a stop, else that of the error, whose message goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m edge.line", description=__doc__)
    parser.add_argument("station", type=Path, help="the station file")
    parser.add_argument("--child", action="store_true", help="end after the eye's Stop")
    options = parser.parse_args(arguments)
    try:
        run(load(options.station), options.child, SystemClock())
    except KenpinError as error:
        print(f"line: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(station: Station, child: bool, clock: Clock) -> None:
    """Build the line of this station and keep it until it is told to stop."""
    _refuse_unfit(station)
    threading.stack_size(_STACK_BYTES)
    missing = realtime.acquire()
    with ExitStack() as stack:
        log = Log(sys.stderr)
        stack.callback(log.close)
        for words in missing:
            log.say(words)
        notifier = stack.enter_context(Notifier.from_environment())
        pulse = Pulse(notifier, clock, log.say)
        keeper = _build(station, child, clock, log, "; ".join(missing), pulse, stack)
        realtime.quieten()
        notifier.ready()
        keeper.run()


def _refuse_unfit(station: Station) -> None:
    """Before anything is opened: a station needs a gate, and outputs that go to rest without us."""
    Settings.of(station)
    found = refusals(station)
    if found:
        raise ConfigError(f"{station.source} has outputs that must not be trusted: {'; '.join(found)}")


def _build(
    station: Station, child: bool, clock: Clock, log: Log, note: str, pulse: Pulse, stack: ExitStack
) -> Keeper:
    state_dir = station.station.state_dir
    stack.callback(os.close, lock(state_dir / "line.lock"))
    # only a ring that tells nothing any more needs the wall clock: ids must not come back
    lost_session = max(0, clock.wall_ns() // SECOND - _EPOCH_S) // 3_600
    ring = OutcomeRing(state_dir / "outcomes.ring", lost_session=lost_session)
    stack.callback(ring.close)
    gate, permit = _outputs(station, clock)
    for output in (gate, permit):
        if output is not None:
            stack.callback(output.close)
    link = EyeLink(station.station.run_dir / "line.sock")
    stack.callback(link.close)
    mailbox = Mailbox()
    stack.callback(mailbox.close)
    _stop_on_signals(mailbox)
    core = LineCore(Settings.of(station, child, note), ring.session, ring.next_seq, clock.now_ns())
    plc = _plc(station, clock, ring.session)
    watches = list(_watches(station, clock, mailbox, pulse))
    if plc is not None:
        tell = _Aside(log) if station.station.mode == "shadow" else mailbox.put
        watches.append(Watch(plc, events.PLC_GATE, tell, pulse.of(events.PLC_GATE)))
    for watch in watches:
        stack.callback(watch.stop)
        watch.start()
    tell_plc = None if plc is None else plc.tell
    return Keeper(core, gate, permit, link, ring, mailbox, clock, log, tell_plc, pulse.turned)


def _plc(station: Station, clock: Clock, part_session: int) -> Conversation | None:
    """The conversation with a PLC that owns the gate."""
    chosen = None if station.gate is None else station.gate.output
    if not isinstance(chosen, PlcGate):
        return None
    registers = find(plc_gate.TABLE, chosen.link, "gate")(chosen, clock)
    return Conversation(chosen, registers, clock, part_session, shadow=station.station.mode == "shadow")


class _Aside:
    """Takes what a PLC says that is only watched: whether it is there is for the log."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.InputLost):
            self._log.say(f"{event.source} (shadow): {event.words}")


def _watches(station: Station, clock: Clock, mailbox: Mailbox, pulse: Pulse) -> Iterator[Watch]:
    """One for each input of the line; one that answers slowly never holds up another."""
    named: list[tuple[str, LineInput]] = [(events.INTERLOCK + each.name, each.input) for each in station.interlock]
    if station.trigger.kind in inputs.TABLE:
        named.append((events.TRIGGER, cast(LineInput, station.trigger)))
    for name in (events.SECOND_EYE, events.CONFIRM, events.MOTOR):
        section = getattr(station, name)
        if section is not None and not (name == events.CONFIRM and station.station.mode == "shadow"):
            named.append((name, section.input))
    for name, chosen in named:
        device = find(inputs.TABLE, chosen.kind, name)(chosen, clock)
        yield Watch(Edges(device, name), name, mailbox.put, pulse.of(name))
    if station.encoder is not None:
        encoder = find(inputs.ENCODERS, station.encoder.kind, "encoder")(station.encoder, clock)
        counts = Counts(encoder, station.encoder.poll_ms, clock)
        yield Watch(counts, events.ENCODER, mailbox.put, pulse.of(events.ENCODER))


def _outputs(station: Station, clock: Clock) -> tuple[outputs.Output, outputs.Output | None]:
    """Gate and permit; in shadow mode neither device is opened and the gate lives in memory. So does the level of a
    gate that a PLC owns."""
    assert station.gate is not None
    shadow, chosen = station.station.mode == "shadow", station.gate.output
    if shadow or isinstance(chosen, PlcGate):
        chosen = MemoryOutput(kind="memory")
    gate: outputs.Output = find(outputs.TABLE, chosen.kind, "gate")(chosen, clock)
    if shadow:
        return gate, None
    if station.line_permit is None:
        return gate, None
    permit: outputs.Output = find(outputs.TABLE, station.line_permit.kind, "line_permit")(
        station.line_permit, clock
    )
    return gate, permit


def lock(path: Path) -> int:
    """Hold the lock file until the returned file number is closed. Raises DeviceError when it is held already."""
    try:
        descriptor = hold(path)
    except BlockingIOError as error:
        raise DeviceError(f"another line process holds {path}: stop that one first") from error
    except OSError as error:
        raise DeviceError(f"cannot open {path}: {error.strerror}; check station.state_dir") from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _stop_on_signals(mailbox: Mailbox) -> None:
    """SIGTERM and SIGINT finish the parts in the zone, then end the process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        name = signal.Signals(number).name
        signal.signal(number, lambda *_, name=name: mailbox.put(StopAsked(name, end=True)))


if __name__ == "__main__":
    sys.exit(main())
