"""Prometheus itself takes the configuration and the rules of docs/fleet.md, and scrapes a simulated station."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import textwrap
import urllib.parse
import urllib.request
from pathlib import Path

from tests.contracts.source_tree import ROOT
from tests.eye.stations import BELT, BELT_TRIGGER, EdgeProcess, modbus_bench
from tests.peers import eventually
from tests.peers.waiting import missing

TARGETS = 'targets: ["line-1.plant.example:9100", "line-2.plant.example:9100"]'


def tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        missing(f"needs {name}: apt-get install prometheus")
    return found


def block(name: str) -> str:
    """The file of that name as the page has it."""
    page = (ROOT / "docs" / "fleet.md").read_text()
    start = page.index(f"    # {name}\n")
    lines = []
    for line in page[start:].splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines))


def laid_out(folder: Path, port: int) -> Path:
    text = block("prometheus.yml")
    assert TARGETS in text
    (folder / "kenpin.rules.yml").write_text(block("kenpin.rules.yml"))
    file = folder / "prometheus.yml"
    file.write_text(text.replace(TARGETS, f'targets: ["127.0.0.1:{port}"]').replace("15s", "1s"))
    return file


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_promtool_finds_nothing_amiss(tmp_path: Path) -> None:
    file = laid_out(tmp_path, 9317)
    done = subprocess.run([tool("promtool"), "check", "config", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = (tmp_path / "kenpin.rules.yml").read_text().count("- alert:")
    assert f"SUCCESS: {rules} rules found" in done.stdout and rules >= 9, done.stdout


def asked(port: int, question: str) -> list[dict[str, object]]:
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': question})}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)["data"]["result"]


def test_a_simulated_station_is_scraped_and_missed_when_its_eye_ends(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    file = laid_out(tmp_path, port)
    program = [tool("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    program.append(f"--web.listen-address=127.0.0.1:{own}")

    def value(question: str) -> float | None:
        try:
            found = asked(own, question)
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None  # type: ignore[index]

    with (
        modbus_bench(tmp_path / "station", camera=BELT, trigger=BELT_TRIGGER, rate=10.0) as bench,
        EdgeProcess("metrics", bench.file, "--listen", f"127.0.0.1:{port}") as served,
        (tmp_path / "log").open("wb") as log,
    ):
        watcher = subprocess.Popen(program, stdout=log, stderr=log)
        try:
            with EdgeProcess("run", bench.file) as eye:
                eventually(lambda: (value("sum(kenpin_parts_total)") or 0) > 3, "parts are counted", 120, 0.5)
                assert value("kenpin_up") == 1
                eye.process.send_signal(signal.SIGINT)
                eye.ends()
            eventually(lambda: value("kenpin_up == 0") == 0, "the eye is seen to be down", 60, 0.5)
            alert = 'ALERTS{alertname="KenpinEyeDown", alertstate="firing"}'
            eventually(lambda: value(alert) == 1, "the alert fires", 150, 0.5)
        finally:
            watcher.terminate()
            watcher.wait(30)
            served.process.send_signal(signal.SIGINT)
            served.ends()
