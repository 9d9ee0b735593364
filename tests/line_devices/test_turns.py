"""Turns on a shared wire: one at a time, the urgent first, nobody waits for ever."""

from __future__ import annotations

import threading

import pytest

from edge.line.turns import Turns
from tests.peers import eventually


def test_only_one_has_the_turn_and_it_comes_back_after_a_failure() -> None:
    turns = Turns()
    with turns.take(False, 1.0):
        for urgent in (False, True):
            with pytest.raises(TimeoutError), turns.take(urgent, 0.01):
                pytest.fail("two have the turn")
    with pytest.raises(RuntimeError), turns.take(False, 1.0):
        raise RuntimeError
    with turns.take(False, 0.01):
        pass


def test_who_drives_goes_before_whoever_polls_however_fast_that_one_asks_again() -> None:
    turns = Turns()
    stop = threading.Event()
    order: list[str] = []
    held = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            with turns.take(False, 5.0):
                order.append("poll")
                held.set()
                stop.wait(0.005)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        for _ in range(50):
            held.clear()
            assert held.wait(5.0)  # a poll is under way
            before = len(order)
            with turns.take(True, 5.0):
                order.append("drive")
            assert order[before:].index("drive") <= 1
    finally:
        stop.set()
        poller.join()


def test_one_who_gave_up_waiting_lets_the_others_go_on() -> None:
    turns = Turns()
    got = threading.Event()

    def poll() -> None:
        with turns.take(False, 5.0):
            got.set()

    with turns.take(False, 1.0):
        poller = threading.Thread(target=poll)
        poller.start()
        with pytest.raises(TimeoutError), turns.take(True, 0.02):
            pytest.fail("two have the turn")
    eventually(got.is_set, "the poller gets its turn")
    poller.join()
