"""The labelling page over HTTP: what it does, whom it refuses, and that no answered label is ever lost."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.errors import ConfigError
from tests.training.label_page import Page, a_set, labels_of, served
from training.cli import app
from training.labelling.serve import hold_set
from training.suggestions import Suggestion

ROWS = ["a.png,,g1,", "b.png,dent,g1,", "c.png,,g2,", "d.png,ok,g3,"]
STROKE = {"points": [[10, 10], [20, 10]], "radius": 3}


@pytest.fixture
def folder(tmp_path):
    return a_set(tmp_path / "set", ROWS)


@pytest.fixture
def page(folder):
    with served(folder) as page:
        yield page


# --- what it does ---


def test_unlabelled_pictures_come_first(page):
    told = page.get("set").json
    assert told["order"] == [0, 2, 1, 3]
    assert (told["labelled"], told["defects"], told["classes"]) == (2, 1, ["dent"])


def test_suggested_pictures_come_before_all(folder):
    order = [Suggestion("c.png", "g2", "typical"), Suggestion("a.png", "g1", "random")]
    with served(folder, order=order) as page:
        told = page.get("set").json
    assert told["order"] == [2, 0, 1, 3]
    assert [told["pictures"][number]["reason"] for number in told["order"]] == ["typical", "random", "", ""]


def test_classes_keep_their_keys_in_the_order_of_their_first_use(folder):
    with served(folder) as page:
        page.act("label", 0, label="scratch", was="")
        assert page.get("set").json["classes"] == ["dent", "scratch"]
        page.act("label", 2, label="crack", was="")
    with served(folder) as page:
        assert page.get("set").json["classes"] == ["scratch", "crack", "dent"]
    with served(folder, classes=("dent", "burr")) as page:
        assert page.get("set").json["classes"] == ["dent", "burr", "scratch", "crack"]


def test_a_label_is_stored_and_told(page, folder):
    answer = page.act("label", 0, label="dent", was="")
    assert answer.status == 200
    assert [(row["file"], row["label"]) for row in answer.json["changed"]] == [("a.png", "dent")]
    assert (answer.json["labelled"], answer.json["defects"], answer.json["labels"]) == (3, 2, 1)
    assert labels_of(folder)["a.png"] == "dent"


def test_a_stroke_is_seen_in_the_mask_and_undo_takes_it_back(page):
    assert page.act("stroke", 1, stroke=STROKE).json["changed"][0]["mask"] is True
    shown = cv2.imdecode(np.frombuffer(page.get("mask/1").data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (48, 64, 4)
    assert shown[10, 15, 3] == 255
    assert shown[40, 40, 3] == 0
    told = page.act("undo").json
    assert told["picture"] == 1
    assert told["changed"][0]["mask"] is False
    assert page.act("undo").json["picture"] is None


def test_wiping_takes_the_mask_away(page):
    page.act("stroke", 1, stroke=STROKE)
    assert page.act("wipe", 1).json["changed"][0]["mask"] is False


def test_a_picture_comes_with_its_size(page):
    answer = page.get("picture/0")
    assert (answer.status, answer.headers["content-type"], answer.headers["x-picture-size"]) == (
        200, "image/png", "64x48",
    )  # fmt: skip


def test_a_broken_picture_is_named(page, folder):
    (folder / "c.png").write_bytes(b"no picture")
    answer = page.get("picture/2")
    assert answer.status == 409
    assert "c.png is no readable picture" in answer.json["error"]


def test_two_windows_are_told_of_each_other_and_of_their_labels(page, folder):
    assert page.ask("GET", f"/{page.key}/news?window=one&since=0").json["windows"] == 1
    page.act("label", 0, label="ok", was="", window="two")
    told = page.get("news?window=one&since=0").json
    assert told["windows"] == 2
    assert [row["label"] for row in told["changed"]] == ["ok"]
    stale = page.act("label", 0, label="dent", was="", window="one")
    assert stale.status == 409
    assert "meanwhile" in stale.json["error"]
    assert labels_of(folder)["a.png"] == "ok"
    page.ask("POST", f"/{page.key}/leave?window=two", b"")
    assert page.get("news?window=one&since=1").json["windows"] == 1


# --- whom it refuses ---


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", "10.0.0.5", ""])
def test_a_name_that_somebody_points_at_this_machine_is_refused(page, host):
    answer = page.ask("GET", f"/{page.key}/", Host=host)
    assert answer.status == 421
    assert page.key.encode() not in answer.data


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_this_machine_is_let_in(page, name):
    assert page.ask("GET", f"/{page.key}/", Host=f"{name}:{page.port}").status == 200


@pytest.mark.parametrize("path", ["/", "/set", "/wrong/set", "/the-key", "//the-key/", "*", "/the-key%00/set"])
def test_without_the_key_nothing_is_told(page, path):
    answer = page.ask("GET", path)
    assert answer.status == 403
    assert "whole address" in answer.json["error"]


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1"])
def test_another_sites_page_changes_nothing(page, folder, origin):
    body = json.dumps({"window": "x", "kind": "label", "picture": 0, "label": "ok", "was": ""}).encode()
    assert page.ask("POST", f"/{page.key}/act?since=0", body, Origin=origin).status == 403
    assert labels_of(folder)["a.png"] == ""


@pytest.mark.parametrize(
    "path",
    [
        "files/../app.py", "files/..%2fapp.py", "files/%2e%2e/app.py", "files//etc/passwd", "files/label.html",
        "picture/../set.csv",
    ],
)  # fmt: skip
def test_no_other_file_is_given(page, path):
    answer = page.get(path)
    assert answer.status in (404, 409, 422)
    assert b"import" not in answer.data


@pytest.mark.parametrize("path", ["picture/99", "picture/-1", "part/0?left=0&top=0&width=0&height=9"])
def test_what_is_not_there_is_one_clear_line(page, path):
    answer = page.get(path)
    assert answer.status == 409
    assert "load the page again" in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"window": "x"}', b'{"window": "x", "kind": "delete"}',
        b'{"window": "x", "kind": "label", "picture": "zero"}', b'{"window": "x", "kind": "label", "more": 1}',
        b'{"window": "x", "kind": "stroke", "picture": 1, "stroke": {"points": [], "radius": 3}}',
        b'{"window": "x", "kind": "stroke", "picture": 1, "stroke": {"points": [[1, 2]], "radius": 1e9}}',
        b'{"window": "x", "kind": "stroke", "picture": 1, "stroke": {"points": [[1, NaN]], "radius": 3}}',
        b'{"window": "x", "kind": "stroke", "picture": 1, "stroke": {"points": [[1e12, 0]], "radius": 3}}',
        b"\xff\xfe",
    ],
)  # fmt: skip
def test_a_malformed_act_is_refused_and_changes_nothing(page, folder, body):
    before = (folder / "labels.csv").read_bytes()
    answer = page.ask("POST", f"/{page.key}/act?since=0", body)
    assert answer.status == 422, answer.data
    assert (folder / "labels.csv").read_bytes() == before
    assert page.get("set").status == 200


@pytest.mark.parametrize("size", [{"Content_Length": "99999999"}, {"Transfer_Encoding": "chunked"}])
def test_more_than_a_page_sends_is_refused(page, size):
    assert page.ask("POST", f"/{page.key}/act?since=0", None, **size).status == 413


def test_the_page_may_load_nothing_from_elsewhere(page):
    answer = page.get("")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert not re.findall(rb"https?://", answer.data)
    assert answer.headers["referrer-policy"] == "no-referrer"


# --- the command ---


def start(folder):
    """`edge-train label` as people start it."""
    command = "from training.cli import main; main()"
    arguments = ["label", str(folder), "--port", "0"]
    process = subprocess.Popen([sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    told = re.search(r"http://127.0.0.1:(\d+)/([\w-]+)/", line)
    assert told, line
    return process, Page(int(told[1]), told[2])


def test_no_answered_label_is_lost_when_the_program_is_killed(tmp_path):
    folder = a_set(tmp_path, [f"{number}.png,,," for number in range(400)])
    process, page = start(folder)
    page.get("set")
    killer = threading.Timer(0.4, process.kill)
    answered = {}
    try:
        killer.start()
        for number in range(400):
            label = ("ok", "dent")[number % 2]
            assert page.act("label", number, label=label, was="").status == 200
            answered[f"{number}.png"] = label
    except (OSError, http.client.HTTPException):
        pass
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    assert answered, "it was killed before the first label"
    assert len(answered) < 400, "it was not killed in the midst of labelling"
    found = labels_of(folder)
    assert len(found) == 400
    assert {name: found[name] for name in answered} == answered


def test_ctrl_c_ends_it_and_tells_what_was_done(folder):
    process, page = start(folder)
    page.get("set")
    page.act("label", 0, label="ok", was="")
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "labelled so far: 1 pictures in" in told


def test_a_set_is_labelled_by_one_program_at_a_time(folder):
    held = hold_set(folder)
    result = CliRunner().invoke(app, ["label", str(folder), "--port", "0"])
    os.close(held)
    assert isinstance(result.exception, ConfigError)
    assert "another edge-train label or edge collect" in str(result.exception)


def test_a_taken_port_and_a_foreign_order_are_one_line(folder, tmp_path, page):
    for arguments, words in (
        (["--port", str(page.port)], "choose another with --port"),
        (["--order", str(tmp_path / "none.csv")], "run edge-train suggest"),
    ):
        result = CliRunner().invoke(app, ["label", str(folder), *arguments])
        assert isinstance(result.exception, ConfigError)
        assert words in str(result.exception)
