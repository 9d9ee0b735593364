"""What a person types, or a file says for them, is going on, leaving out with a reason, or the end; nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edge.challenge.person import Aborted, Script, Terminal, whoever
from edge.errors import ConfigError


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed at the terminal, a line each; after that the terminal is closed."""
    lines: list[str] = []

    def read(_prompt: str = "") -> str:
        if not lines:
            raise EOFError
        return lines.pop(0)

    monkeypatch.setattr("builtins.input", read)
    return lines


def test_enter_goes_on_and_anything_unknown_is_asked_again(typed: list[str]) -> None:
    typed += ["yes", "x", ""]
    assert Terminal().ask("Cover [the] camera") == "" and typed == []


def test_leaving_out_needs_a_reason(typed: list[str]) -> None:
    typed += ["s", "", "s", "no ladder"]
    assert Terminal().ask("Cover it") == "no ladder"


@pytest.mark.parametrize("lines", [["q"], [], ["s"]])
def test_q_and_a_closed_terminal_end_the_test(typed: list[str], lines: list[str]) -> None:
    typed += lines
    with pytest.raises(Aborted):
        Terminal().ask("Cover it")


def test_what_is_told_is_shown_as_it_is(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().tell("NOT_READY: [Errno 5] [/bold]")
    Script(io.StringIO()).tell("[/bold]")
    assert "[Errno 5] [/bold]" in capsys.readouterr().out


def test_a_file_answers_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "answers"
    file.write_text("\ns no ladder \nq\nwhat?\ns\n")
    with whoever(file) as person:
        assert person.ask("first") == "" and person.ask("second") == "no ladder"
        for _ in range(4):  # q, what?, s without a reason, the end of the file
            with pytest.raises(Aborted):
                person.ask("more")


def test_standard_input_and_the_terminal_are_chosen_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with whoever(Path("-")) as person:
        assert person.ask("first") == ""
    with whoever(None) as person:
        assert isinstance(person, Terminal)
    with pytest.raises(ConfigError, match="another --answers"), whoever(tmp_path / "none"):
        pass
