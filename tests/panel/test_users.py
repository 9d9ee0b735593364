"""Users are kept hashed in one whole file; sessions end by themselves; guessing gets slower and slower."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.errors import ConfigError
from edge.panel import users as users_module
from edge.panel.sessions import MOST, Sessions
from edge.panel.throttle import FREE, LONGEST_S, Throttle
from edge.panel.users import FILE, Role, User, Users
from tests.eye.stations import ROOT

WORD = "correct horse 9"
ANNA = User("anna", Role.OPERATOR, "mark")


def test_a_password_opens_to_its_user_only(tmp_path: Path, costly: None) -> None:
    known = Users(tmp_path)
    known.add("anna", Role.OPERATOR, WORD)
    assert known.check("anna", WORD) == known.find("anna")
    assert known.check("anna", WORD + "x") is None
    assert known.check("berta", WORD) is None
    assert [user.name for user in known.all()] == ["anna"]


def test_the_file_holds_no_password_and_others_cannot_read_it(tmp_path: Path) -> None:
    known = Users(tmp_path)
    known.add("anna", Role.OPERATOR, WORD)
    known.add("berta", Role.VIEWER, WORD)
    text = (tmp_path / FILE).read_text()
    assert WORD not in text
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o640
    first, second = (known.find(name) for name in ("anna", "berta"))
    assert first is not None and second is not None and first.mark != second.mark, "each has a salt of its own"
    assert not list(tmp_path.glob("*.partial"))


def test_an_unknown_name_takes_the_same_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Users(tmp_path)
    known.add("anna", Role.OPERATOR, WORD)
    hashed: list[str] = []
    hash_it = users_module._scrypt
    monkeypatch.setattr(
        users_module, "_scrypt", lambda password, salt: hashed.append(password) or hash_it(password, salt)
    )
    assert known.check("anna", "wrong word") is None and known.check("nobody", "wrong word") is None
    assert hashed == ["wrong word"] * 2


def test_what_another_process_changes_counts_at_once(tmp_path: Path) -> None:
    here, there = Users(tmp_path), Users(tmp_path)
    assert here.find("anna") is None
    there.add("anna", Role.VIEWER, WORD)
    before = here.find("anna")
    assert before is not None and before.role is Role.VIEWER
    there.set_password("anna", "another horse 9")
    assert here.check("anna", WORD) is None and here.find("anna") != before
    there.remove("anna")
    assert here.find("anna") is None


@pytest.mark.parametrize(
    "word", ["short", "anna123456", "1234567890", "aaaaaaaaaaaa", "password123", "x" * 201, "line\nbreak 12"]
)
def test_a_password_that_is_easily_guessed_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError, match="choose another"):
        Users(tmp_path).add("anna", Role.OPERATOR, word)


@pytest.mark.parametrize("name", ["", "a b", "../x", "<b>", "x" * 41, "a\n"])
def test_a_strange_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="use up to 40 letters"):
        Users(tmp_path).add(name, Role.OPERATOR, WORD)


def test_nobody_is_added_twice_or_removed_who_is_not_there(tmp_path: Path) -> None:
    known = Users(tmp_path)
    known.add("anna", Role.OPERATOR, WORD)
    with pytest.raises(ConfigError, match="already"):
        known.add("anna", Role.ENGINEER, WORD)
    with pytest.raises(ConfigError, match="only anna"):
        known.remove("berta")


def test_a_damaged_file_is_said_and_not_written_over(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"users": [{"name": "anna", "role": "god"}]}')
    for ask in (Users(tmp_path).all, lambda: Users(tmp_path).add("anna", Role.VIEWER, WORD)):
        with pytest.raises(ConfigError, match="damaged: move it away"):
            ask()
    assert "god" in (tmp_path / FILE).read_text()


def test_users_are_kept_by_the_command(tmp_path: Path, costly: None) -> None:
    station = tmp_path / "station.toml"
    station.write_text((ROOT / "examples" / "first-station.toml").read_text().replace(
        "[station]", '[station]\nstate_dir = "state"'
    ))  # fmt: skip
    command = [sys.executable, "-m", "edge.cli", "panel-user"]

    def told(*arguments: str, word: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [*command, *arguments], input=word, capture_output=True, text=True, cwd=ROOT, timeout=60
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    code, words = told("add", str(station), "anna", word=WORD)
    assert code == 78 and "run edge setup first" in words
    (tmp_path / "state").mkdir()
    assert told("add", str(station), "anna", "--role", "operator", word=WORD)[0] == 0
    assert told("list", str(station)) == (0, "anna  operator\n")
    assert Users(tmp_path / "state").check("anna", WORD) is not None
    assert told("remove", str(station), "anna")[0] == 0
    nobody = f"nobody may sign in yet: edge panel-user add {station} NAME --role operator\n"
    assert told("list", str(station)) == (0, nobody)


# --- sessions ---


def sessions(known: dict[str, User] | None = None) -> tuple[Sessions, ManualClock]:
    clock = ManualClock()
    people = {"anna": ANNA} if known is None else known
    return Sessions(clock, people.get, idle_s=900, longest_s=36_000), clock


def test_a_session_ends_when_nothing_is_done_for_long() -> None:
    open_, clock = sessions()
    token = open_.begin(ANNA)
    for _ in range(3):
        clock.advance(800 * SECOND)
        assert open_.find(token, acts=True) is not None
    clock.advance(600 * SECOND)
    assert open_.find(token, acts=False) is not None, "a page that refreshes itself is no act"
    clock.advance(400 * SECOND)
    assert open_.find(token, acts=True) is None
    assert open_.find(token, acts=True) is None


def test_a_session_ends_after_its_longest_time_whatever_is_done() -> None:
    open_, clock = sessions()
    token = open_.begin(ANNA)
    for _ in range(44):
        clock.advance(800 * SECOND)
        assert open_.find(token, acts=True) is not None
    clock.advance(800 * SECOND)
    assert open_.find(token, acts=True) is None


def test_who_can_only_look_stays_signed_in_for_a_screen_on_the_wall() -> None:
    vera = User("vera", Role.VIEWER, "mark")
    open_, clock = sessions({"vera": vera})
    token = open_.begin(vera)
    clock.advance(30_000 * SECOND)
    assert open_.find(token, acts=False) is not None


@pytest.mark.parametrize("now", [None, User("anna", Role.VIEWER, "mark"), User("anna", Role.OPERATOR, "other")])
def test_a_session_ends_at_once_when_its_user_is_another_one(now: User | None) -> None:
    known: dict[str, User] = {"anna": ANNA}
    open_, _ = sessions(known)
    token = open_.begin(ANNA)
    known.pop("anna")
    if now is not None:
        known["anna"] = now
    assert open_.find(token, acts=True) is None


def test_many_sessions_make_room_for_new_ones() -> None:
    known = {f"u{number}": User(f"u{number}", Role.VIEWER, "") for number in range(MOST + 5)}
    open_, clock = sessions(known)
    tokens = []
    for user in known.values():
        clock.advance(SECOND)
        tokens.append(open_.begin(user))
    alive = [open_.find(token, acts=False) is not None for token in tokens]
    assert alive == [False] * 5 + [True] * MOST
    assert open_.find("", acts=True) is None and open_.find("made up \ud800", acts=True) is None


# --- throttle ---


def test_each_failure_doubles_the_wait_up_to_a_minute() -> None:
    clock = ManualClock()
    throttle = Throttle(clock)
    assert [throttle.begin("anna", "a") for _ in range(FREE)] == [0.0] * FREE
    waits = []
    for _ in range(9):
        wait_s = throttle.begin("anna", "a")
        waits.append(wait_s)
        clock.advance(round(wait_s * SECOND))
        assert throttle.begin("anna", "a") == 0.0
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]


def test_a_name_is_slowed_from_every_address_and_an_address_for_every_name() -> None:
    throttle = Throttle(ManualClock())
    for number in range(FREE):
        throttle.begin("anna", f"address {number}")
        throttle.begin(f"name {number}", "a")
    assert throttle.begin("anna", "fresh address") > 0
    assert throttle.begin("fresh name", "a") > 0
    assert throttle.begin("fresh name", "fresh address") == 0


def test_the_right_password_frees_the_name_and_not_the_address_of_who_guesses() -> None:
    clock = ManualClock()
    throttle = Throttle(clock)
    for _ in range(FREE):
        throttle.begin("anna", "a")
    clock.advance(SECOND)
    assert throttle.begin("mallory", "a") == 0
    throttle.succeeded("mallory", "a")
    assert throttle.begin("anna", "a") == 0
    assert throttle.begin("anna", "a") > 1, "the failures before it still count"
    clock.advance(1_000 * SECOND)
    assert [throttle.begin("anna", "a") for _ in range(FREE)] == [0.0] * FREE, "a quarter of an hour forgets"
