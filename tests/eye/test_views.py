"""Two cameras look at each part: the worse picture counts, and without one of them nothing passes."""

from __future__ import annotations

import signal
from pathlib import Path

from edge.journal.rows import PartRow
from edge.records import GateOutcome, Kind, Reason
from tests.eye.stations import BELT_TRIGGER, DARK, Bench, EdgeProcess, draw, modbus_bench
from tests.peers import eventually

TOP_DEFECT, SIDE_DEFECT = 210, 160
ONE_CAMERA = (
    '[[camera]]\nname = "{name}"\nkind = "folder"\ndir = "{name}/pictures"\nrate_hz = 50\nloop = true\n'
    "triggered = false\nwindow_ms = 15\n"
)
CAMERAS = ONE_CAMERA.replace("{name}", "top") + ONE_CAMERA.replace("{name}", "side")


def decided(bench: Bench) -> list[PartRow]:
    return [row for row in bench.rows() if row.decided and row.outcome]


def kind(row: PartRow) -> Kind | None:
    return row.decided.verdict.kind if row.decided else None


def reason(row: PartRow) -> Reason | None:
    return row.decided.verdict.reason if row.decided else None


def is_released(row: PartRow) -> bool:
    return row.outcome is not None and row.outcome.outcome is GateOutcome.RELEASED


def levels_seen(bench: Bench) -> set[int]:
    """The brightness of the picture that counted, for each part that was judged."""
    return {
        min((DARK, SIDE_DEFECT, TOP_DEFECT), key=lambda level: abs(level / 255 - row.decided.verdict.score))
        for row in decided(bench)
        if row.decided and kind(row) is not Kind.UNKNOWN
    }


def test_the_worse_of_two_views_counts_and_with_one_of_them_gone_nothing_passes(tmp_path: Path) -> None:
    draw(tmp_path / "top", [DARK] * 40 + [TOP_DEFECT] * 15)
    draw(tmp_path / "side", [SIDE_DEFECT] * 15 + [DARK] * 25)
    with modbus_bench(tmp_path, camera=CAMERAS, trigger=BELT_TRIGGER) as bench:
        with EdgeProcess("run", bench.file) as edge:
            eventually(
                lambda: (
                    bool(list((tmp_path / "journal").glob("*.sqlite")))
                    and levels_seen(bench) == {DARK, SIDE_DEFECT, TOP_DEFECT}
                ),
                "parts without a defect, with one above, with one at the side",
                40.0,
                every_s=0.1,
            )
            for picture in (tmp_path / "side" / "pictures" / "images").glob("*.png"):
                picture.write_bytes(b"torn")
            eventually(lambda: bad_frames(bench) >= 8, "parts that were seen from above only", every_s=0.1)
            edge.signal(signal.SIGTERM)
            assert edge.ends() == 0, edge.output
        rows = decided(bench)
        bench.check_gate(rows)
        for row in rows:
            assert row.decided is not None
            assert (row.decided.verdict.kind is Kind.REJECT) <= (row.decided.verdict.score > 0.5)
        passed = [number for number, row in enumerate(rows) if row.outcome and is_released(row)]
        assert passed and all(kind(rows[number]) is Kind.PASS for number in passed)
        alone = [number for number, row in enumerate(rows) if reason(row) is Reason.BAD_FRAME]
        assert max(passed) < alone[4], "a part that was seen from above only was let pass"


def bad_frames(bench: Bench) -> int:
    return sum(reason(row) is Reason.BAD_FRAME for row in bench.rows())
