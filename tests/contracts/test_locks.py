"""The locks name every declared dependency at one exact version for a Python, and no place to get it from."""

from __future__ import annotations

import re

import pytest

from tests.contracts.source_tree import ROOT, distribution, project

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _lines(name: str) -> list[str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]


def _names(name: str) -> set[str]:
    return {distribution(line) for line in _lines(name)}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_is_one_exact_version(lock):
    loose = [line for line in _lines(lock.name) if not re.match(r"[a-z0-9.-]+==[\w.+]+( ; .+)?$", line)]
    assert not loose, loose


def test_the_device_lock_holds_the_core_and_nothing_of_the_host():
    declared = {distribution(line) for line in project()["dependencies"]}
    assert declared <= _names("device.txt")
    assert not _names("device.txt") & {"torch", "scipy", "onnx", "pytest"}


@pytest.mark.parametrize(("lock", "extra"), [("ci.txt", "host"), ("gstreamer.txt", "gstreamer")])
def test_the_other_locks_hold_their_extra(lock, extra):
    declared = {distribution(line) for line in project()["optional-dependencies"][extra]}
    assert declared <= _names(lock), "run `make lock`"


def test_what_is_tested_is_what_the_device_gets():
    versions = {name: {line.partition(" ;")[0] for line in _lines(name)} for name in ("device.txt", "ci.txt")}
    assert versions["device.txt"] <= versions["ci.txt"]
