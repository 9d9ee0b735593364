"""Nobody who is not signed in, no other site and no oversized request gets past the panel's guard."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import cv2
import numpy as np
import pytest

from edge.clock import SECOND, ManualClock
from edge.panel import guard
from edge.panel.guard import HEADERS, LONGEST_BODY
from edge.panel.throttle import FREE
from edge.station import Station
from tests.panel.panels import PASSWORDS, Served, Visitor, a_station, an_eye, keep_picture, served, until

OPEN = ("/login", "/files/panel.css", "/files/login.js")
SIGNED = (
    *(
        "/",
        "/part/1",
        "/threshold",
        "/bundles",
        "/export",
        "/nothing",
        "/api/live",
        "/api/timing",
        "/api/thresholds",
    ),
    *("/api/bundles", "/api/lots", "/picture/1/top", "/latest/1/top", "/docs", "/openapi.json"),
)
CHANGES = (
    *("acknowledge", "bypass", "end_bypass", "lot", "label", "undo", "logout"),
    *("change_bundle", "start_again"),
)
BECAUSE = {"why": "the belt was jammed"}


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return a_station(tmp_path_factory.mktemp("station"))


@pytest.fixture
def panel(station: Station) -> Iterator[Served]:
    with served(station) as panel:
        yield panel


@pytest.mark.parametrize("path", SIGNED)
def test_nothing_is_shown_to_who_is_not_signed_in(panel: Served, path: str) -> None:
    answer = panel.visitor().get(path)
    if path.startswith(("/api/", "/picture/", "/latest/")):
        assert answer.status == 401
    else:
        assert (answer.status, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("act", CHANGES)
def test_nothing_is_done_for_who_is_not_signed_in(panel: Served, act: str) -> None:
    with an_eye(panel.station) as eye:
        assert panel.visitor().post(f"/api/{act}", {}).status == 401
        assert eye.asked == []


@pytest.mark.parametrize("path", (*OPEN, "/", "/api/live", "/nothing", "/files/nothing"))
def test_every_answer_forbids_what_no_answer_needs(panel: Served, path: str) -> None:
    for visitor in (panel.visitor(), panel.visitor("vera")):
        answer = visitor.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "server" not in answer.headers
    assert "unsafe" not in HEADERS["content-security-policy"]
    assert panel.visitor("vera").get("/files/panel.css").status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example", 421), ("", 421), ("[", 421),
        ("127.0.0.1.evil.example", 421), ("localhost@evil.example", 421), (None, 400),
    ],
)  # fmt: skip
def test_only_the_names_of_this_panel_are_answered(panel: Served, host: str | None, status: int) -> None:
    assert panel.visitor().get("/login", Host=host).status == status


def test_names_of_the_station_file_are_answered_too(station: Station) -> None:
    with served(station, hosts=("Panel.Plant.example",)) as panel:
        assert panel.visitor().get("/login", Host="panel.plant.example:8080").status == 200
        assert panel.visitor().get("/login", Host="other.plant.example").status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"}, {"Origin": None}, {"Origin": "null"}, {"Origin": "https://127.0.0.1"},
        {"X-CSRF": "guessed"}, {"X-CSRF": None}, {"X-CSRF": "é"},
    ],
)  # fmt: skip
def test_a_page_of_another_site_changes_nothing(panel: Served, headers: dict[str, str | None]) -> None:
    with an_eye(panel.station) as eye:
        eye.says(can_acknowledge=True)
        otto = panel.visitor("otto")
        assert otto.post("/api/acknowledge", BECAUSE, **headers).status == 403
        assert eye.asked == []
        assert otto.post("/api/acknowledge", BECAUSE).status == 200


def test_a_token_of_another_session_is_refused(panel: Served) -> None:
    otto, erna = panel.visitor("otto"), panel.visitor("erna")
    otto.csrf = erna.csrf
    assert otto.post("/api/acknowledge", BECAUSE).status == 403


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_is_not_read(panel: Served, kind: str | None) -> None:
    body = json.dumps({"name": "otto", "password": PASSWORDS["otto"]}).encode()
    assert panel.visitor().ask("POST", "/api/login", body, Content_Type=kind).status == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_methods_are_refused(panel: Served, method: str) -> None:
    assert panel.visitor("erna").ask(method, "/api/live").status == 405


def test_what_is_too_large_is_not_read(panel: Served) -> None:
    visitor = panel.visitor()
    assert visitor.ask("POST", "/api/login", b"x", Content_Length=str(LONGEST_BODY + 1)).status == 413
    assert visitor.ask("POST", "/api/login", b"x" * 10**6).status == 413
    assert (
        visitor.ask("POST", "/api/login", b"0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked").status
        == 413
    )
    assert visitor.ask("GET", "/login", b"x", Content_Length="1").status == 413
    with suppress(ConnectionError):  # it is closed before all of it is sent
        assert visitor.ask("GET", "/login", Cookie="x=" + "y" * 300_000).status == 400
    assert visitor.post("/api/login", {"name": "x" * 101, "password": "y"}).status == 422
    assert visitor.get("/login").status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", "/api/login", b"\xff"), ("GET", "/api/nothing", None)]
)
def test_what_the_framework_refuses_is_told_in_words_too(
    panel: Served, method: str, path: str, body: bytes | None
) -> None:
    assert set(panel.visitor("vera").ask(method, path, body).json) == {"error"}


def test_who_sends_slowly_is_not_waited_for(panel: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_BODY_WITHIN_S", 0.2)
    head = (
        f"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1:{panel.port}\r\nOrigin: http://127.0.0.1:{panel.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as slow:
        slow.sendall(head.encode())
        assert slow.recv(12) == b"HTTP/1.1 408"


@pytest.mark.parametrize(
    "twice", [b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b"Host: 127.0.0.1\r\nOrigin: a\r\nOrigin: b\r\n"]
)
def test_a_header_that_decides_stands_there_once(panel: Served, twice: bytes) -> None:
    with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as door:
        door.sendall(b"GET /login HTTP/1.1\r\n" + twice + b"\r\n")
        assert door.recv(12) == b"HTTP/1.1 400"


def test_garbage_and_half_a_request_leave_the_panel_well(panel: Served) -> None:
    for data in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET", b"\r\n" * 100, b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", panel.port), timeout=20) as door:
            door.sendall(data)
    assert panel.visitor().get("/login").status == 200


# --- signing in ---


def test_the_cookie_is_for_the_panel_alone_and_no_script_reads_it(panel: Served) -> None:
    cookie = panel.visitor().login("otto").headers["set-cookie"].lower()
    name, *attributes = [part.strip() for part in cookie.split(";")]
    assert name.startswith("kenpin-test=") and set(attributes) == {"httponly", "path=/", "samesite=strict"}


def test_a_session_is_always_a_new_one(panel: Served) -> None:
    visitor = panel.visitor()
    visitor.cookie = "kenpin-test=chosen-by-somebody-else"
    visitor.login("otto")
    first = visitor.cookie
    assert "chosen" not in first
    mallory = Visitor(panel.port, "kenpin-test=chosen-by-somebody-else")
    assert mallory.get("/api/live").status == 401
    visitor.login("erna")
    assert visitor.cookie != first
    assert Visitor(panel.port, first).get("/api/live").status == 401, "the one before has ended"


def test_cookies_of_other_programs_are_in_nobodys_way(panel: Served) -> None:
    otto = panel.visitor("otto")
    for others in ('theme={"dark": [1,2]}; a=b=c', 'broken="\\; x', "=;;;", "é=ü"):
        assert otto.get("/api/live", Cookie=f"{others}; {otto.cookie}").status == 200


def test_who_signs_out_is_out(panel: Served) -> None:
    otto = panel.visitor("otto")
    kept = otto.cookie
    answer = otto.post("/api/logout", {})
    assert answer.status == 200 and 'kenpin-test=""' in answer.headers["set-cookie"]
    assert Visitor(panel.port, kept, otto.csrf).get("/api/live").status == 401


def test_a_session_ends_by_itself(station: Station) -> None:
    clock = ManualClock()
    with served(station, clock, idle_min=10) as panel:
        otto = panel.visitor("otto")
        for _ in range(4):
            clock.advance(300 * SECOND)
            assert otto.get("/api/live", X_Active="1").status == 200
        clock.advance(300 * SECOND)
        assert otto.get("/api/live").status == 200
        clock.advance(300 * SECOND)
        assert otto.get("/api/live").status == 401, "a page that only refreshes itself keeps nobody signed in"


def test_who_is_removed_is_out_at_once(station: Station) -> None:
    with served(station) as panel:
        panel.users.add("gone", panel.users.all()[0].role, "soon to be gone 1")
        gone = panel.visitor()
        gone.login("gone", "soon to be gone 1")
        assert gone.get("/api/live").status == 200
        panel.users.remove("gone")
        assert gone.get("/api/live").status == 401


def test_an_unknown_name_and_a_wrong_password_are_answered_alike(panel: Served) -> None:
    unknown, wrong = (panel.visitor().login(name, "not the password") for name in ("nobody", "otto"))
    assert (unknown.status, unknown.data) == (wrong.status, wrong.data) == (403, unknown.data)
    assert "set-cookie" not in unknown.headers


def test_a_password_in_the_field_of_the_name_is_not_logged(panel: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        panel.visitor().login("operate it 123", "otto")
        panel.visitor().login("otto", "not the password")
        panel.visitor("otto")
    said = [record.getMessage() for record in caplog.records if record.name.startswith("edge.panel")]
    assert said == [
        "a login as nobody known from 127.0.0.1 failed",
        "a login as otto from 127.0.0.1 failed",
        "otto (operator) signed in from 127.0.0.1",
    ]


def test_guessing_is_slowed_down_and_the_right_password_too(station: Station) -> None:
    clock = ManualClock()
    with served(station, clock) as panel:
        visitor = panel.visitor()
        assert [visitor.login("otto", f"guess {number}").status for number in range(FREE)] == [403] * FREE
        slowed = visitor.login("otto")
        assert slowed.status == 429 and slowed.headers["retry-after"] == "1"
        clock.advance(SECOND)
        assert visitor.login("otto").status == 200


# --- what is asked of pages and files ---


@pytest.mark.parametrize(
    "path",
    [
        "/files/../app.py", "/files/..%2fapp.py", "/files/%2e%2e/app.py", "/files/live.html", "/files//etc/passwd",
        "/picture/../../../etc/passwd/top", "/picture/1/..%2f..%2fstation.toml", "/picture/%2e%2e/top", "/picture/1/",
        "/picture/1/top%00", "/picture/-1/top", "/picture/ffffffffffffffff/top", "/part/..%2f1", "/part/0x1",
        "/part/1%27%20OR%201=1", "/part/%D9%A1",
    ],
)  # fmt: skip
def test_no_file_is_reached_by_its_name(panel: Served, path: str) -> None:
    answer = panel.visitor("erna").get(path)
    assert answer.status in (400, 404, 405, 409) and b"root:" not in answer.data and b"import" not in answer.data


def test_a_picture_is_found_by_part_and_camera(panel: Served) -> None:
    stored = keep_picture(panel.station, 0x700000001)
    vera = panel.visitor("vera")
    whole, small = (vera.get(f"/picture/700000001/top{more}") for more in ("", "?small=1"))
    assert (whole.data, whole.headers["content-type"]) == (stored, "image/jpeg")
    assert small.data.startswith(b"\xff\xd8") and len(small.data) < len(stored)
    assert vera.get("/picture/700000002/top").status == 404
    assert vera.get("/picture/700000001/side").status == 404


def test_a_picture_is_painted_where_the_network_found_something(panel: Served) -> None:
    keep_picture(panel.station, 0x700000001)
    hot = keep_picture(panel.station, 0x700000002, is_hot=True)
    vera = panel.visitor("vera")
    bare = vera.get("/picture/700000001/top?heat=1").data
    painted, plain, small = (vera.get(f"/picture/700000002/top{more}").data for more in ("?heat=1", "", "?small=1"))
    assert plain == hot and _reds(plain) < 0.001
    assert _reds(painted) == pytest.approx(0.25, abs=0.15), "the diagonal of the network's input"
    assert _reds(bare) < 0.001
    assert _reds(small) == pytest.approx(_reds(painted), abs=0.05)


def _reds(jpeg: bytes) -> float:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(int)
    return float((image[:, :, 2] > image[:, :, 0] + 60).mean())


def test_an_error_is_words_and_no_traceback(panel: Served) -> None:
    otto = panel.visitor("otto")
    odd = (b"{", b"[]", b'{"why": 1}', b'{"why": "x", "more": 1}', b"\xff\xfe", b"[" * 9_000, b"")
    for body in odd:
        answer = otto.ask("POST", "/api/acknowledge", body)
        assert answer.status in (400, 422) and "Traceback" not in answer.text
    assert otto.ask("POST", "/api/bypass", b'{"why": "x", "minutes": NaN}').status in (400, 422)
    until(lambda: otto.get("/login").status == 200, "it goes on")


def test_many_who_sign_in_at_once_leave_threads_for_who_looks(
    panel: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    vera, go, waiting = panel.visitor("vera"), threading.Event(), []

    def slow(name: str, password: str) -> None:
        waiting.append(name)
        assert go.wait(30)

    monkeypatch.setattr(panel.users, "check", slow)
    names = [f"user{number}" for number in range(4)]
    threads = [threading.Thread(target=panel.visitor().login, args=(name, "guess")) for name in names]
    for thread in threads:
        thread.start()
    until(lambda: sorted(waiting) == names, "four are being looked at")
    assert panel.visitor().login("user9", "guess").status == 429
    assert vera.get("/api/live").status == 200
    go.set()
    for thread in threads:
        thread.join()
