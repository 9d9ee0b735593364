"""Every record reaches the broker at least once and in order, however often broker, outbox or station are away."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from edge.clock import SECOND, ManualClock, SystemClock
from edge.errors import ControlError
from edge.journal import files
from edge.journal.chain import START, Head, canonical, follow
from edge.journal.events import Journal
from edge.journal.lots import KIND as LOT
from edge.journal.lots import NamedLot, lots_in
from edge.journal.retention import Keep
from edge.journal.rows import Note
from edge.station import load
from tests.journal.records import SMALL, decided, ended, opened, outside, part_id, refused, unknown
from tests.peers import eventually
from tests.peers.plcs import free_port

pytest.importorskip("paho", reason="pip install 'kenpin[mqtt]'")

from edge.outbox.backlog import newest_number
from edge.outbox.send import Outbox
from tests.peers.mosquitto import Mosquitto, Receiver

DAY_NS = 86_400 * SECOND
STATION = """
[station]
name = "line-3"
mode = "collect"
state_dir = "state"
run_dir = "run"
[[camera]]
name = "top"
kind = "belt"
[trigger]
kind = "simulated"
pitch_ms = 100
[journal]
dir = "journal"
[mqtt]
host = "127.0.0.1"
port = {port}
status_every_s = 1
timeout_s = 5
{more}
"""


@pytest.fixture
def station(tmp_path: Path) -> Path:
    return station_file(tmp_path, free_port())


def station_file(folder: Path, port: int, more: str = "tls = false") -> Path:
    path = folder / "station.toml"
    path.write_text(STATION.format(port=port, more=more))
    return path


def port_of(station: Path) -> int:
    return int(station.read_text().partition("port = ")[2].split()[0])


@contextmanager
def outbox(station: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, ended by SIGTERM, or killed before; `said` tells its log."""
    words = [sys.executable, "-m", "edge.cli", "outbox", str(station)]
    with log_of(station).open("wb") as log, subprocess.Popen(words, stderr=log) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def log_of(station: Path) -> Path:
    return station.with_name("outbox.log")


def says(station: Path, words: str) -> None:
    eventually(lambda: words in log_of(station).read_text(), f"it says {words!r}")


def write(station: Path, first: int, count: int) -> None:
    with closing_journal(station) as journal:
        for number in range(first, first + count):
            journal.commit([decided(number), ended(number)])


@contextmanager
def closing_journal(
    station: Path, clock: ManualClock | SystemClock | None = None, keep: Keep = SMALL
) -> Iterator[Journal]:
    folder = station.parent / "journal"
    journal = opened(folder, clock or SystemClock(), keep)
    try:
        yield journal
    finally:
        journal.close()


def columns(row: dict[str, Any]) -> list[Any]:
    """The values that the chain is computed of: what stands between `id` and `link`, whatever else a message grows."""
    names = list(row)
    return [row[name] for name in names[names.index("id") + 1 : names.index("link")]]


def chain(rows: Sequence[dict[str, Any]]) -> Head:
    """Whoever gets the rows can check that none is missing and none was changed; returns the chain's head."""
    head, seen = START, 0
    for row in rows:
        if row["number"] <= seen:
            continue  # it came before
        table = row["topic"].rpartition("/")[2]
        head, seen = follow(head, canonical(table, columns(row))), row["number"]
        assert (head.number, head.link.hex()) == (row["number"], row["link"])
        assert row["id"] == f"{row['number']}:{row['link']}"
    return head


def test_what_was_recorded_while_the_broker_was_away_comes_in_order_and_the_chain_holds(station: Path) -> None:
    clock = ManualClock(wall_ns=1_790_000_000 * SECOND)
    with closing_journal(station, clock) as journal:
        for day in range(3):
            for number in range(100):
                journal.commit([unknown(day * 100 + number + 1), ended(day * 100 + number + 1)])
            journal.commit([Note(clock.wall_ns(), "stop", "a limit: 検品")])
            clock.advance(DAY_NS)
    with outbox(station) as process:
        says(station, "cannot be reached")
        with Mosquitto(station.parent, port_of(station)), Receiver(port_of(station)) as receiver:
            eventually(lambda: len(receiver.rows) >= 603, "all three days come")
            write(station, 301, 20)
            eventually(lambda: len(receiver.rows) >= 643, "what is recorded now comes too")
            eventually(lambda: told(receiver) == len(receiver.rows), "the status tells of the last one")
            assert chain(receiver.rows).number == len(receiver.rows)
            assert receiver.status[-1]["outbox"] == "connected"
            assert receiver.status[-1]["state"] is None  # no eye runs
        assert process.poll() is None
    assert process.returncode == 0


