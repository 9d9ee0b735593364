"""What README.md and docs/ tell people to type works, and their examples are valid stations."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.bundle_bench import ENDED_BY_HAND
from edge import check, errors, lanes
from edge.eye.bundle_changes import STARTS_AGAIN
from edge.station import load
from tests.contracts.source_tree import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {
    "edge": "edge.cli",
    "edge-train": "training.cli",
    "edge-calibrate": "calibration.cli",
    "edge-compile": "compile.cli",
    "edge-bench": "benchmarks.cli",
}
RUN_AS_THEY_ARE = ("edge demo", "edge --version", "edge --help")


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _commands(text: str = README) -> list[str]:
    return [line for block in _blocks("sh", text) for line in block.splitlines() if line.strip()]


def _indented(text: str) -> list[str]:
    """The commands of blocks without a fence, without comments and the brackets of what may be left out."""
    whole = re.sub(r" *\\\n\s+", " ", text)
    lines = re.findall(r"^ {4,}(?:sudo |\S+/bin/)?((?:edge|edge-[a-z]+) .*)$", whole, re.MULTILINE)
    plain = [re.sub(r"\s+#.*|[][]|\.\.\.", "", line) for line in lines]
    return [command.strip() for line in plain for command in line.split("&&") if command.strip()]


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def _is_short(command: str) -> bool:
    return command.startswith(RUN_AS_THEY_ARE)


@pytest.mark.parametrize("command", [command for command in _commands() if _is_short(command)])
def test_a_short_command_of_the_readme_runs(command, tmp_path):
    done = _run(command, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [command for command in _commands() if not _is_short(command)])
def test_a_long_command_of_the_readme_has_all_its_options(command, tmp_path):
    """`--help` at the end shows the help instead of doing the work, but only where every option before is known."""
    done = _run(f"{command} --help", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


SHOWN = {
    command
    for text in (page.read_text(encoding="utf-8") for page in PAGES[1:])
    for command in (*_indented(text), *_commands(text))
}


@pytest.mark.parametrize("command", sorted(SHOWN))
def test_a_command_of_a_page_has_all_its_options(command):
    program, *words = shlex.split(command)
    done = CliRunner().invoke(import_module(PROGRAMS[program]).app, [*words, "--help"])
    assert done.exit_code == 0, done.output


def test_an_unknown_option_would_be_noticed(tmp_path):
    assert (
        CliRunner().invoke(import_module("edge.cli").app, ["collect", "x", "--no-such-option", "--help"]).exit_code
        == 2
    )
    assert _run("edge collect station.toml --no-such-option --help", tmp_path).returncode == 2


def test_the_readme_goes_from_pictures_to_a_bundle_in_five_commands():
    programs = [command.split()[0] for command in _commands() if not _is_short(command)]
    assert programs == ["edge", "edge-train", "edge-calibrate", "edge-compile", "edge"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`| {4})make ([a-z][a-z-]*)", page.read_text(encoding="utf-8")))
    assert named <= targets


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.name)
def test_every_example_station_passes_the_check(path):
    check.refuse(load(path))


def test_the_two_lanes_of_the_examples_may_share_an_eye():
    stations = [load(ROOT / "examples" / f"lanes-{side}.toml") for side in ("left", "right")]
    lanes.refuse(stations)
    assert lanes.advice(stations) == []


def test_the_first_station_of_the_readme_is_the_example():
    (block,) = _blocks("toml")
    assert block in (ROOT / "examples" / "first-station.toml").read_text(encoding="utf-8")


def test_the_exit_codes_of_the_readme_are_those_of_the_errors():
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    ours = {kind.exit_code for kind in _subclasses(errors.KenpinError)} | {0, 1, 2, STARTS_AGAIN, ENDED_BY_HAND}
    assert listed == ours


def _subclasses(kind: type[errors.KenpinError]) -> set[type[errors.KenpinError]]:
    return {kind}.union(*(_subclasses(child) for child in kind.__subclasses__()))
