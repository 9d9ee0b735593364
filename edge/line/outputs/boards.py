"""What relay boards want to hear: byte commands for on and off, by board and channel; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.errors import ConfigError
from edge.options import SerialBytesOutput

NUMATO_CHANNELS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
NUMATO_PROMPT = b">"


@dataclass(frozen=True, slots=True)
class Commands:
    """The bytes of one relay. Where a board answers, `prompt` ends its answer, which repeats the command first;
    `ask` then asks for the relay's level."""

    on: bytes
    off: bytes
    ask: bytes = b""
    prompt: bytes = b""


def lcus(channel: int) -> Commands:
    """LCUS-1 to LCUS-16 (CH340 boards): A0, channel from 1, operation, sum of the three. They never answer."""

    def command(operation: int) -> bytes:
        return bytes((0xA0, channel, operation, (0xA0 + channel + operation) & 0xFF))

    return Commands(on=command(1), off=command(0))


def kmtronic(channel: int) -> Commands:
    """KMTronic USB and RS-485 boards: FF, channel from 1, operation. No answer to these commands."""
    return Commands(on=bytes((0xFF, channel, 1)), off=bytes((0xFF, channel, 0)))


def numato(channel: int) -> Commands:
    """Numato USB relay modules: a line of text, repeated by the board, then a prompt. Channels from 0."""
    relay = NUMATO_CHANNELS[channel]

    def command(word: str) -> bytes:
        return f"relay {word} {relay}\r".encode("ascii")

    return Commands(command("on"), command("off"), command("read"), NUMATO_PROMPT)


_BOARDS: dict[str, tuple[Callable[[int], Commands], range]] = {
    "lcus": (lcus, range(1, 17)),
    "kmtronic": (kmtronic, range(1, 17)),
    "numato": (numato, range(len(NUMATO_CHANNELS))),
}


def commands(options: SerialBytesOutput) -> Commands:
    """The commands that the options describe. Raises ConfigError for a channel that the board cannot have, and
    for a custom board without two different commands in hex."""
    if options.board == "custom":
        return _custom(options)
    make, channels = _BOARDS[options.board]
    if options.channel not in channels:
        raise ConfigError(
            f"channel: a {options.board} board has {channels.start} to {channels.stop - 1}, got {options.channel}"
        )
    if options.on_hex or options.off_hex:
        raise ConfigError(f'on_hex, off_hex: remove them, or set board = "custom"; {options.board} has its own')
    return make(options.channel)


def _custom(options: SerialBytesOutput) -> Commands:
    try:
        on, off = bytes.fromhex(options.on_hex), bytes.fromhex(options.off_hex)
    except ValueError as error:
        raise ConfigError(f'on_hex, off_hex: write bytes in hex such as "A0 01 01 A2" ({error})') from error
    if not on or not off or on == off:
        raise ConfigError('on_hex, off_hex: a board = "custom" needs two different commands, never one toggle')
    return Commands(on, off)
