"""The panel's own process beside a running station: it shows what happens, acts are recorded, its death is nothing."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path
from statistics import median

from edge.heat_map import heat_map_in
from edge.panel.users import Role
from edge.records import GateOutcome
from tests.eye.stations import BRIGHT, DARK, EdgeProcess, draw, modbus_bench, show
from tests.eye.test_operator import becomes, words_of
from tests.panel.panels import Visitor, a_station, a_user, until
from tests.test_metrics import free_port


def a_visitor(edge: EdgeProcess, name: str) -> Visitor:
    """Signed in at the panel of this process once it is served."""
    until(lambda: "http" in edge.output, "the panel says its address")
    found = re.search(r"http://127.0.0.1:(\d+)/", edge.output)
    assert found is not None, edge.output
    visitor = Visitor(int(found[1]))
    assert visitor.login(name).status == 200
    return visitor


def test_a_reject_appears_a_stop_is_acknowledged_and_the_journal_says_by_whom(tmp_path: Path, costly: None) -> None:
    with modbus_bench(tmp_path, loop=True, consecutive_rejects=4, transit=1_500, rate=4.0) as bench:
        draw(tmp_path, [DARK, DARK, BRIGHT, DARK])
        a_user(bench, "otto", Role.OPERATOR)
        with EdgeProcess("panel", bench.file, "--listen", f"127.0.0.1:{free_port()}") as panel:
            otto = a_visitor(panel, "otto")
            assert otto.get("/api/live").json["state"]["level"] == "DOWN"
            with EdgeProcess("run", bench.file) as edge:
                until(lambda: otto.get("/api/live").json["state"]["level"] == "READY", "it inspects")
                delays_ms: dict[str, int] = {}

                def shown() -> bool:
                    told = otto.get("/api/live?show=rejects").json
                    for part in told["turned"]:
                        delays_ms.setdefault(part["id"], told["now_ms"] - part["at_ms"])
                    return len(delays_ms) >= 6

                until(shown, "rejects appear")
                assert median(delays_ms.values()) < 1_000, delays_ms
                part = next(iter(delays_ms))
                until(lambda: otto.get(f"/picture/{part}/top").status == 200, "its picture is kept")
                heat = heat_map_in(otto.get(f"/picture/{part}/top").data)
                assert heat is not None, "it tells where the network found something"
                assert "REJECT" in otto.get(f"/part/{part}").text
                show(tmp_path, BRIGHT)
                until(lambda: otto.get("/api/live").json["state"]["level"] == "STOPPED", "the limit stops the line")
                assert "rejects in a row" in otto.get("/api/live").json["state"]["cause"]

                def in_a_row() -> int:
                    limits = {each["name"]: each for each in otto.get("/api/live").json["limits"]}
                    assert limits["consecutive_rejects"]["bound"] == 4
                    return limits["consecutive_rejects"]["count"] or 0

                until(lambda: in_a_row() >= 4, "the line's own count is shown")
                show(tmp_path, DARK)
                born = becomes(bench, lambda status: True, "it answers").parts
                becomes(bench, lambda status: status.parts >= born + 16, "good parts are born")
                assert otto.post("/api/acknowledge", {"why": "nozzle cleaned"}).status == 200
                until(lambda: otto.get("/api/live").json["state"]["level"] == "READY", "the line goes on")
                until(lambda: in_a_row() < 4, "it is counted anew")
                edge.process.terminate()
                assert edge.ends() == 0, edge.output
            until(lambda: otto.get("/api/live").json["state"]["level"] == "DOWN", "the eye has ended")
            panel.process.terminate()
            assert panel.ends() == 0, panel.output
            assert "Traceback" not in panel.output
        (note,) = words_of(bench, "acknowledge")
        assert re.fullmatch(r"'4 rejects in a row' by \w+ \(uid \d+\) as 'otto': nozzle cleaned", note)


def test_a_panel_that_hangs_or_dies_is_nothing_to_the_line(tmp_path: Path, costly: None) -> None:
    with modbus_bench(tmp_path, loop=True, transit=1_500, rate=4.0) as bench:
        draw(tmp_path, [DARK, DARK, BRIGHT, DARK])
        a_user(bench, "vera", Role.VIEWER)
        with EdgeProcess("run", bench.file) as edge:
            with EdgeProcess("panel", bench.file, "--listen", f"127.0.0.1:{free_port()}") as panel:
                vera = a_visitor(panel, "vera")
                assert vera.get("/api/live").status == 200
                panel.signal(signal.SIGSTOP)
                before = becomes(bench, lambda status: status.outcomes["released"] >= 2, "parts pass")
                later = becomes(
                    bench, lambda status: status.parts >= before.parts + 12, "it goes on beside one that hangs"
                )
                panel.signal(signal.SIGKILL)
                assert panel.ends() == -signal.SIGKILL
            becomes(bench, lambda status: status.parts >= later.parts + 8, "and after it has died")
            edge.process.terminate()
            assert edge.ends() == 0, edge.output
        rows = bench.rows()
        bench.check_gate(rows)
        assert any(row.outcome and row.outcome.outcome is GateOutcome.RELEASED for row in rows[-8:])


def refused(*arguments: str | Path) -> str:
    """What `edge panel` says of these options, which it must not serve with."""
    with EdgeProcess("panel", *arguments) as panel:
        assert panel.ends() in (69, 78)
        assert "Traceback" not in panel.output
        return panel.output


def test_passwords_leave_the_machine_by_tls_only(tmp_path: Path, costly: None) -> None:
    station = a_station(tmp_path)
    cert, key = tmp_path / "panel.crt", tmp_path / "panel.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    assert "by TLS only" in refused(station.source, "--listen", "0.0.0.0:8443")
    assert "go together" in refused(station.source, "--tls-cert", cert)
    assert "cannot use" in refused(station.source, "--tls-cert", cert, "--tls-key", cert)
    assert "name the hosts" in refused(
        station.source, "--listen", "0.0.0.0:1", "--tls-cert", cert, "--tls-key", key
    )
    assert "127.0.0.1:8080" in refused(station.source, "--listen", "8080")
    port = free_port()
    tls = ("--tls-cert", cert, "--tls-key", key, "--host", "localhost")
    with EdgeProcess("panel", station.source, "--listen", f"127.0.0.1:{port}", *tls) as panel:
        until(lambda: f"https://127.0.0.1:{port}/" in panel.output, "it is served")
        trusting = ssl.create_default_context(cafile=str(cert))
        login = urllib.request.Request(
            f"https://localhost:{port}/api/login",
            data=b'{"name": "otto", "password": "operate it 123"}',
            headers={"Content-Type": "application/json", "Origin": f"https://localhost:{port}"},
        )
        with urllib.request.urlopen(login, context=trusting, timeout=20) as answer:
            cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-kenpin-test=") and "; secure" in cookie.lower()
        panel.process.send_signal(signal.SIGINT)
        assert panel.ends() == 0, panel.output
