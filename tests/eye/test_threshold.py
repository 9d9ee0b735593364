"""A threshold that is moved beside a running eye judges from its next start on, and each row says which one it was."""

from __future__ import annotations

import signal
from pathlib import Path

from edge.install import install, keep
from edge.records import Kind
from tests.eye.stations import DARK, EdgeProcess, bundle, draw, relay_bench
from tests.eye.test_operator import becomes, told, words_of

GREY = 134  # a score of 0.525: above the bundle's threshold of 0.5, below the moved one


def test_a_moved_threshold_judges_from_the_next_start_on(tmp_path: Path) -> None:
    draw(tmp_path, [GREY, DARK] * 4)
    with relay_bench(tmp_path, loop=True, transit=600) as bench:
        install(bundle(tmp_path / "cap-a-2.bundle", version=2, is_judged=True), bench.station)
        keep(bench.station, "cap-a", 2)
        with EdgeProcess("run", bench.file) as edge:
            becomes(bench, lambda status: status.verdicts["reject"] >= 2, "grey parts are rejected")
            words = ("threshold", bench.file, "0.54", "--by", "Anna Berg", "--why", "grey is good")
            code, said = told(*words)
            assert code == 78 and "--allow-unproven" in said
            code, said = told(*words, "--allow-unproven")
            assert code == 0 and "as 'Anna Berg'; in force when the eye starts again" in said, said
            before = becomes(bench, lambda status: True, "it answers")
            assert before.unproven == [] and "0.54" not in before.bundle, "what runs goes on"
            becomes(bench, lambda status: status.parts >= before.parts + 6, "parts are judged as before")
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        first = {row.part_id for row in bench.rows()}
        (note,) = words_of(bench, "threshold")
        assert note.startswith("cap-a version 2, ort fp32: from 0.5 (0 of 60 defects missed, escape rate <= 4.87%")
        assert "to 0.54 (1 of 60 defects missed" in note and "UNPROVEN) at the eye's next start; by " in note
        assert note.endswith("(uid 0) as 'Anna Berg': grey is good")
        with EdgeProcess("run", bench.file) as edge:
            status = becomes(bench, lambda status: status.verdicts["pass"] >= 4, "grey parts pass")
            assert status.unproven == ["cap-a"] and "judged at 0.54, not at its own 0.5: UNPROVEN" in status.bundle
            code, said = told("status", bench.file)
            assert code == 0 and "UNPROVEN for cap-a" in said
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        assert words_of(bench, "threshold")[1].startswith("cap-a version 2 is judged at 0.54, not at its own 0.5")
        verdicts = [
            (
                row.part_id in first,
                row.decided.verdict.threshold,
                row.decided.verdict.kind,
                row.decided.verdict.score,
            )
            for row in bench.rows()
            if row.decided is not None
        ]
        assert {(early, limit) for early, limit, *_ in verdicts} == {(True, 0.5), (False, 0.54)}
        assert all((score < limit) for _, limit, kind, score in verdicts if kind is Kind.PASS)
        grey = [(early, kind) for early, _, kind, score in verdicts if 0.5 <= score < 0.54]
        assert {kind for early, kind in grey if early} == {Kind.REJECT}
        assert Kind.PASS in {kind for early, kind in grey if not early}
        bench.check_gate(bench.rows())
