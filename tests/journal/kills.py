"""Kills a journal's writer at random instants, again and again, and holds what is on the disk against what it said.

    python -m tests.journal.kills FOLDER COUNT SEED

Prints what was seen as JSON; ends with a traceback when something acknowledged is missing or the chain is broken.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from edge.clock import SECOND, ManualClock
from edge.journal.heads import kept_head
from edge.journal.reading import read_notes, read_parts
from edge.journal.retention import KIND as DROPPED
from edge.journal.retention import Keep
from edge.journal.verify import verify
from tests.journal.records import KEY, decided, ended, opened, outside, part_id

HOUR = 3_600 * SECOND
START_NS = 1_790_337_600 * SECOND
PUBLIC = KEY.public_key().public_bytes_raw()


@dataclass
class Seen:
    """What was seen over all kills."""

    kills: int = 0
    acknowledged: int = 0
    kept_without_word: int = 0  # stored whole, though the kill came before the word
    before_the_first: int = 0  # kills before the first word: while the journal was opened
    days: int = 0
    dropped: int = 0


def write(folder: Path, first: int, hours: int, seed: int, pipe: int) -> None:
    """Commit batches from part `first` on and say the last number of each, until killed."""
    rng = random.Random(seed)
    clock = ManualClock(wall_ns=START_NS + hours * HOUR)
    journal = opened(folder, clock, Keep(3, 2_000, 1))
    while True:
        size = rng.choice([1, 1, 1, 3, 40])
        numbers = range(first, first + size)
        journal.commit([record for number in numbers for record in (decided(number), ended(number))])
        first += size
        os.write(pipe, f"{first - 1}\n".encode())
        if rng.random() < 0.15:
            clock.advance(rng.choice([1, 1, 12]) * HOUR)
            journal.tend()


def kill_one(folder: Path, first: int, hours: int, rng: random.Random) -> tuple[int | None, int]:
    """Let a writer work for a random while and kill it; the last number it said, and how many it said."""
    reading, writing = os.pipe()
    seed, words, pause_s = (
        rng.random(),
        rng.choice([0, 0, 1, 5, 15]),
        rng.random() * rng.choice([0.001, 0.01, 0.03]),
    )
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write(folder, first, hours, hash(seed), writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        heard = [said.readline() for _ in range(words)]
        time.sleep(pause_s)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        heard += said.readlines()
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    numbers = [int(line) for line in heard if line.endswith(b"\n")]
    return (numbers[-1] if numbers else None), len(numbers)


def check(folder: Path, acknowledged: int) -> int:
    """The newest part on the disk: everything up to it is there, whole, in an unbroken chain."""
    if not list(folder.glob("*.sqlite")):
        return 0
    found = verify(folder, [PUBLIC], kept_head(outside(folder), folder))
    assert found.broken == [], found.broken
    rows = read_parts(folder)
    numbers = [row.part_id for row in rows]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    assert all(row.decided is not None and row.outcome is not None for row in rows)
    newest = numbers[-1] - part_id(0) if numbers else 0
    assert newest >= acknowledged, f"part {acknowledged} was acknowledged, the newest is {newest}"
    return newest


def main(folder: Path, count: int, seed: int) -> Seen:
    rng = random.Random(seed)
    seen, newest = Seen(), 0
    for hours in range(0, 5 * count, 5):
        said, words = kill_one(folder, newest + 1, hours, rng)
        acknowledged = said if said is not None else newest
        seen.kills += 1
        seen.acknowledged += acknowledged - newest
        seen.before_the_first += words == 0
        newest = check(folder, acknowledged)
        assert newest - acknowledged in (0, 1, 3, 40), "a batch is there whole or not at all"
        seen.kept_without_word += newest > acknowledged
    opened(folder, ManualClock(wall_ns=START_NS + 5 * count * HOUR), Keep(3, 2_000, 1)).close()
    check(folder, newest)
    seen.days = len(list(folder.glob("*.sqlite")))
    seen.dropped = sum(note.kind == DROPPED for note in read_notes(folder))
    return seen


if __name__ == "__main__":
    print(json.dumps(asdict(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))
