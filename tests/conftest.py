"""Rules for all tests: nothing is left running, and in CI (the variable CI is set) nothing is skipped but for a GPU."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

_PATIENCE_S = 20.0
_RUNS = 3  # of a test that fails on a busy machine
_BUSY_S = 0.02  # the shortest time by which a test of a line at work may fail
_SHORT_S = 120.0  # a test that takes longer is run again by a person
_STEAL = 8  # the column of /proc/stat
_KEPT = "TMonitor"  # tqdm's thread, started once for all progress bars

settings.register_profile("ci", derandomize=True, database=None)  # a change is judged by what it changes
if os.environ.get("CI"):
    settings.load_profile("ci")

_run_again: list[str] = []


def _waited_s() -> float:
    """Seconds since the machine began in which a task was ready and had no processor, here or in the machine below a
    virtual one; see proc(5) and the kernel's pressure stall information."""
    stolen = int(Path("/proc/stat").read_text().split(maxsplit=_STEAL + 1)[_STEAL]) / os.sysconf("SC_CLK_TCK")
    with suppress(OSError):  # not in every kernel
        return stolen + int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    return stolen


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """A test that fails where processes waited for a processor may say nothing of the project: it is run again, and
    named at the end."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for run in range(_RUNS):
        before_s, began_s = _waited_s(), time.monotonic()
        if run:
            _forget_fixtures(item)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        failed = [report for report in reports if report.failed]
        busy_s = _waited_s() - before_s
        is_long = time.monotonic() - began_s > _SHORT_S
        if not failed or busy_s < _BUSY_S or is_long or run + 1 == _RUNS:
            break
        _run_again.append(f"{item.nodeid}, where processes waited {busy_s:.2f} s for a processor:")
        _run_again.extend(report.longreprtext for report in failed)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _forget_fixtures(item: pytest.Item) -> None:
    """All fixtures are made again: one that tests share may have failed, or hold what the failed run has left."""
    with suppress(Exception, pytest.fail.Exception):  # the run that failed has told it
        item.session._setupstate.teardown_exact(None)
    item._initrequest()  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _run_again:
        terminalreporter.section("failed, and were run again")
        terminalreporter.write("\n".join(_run_again) + "\n")


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
