"""Users of a server link: a password opens, guessing does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock import SECOND
from edge.errors import ConfigError
from edge.plc.users import Users, line_for, main

PASSWORD = "correct horse battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"# who may\n\n{line_for('mes', PASSWORD)}\n{line_for('scada', 'another long one')}\n")
    return path


def test_the_right_password_opens(path: Path) -> None:
    users = Users(path)
    assert users.admits("mes", PASSWORD, 0) and users.admits("scada", "another long one", 0)


@pytest.mark.parametrize(("name", "password"), [("mes", "wrong"), ("mes", ""), ("nobody", PASSWORD), ("", "")])
def test_anything_else_does_not(path: Path, name: str, password: str) -> None:
    assert not Users(path).admits(name, password, 0)


def test_five_wrong_ones_lock_the_name_for_a_while(path: Path) -> None:
    users = Users(path)
    for _ in range(5):
        assert not users.admits("mes", "guess", 0)
    assert not users.admits("mes", PASSWORD, 29 * SECOND)
    assert users.admits("scada", "another long one", 0), "others are not locked out"
    assert users.admits("mes", PASSWORD, 30 * SECOND)


def test_the_file_does_not_hold_the_password(path: Path) -> None:
    assert PASSWORD not in path.read_text()
    assert line_for("mes", PASSWORD) != line_for("mes", PASSWORD), "each line has a salt of its own"


@pytest.mark.parametrize(
    "text", ["", "# nobody\n", "mes:plain:password\n", "mes:scrypt:zz:00\n", ":scrypt:00:00\n"]
)
def test_a_file_that_is_none_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"python -m edge\.plc\.users"):
        Users(path)


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Users(tmp_path / "users")


@pytest.mark.parametrize(("password", "works"), [(PASSWORD, True), ("short", False)])
def test_the_command_asks_for_the_password_and_prints_the_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    password: str,
    works: bool,
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: password)
    assert (main("mes") == 0) is works
    printed = capsys.readouterr().out
    assert password not in printed
    if works:
        (tmp_path / "users").write_text(printed)
        assert Users(tmp_path / "users").admits("mes", password, 0)


@pytest.mark.parametrize("name", ["", "a:b"])
def test_the_command_refuses_a_name_that_is_none(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(name) == ConfigError.exit_code
    assert "name" in capsys.readouterr().err
