"""GPIO lines: kernel times, lost edges, one owner, and words for what goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import options
from edge.clock import MS, SystemClock
from edge.errors import InputError, OutputError
from edge.line.inputs.gpio import GpioInput
from edge.line.outputs.gpio import GpioOutput
from edge.records import TimeSource
from tests.line_devices.input_rigs import GpioRig, gpio, next_edge
from tests.peers.gpio import StandInChip, gpio_chip, stand_in

ROOT = Path(__file__).parents[2]
EYE, GATE = 0, 1


pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def rig() -> Iterator[GpioRig]:
    with gpio() as wired:
        yield wired


@pytest.fixture
def chip() -> Iterator[StandInChip]:
    with stand_in() as standing:
        yield standing


def eye(chip: StandInChip, **keys: object) -> GpioInput:
    chosen = {"kind": "gpio", "chip": chip.path, "line": EYE, "debounce_ms": 0} | keys
    return GpioInput(options.GpioInput.model_validate(chosen), SystemClock())


def gate(path: str, **keys: object) -> GpioOutput:
    chosen = {"kind": "gpio", "chip": path, "line": GATE} | keys
    return GpioOutput(options.GpioOutput.model_validate(chosen), SystemClock())


# --- on any chip ------------------------------------------------------------------------------------------------------


def test_an_edge_has_the_time_of_the_kernels_interrupt(rig: GpioRig) -> None:
    device = rig.input()
    device.open()
    before_ns = time.monotonic_ns()
    rig.drive(True)
    after_ns = time.monotonic_ns()
    time.sleep(0.05)  # nobody waits for it: the time is not that of the reader
    edge = next_edge(device)
    assert edge.source is TimeSource.KERNEL
    assert before_ns <= edge.at_ns <= after_ns + MS
    assert edge.err_ns < MS
    device.close()


def test_an_inverted_input_is_active_when_its_wire_is_low(rig: GpioRig) -> None:
    device = rig.input(invert=True)
    device.open()
    assert device.level() is True and device.wait(0.01) is None
    rig.drive(True)
    assert next_edge(device).level is False
    device.close()


def test_a_bounce_is_one_edge_from_its_first_change_on(rig: GpioRig) -> None:
    device = rig.input(debounce_ms=40)
    device.open()
    rig.drive(True)
    first_ns = time.monotonic_ns()
    for level in (False, True):
        rig.drive(level)
    edge = next_edge(device)
    assert (edge.level, edge.counter) == (True, 1)
    assert edge.at_ns - edge.err_ns <= first_ns + edge.err_ns
    assert device.wait(0.1) is None
    device.close()


def test_edges_that_the_kernel_had_to_drop_make_the_counter_jump(rig: GpioRig) -> None:
    device = rig.input()
    device.open()
    rig.drive(True)
    assert next_edge(device).counter == 1
    for number in range(3_000):
        rig.drive(number % 2 == 1)
    edges = []
    while (edge := device.wait(0.2)) is not None:
        edges.append(edge)
    counters = [edge.counter for edge in edges if edge.level]
    assert max(late - early for early, late in zip([1, *counters], counters, strict=False)) > 2
    assert [edge.level for edge in edges] == [number % 2 == 1 for number in range(len(edges))]
    device.close()


def test_a_second_owner_of_a_line_is_refused_as_input_and_as_output(rig: GpioRig) -> None:
    output = gate(rig.chip.path)
    output.arm()
    with pytest.raises(OutputError, match=r"in use by another owner.*gpioinfo"):
        gate(rig.chip.path).arm()
    with pytest.raises(InputError, match="in use by another owner"):
        GpioInput(options.GpioInput(kind="gpio", chip=rig.chip.path, line=GATE), SystemClock()).open()
    output.write(True)
    assert rig.chip.level(GATE) is True
    output.close()
    again = gate(rig.chip.path)
    again.arm()
    again.close()


def test_a_line_or_chip_that_is_not_there_is_named(rig: GpioRig) -> None:
    with pytest.raises(OutputError, match=r"no line 999 on .*gpioinfo"):
        gate(rig.chip.path, line=999).arm()
    with pytest.raises(OutputError, match=r"no line NOTHING on .*gpioinfo"):
        gate(rig.chip.path, line="NOTHING").arm()
    with pytest.raises(OutputError, match=r"no GPIO chip /dev/nothing: list them with gpiodetect"):
        gate("/dev/nothing").arm()
    with pytest.raises(OutputError, match="check the chip"):
        gate("/dev/null").arm()


def test_an_input_that_loses_its_chip_says_so_and_comes_back(rig: GpioRig) -> None:
    device = rig.input()
    device.open()
    rig.chip.unplug()
    with pytest.raises(InputError, match="chip is still there"):
        device.wait(5.0)
    with pytest.raises(InputError, match="no GPIO chip"):
        device.open()
    rig.chip.plug()
    device.open()
    rig.part_passes()
    assert next_edge(device).level is True
    device.close()


# --- on a chip of the kernel only: two processes ----------------------------------------------------------------------


def owner_of(path: str) -> str:
    """A program that drives the gate and stays."""
    return textwrap.dedent(f"""
        from edge.clock import SystemClock
        from edge.line.outputs.gpio import GpioOutput
        from edge.options import GpioOutput as Options
        gate = GpioOutput(Options(kind="gpio", chip={path!r}, line={GATE}), SystemClock())
        gate.arm()
        gate.write(True)
        print("on", flush=True)
        input()
    """)


if "KENPIN_GPIO_CHIP" in os.environ:

    @pytest.mark.parametrize(("number", "energised"), [(signal.SIGSTOP, True), (signal.SIGKILL, False)])
    def test_a_stopped_owner_leaves_the_gate_energised_and_a_killed_one_leaves_it_to_the_pull(
        rig: GpioRig, number: signal.Signals, energised: bool
    ) -> None:
        command = [sys.executable, "-c", owner_of(rig.chip.path)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"on\n"
            assert rig.chip.level(GATE) is True
            with pytest.raises(OutputError, match="in use by another owner"):
                gate(rig.chip.path).arm()
            process.send_signal(number)
            time.sleep(0.5)
            assert rig.chip.level(GATE) is energised
            process.kill()


# --- on the stand-in: what a kernel is asked, and what it may answer --------------------------------------------------


def test_lines_are_requested_for_us_at_rest_with_their_polarity_bias_and_a_long_buffer(chip: StandInChip) -> None:
    import gpiod

    ext = gpiod._ext
    output = gate(chip.path, invert=True, bias="pull_down", line="LINE1")
    output.arm()
    consumer, _, lines = chip.requests[-1]
    asked = lines[GATE]
    assert consumer == "kenpin"
    assert (asked.direction, asked.output_value) == (ext.DIRECTION_OUTPUT, ext.VALUE_INACTIVE)
    assert (asked.active_low, asked.bias) == (True, ext.BIAS_PULL_DOWN)
    assert chip.level(GATE) is True  # at rest, from the request on
    output.close()
    device = eye(chip, bias="pull_up", kernel_debounce_ms=2.5)
    device.open()
    consumer, kept, lines = chip.requests[-1]
    asked = lines[EYE]
    assert (consumer, kept, asked.debounce_period) == ("kenpin", 1_024, 2_500)
    assert (asked.edge_detection, asked.event_clock) == (ext.EDGE_BOTH, ext.CLOCK_MONOTONIC)
    assert (asked.bias, asked.active_low) == (ext.BIAS_PULL_UP, False)
    device.close()


def test_a_time_that_the_kernel_took_after_its_debounce_is_set_back(chip: StandInChip) -> None:
    device = eye(chip, kernel_debounce_ms=30)
    device.open()
    before_ns = time.monotonic_ns()
    chip.pull(EYE, True)
    after_ns = time.monotonic_ns()
    edge = next_edge(device)
    assert before_ns - 15 * MS < edge.at_ns < after_ns + 15 * MS and edge.err_ns >= 10 * MS
    device.close()


def test_two_edges_of_one_direction_hide_one_that_the_kernel_merged(chip: StandInChip) -> None:
    device = eye(chip)
    device.open()
    chip.pull(EYE, True)
    chip.deaf = True
    chip.pull(EYE, False)
    chip.deaf = False
    chip.pull(EYE, True)
    edges = [next_edge(device) for _ in range(3)]
    assert [edge.level for edge in edges] == [True, False, True]
    assert edges[-1].counter > edges[0].counter + 1
    assert device.wait(0.01) is None
    device.close()


def test_edges_merged_within_the_debounce_time_are_a_bounce(chip: StandInChip) -> None:
    device = eye(chip, debounce_ms=100)
    device.open()
    chip.pull(EYE, True)
    chip.deaf = True
    chip.pull(EYE, False)
    chip.deaf = False
    chip.pull(EYE, True)
    assert next_edge(device).counter == 1
    chip.pull(EYE, False)
    next_edge(device)
    chip.pull(EYE, True)
    assert next_edge(device).counter == 2
    device.close()


def test_an_edge_merged_in_a_long_silence_is_lost_whatever_the_debounce(chip: StandInChip) -> None:
    device = eye(chip, debounce_ms=5)
    device.open()
    chip.pull(EYE, True)
    assert next_edge(device).counter == 1
    chip.deaf = True
    chip.pull(EYE, False)
    chip.deaf = False
    time.sleep(0.02)
    chip.pull(EYE, True)
    assert [next_edge(device).counter for _ in range(2)][-1] > 2
    device.close()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "add the user to its group"),
        (errno.EACCES, "add the user to its group"),
        (errno.EINVAL, 'try bias = "as_is"'),
        (524, 'try bias = "as_is"'),
        (errno.ENODEV, "check the chip"),
    ],
)
def test_what_the_kernel_refuses_is_said_with_what_to_do(chip: StandInChip, number: int, words: str) -> None:
    for refused in (lambda: gate(chip.path).arm(), eye(chip).open):
        chip.refuse = number
        with pytest.raises((OutputError, InputError), match=words):
            refused()


def test_a_pin_that_does_not_follow_is_an_error_and_not_a_confirmation(chip: StandInChip) -> None:
    output = gate(chip.path)
    output.arm()
    chip.shorted = True
    with pytest.raises(OutputError, match="shows 0: look for a short circuit"):
        output.write(True)
    chip.shorted = False
    output.rest()
    assert output.write(True) > 0
    output.close()


def test_the_stand_in_is_not_in_the_way_of_a_real_chip() -> None:
    with gpio_chip() as wired:
        assert isinstance(wired, StandInChip) is ("KENPIN_GPIO_CHIP" not in os.environ)
