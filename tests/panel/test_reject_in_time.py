"""A reject is on the page within a second of the time that its decision was stamped with: a browser, a running line."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from edge.journal.completeness import name_of
from edge.panel.users import Role
from edge.records import Kind
from tests.eye.stations import BRIGHT, DARK, EdgeProcess, draw, modbus_bench
from tests.panel.panels import PASSWORDS, a_user, until
from tests.panel.test_panel_browser import click
from tests.peers.browser import browser
from tests.test_metrics import free_port

WITHIN_MS = 1_000
REJECTS = 12
# Of each reject that is not there yet: the wall time (ms) of the frame in which it is first drawn.
WATCH = """
(() => {
  const seen = window.seen = {};
  const all = () => [...document.querySelectorAll("#gallery .item.reject")];
  const rejects = () => all().filter((each) => each.checkVisibility());
  for (const each of rejects()) seen[each.dataset.id] = 0;
  new MutationObserver(() => requestAnimationFrame(() => {
    const now = Date.now();
    for (const each of rejects()) seen[each.dataset.id] ??= now;
  })).observe(document.querySelector("#gallery"), { childList: true });
})()
"""


def wall_of_monotonic_ns() -> int:
    """What the wall clock is ahead of CLOCK_MONOTONIC."""
    return time.time_ns() - time.monotonic_ns()


def test_a_reject_is_drawn_within_a_second_of_its_decision(tmp_path: Path, costly: None) -> None:
    with modbus_bench(tmp_path, loop=True, transit=1_500, rate=4.0) as bench:
        draw(tmp_path, [DARK, DARK, BRIGHT, DARK, DARK])
        a_user(bench, "vera", Role.VIEWER)
        address = f"127.0.0.1:{free_port()}"
        with (
            EdgeProcess("run", bench.file) as edge,
            EdgeProcess("panel", bench.file, "--listen", address) as panel,
            browser(tmp_path) as tab,
        ):
            until(lambda: "http" in panel.output, "the panel says its address")
            tab.open(f"http://{address}/")
            tab.wait_for("h1", "Sign in", 20.0)
            for field, value in (("#name", "vera"), ("#password", PASSWORDS["vera"])):
                tab.ask(f"document.querySelector('{field}').value = '{value}'")
            click(tab, "#login button")
            tab.wait_for("#headline", "Inspecting", 60.0)
            until(lambda: bool(tab.text("#gallery .item.reject")), "a first reject")
            tab.ask(WATCH)
            offset_ns = wall_of_monotonic_ns()
            drawn = "Object.values(window.seen).filter(Boolean).length"
            until(lambda: tab.ask(drawn) >= REJECTS, "rejects are drawn")
            assert abs(wall_of_monotonic_ns() - offset_ns) < 20_000_000, "somebody set the wall clock: try again"
            seen = {int(part, 16): at_ms for part, at_ms in tab.ask("window.seen").items() if at_ms}
            edge.process.terminate()
            assert edge.ends() == 0, edge.output
            assert tab.complaints == []
        decided_ms = {
            row.part_id: (row.decided.verdict.decided_ns + offset_ns) / 1e6
            for row in bench.rows()
            if row.decided is not None and row.decided.verdict.kind is Kind.REJECT
        }
        delays = {name_of(part): round(at_ms - decided_ms[part]) for part, at_ms in seen.items()}
        print(f"drawn after their decision, ms: median {median(delays.values())}, latest {max(delays.values())}")
        assert min(delays.values()) > 0 and max(delays.values()) < WITHIN_MS, delays
