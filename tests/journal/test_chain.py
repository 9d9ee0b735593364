"""Whatever is changed, removed, added or exchanged in a journal afterwards is found, and named by file and row."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edge.clock import SECOND, ManualClock
from edge.journal import stamps
from edge.journal.chain import START, Head, canonical, follow, head_bytes
from edge.journal.heads import Heads, SignedHead, kept_head
from edge.journal.retention import Keep
from edge.journal.rows import TABLES, Note
from edge.journal.verify import Verified, verify
from tests.journal.records import KEY, decided, ended, opened, outside, refused, unknown

DAY = 86_400 * SECOND
NOON = 1_790_337_600 * SECOND  # 2026-09-25 12:00 UTC
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNATURE = (
    "5eaa08124fa5340ad7ea1eaf93c0e1a0041c0755dff0cf0f40a309d87df7bae7"
    "8d86ce28baa46eaba041b686cbbe19da2978eed2dd39786b3a9f5a9fabf8090b"
)
BOOT = "0b1f7e26-0a5e-4b0f-9a53-9f3ad3f9a7a5"


# --- the form ---------------------------------------------------------------------------------------------------


def test_the_canonical_form_is_the_documented_one():
    values = (1, -2, None, 0.25, "検", b"as stored")
    text = b"T\x00\x00\x00\x05notes"
    numbers = b"I\x00\x00\x00\x00\x00\x00\x00\x01" + b"I\xff\xff\xff\xff\xff\xff\xff\xfe" + b"N"
    real = b"R\x3f\xd0\x00\x00\x00\x00\x00\x00"
    texts = b"T\x00\x00\x00\x03\xe6\xa4\x9c" + b"T\x00\x00\x00\x09as stored"
    assert canonical("notes", values) == text + numbers + real + texts


def test_the_first_links_are_these():
    row = canonical("notes", (1, BOOT, 5, NOON, NOON, "start", "station line-3"))
    first = follow(START, row)
    assert first == Head(1, bytes.fromhex("bb7f2d0f1d335aeb468a8d4e5f3fc5b5a121e9fef7b55616aa4758ce15e91dc7"))
    assert first.link == sha256(bytes(32) + row).digest()
    assert head_bytes(first, 7) == b"kenpin journal head\n" + struct.pack(">q", 1) + first.link + struct.pack(
        ">q", 7
    )


def test_a_journal_of_known_records_ends_in_this_head(tmp_path, monkeypatch):
    """Another version of Kenpin that fails here cannot go on in the journals of this one."""
    monkeypatch.setattr(stamps, "boot_id", lambda: BOOT)
    journal = opened(tmp_path, ManualClock(5, NOON))
    journal.commit([Note(NOON, "start", "検品"), decided(1), unknown(2), ended(1), refused(2)])
    journal.close()
    found = verify(tmp_path, [PUBLIC])
    assert found.broken == []
    assert str(found.head) == "5:1a0146aaa7e3e1c24681c85c1c2676b54df0e400bd53e1414d62610a2b2913bc"
    assert found.signed is not None and found.signed.signature.hex() == SIGNATURE


def by_the_book(path: Path, head: Head) -> Head:
    """The chain of a file as docs/journal.md tells it, written a second time."""
    with closing(sqlite3.connect(path)) as file:
        rows = [(row[0], table, row) for table in TABLES for row in file.execute(f"SELECT * FROM {table}")]
    link = head.link
    for _, table, row in sorted(rows, key=lambda found: found[0]):
        data = b"T" + len(table).to_bytes(4, "big") + table.encode()
        for value in row[:-1]:
            if value is None:
                data += b"N"
            elif isinstance(value, int):
                data += b"I" + value.to_bytes(8, "big", signed=True)
            elif isinstance(value, float):
                data += b"R" + struct.pack(">d", value)
            else:
                data += b"T" + len(value.encode()).to_bytes(4, "big") + value.encode()
        link = sha256(link + data).digest()
        assert link == row[-1]
    return Head(head.number + len(rows), link)


# --- a journal that was tampered with ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days of which the first was dropped."""
    folder = tmp_path_factory.mktemp("original") / "journal"
    clock = ManualClock(wall_ns=NOON)
    journal = opened(folder, clock, Keep(3, 2_000, 0))
    for number in range(1, 41):
        good = number % 7
        journal.commit([decided(number) if good else unknown(number), Note(number, "test", f"part {number}")])
        journal.commit([ended(number) if good else refused(number)])
        if number in (10, 20, 30):
            clock.advance(DAY)
            journal.tend()
    journal.close()
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return copy(original, tmp_path / "copy")


