"""What the commands' help says in brackets is shown, not taken for markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
import typer
from typer.testing import CliRunner

MODULES = ("edge.cli", "training.cli", "compile.cli", "calibration.cli", "benchmarks.cli")
BRACKETS = re.compile(r"\[[^\[\]]+\]")


def commands(command: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command below this one with the words that call it."""
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


def said(command: click.Command) -> list[str]:
    """Everything in brackets that the texts of a command say."""
    texts = [command.help or "", *(getattr(each, "help", None) or "" for each in command.params)]
    texts += [each.metavar for each in command.params if each.metavar]
    return [found for text in texts for found in BRACKETS.findall(text.replace("\\[", "["))]


@pytest.mark.parametrize("module", MODULES)
def test_what_stands_in_brackets_is_shown(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    app = import_module(module).app
    eaten = []
    for names, command in commands(typer.main.get_command(app)):
        wanted = said(command)
        if wanted:
            shown = " ".join(CliRunner().invoke(app, [*names, "--help"]).output.split())
            eaten += [(names, words) for words in wanted if words not in shown]
    assert eaten == []


def test_the_brackets_of_edge_are_looked_at() -> None:
    found = {
        words
        for _, command in commands(typer.main.get_command(import_module("edge.cli").app))
        for words in said(command)
    }
    assert {"[panel]", "[STATION.TOML...]"} <= found
