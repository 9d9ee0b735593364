"""`edge run` with a PLC: recipes, results, a heartbeat that stops, an end in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.install import install
from edge.journal.reading import read_notes
from edge.plc.table import ErrorCode, Flag, Packml, ResultFlag, ShownVerdict
from edge.records import GateOutcome
from edge.station import load
from tests.eye.stations import (
    BELT,
    BELT_TRIGGER,
    BRIGHT,
    Bench,
    EdgeProcess,
    bundle,
    draw,
    modbus_bench,
)
from tests.peers import eventually
from tests.peers.plcs import ModbusServerPlc, free_port
from tests.plc.cable import cable_to
from tests.plc.raw_modbus import FieldPlc

RECIPES = '[recipes]\n1 = "cap-a"\n2 = "cap-b"\n'


@contextmanager
def plc_bench(folder: Path, plc: str, recipes: str = RECIPES, **keys: Any) -> Iterator[Bench]:
    """A station with a PLC and two products: the same bright picture is a reject of cap-a and a pass of cap-b.

    Its gate is a process of its own: a PLC in a thread of ours would hold up a board in another one.
    """
    with modbus_bench(folder, **keys) as bench:
        install(bundle(folder / "cap-b-1.bundle", product="cap-b", threshold=0.9), load(bench.file))
        text = bench.file.read_text()
        if recipes:
            text = text.replace('product = "cap-a"\n', "")
        bench.file.write_text(f"{text}\n{recipes}[plc]\n{plc}\n")
        yield bench


def server(port: int) -> str:
    return f'kind = "modbus_server"\nport = {port}\npoll_ms = 20\nheartbeat_timeout_ms = 600'


def is_ready(plc: FieldPlc) -> bool:
    return bool(plc.status.flags & Flag.READY)


def choose(plc: FieldPlc, recipe: int) -> None:
    plc.program.recipe = recipe
    eventually(lambda: is_ready(plc) and plc.status.recipe == recipe, f"recipe {recipe}")


def twelve_more_results(plc: FieldPlc) -> None:
    enough = len(plc.results()) + 12
    eventually(lambda: len(plc.results()) >= enough, "twelve more results")


def test_each_part_is_judged_by_the_recipe_it_was_born_with_and_its_result_reaches_the_plc(tmp_path: Path) -> None:
    port = free_port()
    with plc_bench(tmp_path, server(port), loop=True, rate=12) as bench, FieldPlc(port) as plc:
        draw(tmp_path, [BRIGHT])
        plc.program.recipe = 3
        with EdgeProcess("run", bench.file) as edge:
            eventually(lambda: plc.status.error == ErrorCode.UNKNOWN_RECIPE, "a wrong recipe is refused")
            assert not is_ready(plc) and plc.status.state == Packml.SUSPENDED
            for recipe in (1, 2, 1):
                choose(plc, recipe)
                twelve_more_results(plc)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
    rows = {row.part_id: row for row in bench.rows()}
    for result in plc.results():
        row = rows[result.part_session << 32 | result.part_number]
        assert row.outcome is not None and result.recipe == row.outcome.recipe
        assert result.outcome == row.outcome.outcome and result.reason == row.outcome.reason
        assert result.flags == ResultFlag.SIMULATED, "replayed pictures are no real ones"
        if row.outcome.outcome is GateOutcome.RELEASED:
            assert result.recipe == 2 and result.verdict == ShownVerdict.PASS, "recipe 1 rejects every bright part"
        elif result.recipe == 1:
            assert result.verdict != ShownVerdict.PASS
    judged = {(result.recipe, result.verdict) for result in plc.results()}
    assert judged >= {(1, ShownVerdict.REJECT), (2, ShownVerdict.PASS)}
    numbers = [result.part_number for result in plc.results()]
    assert numbers == sorted(set(numbers))
    bench.check_gate(list(rows.values()))


def test_a_plc_that_stops_takes_the_station_out_and_has_to_shake_hands_to_get_it_back(tmp_path: Path) -> None:
    """The parts of a real trigger, born by the line with the PLC's recipe."""
    port = free_port()
    with (
        plc_bench(tmp_path, server(port), camera=BELT, trigger=BELT_TRIGGER, rate=12) as bench,
        FieldPlc(port) as plc,
    ):
        plc.program.recipe = 2
        with EdgeProcess("run", bench.file) as edge:
            eventually(lambda: is_ready(plc), "ready")
            session = plc.status.session
            twelve_more_results(plc)
            stopped_ns = time.time_ns()
            plc.in_run = False
            eventually(lambda: plc.status.error == ErrorCode.HEARTBEAT_LOST, "the loss is seen")
            assert not is_ready(plc) and plc.status.state == Packml.SUSPENDED and plc.status.session != session
            lost_from = plc.status.parts
            eventually(lambda: plc.status.parts > lost_from + 8, "parts go on coming")
            runs_ns = time.time_ns()
            plc.in_run = True
            eventually(lambda: is_ready(plc), "ready again")
            seen = len(plc.seen)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        last = plc.seen[seen:]
        assert any(status.state == Packml.STOPPING for status in last) and not last[-1].flags & Flag.READY
    rows = [row for row in bench.rows() if row.outcome is not None]
    released = [row.outcome for row in rows if row.outcome and row.outcome.outcome is GateOutcome.RELEASED]
    assert released and {outcome.recipe for outcome in released} == {2}
    notes = [note for note in read_notes(tmp_path / "journal") if note.kind == "plc"]
    lost = next(note for note in notes if "HEARTBEAT_LOST" in note.words and note.wall_ns > stopped_ns)
    back = next(note for note in notes if "READY" in note.words and note.wall_ns > lost.wall_ns)
    assert back.wall_ns > runs_ns, "it came back without a word of the PLC"
    assert "results did not reach the PLC" in notes[-1].words
    slack_ns = 600_000_000  # a part that was released just before may be at the gate only now
    assert not [
        outcome for outcome in released if lost.wall_ns + slack_ns < outcome.ended_wall_ns < back.wall_ns
    ], "released without a PLC"


def test_a_plc_that_hangs_holds_nothing_up(tmp_path: Path) -> None:
    """Half-open: the machine answers no more, nobody closes. The station says so, judges on, and ends in time."""
    plc = ModbusServerPlc()
    plc.start()
    try:
        with cable_to(plc.port) as cable:
            text = (
                f'kind = "modbus_client"\nhost = "127.0.0.1"\nport = {cable.port}\naddress = {plc.base}\n'
                "timeout_ms = 400\npoll_ms = 20"
            )
            with plc_bench(tmp_path, text, recipes="", loop=True, rate=12) as bench:
                draw(tmp_path, [60])
                with EdgeProcess("run", bench.file) as edge:
                    eventually(lambda: plc.status().heartbeat > 0, "the station writes")
                    cable.frozen = True
                    eventually(lambda: "gave no valid answer" in edge.output, "the failure is told")
                    edge.signal(signal.SIGTERM)
                    assert edge.ends() == 0, edge.output
                    assert "did not end" not in edge.output
    finally:
        plc.stop()
