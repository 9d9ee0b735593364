"""The broker is down for a week of records: each reaches its consumer afterwards, oldest first, and counts once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.clock import SECOND, ManualClock
from edge.journal.retention import Keep
from edge.outbox.backlog import LOCK, PLACE, newest_number
from tests.journal.records import decided, ended
from tests.outbox.test_outbox import chain, closing_journal, log_of, outbox, port_of, says, sent, station_file
from tests.peers import eventually
from tests.peers.mosquitto import Mosquitto
from tests.peers.plcs import free_port
from tests.system.costs import cpu_s, memory_mb
from tests.system.results import Table

DAYS, PARTS_A_DAY = 7, 7_143
RECORDS = 2 * DAYS * PARTS_A_DAY  # a verdict and an outcome of each part: 100,002
BATCH = 25
DAY_NS = 86_400 * SECOND
KEEP = Keep(days=30, max_mb=100, reserve_mb=0)
RESULTS = Table(
    "outbox-week",
    f"{RECORDS:,} records of seven days while mosquitto is down, and afterwards",
    "make test-system PYTEST_ARGS='-k outbox_week'",
    ("what", "seen"),
)


class Consumer:
    """A program at the plant with a session that the broker keeps: it knows records by their id."""

    def __init__(self, port: int) -> None:
        self.rows: list[dict[str, Any]] = []  # as they came first
        self.again = 0  # came although they were known
        self._ids: set[str] = set()
        self._is_subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("kenpin/+/+", qos=1)
        self._client.on_subscribe = lambda *_: self._is_subscribed.set()
        self._client.on_message = self._heard
        self._port = port

    def __enter__(self) -> Consumer:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._is_subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if message.topic.endswith("/status"):
            return
        row = json.loads(message.payload)
        if row["id"] in self._ids:
            self.again += 1
        else:
            self._ids.add(row["id"])
            self.rows.append(row | {"topic": message.topic})


def cost(pid: int) -> tuple[float, float]:
    """Seconds of processor and peak of memory in MB of a process."""
    return cpu_s(pid), memory_mb(pid, "VmHWM")


def held_mb(*paths: Path) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


def record_week(station: Path, clock: ManualClock) -> None:
    """A week of parts, a few at a time, each day looked after as the eye does."""
    with closing_journal(station, clock, KEEP) as journal:
        for first in range(101, 101 + DAYS * PARTS_A_DAY, BATCH):
            numbers = range(first, min(first + BATCH, 101 + DAYS * PARTS_A_DAY))
            journal.commit([record for number in numbers for record in (decided(number), ended(number))])
            clock.advance(len(numbers) * DAY_NS // PARTS_A_DAY)
            if (first - 101) % (BATCH * 40) == 0:
                journal.tend()


@contextmanager
def plant(folder: Path) -> Iterator[tuple[Path, Mosquitto, Consumer]]:
    """A station, a broker that keeps what it holds when it is stopped, and a consumer; one day was sent already."""
    station = station_file(folder, free_port())
    kept = ["allow_anonymous true", "persistence true", f"persistence_location {folder}/"]
    with Mosquitto(folder, port_of(station), kept) as broker, Consumer(broker.port) as consumer:
        yield station, broker, consumer


def kill_now_and_then(station: Path, broker: Mosquitto, consumer: Consumer, first: int) -> tuple[float, float]:
    """The backlog is sent while the outbox is killed twice and the broker started anew; what the last outbox cost."""
    for share in (0.2, 0.5):
        with outbox(station) as process:
            eventually(lambda share=share: len(consumer.rows) > first + share * RECORDS, "it sends", 600, 0.05)
            process.kill()
    with outbox(station) as process:
        eventually(lambda: len(consumer.rows) > first + 0.7 * RECORDS, "it goes on", 600, 0.05)
        broker.stop()
        broker.start()
        eventually(lambda: sent(station) == first + RECORDS, "all are the broker's", 600, 0.1)
        eventually(lambda: len(consumer.rows) == first + RECORDS, "all came", 600, 0.1)
        return cost(process.pid)


def test_a_week_without_a_broker_loses_nothing_and_nothing_counts_twice(tmp_path: Path) -> None:
    clock = ManualClock(wall_ns=1_790_000_000 * SECOND)
    with plant(tmp_path) as (station, broker, consumer):
        journal = station.parent / "journal"
        with closing_journal(station, clock, KEEP) as before:
            for number in range(1, 101):
                before.commit([decided(number), ended(number)])
        with outbox(station) as process:
            eventually(lambda: sent(station) == len(consumer.rows) == 200, "the time before is sent", 60)
            broker.stop()
            says(station, "trying again")
            record_week(station, clock)
            used_s, peak_mb = cost(process.pid)
            words = len(log_of(station).read_text().splitlines())
        first, newest = 200, newest_number(journal) or 0
        own = [path for path in (station.parent / "state").iterdir() if path.name.startswith("outbox")]
        assert {path.name for path in own} == {PLACE, LOCK} and held_mb(*own) < 0.001
        days = list(journal.rglob("*"))
        assert held_mb(*days) < KEEP.max_mb
        RESULTS.add(
            "records while it was away", f"{newest - first:,} in {len(list(journal.glob('*.sqlite')))} days"
        )
        RESULTS.add(
            "on the disk", f"{held_mb(*days):.0f} MB of journal; {1e6 * held_mb(*own):.0f} bytes of the outbox"
        )
        RESULTS.add(
            "the outbox meanwhile", f"{used_s:.1f} s of processor, {peak_mb:.0f} MB at most, {words} lines of log"
        )
        assert newest == first + RECORDS
        broker.start()
        began = time.monotonic()
        used_s, peak_mb = kill_now_and_then(station, broker, consumer, first)
        RESULTS.add(
            "sent in", f"{time.monotonic() - began:.0f} s, the outbox killed twice, mosquitto started anew once"
        )
        RESULTS.add("the last of the three outboxes", f"{used_s:.1f} s of processor, {peak_mb:.0f} MB at most")
        check(consumer, newest)


def check(consumer: Consumer, newest: int) -> None:
    """Nothing is missing, the oldest came first, and what came twice was known by its id."""
    numbers = [row["number"] for row in consumer.rows]
    assert numbers == list(range(1, newest + 1))
    assert chain(consumer.rows).number == newest
    RESULTS.add("at the consumer", f"{len(numbers):,} records, none missing, in their order, the chain holds")
    RESULTS.add("came twice, known by their id", f"{consumer.again:,}")
    assert consumer.again < newest / 10
