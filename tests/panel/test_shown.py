"""What the panel shows: the state, also of an eye that is away or talks nonsense, counts, parts, thresholds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from math import inf
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND, ManualClock
from edge.control import SOCKET
from edge.health import Level
from edge.install import install, open_active
from edge.journal.events import Journal
from edge.nearness import Drift, DriftOf, LimitNow
from edge.panel import facts, words
from edge.panel.language import words_of
from edge.panel.ledger import KEPT, Ledger
from edge.panel.watch import Watch
from edge.records import GateOutcome, Kind, Reason
from edge.station import Station
from edge.threshold import move_to
from tests.eye.stations import bundle
from tests.journal.records import decided, ended, opened, refused, unknown
from tests.panel.panels import Served, a_station, an_eye, keep_picture, served
from tests.test_metrics import figures

DAY_S = 86_400
HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return a_station(tmp_path)


def live(panel: Served, more: str = "") -> dict[str, Any]:
    told: dict[str, Any] = panel.visitor("vera").get(f"/api/live?{more}").json
    return told


# --- state ---


def test_a_station_that_inspects_says_so_and_what_it_has_counted(station: Station) -> None:
    with an_eye(station) as eye, served(station) as panel:
        told = live(panel)
        assert told["state"] == {"level": "READY", "headline": "Inspecting", "cause": "", "todo": ""}
        assert told["counts"]["verdicts"] == {"pass": 3, "reject": 1} and told["counts"]["parts"] == 4
        assert told["counts"]["reasons"] == [{"name": "NO_FRAME", "words": "no picture came", "count": 1}]
        assert told["status"]["permit"] is True and told["warnings"] == []
        assert eye.asked == []


def test_a_stop_is_told_with_its_cause_and_what_to_do(station: Station) -> None:
    with an_eye(station) as eye, served(station) as panel:
        eye.says(level="STOPPED", cause="3 parts without a verdict in a row", can_acknowledge=True, permit=False)
        state = live(panel)["state"]
        assert state["cause"] == "3 parts without a verdict in a row"
        assert state["todo"] == "Look at the line, mend what is wrong, then acknowledge."


def test_what_should_be_looked_after_is_a_warning(station: Station) -> None:
    with an_eye(station) as eye, served(station) as panel:
        eye.says(likeness="top: darker than learned", unproven=["cap-a"])
        eye.told = eye.told.model_copy(
            update={"records": {"committed": 1, "lost": 2}, "deadlines": {"met": 1, "missed": 3}}
        )
        found = live(panel)["warnings"]
        assert len(found) == 4 and "darker than learned" in found[0] and found[1].startswith("2 records")
        assert found[3] == "Not proven: cap-a misses its target at this threshold"


def test_limits_are_told_as_the_eye_says_them(station: Station) -> None:
    with an_eye(station) as eye, served(station) as panel:
        eye.limits(LimitNow(name="consecutive_rejects", count=4, bound=10, then="stop"))
        assert live(panel)["limits"] == [
            {"name": "consecutive_rejects", "count": 4, "bound": 10, "among": 0, "then": "stop", "product": ""}
        ]
    with served(station) as panel:
        assert "limits" not in live(panel)


def test_drift_is_asked_of_the_eye_when_somebody_looks_at_it(station: Station) -> None:
    with an_eye(station) as eye, served(station) as panel:
        eye.drift = Drift(span_s=600, views=[DriftOf(product="cap-a", camera="top", has_coverage=False)])
        told = panel.visitor("vera").get("/api/drift").json
        assert told["words"] == "" and told["span_s"] == 600 and told["views"][0]["camera"] == "top"
    with served(station) as panel:
        assert "no station answers" in panel.visitor("vera").get("/api/drift").json["words"]


def test_an_eye_that_is_away_is_said_with_what_to_do(station: Station) -> None:
    with served(station) as panel:
        told = live(panel)
        assert told["state"]["level"] == "DOWN" and "no station answers" in told["state"]["cause"]
        assert (
            "No part is released" in told["state"]["todo"]
            and f"edge setup {station.source}" in told["state"]["todo"]
        )
        assert "status" not in told and told["counts"] is None
        assert live(panel, "over=hour")["counts"]["parts"] == 0
        assert panel.visitor("vera").get("/api/timing").json == {}
        with an_eye(station):
            pass
        assert live(panel)["state"]["level"] == "DOWN"


@contextmanager
def odd_eye(station: Station, answer: bytes) -> Iterator[None]:
    """Whatever it is asked, it answers these bytes."""
    path = station.station.run_dir / SOCKET
    path.parent.mkdir(exist_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(str(path))
    door.listen()

    def serve() -> None:
        while True:
            try:
                guest, _ = door.accept()
            except OSError:
                return
            with guest:
                if guest.recv(100):
                    guest.send(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        door.shutdown(socket.SHUT_RDWR)
        thread.join()
        door.close()


@pytest.mark.parametrize(
    "answer",
    [b"\x00\xff", b"{}", b'{"answer": "figures"}', b'{"answer": "done", "words": "x", "by": ""}', b"[" * 8_000],
)
def test_an_odd_answer_is_an_eye_that_does_not_answer(station: Station, answer: bytes) -> None:
    with odd_eye(station, answer), served(station) as panel:
        assert live(panel)["state"]["level"] == "DOWN"


def test_states_that_nobody_knows_are_shown_by_their_names(station: Station) -> None:
    with an_eye(station) as eye, served(station) as panel:
        eye.says(level="DREAMING", cause=HTML, product=HTML)
        told = live(panel)
        assert told["state"]["headline"] == "DREAMING" and told["state"]["cause"] == HTML


def test_every_state_and_every_reason_has_its_words() -> None:
    status = figures().status
    for level in Level:
        said = words.state_words(status.model_copy(update={"level": level.name}))
        assert said["headline"] != level.name
        assert bool(said["todo"]) is (level is not Level.READY)
    assert {f"reason.{reason.name}" for reason in Reason} <= set(words_of("en"))
    assert words.reason_words("NO_SUCH") == "NO_SUCH"


def test_an_eye_is_asked_seldom_however_many_look() -> None:
    clock, asked = ManualClock(), []
    watch = Watch(lambda: asked.append(1) or figures(), clock)
    for _ in range(20):
        clock.advance(SECOND // 10)
        for _ in range(10):
            watch.now()
    assert 3 <= len(asked) <= 5


def test_while_one_waits_for_a_slow_eye_the_others_see_what_was_seen_last() -> None:
    clock, go, began = ManualClock(), threading.Event(), threading.Event()
    slow = [False]

    def ask() -> Any:
        if slow[0]:
            began.set()
            assert go.wait(20)
        return figures()

    watch = Watch(ask, clock)
    first = watch.now()
    slow[0] = True
    clock.advance(SECOND)
    waiting = threading.Thread(target=watch.now)
    waiting.start()
    assert began.wait(20)
    assert watch.now() is first
    go.set()
    waiting.join()
    assert watch.now() is not first


# --- the journal ---


@pytest.fixture
def written(station: Station) -> Iterator[Callable[..., None]]:
    """Writes records into the station's journal now."""
    clock = ManualClock()
    journal: Journal = opened(station.journal.dir, clock)

    def write(*records: Any, later_s: float = 0) -> None:
        clock.advance(round(later_s * SECOND))
        for record in records:
            journal.commit([record])

    yield write
    journal.close()