def test_records_are_sent_on_where_a_killed_outbox_stood_and_none_is_left_out(station: Path) -> None:
    write(station, 1, 1_500)
    with Mosquitto(station.parent, port_of(station)), Receiver(port_of(station)) as receiver:
        for least in (100, 1_000, 2_000):
            with outbox(station) as process:
                eventually(lambda least=least: len(receiver.rows) >= least, "it sends")
                process.kill()
        eventually(lambda: receiver.status and receiver.status[-1]["outbox"] == "away", "the broker tells")
        with outbox(station):
            eventually(lambda: receiver.status[-1]["outbox"] == "connected", "it is there again")
            eventually(lambda: len(set(receiver.numbers())) == 3_000, "the rest comes")
        assert chain(receiver.rows).number == 3_000
        eventually(lambda: receiver.status[-1]["outbox"] == "stopped", "it takes its leave")


def test_a_broker_that_is_killed_again_and_again_costs_no_record(station: Path) -> None:
    """The receiver of a broker without a disk misses what comes before it has subscribed again; the place that the
    outbox keeps is what must be right: nothing counts as taken that no broker has taken."""
    write(station, 1, 1_000)
    broker = Mosquitto(station.parent, port_of(station))
    seen: set[int] = set()
    with broker, outbox(station) as process:
        for _ in range(2):
            with Receiver(broker.port) as receiver:
                eventually(lambda: receiver.rows or sent(station) == 2_000, "it sends")
                broker.kill()
                seen |= set(receiver.numbers())
            broker.start()
        eventually(lambda: sent(station) == 2_000, "it says that all are taken", within_s=60)
        assert process.poll() is None
    assert seen


def parts_of(receiver: Receiver) -> list[int]:
    """The numbers of the parts that the rows tell of, 0 for a note."""
    return [row.get("part_id", 0) & 0xFFFF for row in receiver.rows]


def told(receiver: Receiver) -> int:
    """The last row that the broker has, by the newest status, when none waits; 0 otherwise."""
    newest = receiver.status[-1]
    return newest["sent"] if newest.get("waiting") == 0 else 0


def sent(station: Path) -> int:
    path = station.parent / "state" / "outbox.place"
    return int(path.read_text().partition(":")[0]) if path.exists() else 0


def test_days_that_were_dropped_before_they_were_sent_are_told(station: Path) -> None:
    clock = ManualClock(wall_ns=1_790_000_000 * SECOND)
    keep = Keep(days=1, max_mb=2_000, reserve_mb=0)
    with Mosquitto(station.parent, port_of(station)), Receiver(port_of(station)) as receiver:
        with closing_journal(station, clock, keep) as journal:
            journal.commit([decided(1), ended(1)])
        with outbox(station):
            eventually(lambda: sent(station) == 2, "the first day is sent")
        with closing_journal(station, clock, keep) as journal:
            journal.commit([decided(2), ended(2)])
            for number in range(3, 8):
                clock.advance(DAY_NS)
                journal.commit([decided(number), ended(number)])
                journal.tend()
        with outbox(station):
            eventually(lambda: 7 in parts_of(receiver), "it goes on")
            eventually(lambda: receiver.status[-1].get("dropped", 0) > 0, "the gap is told")


def named(lot: str, number: int) -> Note:
    return Note(0, LOT, NamedLot(lot, part_id(number)).words("by anna"))


def lots(receiver: Receiver) -> list[str | None]:
    """The lot of each row, None where the message has none."""
    return [row.get("lot") for row in receiver.rows]


def test_each_part_has_the_lot_that_it_was_born_in_over_days_and_restarts(station: Path) -> None:
    clock = ManualClock(wall_ns=1_790_000_000 * SECOND)
    with closing_journal(station, clock) as journal:
        journal.commit([decided(1), named("4711", 2), decided(2), ended(1)])
        clock.advance(DAY_NS)
        journal.commit(
            [unknown(3), named("=検査 2", 4), decided(4), refused(3), ended(2), Note(0, "ack", "looked")]
        )
    sent_lots = ["", None, "4711", "", "4711", None, "=検査 2", "4711", "4711", None]
    with Mosquitto(station.parent, port_of(station)), Receiver(port_of(station)) as receiver:
        with outbox(station):
            eventually(lambda: sent(station) == 10, "all is sent")
        eventually(lambda: len(receiver.rows) == 10, "all came")
        assert lots(receiver) == sent_lots
        assert {row["form"] for row in receiver.rows} == {1} and chain(receiver.rows).number == 10
        recorded = lots_in(files.day_files(station.parent / "journal"))
        assert all(row["lot"] == recorded.lot_of(row["part_id"]) for row in receiver.rows if "part_id" in row)
        place = station.parent / "state" / "outbox.place"
        place.write_text(place.read_text().replace(place.read_text().splitlines()[0], receiver.rows[6]["id"]))
        with outbox(station):
            eventually(lambda: len(receiver.rows) == 13, "the last three come again")
        assert receiver.rows[10:] == receiver.rows[7:10], "the same words by the same id"


