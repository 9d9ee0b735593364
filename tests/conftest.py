"""Rules for all tests: nothing is left running, and in CI (the variable CI is set) nothing is skipped but for a GPU."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

_PATIENCE_S = 20.0
_KEPT = "TMonitor"  # tqdm's thread, started once for all progress bars

settings.register_profile("ci", derandomize=True, database=None)  # a change is judged by what it changes
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """A test that leaves a thread or a child process behind fails, once it had the time to end."""
    before = _running()
    yield
    until = time.monotonic() + _PATIENCE_S
    while left := _running() - before:
        if time.monotonic() > until:
            pytest.fail(f"left running: {', '.join(sorted(left))}")
        time.sleep(0.01)


def _running() -> set[str]:
    threads = {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate() if thread.name != _KEPT}
    return threads | {
        f"process {pid}" for path in Path("/proc/self/task").glob("*/children") for pid in _pids(path)
    }


def _pids(children: Path) -> list[str]:
    try:
        return children.read_text().split()
    except OSError:  # the thread has just ended
        return []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that skips itself in CI fails with its reason, unless it is marked `gpu`."""
    report = yield
    if item.get_closest_marker("gpu") is None and not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """A module that skips itself in CI fails too: its tests could not be asked for their marks."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {reason}"
