"""What is taken out at the panel: by whom, of which parts, in which form, and at what cost to others."""

from __future__ import annotations

import csv
import io
import itertools
import socket
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from edge.clock import SECOND, ManualClock
from edge.errors import ConfigError
from edge.journal.export import PARTS
from edge.journal.lots import KIND, NamedLot
from edge.journal.rows import Note, Record
from edge.panel import access, door, export
from edge.panel.export import Journals, span_of
from edge.records import GateEvent
from edge.station import Station
from tests.journal.records import decided, ended, opened, part_id, refused, unknown
from tests.panel.panels import Served, a_station, an_eye, keep_picture, served, until

DAY = "2026-11-24"
NOON = round(datetime(2026, 11, 24, 12).timestamp()) * SECOND  # here, whatever this machine's zone is
SHIFTS = ("06:00", "14:00", "22:00")
FORMULA = '=cmd|"/c calc"!A1'


def at(event: GateEvent, hours: float) -> GateEvent:
    """Ended so many hours after noon."""
    return replace(event, ended_wall_ns=NOON + round(hours * 3_600) * SECOND)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return a_station(tmp_path)


@pytest.fixture
def written(station: Station) -> Iterator[Callable[..., None]]:
    """A journal that grows; its parts end before and after shifts begin, and around midnight."""
    journal = opened(station.journal.dir, ManualClock(wall_ns=NOON))

    def write(*records: Record) -> None:
        journal.commit(records)

    write(decided(1), at(ended(1), 1.9), unknown(2), at(refused(2), 2), decided(3), at(ended(3), 9.9))
    write(Note(NOON, KIND, NamedLot(FORMULA, part_id(4)).words("by anna")))
    write(decided(4), at(ended(4), 11), unknown(5), at(refused(5), 13), decided(6))
    yield write
    journal.close()


@pytest.fixture
def panel(station: Station, written: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(access, "EVERY_S", 0.05)
    with served(station, shifts=SHIFTS) as panel:
        yield panel


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def numbers(panel: Served, **asked: str) -> list[int]:
    answer = panel.visitor("otto").get(f"/export/parts.csv?{urlencode(asked)}")
    assert answer.status == 200, answer.text
    return [int(row["number"]) for row in rows(answer.data)]


def test_a_day_a_shift_and_a_lot_have_their_parts(panel: Served) -> None:
    assert numbers(panel, day=DAY) == [1, 2, 3, 4]
    assert numbers(panel, day="2026-11-25") == [5]
    assert numbers(panel, day=DAY, shift="06:00") == [1]
    assert numbers(panel, day=DAY, shift="14:00") == [2, 3]
    assert numbers(panel, day=DAY, shift="22:00") == [4, 5], "over midnight"
    assert numbers(panel, lot=FORMULA) == [4, 5, 6], "also what has not ended yet"


def test_the_table_is_that_of_edge_journal_export_and_no_spreadsheet_computes_it(panel: Served) -> None:
    answer = panel.visitor("otto").get(f"/export/parts.csv?{urlencode({'lot': FORMULA})}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="test-lot-cmd-c-calc-A1.csv"'
    first = rows(answer.data)[0]
    assert list(first) == list(PARTS) and first["lot"] == f"'{FORMULA}"
    assert (first["verdict"], first["outcome"], first["score"]) == ("PASS", "RELEASED", "0.25")


def test_the_pictures_of_rejected_parts_come_in_a_zip_the_newest_first(
    panel: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {
        number: keep_picture(panel.station, part_id(number), kind) for number, kind in ((1, "pass"), (2, "unknown"))
    }
    kept[3] = keep_picture(panel.station, part_id(3), "reject")
    keep_picture(panel.station, part_id(5), "unknown")

    def taken() -> dict[str, bytes]:
        answer = panel.visitor("otto").get(f"/export/pictures.zip?day={DAY}")
        with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    found = taken()
    second, third = (f"{part_id(number):016x}_top_{kind}.jpg" for number, kind in ((2, "unknown"), (3, "reject")))
    assert list(found) == [third, second, "about.txt"]
    assert (found[second], found[third]) == (kept[2], kept[3]) and b"2 pictures" in found["about.txt"]
    monkeypatch.setattr(export, "MOST_PICTURES", 1)
    assert list(found := taken()) == [third, "about.txt"] and b"1 older ones are left out" in found["about.txt"]
    monkeypatch.setattr(export, "MOST_MB", 0)
    assert list(taken()) == ["about.txt"]


@pytest.mark.parametrize("path", ["/export", f"/export/parts.csv?day={DAY}", f"/export/pictures.zip?day={DAY}"])
def test_an_operator_takes_out_and_a_viewer_does_not(panel: Served, path: str) -> None:
    assert [panel.visitor(name).get(path).status for name in ("vera", "otto", "erna")] == [403, 200, 200]
    stranger = panel.visitor().get(path)
    assert (stranger.status, stranger.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_a_page_of_another_site_makes_nobody_take_something_out(panel: Served, site: str, status: int) -> None:
    otto = panel.visitor("otto")
    assert otto.get(f"/export/parts.csv?day={DAY}", Sec_Fetch_Site=site).status == status
    assert otto.get("/threshold", Sec_Fetch_Site="cross-site").status == 200, "a link to a page is none of this"


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"day": "2026-11-23"}, 409, "no part ended in 2026-11-23"),
        ({"lot": "../../etc/passwd"}, 409, "no part of lot"),
        ({"lot": "' OR 1=1 --"}, 409, "no part of lot"),
        ({"lot": "x" * 61}, 422, "lot"),
        ({}, 409, "write it as"),
        ({"day": "2026-02-31"}, 409, "write it as"),
        ({"day": "9999-12-30"}, 409, "nothing was recorded that day"),
        ({"day": "0001-01-01"}, 409, "nothing was recorded that day"),
        ({"day": "../2026"}, 422, "day"),
        ({"day": DAY, "shift": "05:00"}, 409, "no shift begins then"),
        ({"day": DAY, "shift": "1 OR 1"}, 422, "shift"),
    ],
)
def test_what_is_not_there_is_said(panel: Served, asked: dict[str, str], status: int, words: str) -> None:
    for name in ("parts.csv", "pictures.zip"):
        answer = panel.visitor("otto").get(f"/export/{name}?{urlencode(asked)}")
        assert answer.status == status and words in answer.text and "content-disposition" not in answer.headers


