"""A modem line as an input: its wait ends when it is closed, and the driver's counters prove what it missed."""

from __future__ import annotations

import termios
import threading
import time
from collections.abc import Iterator

import pytest

from edge import options
from edge.clock import MS, SystemClock
from edge.errors import InputError
from edge.line.inputs.serial_line import SerialLineInput
from edge.records import TimeSource
from tests.line_devices.input_rigs import SerialLineRig, next_edge, serial_line
from tests.peers import PtyPair, eventually

CTS = termios.TIOCM_CTS


@pytest.fixture
def rig() -> Iterator[SerialLineRig]:
    with serial_line() as wired:
        yield wired


def test_an_edge_lies_within_the_stated_time_before_its_thread_was_woken(rig: SerialLineRig) -> None:
    device = rig.input(late_ms=6)
    device.open()
    eventually(lambda: rig.modem.waits > 0, "a thread waits in the kernel")
    before_ns = time.monotonic_ns()
    rig.drive(True)
    edge = next_edge(device)
    assert edge.source is TimeSource.ARRIVAL
    assert edge.at_ns - edge.err_ns <= time.monotonic_ns()
    assert before_ns - 6 * MS <= edge.at_ns and edge.err_ns <= 3 * MS + MS
    device.close()


@pytest.mark.parametrize("line", ["cts", "dsr", "dcd", "ri"])
def test_each_line_has_its_bit_and_counter(rig: SerialLineRig, line: str) -> None:
    bit = {"cts": CTS, "dsr": termios.TIOCM_DSR, "dcd": termios.TIOCM_CD, "ri": termios.TIOCM_RI}[line]
    device = rig.input(line=line, invert=True)
    device.open()
    assert device.level() is True
    for other in (CTS, termios.TIOCM_DSR, termios.TIOCM_CD, termios.TIOCM_RI):
        if other != bit:
            rig.modem.set(other, True)
    assert device.wait(0.05) is None
    rig.modem.set(bit, True)
    assert next_edge(device).level is False
    device.close()


def test_a_change_that_woke_nobody_is_found_by_its_counter(rig: SerialLineRig) -> None:
    device = rig.input()
    device.open()
    eventually(lambda: rig.modem.waits > 0, "a thread waits in the kernel")
    rig.modem.sleep()
    before_ns = time.monotonic_ns()
    rig.drive(True)
    edge = next_edge(device)
    assert (edge.level, edge.counter) == (True, 1)
    assert edge.at_ns - edge.err_ns <= time.monotonic_ns() and edge.at_ns + edge.err_ns >= before_ns
    rig.modem.awake()
    device.close()


def test_changes_that_were_missed_make_the_counter_jump(rig: SerialLineRig) -> None:
    device = rig.input()
    device.open()
    eventually(lambda: rig.modem.waits > 0, "a thread waits in the kernel")
    rig.modem.sleep()
    for level in (True, False, True, False, True):
        rig.drive(level)
    rig.modem.awake()
    rise = next_edge(device)
    assert rise.level is True and rise.counter > 2
    rig.drive(False)
    assert next_edge(device).level is False
    device.close()


def test_changes_missed_within_the_debounce_time_are_a_bounce(rig: SerialLineRig) -> None:
    device = rig.input(debounce_ms=200)
    device.open()
    rig.modem.sleep()
    for level in (True, False, True):
        rig.drive(level)
    rig.modem.awake()
    rise = next_edge(device)
    assert (rise.level, rise.counter) == (True, 1)
    device.close()


def test_a_driver_that_counts_only_the_end_of_a_ring_is_refused_at_the_first_part(rig: SerialLineRig) -> None:
    rig.modem.counts_ends_only = True
    device = rig.input(line="ri")
    device.open()
    rig.modem.set(termios.TIOCM_RI, True)
    with pytest.raises(InputError, match=r"parts may have passed unseen: use .* rather than ri"):
        for _ in range(10):
            device.wait(0.05)
    device.close()


def test_an_adapter_that_is_unplugged_ends_the_wait_and_comes_back(rig: SerialLineRig) -> None:
    device = rig.input()
    device.open()
    rig.modem.unplug()
    with pytest.raises(InputError, match="check the adapter"):
        device.wait(5.0)
    with pytest.raises(InputError, match="open"):
        device.wait(0.01)
    rig.modem.gone = False
    device.open()
    rig.part_passes()
    assert next_edge(device).level is True
    device.close()


def test_closing_ends_a_wait_in_the_kernel_whenever_it_comes(rig: SerialLineRig) -> None:
    device = rig.input()
    for pause_s in (0.0, 0.0002, 0.001, 0.02):
        device.open()
        time.sleep(pause_s)
        began = time.monotonic()
        device.close()
        assert time.monotonic() - began < 1.0
        assert not [thread for thread in threading.enumerate() if thread.name == "line-modem"]


def test_a_port_without_modem_lines_is_refused_with_what_to_use() -> None:
    with PtyPair() as pty:
        device = SerialLineInput(options.SerialLineInput(kind="serial_line", port=pty.device), SystemClock())
        with pytest.raises(InputError, match="use a port with modem lines"):
            device.open()
        device.close()