def test_a_lot_whose_note_was_dropped_before_it_was_sent_is_not_taken_for_the_one_before(station: Path) -> None:
    clock = ManualClock(wall_ns=1_790_000_000 * SECOND)
    keep = Keep(days=1, max_mb=2_000, reserve_mb=0)
    with Mosquitto(station.parent, port_of(station)), Receiver(port_of(station)) as receiver:
        with closing_journal(station, clock, keep) as journal:
            journal.commit([named("old", 1), decided(1)])
        with outbox(station) as process:
            eventually(lambda: sent(station) == 2, "the first day is sent")
            process.send_signal(signal.SIGSTOP)
            with closing_journal(station, clock, keep) as journal:
                journal.commit([named("4711", 2), decided(2)])
                for number in range(3, 8):
                    clock.advance(DAY_NS)
                    journal.commit([decided(number)])
                    journal.tend()
            process.send_signal(signal.SIGCONT)
            eventually(lambda: 7 in parts_of(receiver), "it goes on")
            says(station, "were dropped")
        assert lots(receiver)[1] == "old" and lots(receiver)[parts_of(receiver).index(7)] == ""


def test_another_journal_is_sent_from_its_beginning(station: Path) -> None:
    with Mosquitto(station.parent, port_of(station)), Receiver(port_of(station)) as receiver:
        write(station, 1, 10)
        with outbox(station):
            eventually(lambda: sent(station) == 20, "the first journal is sent")
        for path in (*(station.parent / "journal").iterdir(), outside(station.parent / "journal")):
            path.unlink()
        write(station, 31, 10)
        with outbox(station):
            eventually(lambda: 40 in parts_of(receiver), "all of it is sent")
            eventually(lambda: told(receiver) == len(receiver.rows) - 20, "it was the last one")
        assert chain(receiver.rows[20:]).number == len(receiver.rows) - 20


def test_a_second_outbox_of_a_station_is_refused(station: Path) -> None:
    write(station, 1, 1)
    with outbox(station):
        says(station, "cannot be reached")
        words = [sys.executable, "-m", "edge.cli", "outbox", str(station)]
        second = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert second.returncode == 74
    assert "another edge outbox" in second.stderr


# --- who may ----------------------------------------------------------------------------------------------------


def test_over_tls_with_certificate_and_password_it_sends_and_a_strange_broker_is_not_trusted(
    tmp_path: Path,
) -> None:
    authority, broker, strange = make_certificates(tmp_path)
    (tmp_path / "word").write_text("secret\n")
    (tmp_path / "passwords").write_text("line-3:secret\n")
    subprocess.run(["mosquitto_passwd", "-U", str(tmp_path / "passwords")], check=True)
    more = f'username = "line-3"\npassword_file = "word"\nca = "{authority}"'
    guarded = ["allow_anonymous false", f"password_file {tmp_path / 'passwords'}", "tls_version tlsv1.2"]
    port = free_port()
    station = station_file(tmp_path, port, more)
    write(station, 1, 5)
    with outbox(station):
        with Mosquitto(tmp_path, port, [*guarded, f"certfile {strange}", f"keyfile {strange}"]):
            says(station, "certificate verify failed")
            assert sent(station) == 0
        with Mosquitto(tmp_path, port, [*guarded, f"certfile {broker}", f"keyfile {broker}"]):
            eventually(lambda: sent(station) == 10, "a broker that the authority knows gets them")


def test_a_broker_that_refuses_the_password_is_named(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "passwords").write_text("line-3:secret\n")
    subprocess.run(["mosquitto_passwd", "-U", str(tmp_path / "passwords")], check=True)
    station = station_file(tmp_path, port, 'tls = false\nusername = "line-3"')
    write(station, 1, 5)
    guarded = ["allow_anonymous false", f"password_file {tmp_path / 'passwords'}"]
    with Mosquitto(tmp_path, port, guarded), outbox(station):
        says(station, "refuses the station")
    assert sent(station) == 0


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, a broker's certificate with its key, and one that another authority signed."""
    made = []
    for name in ("authority", "other"):
        key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
        openssl(f"/CN={name}", key, certificate)
        path = folder / f"broker-of-{name}.pem"
        signer = ("-CA", str(certificate), "-CAkey", str(key), "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("/CN=127.0.0.1", folder / "broker.key", path, *signer)
        path.write_text(path.read_text() + (folder / "broker.key").read_text())
        made.append(path)
    return folder / "authority.pem", made[0], made[1]


def openssl(subject: str, key: Path, certificate: Path, *more: str) -> None:
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
    subprocess.run([*words, "-keyout", str(key), "-out", str(certificate), *more], check=True, capture_output=True)


def test_while_the_broker_is_away_the_eye_is_told_how_much_waits(station: Path) -> None:
    write(station, 1, 20)
    loaded, stop, told = load(station), Event(), []
    assert loaded.mqtt is not None
    box = Outbox(loaded, loaded.mqtt, SystemClock(), stop)

    def tell_outbox(waiting: int, dropped: int) -> None:
        told.append((waiting, dropped))
        stop.set()
        raise ControlError("no eye")

    box._control = SimpleNamespace(tell_outbox=tell_outbox)
    box.run()
    assert told == [(newest_number(loaded.journal.dir), 0)] and told[0][0] >= 40