def rejected(number: int, score: float = 0.75) -> Any:
    return decided(number, Kind.REJECT, score, Reason.DEFECT)


def fired(number: int) -> Any:
    return replace(ended(number), outcome=GateOutcome.FIRED, verdict=Kind.REJECT, reason=Reason.DEFECT)


def test_a_reject_is_shown_at_its_verdict_and_again_with_its_outcome(
    station: Station, written: Callable[..., None]
) -> None:
    ledger = Ledger(station.journal.dir, ManualClock())
    ledger.look()
    assert ledger.turned(9) == [] and ledger.revision == 1
    written(decided(1), rejected(2))
    ledger.look()
    (part,) = ledger.turned(9)
    assert (part.part_id & 0xFF, part.verdict, part.score, part.outcome) == (2, "REJECT", 0.75, "")
    before = ledger.revision
    ledger.look()
    assert ledger.revision == before, "nothing new, nothing to send"
    written(ended(1), fired(2), unknown(3), refused(3))
    ledger.look()
    assert [(part.part_id & 0xFF, part.outcome) for part in ledger.turned(9)] == [(3, "FIRED"), (2, "FIRED")]
    assert ledger.turned(9)[1].score == 0.75
    assert [part.part_id & 0xFF for part in ledger.turned(9, only_rejects=True)] == [2]


