"""One run of a station on a disk with a cache, and KENPIN_REPLAYS cuts of it afterwards: at any write, with any part of
what was not flushed lost. What was acknowledged by then is on the disk, and so is a PASS for each part that passed."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.journal.reading import read_parts
from tests.system.belts import parts_between
from tests.system.benches import PACE, Bench, Boot, bench
from tests.system.claims import Acknowledged, check_files, check_ring
from tests.system.device.disks import recover
from tests.system.device.write_log import Replay, Write, logged, writes
from tests.system.results import keep

REPLAYS = int(os.environ.get("KENPIN_REPLAYS", "400"))
COMMAND = "make test-system PYTEST_ARGS='-k lossy_disk'"


class Growth:
    """How long the log was, and when: sampled by a thread of its own."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at_ns: list[int] = []
        self._sizes: list[int] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.002):
                size = self._log.stat().st_size
                self._at_ns.append(time.monotonic_ns())
                self._sizes.append(size)

        thread = threading.Thread(target=look, name="log-growth")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def size_after(self, at_ns: int) -> int:
        """At least what the log held at this time."""
        place = bisect_left(self._at_ns, at_ns)
        return self._sizes[place + 1] if place + 1 < len(self._sizes) else 1 << 62

    def before(self, size: int) -> int:
        """A time at which the log was not longer than this."""
        place = bisect_right(self._sizes, size) - 1
        return self._at_ns[place] if place >= 0 else 0


def run(made: Bench, log: Path) -> tuple[Boot, Growth]:
    """A station that lets parts pass for a while; then the power goes."""
    growth = Growth(log)
    with Boot(made, data=logged("data", made.disk, log)) as boot, growth.watched():
        boot.inspect()
        boot.opens(12, 300)
        boot.device.cut()
    boot.hear()
    time.sleep(2 * PACE.silence / 1_000)
    return boot, growth


def known_by(boot: Boot, growth: Growth, size: int) -> Acknowledged:
    """What was acknowledged before the log was longer than this."""
    heard = Acknowledged()
    for line in boot.guest.lines("witness"):
        if growth.size_after(line.at_ns) <= size and line.text.startswith("row "):
            heard.hear(line.text, line.at_ns)
    return heard


def check_cut(disk: Path, boot: Boot, growth: Growth, last: Write, found: Path) -> tuple[int, int]:
    """The claims for the disk after a cut behind this write; how many rows and passed parts they were about."""
    found.mkdir(exist_ok=True)
    recover(disk, found, "journal", "state")
    known = known_by(boot, growth, last.end)
    journal, ring = found / "journal", found / "state" / "outcomes.ring"
    known.check(journal)
    check_files(journal, found / "state")
    if ring.exists():
        check_ring(ring)
    rows = read_parts(journal) if list(journal.glob("*.sqlite")) else []
    gate = boot.gate()
    assert gate is not None
    began_ns, until_ns = gate.from_host(boot.device.on_ns), gate.from_host(growth.before(last.end))
    born = [
        at_ns
        for at_ns in parts_between(PACE, began_ns, until_ns)
        if gate.middle_ns(at_ns) < growth.before(last.end)
    ]
    return len(known.rows), gate.check_nothing_passed_unrecorded(rows, born)


def test_any_cut_of_a_disk_that_loses_its_cache_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    dice = random.Random(39)
    log = tmp_path / "writes.log"
    log.touch()
    with bench(tmp_path) as made:
        before = tmp_path / "before.img"
        shutil.copy(made.disk, before)
        boot, growth = run(made, log)
    entries = list(writes(log))
    replay = Replay(before, entries, tmp_path, dice)
    rows = passed = 0
    for count in sorted(dice.choices(range(1, len(entries) + 1), k=REPLAYS)):
        disk = replay.cut_after(count)
        rows, passed = check_cut(disk, boot, growth, entries[count - 1], tmp_path / "found")
    flushes = sum(write.flush for write in entries)
    assert rows > 20 and passed > 3, "the last cuts came too early to show anything"
    lines = [
        f"- one run: {len(entries)} writes and flushes ({flushes} flushes) logged by the emulator; "
        f"{REPLAYS} cuts behind one of them, with all, half or none of what was written since the last flush lost",
        f"- each time ext4 was clean after its own recovery, SQLite whole, the ring readable, every row there that was "
        f"acknowledged by then (up to {rows}), and a PASS for every part that had passed the gate (up to {passed})",
    ]
    keep("lossy-disk", "Power cuts of a disk that loses its cache", COMMAND, lines)
