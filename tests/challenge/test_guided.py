"""The guided reject test on a running station: a scripted operator, real parts, a report that can be checked."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edge.challenge.report import SignedReport
from edge.journal.reading import read_notes
from edge.records import Kind
from tests.eye.stations import BRIGHT, DARK, Bench, EdgeProcess, draw, modbus_bench, show
from tests.eye.test_operator import becomes, told
from tests.peers import eventually

COVERED = 0


class Operator:
    """Answers `edge challenge` line by line, once the belt shows what was asked for."""

    def __init__(self, bench: Bench, guided: EdgeProcess, answers: TextIO) -> None:
        self.bench = bench
        self.guided = guided
        self._answers = answers

    def asked(self, words: str) -> None:
        eventually(lambda: words in self.guided.output, f"asked to {words!r}")

    def answer(self, words: str = "") -> None:
        self._answers.write(words + "\n")
        self._answers.flush()

    def lay(self, level: int, kind: Kind) -> None:
        """Bring such parts onto the belt: the last ones that were born are."""
        show(self.bench.folder, level)

        def are_there() -> bool:
            newest = [row.decided.verdict.kind for row in self.bench.rows()[-2:] if row.decided]
            return newest == [kind, kind]

        eventually(are_there, f"{kind.name} parts on the belt")


@contextmanager
def guided(bench: Bench, *options: str) -> Iterator[Operator]:
    pipe = bench.folder / "answers"
    os.mkfifo(pipe)
    words = ("challenge", bench.file, "--answers", pipe, "--report", bench.folder / "challenge.json", *options)
    with EdgeProcess(*words) as process, pipe.open("w") as answers:
        yield Operator(bench, process, answers)


def report_of(bench: Bench) -> SignedReport:
    return SignedReport.model_validate_json((bench.folder / "challenge.json").read_text())


def test_a_station_that_rejects_what_it_must_gets_a_sealed_report(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, loop=True, unknown_in_a_row=3) as bench:
        draw(tmp_path, [DARK] * 4)
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 2, "the station inspects")
            with guided(bench, "--who", "Anna Berg", "--patience", "30s") as operator:
                operator.asked("Take 3 known-bad test pieces")
                operator.lay(BRIGHT, Kind.REJECT)
                operator.answer()
                operator.asked("Take known-good parts")
                operator.lay(DARK, Kind.PASS)
                operator.answer()
                operator.asked("Cover camera top")
                operator.lay(COVERED, Kind.UNKNOWN)
                operator.answer()
                operator.asked("Uncover camera top")
                becomes(bench, lambda status: status.level == "STOPPED", "three parts without a verdict stop it")
                show(tmp_path, DARK)
                operator.answer()
                assert operator.guided.ends() == 0, operator.guided.output
            assert becomes(bench, lambda status: status.level == "READY", "it goes on").parts
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output

        signed = report_of(bench)
        assert signed.report.result == "passed" and len(signed.report.model) == 64
        assert [step.result for step in signed.report.steps] == ["passed"] * 3
        memory, good, covered = signed.report.steps
        recorded = {row.part_id: row for row in bench.rows()}
        assert [part.verdict for part in memory.parts] == ["REJECT"] * 3 and good.parts[0].verdict == "PASS"
        for part in (*memory.parts, *good.parts, *covered.parts):
            outcome = recorded[part.part].outcome
            assert outcome is not None and (outcome.outcome.name, outcome.verdict.name) == (
                part.outcome,
                part.verdict,
            )
        notes = [(note.kind, note.words) for note in read_notes(tmp_path / "journal")]
        begun, ended = [words for kind, words in notes if kind == "challenge"]
        assert (
            begun.startswith("begun by ") and begun.endswith(" as 'Anna Berg'") and signed.report.sha256() in ended
        )
        assert any(kind == "acknowledge" and "challenge test, camera top covered" in words for kind, words in notes)

        file = tmp_path / "challenge.json"
        code, said = told("challenge", bench.file, "--verify", file)
        assert code == 0 and "CHALLENGE TEST PASSED" in said and "unchanged since" in said
        assert told("challenge", "--verify", file, "--key", tmp_path / "state" / "device.pub")[0] == 0
        file.write_text(file.read_text().replace("Anna Berg", "Bert Berg", 1))
        code, said = told("challenge", bench.file, "--verify", file)
        assert code == 65 and "ask for the original" in said


def test_a_station_that_lets_a_test_piece_pass_fails(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, loop=True) as bench:
        draw(tmp_path, [DARK] * 4)
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.outcomes["released"] >= 2, "the station inspects")
            with guided(bench, "--good", "0", "--bad", "2") as operator:
                operator.asked("Take 2 known-bad test pieces")
                operator.answer()  # good ones are on the belt
                operator.asked("Cover camera top")
                operator.answer("s the ladder is missing")
                assert operator.guided.ends() == 69, operator.guided.output
            assert "the challenge test is failed" in operator.guided.output
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        report = report_of(bench).report
        assert [(step.result, step.words[:22]) for step in report.steps] == [
            ("failed", "2 of 2 parts were not "),
            ("skipped", "the ladder is missing"),
        ]
        assert "<-- not as it must be" in (tmp_path / "challenge.txt").read_text()


def test_a_test_that_is_ended_is_reported_as_incomplete(tmp_path: Path) -> None:
    with modbus_bench(tmp_path, loop=True, bypass_max_min=1) as bench:
        draw(tmp_path, [BRIGHT] * 4)
        code, said = told("challenge", bench.file, "--answers", os.devnull, "--report", tmp_path / "challenge.json")
        assert code == 69 and "no station answers" in said
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.verdicts["reject"] >= 2, "the station inspects")
            with guided(bench, "--bad", "1") as operator:
                operator.asked("Take 1 known-bad")
                operator.answer()
                operator.asked("Take known-good parts")
                operator.answer("q")
                assert operator.guided.ends() == 69, operator.guided.output
            report = report_of(bench).report
            assert report.result == "incomplete"
            assert [step.result for step in report.steps] == ["passed", "not done", "not done"]
            assert (
                json.loads((tmp_path / "challenge.json").read_text())["seal"]["statement"]["result"] == "incomplete"
            )
            assert told("bypass", bench.file, "--for", "1m", "--why", "x")[0] == 0
            code, said = told("challenge", bench.file, "--answers", os.devnull)
            assert code == 69 and "edge bypass --end" in said
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