def test_counts_of_a_time_are_those_of_its_minutes(station: Station, written: Callable[..., None]) -> None:
    early_ns = ended(0).ended_wall_ns
    late = {"ended_wall_ns": early_ns + 3_600 * SECOND}
    written(ended(1), refused(2), replace(fired(3), **late), replace(ended(4), outcome=GateOutcome.FIRED, **late))
    clock = ManualClock(wall_ns=early_ns + 3_660 * SECOND)
    ledger = Ledger(station.journal.dir, clock)
    ledger.look()
    everything, last = ledger.tally(early_ns), ledger.tally(early_ns + 1_800 * SECOND)
    assert everything.parts == 4 and everything.verdicts == {"pass": 1, "reject": 1, "unknown": 2}
    assert everything.outcomes == {"released": 1, "fired": 3}
    assert last.parts == 2 and last.verdicts == {"reject": 1, "unknown": 1}, (
        "a PASS that was rejected let nobody pass"
    )


def test_the_ledger_goes_on_over_midnight_and_forgets_old_minutes(
    station: Station, written: Callable[..., None]
) -> None:
    clock = ManualClock()
    ledger = Ledger(station.journal.dir, clock)
    written(rejected(1), fired(1))
    ledger.look()
    tomorrow = {"ended_wall_ns": ended(0).ended_wall_ns + 4 * DAY_S * SECOND}
    written(rejected(2), replace(fired(2), **tomorrow), later_s=4 * DAY_S)
    clock.advance(4 * DAY_S * SECOND)
    ledger.look()
    assert [part.part_id & 0xFF for part in ledger.turned(9)] == [2, 1]
    assert ledger.tally(0).parts == 1
    written(rejected(3))
    ledger.look()
    assert len(ledger.turned(9)) == 3


def test_a_long_list_stays_short_in_memory(station: Station, written: Callable[..., None]) -> None:
    written(*(rejected(number) for number in range(1, KEPT + 20)))
    ledger = Ledger(station.journal.dir, ManualClock())
    ledger.look()
    assert len(ledger.turned(10_000)) == KEPT
    written(rejected(KEPT + 20))
    ledger.look()
    assert ledger.turned(1)[0].part_id & 0xFFFF == KEPT + 20 and len(ledger.turned(10_000)) == KEPT


def test_a_journal_that_is_missing_or_damaged_is_said_and_the_rest_is_shown(station: Station) -> None:
    with an_eye(station), served(station) as panel:
        assert "holds no journal yet" in live(panel)["journal"]
        assert panel.visitor("vera").get("/part/700000001").status == 507
        station.journal.dir.mkdir(exist_ok=True)
        (station.journal.dir / "2026-11-24.sqlite").write_bytes(b"no database at all" * 300)
        told = live(panel)
        assert "damaged" in told["journal"] and told["state"]["level"] == "READY"
        assert "damaged" in panel.visitor("vera").get("/part/700000001").text


def test_the_gallery_is_sent_only_when_it_has_changed(station: Station, written: Callable[..., None]) -> None:
    written(rejected(1), fired(1))
    with an_eye(station), served(station) as panel:
        first = live(panel)
        assert first["turned"][0]["id"] == "700000001" and first["turned"][0]["outcome"] == "FIRED"
        assert "turned" not in live(panel, f"revision={first['revision']}")
        assert "turned" in live(panel, f"revision={first['revision']}&show=rejects")


def test_scores_that_are_none_are_shown_as_none(station: Station, written: Callable[..., None]) -> None:
    model = open_model(station)
    for number, score in enumerate((inf, -inf, -0.5, 7.0), 1):
        record = decided(number, Kind.UNKNOWN, score, Reason.BAD_SCORE)
        written(replace(record, verdict=replace(record.verdict, model=model)))
    with served(station) as panel:
        assert [part["score"] for part in live(panel)["turned"]] == [7.0, -0.5, None, None]
        (product,) = panel.visitor("vera").get("/api/thresholds").json["products"]
        assert (product["below"][0], product["above"][-1]) == (2, 2)
        assert panel.visitor("vera").get("/part/700000001").status == 200


def test_the_page_of_a_part_says_all_that_is_on_record(station: Station, written: Callable[..., None]) -> None:
    written(rejected(1), replace(fired(1), shadow=False))
    with served(station) as panel:
        page = panel.visitor("vera").get("/part/700000001").text
        for said in ("7-1", "REJECT: the score reached the threshold", "0.7500, rejected from 0.5000", "rejected"):
            assert said in page
        assert "No picture of this part is kept" in page
        assert panel.visitor("vera").get("/part/700000009").status == 409