def copy(original: Path, folder: Path) -> Path:
    """The same journal in a folder of its own, with the head that is kept outside of it."""
    shutil.copytree(original, folder)
    kept = kept_head(outside(original), original)
    assert kept is not None
    Heads(KEY, outside(folder)).keep(kept, folder)
    return folder


def check(folder: Path) -> Verified:
    return verify(folder, [PUBLIC], kept_head(outside(folder), folder))


def days(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sqlite"))


def content(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as file:
        return [
            row for table in (*TABLES, "heads") for row in file.execute(f"SELECT * FROM {table} ORDER BY number")
        ]


def change(path: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute(statement, values)
        file.commit()


def test_an_untouched_journal_is_intact(original: Path):
    found = check(original)
    assert found.broken == [] and found.files == 3
    assert found.parts is not None and found.parts.parts == 30
    assert found.signed is not None and found.signed.head == found.head
    head = found.begin
    for path in days(original):
        head = by_the_book(path, head)
    assert head == found.head


examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@examples
@given(data=st.data())
def test_any_flipped_bit_is_found_or_changes_nothing(original: Path, tmp_path_factory, data):
    folder = copy(original, tmp_path_factory.mktemp("flip") / "journal")
    path = data.draw(st.sampled_from(days(folder)), "file")
    before = content(path)
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1), "byte")
    raw[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path.write_bytes(raw)
    broken = check(folder).broken
    if broken:
        assert path.name in broken[0]
    else:
        assert content(path) == before


ROW = st.tuples(st.integers(0, 2), st.sampled_from(TABLES), st.integers(0, 9))


def pick(folder: Path, row: tuple[int, str, int]) -> tuple[Path, str, int]:
    """File, table and number of a row."""
    path = days(folder)[row[0]]
    with closing(sqlite3.connect(path)) as file:
        numbers = [found[0] for found in file.execute(f"SELECT number FROM {row[1]} ORDER BY number")]
    return path, row[1], numbers[row[2]]


OTHER = {"INTEGER": 77, "REAL": 0.875, "TEXT": "other", "BLOB": bytes(32)}


@examples
@given(row=ROW, column=st.integers(1, 30))
def test_any_changed_value_is_found_by_its_row(original: Path, tmp_path_factory, row, column):
    folder = copy(original, tmp_path_factory.mktemp("value") / "journal")
    path, table, number = pick(folder, row)
    with closing(sqlite3.connect(path)) as file:
        columns = file.execute(f"PRAGMA table_info({table})").fetchall()
    _, name, kind, *_ = columns[column % (len(columns) - 1) + 1]
    change(path, f"UPDATE {table} SET {name} = ? WHERE number = ?", (OTHER[kind], number))
    assert f"row {number} of {path.name}, in {table}, is not what was written" in check(folder).broken


@examples
@given(row=ROW)
def test_any_removed_row_is_found(original: Path, tmp_path_factory, row):
    folder = copy(original, tmp_path_factory.mktemp("row") / "journal")
    path, table, number = pick(folder, row)
    change(path, f"DELETE FROM {table} WHERE number = ?", (number,))
    broken = check(folder).broken
    assert broken and path.name in broken[0]
    assert str(number) in broken[0]


@examples
@given(row=ROW, other=st.integers(0, 9))
def test_exchanged_rows_are_found(original: Path, tmp_path_factory, row, other):
    assume(row[2] != other)
    folder = copy(original, tmp_path_factory.mktemp("order") / "journal")
    path, table, first = pick(folder, row)
    _, _, second = pick(folder, (row[0], table, other))
    for statement, values in (("-1", (first,)), (str(first), (second,)), (str(second), (-1,))):
        change(path, f"UPDATE {table} SET number = {statement} WHERE number = ?", values)
    broken = check(folder).broken
    for number in (first, second):
        assert f"row {number} of {path.name}, in {table}, is not what was written" in broken


def add_note(path: Path, number: int, before: Head) -> Head:
    """A note with a link that fits, by somebody who knows the form."""
    values = (number, BOOT, 1, 1, 1, "test", "added")
    head = follow(before, canonical("notes", values))
    change(path, "INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*values, head.link))
    return head


def head_at(path: Path, number: int) -> Head:
    """The head after the row of this number."""
    with closing(sqlite3.connect(path)) as file:
        both = " UNION ALL ".join(f"SELECT number, link FROM {table}" for table in (*TABLES, "heads"))
        return Head(*file.execute(f"SELECT * FROM ({both}) WHERE number = ?", (number,)).fetchone())


@examples
@given(row=ROW)
def test_a_row_that_was_put_between_others_is_found(original: Path, tmp_path_factory, row):
    assume(row[1] != "notes")
    folder = copy(original, tmp_path_factory.mktemp("more") / "journal")
    path, _, number = pick(folder, row)
    add_note(path, number, head_at(path, number - 1))
    assert f"row {number} stands twice in {path.name}" in check(folder).broken


@pytest.mark.parametrize("index", [0, 1])
def test_a_row_that_was_put_after_the_end_of_a_day_is_found(folder: Path, index: int):
    path, after = days(folder)[index : index + 2]
    end = max(row[0] for row in content(path))
    add_note(path, end + 1, head_at(path, end))
    broken = check(folder).broken
    assert (
        f"{after.name} goes on from row {end}, {path.name} ends at row {end + 1}: one of them was exchanged"
        in broken
    )


def test_a_row_after_the_last_signed_head_is_told_as_not_signed(folder: Path):
    """Until the next head nothing vouches for the newest rows: what a signature proves begins with the signature."""
    head = check(folder).head
    add_note(days(folder)[-1], head.number + 1, head)
    found = check(folder)
    assert found.broken == []
    assert found.signed is not None and found.head.number - found.signed.head.number == 1


@examples
@given(index=st.integers(0, 2), share=st.floats(0, 0.999))
def test_a_truncated_file_is_named(original: Path, tmp_path_factory, index, share):
    folder = copy(original, tmp_path_factory.mktemp("cut") / "journal")
    path = days(folder)[index]
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    broken = check(folder).broken
    assert broken and any(path.name in words for words in broken)


def rewrite(folder: Path, key: Ed25519PrivateKey) -> None:
    """What somebody with another key can do: change a record, link and sign everything after it anew."""
    heads = Heads(key, outside(folder))
    head: Head | None = None
    for path in days(folder):
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            kept = [row[0] for row in file.execute("SELECT number FROM heads ORDER BY number")]
            head = head or head_at(path, kept[0])
            file.execute("UPDATE decided SET kind = 'PASS'")
            signed = [heads.sign(head, NOON)]
            rows = [(row[0], table, row) for table in TABLES for row in file.execute(f"SELECT * FROM {table}")]
            for number, table, row in sorted(rows, key=lambda found: found[0]):
                head = follow(head, canonical(table, row[:-1]))
                file.execute(f"UPDATE {table} SET link = ? WHERE number = ?", (head.link, number))
                signed += [heads.sign(head, NOON)] if number in kept else []
            file.execute("DELETE FROM heads")
            for one in signed:
                values = (one.head.number, one.head.link, one.wall_ns, one.key, one.signature)
                file.execute("INSERT INTO heads VALUES (?, ?, ?, ?, ?)", values)


def test_a_journal_that_was_written_anew_is_told_by_its_key(folder: Path):
    other = Ed25519PrivateKey.generate()
    rewrite(folder, other)
    assert verify(folder).broken == [], "the chain itself is sound, so without a key nothing tells"
    assert all("is signed by another key" in words for words in verify(folder, [PUBLIC]).broken)
    assert any("not the one that was signed or noted elsewhere" in words for words in check(folder).broken)


def test_the_device_itself_can_write_it_anew_and_only_a_head_noted_elsewhere_tells(folder: Path):
    noted = head_at(days(folder)[1], check(folder).begin.number + 50)
    rewrite(folder, KEY)
    assert verify(folder, [PUBLIC]).broken == []
    assert verify(folder, [PUBLIC], anchors=[noted]).broken == [
        f"row {noted.number} of {days(folder)[1].name} is not the one that was signed or noted elsewhere"
    ]


def test_a_removed_day_is_found_wherever_it_was(original: Path, tmp_path: Path):
    first, middle, last = days(original)
    words = {}
    for path in (first, middle, last):
        folder = copy(original, tmp_path / path.stem)
        (folder / path.name).unlink()
        words[path] = check(folder).broken
    assert words[first] == [f"{middle.name} goes on from row 60, and no note says that those before were dropped"]
    ends = f"{first.name} ends at row 60"
    assert words[middle] == [f"{last.name} goes on from row 90, {ends}: what was between is missing"]
    assert "row 121 was signed or noted and is missing: the journal ends before it" in words[last]


def test_days_under_each_others_names_are_found(folder: Path):
    first, second, _ = days(folder)
    aside = folder / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    assert any("one of them was exchanged" in words for words in check(folder).broken)


def test_removing_the_newest_rows_with_their_heads_is_told_by_the_head_outside(folder: Path):
    path, head = days(folder)[-1], check(folder).head
    for table in (*TABLES, "heads"):
        change(path, f"DELETE FROM {table} WHERE number > ?", (head.number - 5,))
    assert verify(folder, [PUBLIC]).broken == []
    assert check(folder).broken == [
        f"row {head.number} was signed or noted and is missing: the journal ends before it"
    ]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE heads SET signature = zeroblob(64)", "the signature of the head at row"),
        (
            "UPDATE heads SET link = zeroblob(32) WHERE number = (SELECT MAX(number) FROM heads)",
            "not that of its row",
        ),
        ("UPDATE heads SET wall_ns = 1", "the signature of the head at row"),
        ("UPDATE heads SET key = zeroblob(3)", "the signature of the head at row"),
        ("DELETE FROM heads WHERE number = (SELECT MAX(number) FROM heads)", "is not signed"),
        ("DELETE FROM heads", "it holds no head"),
        ("CREATE TABLE more (x)", "it has other tables than Kenpin makes"),
        ("ALTER TABLE notes ADD COLUMN more TEXT", "it has other tables than Kenpin makes"),
    ],
)
def test_what_was_done_to_the_heads_or_the_tables_is_found(folder: Path, statement: str, words: str):
    path = days(folder)[1]
    change(path, statement)
    broken = check(folder).broken
    assert any(words in found and path.name in found for found in broken), broken


def test_a_journal_whose_end_vanished_goes_on_after_the_row_that_was_signed(folder: Path):
    """Whoever deletes the newest file, or all of them, cannot make the next run hide it."""
    head = check(folder).head
    days(folder)[-1].unlink()
    journal = opened(folder, ManualClock(wall_ns=NOON + 9 * DAY))
    journal.commit([Note(1, "test", "the next run")])
    journal.close()
    found = check(folder)
    name = days(folder)[-1].name
    assert f"rows 91 to {head.number} are missing in {name}" in found.broken
    assert found.head.number == head.number + 3, "the gap, the clock, and the note that was told"


def test_a_new_key_is_on_record_and_both_must_be_given(folder: Path):
    other = Ed25519PrivateKey.generate()
    journal = opened(folder, ManualClock(wall_ns=NOON + 9 * DAY), key=other)
    journal.commit([Note(1, "test", "signed by another")])
    journal.close()
    both = [PUBLIC, other.public_key().public_bytes_raw()]
    assert verify(folder, both).broken == [] and set(verify(folder).keys) == set(both)
    assert verify(folder, [PUBLIC]).broken != []
    with closing(sqlite3.connect(days(folder)[-1])) as file:
        assert "signed by" in file.execute("SELECT words FROM notes WHERE kind = 'key'").fetchone()[0]


def test_a_signed_head_of_another_folder_says_nothing(tmp_path: Path):
    heads = Heads(KEY, tmp_path / "journal.head")
    signed = heads.sign(Head(5, bytes(32)), 7)
    assert signed == SignedHead(Head(5, bytes(32)), 7, PUBLIC, signed.signature) and signed.is_genuine()
    heads.keep(signed, tmp_path / "a")
    assert heads.kept(tmp_path / "a") == signed and heads.kept(tmp_path / "b") is None
    (tmp_path / "journal.head").write_text("5 6 7\n")
    assert heads.kept(tmp_path / "a") is None