def test_who_took_what_is_on_record(panel: Served) -> None:
    with an_eye(panel.station) as eye:
        numbers(panel, day=DAY, shift="14:00")
        until(lambda: f"otto took parts.csv of {DAY} shift 14:00 at " in "; ".join(eye.access), "it is told")


def test_one_takes_out_at_a_time_and_has_longer_than_others_for_it(
    panel: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "ANSWERED_WITHIN_S", 1.0)
    go, begun = threading.Event(), threading.Event()

    def slow(_self: Journals, _selected: object) -> Iterator[bytes]:
        yield b"first"
        begun.set()
        assert go.wait(30)
        yield b"second"

    monkeypatch.setattr(Journals, "parts", slow)
    otto, found = panel.visitor("otto"), []
    thread = threading.Thread(target=lambda: found.append(otto.get(f"/export/parts.csv?day={DAY}")))
    thread.start()
    assert begun.wait(20)
    again = panel.visitor("erna").get(f"/export/pictures.zip?day={DAY}")
    assert again.status == 429 and "try again" in again.text
    assert panel.visitor("vera").get("/api/live").status == 200, "who looks is served meanwhile"
    go.wait(1.2)
    go.set()
    thread.join()
    assert found[0].data == b"firstsecond"
    assert panel.visitor("erna").get(f"/export/pictures.zip?day={DAY}").status == 200


@pytest.mark.parametrize("leaves", [True, False])
def test_who_leaves_or_takes_too_long_makes_room(
    panel: Served, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    monkeypatch.setattr(Journals, "parts", lambda _self, _selected: itertools.repeat(b"x" * 100_000))
    monkeypatch.setattr(door, "TAKEN_OUT_WITHIN_S", 20.0 if leaves else 0.5)
    otto, path = panel.visitor("otto"), f"/export/pictures.zip?day={DAY}"
    head = f"GET /export/parts.csv?day={DAY} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {otto.cookie}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as taker:
        taker.sendall(head.encode())
        assert taker.recv(12) == b"HTTP/1.1 200" and otto.get(path).status == 429
        if leaves:
            taker.close()
        until(lambda: otto.get(path).status == 200, "another one is taken out")


def test_too_many_parts_are_refused_before_they_are_read(
    station: Station, written: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_PARTS", 3)
    journals, (since, end) = Journals(station.journal.dir), span_of(DAY, "", SHIFTS)
    with pytest.raises(ConfigError, match="4 parts, more than 3"):
        journals.in_time(DAY, since, end)


def test_what_is_recorded_meanwhile_disturbs_nobody(
    station: Station, written: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_AT_ONCE", 2)
    journals = Journals(station.journal.dir)
    pieces = journals.parts(journals.of_lot(FORMULA))
    data = next(pieces) + next(pieces)
    written(decided(7), at(ended(7), 14))
    found = rows(data + b"".join(pieces))
    assert [int(row["number"]) for row in found] == [4, 5, 6, 7]


def test_a_day_with_a_change_of_the_clock_and_the_last_shift_have_their_length() -> None:
    since, end = span_of(DAY, "22:00", SHIFTS)
    assert end - since == timedelta(hours=8) and span_of(DAY, "06:00", ("06:00",))[1] == since + timedelta(hours=8)


def test_a_large_day_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_AT_ONCE", 100)
    count = 3_000
    journal = opened(tmp_path / "journal", ManualClock(wall_ns=NOON))
    journal.commit([record for number in range(1, count + 1) for record in (decided(number), at(ended(number), 0))])
    journal.close()
    journals = Journals(tmp_path / "journal")
    selected = journals.in_time(DAY, *span_of(DAY, "", SHIFTS))
    tracemalloc.start()
    size = sum(len(piece) for piece in journals.parts(selected))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 200 * count and peak < 2 * size, "neither the parts nor their lines are ever there as a whole"