def test_names_with_html_in_them_stay_words(station: Station, written: Callable[..., None], tmp_path: Path) -> None:
    written(rejected(1))
    keep_picture(station, 0x700000001)
    with served(station, labels_dir=tmp_path / "labels", classes=(HTML,)) as panel:
        otto = panel.visitor("otto")
        assert otto.post("/api/label", {"part": "700000001", "camera": "top", "label": HTML}).status == 200
        page = otto.get("/part/700000001").text
        assert HTML not in page and page.count("&lt;img") == 3


# --- shifts, times, thresholds ---


@pytest.mark.parametrize(
    ("now", "began"),
    [
        ("2026-11-24T05:59", "2026-11-23T22:00"), ("2026-11-24T06:00", "2026-11-24T06:00"),
        ("2026-11-24T21:59", "2026-11-24T14:00"), ("2026-11-24T23:10", "2026-11-24T22:00"),
    ],
)  # fmt: skip
def test_a_shift_that_began_yesterday_is_still_this_one(now: str, began: str) -> None:
    zone = timezone(timedelta(hours=9))
    found = facts.shift_began(("06:00", "14:00", "22:00"), datetime.fromisoformat(now).replace(tzinfo=zone))
    assert found == datetime.fromisoformat(began).replace(tzinfo=zone)
    assert facts.shift_began((), datetime.fromisoformat(now)) is None


def test_times_are_bins_with_the_bounds_that_so_many_do_not_exceed(station: Station) -> None:
    with an_eye(station), served(station) as panel:
        told = panel.visitor("vera").get("/api/timing").json
        assert told["bounds_ms"] == [1, 10]
        shape = told["stages"]["engine"]
        assert shape["bins"] == [2, 1, 1] and shape["count"] == 4 and shape["mean_ms"] == 13.35
        assert shape["ranks"] == {"p50": 1, "p90": None, "p99": None, "p99.9": None}


def test_a_threshold_is_shown_with_its_evidence_and_the_recorded_scores(
    station: Station, written: Callable[..., None]
) -> None:
    with served(station) as panel:
        (product,) = panel.visitor("vera").get("/api/thresholds").json["products"]
        assert (product["product"], product["threshold"], sum(product["below"])) == ("cap-a", 0.5, 0)
        model = open_model(station)
        for number, score in enumerate((0.0, 0.2, 0.49, 0.6, 1.0), 1):
            record = decided(number, Kind.REJECT if score >= 0.5 else Kind.PASS, score)
            written(replace(record, verdict=replace(record.verdict, model=model)))
        written(decided(9), unknown(10))
        told = panel.visitor("vera").get("/api/thresholds").json
        edges, (product,) = told["edges"], told["products"]
        assert (sum(product["below"]), sum(product["above"])) == (3, 2)
        for score, side in ((0.2, "below"), (0.6, "above")):
            index = next(number for number, edge in enumerate(edges) if edge > score) - 1
            assert product[side][index] == 1
        assert product["below"][0] == 1 and product["above"][-1] == 1
        assert product["evidence"]["defects"] >= product["evidence"]["missed"]


def test_a_threshold_that_was_moved_here_is_shown_with_its_own_evidence_and_who_did_it(station: Station) -> None:
    install(bundle(station.source.parent / "2.bundle", version=2, is_judged=True), station)
    with served(station) as panel:
        visitor = panel.visitor("vera")

        def both() -> tuple[dict[str, Any], dict[str, Any]]:
            (on_page,) = visitor.get("/api/thresholds").json["products"]
            (product,) = visitor.get("/api/bundles").json["products"]
            return on_page, product["versions"][0]

        assert [told["moved"] for told in both()] == [None, None]
        move_to(station, "cap-a", 0.7, "anna", "<b>grey</b> is good", allow_unproven=True)
        for told in both():
            assert (told["threshold"], told["proven"], told["evidence"]["missed"]) == (0.7, False, 3)
            moved = told["moved"]
            assert (moved["was"], moved["by"], moved["why"]) == (0.5, "anna", "<b>grey</b> is good")
        (station.station.state_dir / "bundles" / "cap-a" / "2.threshold").write_bytes(b"?")
        assert all("2.threshold is damaged" in told["words"] for told in both())


def open_model(station: Station) -> str:
    return open_active(station, "cap-a").manifest.models[0].sha256


def test_a_bundle_that_cannot_be_trusted_is_said(station: Station) -> None:
    for path in (station.station.state_dir / "bundles" / "cap-a").glob("*.bundle"):
        path.write_bytes(b"nothing")
    with served(station) as panel:
        (product,) = panel.visitor("vera").get("/api/thresholds").json["products"]
        assert "threshold" not in product and product["words"]
