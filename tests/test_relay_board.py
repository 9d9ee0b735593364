"""The simulated relay board obeys LCUS commands, ignores noise, and lets its relays fall when nobody speaks."""

import os
import time

from edge.clock import SystemClock
from edge.relay_board import RelayBoard
from tests.peers import eventually

ON_1 = bytes((0xA0, 1, 1, 0xA2))
OFF_1 = bytes((0xA0, 1, 0, 0xA1))
ON_2 = bytes((0xA0, 2, 1, 0xA3))


def _send(board: RelayBoard, *parts: bytes) -> None:
    descriptor = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
    try:
        for part in parts:
            os.write(descriptor, part)
            time.sleep(0.02)
    finally:
        os.close(descriptor)


def _wait_for_edges(board: RelayBoard, count: int) -> None:
    eventually(lambda: len(board.edges) >= count, f"{count} edges, got {board.edges}")


def test_relays_follow_commands_and_each_change_is_kept_once() -> None:
    with RelayBoard(SystemClock(), silence_ms=60_000) as board:
        _send(board, ON_1, ON_1, ON_2, OFF_1)
        _wait_for_edges(board, 3)
        assert [(edge.channel, edge.on) for edge in board.edges] == [(1, True), (2, True), (1, False)]
        assert board.relays == [False, True]


def test_noise_and_split_commands_do_not_move_a_relay_wrongly() -> None:
    with RelayBoard(SystemClock(), silence_ms=60_000) as board:
        _send(board, b"\x00\xff\xa0\x01", bytes((0xA0, 1, 1, 0x00)), ON_1[:2], ON_1[2:])
        _wait_for_edges(board, 1)
        assert [(edge.channel, edge.on) for edge in board.edges] == [(1, True)]
        assert board.bad_bytes > 0


def test_silence_makes_every_relay_fall() -> None:
    with RelayBoard(SystemClock(), silence_ms=150) as board:
        _send(board, ON_1 + ON_2)
        _wait_for_edges(board, 4)
        assert board.relays == [False, False]
        assert all(edge.by_watchdog for edge in board.edges[2:])
