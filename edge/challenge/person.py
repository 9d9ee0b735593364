"""The person who carries out a challenge test: at a terminal, or as answers from a file or pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console

from edge.errors import ConfigError


class Aborted(Exception):  # noqa: N818 - a choice, not an error
    """The person ended the test."""


class Person(Protocol):
    """Does what is asked, and answers."""

    def ask(self, words: str) -> str:
        """Waits for the answer: empty to go on, else the reason for leaving this out. Raises Aborted."""
        ...

    def tell(self, words: str) -> None:
        """Shows the words."""
        ...


class Terminal:
    """A person at a terminal: Enter goes on, s leaves out, q ends."""

    def __init__(self) -> None:
        self._console = Console()

    def ask(self, words: str) -> str:
        self._console.print(f"\n{words}", style="bold", markup=False, highlight=False)
        while True:
            answer = self._input("  Enter to go on, s to leave it out, q to end: ")
            if answer in ("", "q"):
                return _go_on(answer)
            if answer == "s":
                reason = self._input("  why is it left out? ")
                if reason:
                    return reason

    def _input(self, prompt: str) -> str:
        try:
            return self._console.input(prompt).strip()
        except (EOFError, KeyboardInterrupt) as error:
            raise Aborted from error

    def tell(self, words: str) -> None:
        self._console.print(f"  {words}", markup=False, highlight=False)


class Script:
    """Answers from a file or pipe, a line each: empty goes on, `s REASON` leaves out, `q` or the end ends."""

    def __init__(self, answers: TextIO) -> None:
        self._answers = answers

    def ask(self, words: str) -> str:
        print(words, flush=True)
        line = self._answers.readline()
        if not line:
            raise Aborted
        answer = line.strip()
        if answer.startswith("s "):
            return answer[2:].strip()
        return _go_on(answer)

    def tell(self, words: str) -> None:
        print(f"  {words}", flush=True)


@contextmanager
def whoever(answers: Path | None) -> Iterator[Person]:
    """The terminal's person, or the answers in a file or pipe ("-": standard input). Raises ConfigError."""
    if answers is None:
        yield Terminal()
    elif answers == Path("-"):
        yield Script(sys.stdin)
    else:
        try:
            file = answers.open(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot read {answers}: {error.strerror}; give another --answers") from error
        with file:
            yield Script(file)


def _go_on(answer: str) -> str:
    if answer:
        raise Aborted
    return ""
