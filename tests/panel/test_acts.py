"""Who may do what, and that the eye hears of it with the user's name: asked for where it is done, not on the page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.control import (
    Acknowledge,
    AskBypass,
    ChangeBundle,
    Control,
    EndBypass,
    MoveThreshold,
    Request,
    SetLot,
    StartAgain,
)
from edge.durable import hold_folder
from edge.install import install, open_active
from edge.panel.acts import Acts, NotAllowedError
from edge.panel.options import Panel
from edge.panel.users import Role, User
from edge.picture_set import read_set
from edge.station import Station
from tests.eye.stations import bundle
from tests.panel.panels import ROLES, Served, a_station, an_eye, keep_picture, served

WHY = "the belt was jammed"
PART = 0x700000001
ACTS: dict[str, tuple[dict[str, object], Role, Request | None]] = {
    "acknowledge": ({"why": WHY}, Role.OPERATOR, Acknowledge(why=WHY, who="{}")),
    "bypass": ({"why": WHY, "minutes": 5}, Role.ENGINEER, AskBypass(for_s=300, why=WHY, who="{}")),
    "end_bypass": ({"why": WHY}, Role.OPERATOR, EndBypass(why=WHY, who="{}")),
    "change_bundle": (
        {"product": "cap-a", "version": 2, "why": WHY},
        Role.ENGINEER,
        ChangeBundle(product="cap-a", version=2, why=WHY, who="{}"),
    ),
    "move_threshold": (
        {"product": "cap-a", "value": 0.45, "why": WHY},
        Role.ENGINEER,
        MoveThreshold(product="cap-a", value=0.45, why=WHY, who="{}"),
    ),
    "start_again": ({"why": WHY}, Role.ENGINEER, StartAgain(why=WHY, who="{}")),
    "lot": ({"lot": "L-7"}, Role.OPERATOR, SetLot(lot="L-7", who="{}")),
    "label": ({"part": f"{PART:x}", "camera": "top", "label": "ok"}, Role.OPERATOR, None),
    "undo": ({}, Role.OPERATOR, None),
}


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Station:
    folder = tmp_path_factory.mktemp("station")
    station = a_station(folder)
    install(bundle(folder / "cap-a-2.bundle", version=2, is_judged=True), station)
    keep_picture(station, PART)
    return station


@pytest.fixture
def panel(station: Station) -> Iterator[Served]:
    with served(station, labels_dir=station.source.parent / "labels") as panel:
        yield panel


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("act", ACTS)
def test_each_role_may_do_its_own_acts_and_no_more(panel: Served, act: str, name: str) -> None:
    body, role, request = ACTS[act]
    visitor = panel.visitor(name)
    if act == "undo" and ROLES[name] >= role:
        visitor.post("/api/label", ACTS["label"][0])
    with an_eye(panel.station) as eye:
        answer = visitor.post(f"/api/{act}", body)
        if ROLES[name] >= role:
            assert answer.status == 200, answer.text
            expected = [] if request is None else [request.model_copy(update={"who": name})]
            assert eye.asked == expected
        else:
            assert answer.status == 403 and role.name.lower() in answer.json["error"]
            assert eye.asked == []


def test_the_role_is_asked_for_by_what_speaks_with_the_eye(station: Station) -> None:
    acts = Acts(Control(station))
    viewer = User("vera", Role.VIEWER, "")
    with an_eye(station) as eye:
        for act in (
            lambda: acts.acknowledge(viewer, WHY),
            lambda: acts.end_bypass(viewer, WHY),
            lambda: acts.set_lot(viewer, "L"),
            lambda: acts.bypass(User("otto", Role.OPERATOR, ""), 60, WHY),
            lambda: acts.change_bundle(User("otto", Role.OPERATOR, ""), "cap-a", 1, WHY),
            lambda: acts.start_again(User("otto", Role.OPERATOR, ""), WHY),
        ):
            with pytest.raises(NotAllowedError, match="ask somebody with the role"):
                act()
        assert eye.asked == []


@pytest.mark.parametrize(
    ("name", "buttons"),
    [
        ("vera", set()),
        ("otto", {"acknowledge", "end_bypass", "lot"}),
        ("erna", {"acknowledge", "end_bypass", "lot", "bypass"}),
    ],
)
def test_the_page_has_the_buttons_of_the_role(panel: Served, name: str, buttons: set[str]) -> None:
    page = panel.visitor(name).get("/").text
    assert {act for act in ACTS if f'<button id="{act}"' in page} == buttons


@pytest.mark.parametrize("why", ["", "   ", "two\nlines", "x" * 201, "\x00"])
def test_an_act_without_a_proper_reason_is_not_done(panel: Served, why: str) -> None:
    with an_eye(panel.station) as eye:
        answer = panel.visitor("otto").post("/api/acknowledge", {"why": why})
        assert answer.status == 409 and answer.json["error"].startswith("why:")
        assert eye.asked == []


def test_what_the_eye_refuses_is_told_in_its_words(panel: Served) -> None:
    with an_eye(panel.station) as eye:
        eye.refuses = "there is nothing to acknowledge"
        answer = panel.visitor("otto").post("/api/acknowledge", {"why": WHY})
        assert (answer.status, answer.json["error"]) == (409, "there is nothing to acknowledge")


def test_nothing_is_done_while_the_eye_is_away(panel: Served) -> None:
    answer = panel.visitor("otto").post("/api/acknowledge", {"why": WHY})
    assert answer.status == 503 and "is edge run up" in answer.json["error"]


# --- labels ---


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    station = a_station(tmp_path)
    for number in (1, 2):
        keep_picture(station, 0x700000000 + number)
    with served(station, labels_dir=tmp_path / "labels", classes=("scratch", "dent")) as panel:
        yield panel


def label(panel: Served, name: str, number: int, word: str, camera: str = "top") -> int:
    body = {"part": f"{0x700000000 + number:x}", "camera": camera, "label": word}
    return panel.visitor(name).post("/api/label", body).status


def labels_of(panel: Served) -> dict[str, tuple[str, str]]:
    """What edge-train would read: file -> label and group."""
    folder = panel.station.source.parent / "labels"
    return {picture.name: (picture.label, picture.group) for picture in read_set(folder)}


FIRST, SECOND = (f"images/000000070000000{number}_top.jpg" for number in (1, 2))


def test_a_label_is_a_row_and_a_copy_that_edge_train_reads(fresh: Served) -> None:
    assert label(fresh, "otto", 1, "scratch") == label(fresh, "erna", 2, "ok") == 200
    assert labels_of(fresh) == {FIRST: ("scratch", "part-7-1"), SECOND: ("ok", "part-7-2")}
    for path in (fresh.station.journal.dir / "pictures").rglob("*.jpg"):
        path.unlink()
    assert label(fresh, "otto", 1, "dent") == 200, "the copy outlives the kept picture"
    assert labels_of(fresh)[FIRST] == ("dent", "part-7-1")
    who = (fresh.station.source.parent / "labels" / "labelled-by.csv").read_text().splitlines()
    assert [line.split(",", 1)[1] for line in who[1:]] == [
        f"otto,{FIRST},,scratch", f"erna,{SECOND},,ok", f"otto,{FIRST},scratch,dent",
    ]  # fmt: skip


def test_undo_takes_back_ones_own_labels_only(fresh: Served) -> None:
    otto, erna = fresh.visitor("otto"), fresh.visitor("erna")
    for number, word in ((1, "scratch"), (1, "dent"), (2, "ok")):
        label(fresh, "otto", number, word)
    assert erna.post("/api/undo", {}).status == 409
    assert otto.post("/api/undo", {}).json["words"] == f"{SECOND} is labelled nothing again"
    otto.post("/api/undo", {})
    assert labels_of(fresh) == {FIRST: ("scratch", "part-7-1"), SECOND: ("", "part-7-2")}
    label(fresh, "erna", 1, "ok")
    assert otto.post("/api/undo", {}).status == 409, "another person's label is not written over"
    assert labels_of(fresh)[FIRST] == ("ok", "part-7-1")


@pytest.mark.parametrize(
    ("camera", "word"), [("top", "rust"), ("top", ""), ("side", "ok"), ("../top", "ok"), ("top", "ok\nx,ok,,")]
)
def test_a_label_or_camera_that_there_is_not_is_refused(fresh: Served, camera: str, word: str) -> None:
    assert label(fresh, "otto", 1, word, camera) == 409
    assert not (fresh.station.source.parent / "labels" / "labels.csv").exists()


def test_a_set_that_somebody_else_has_open_waits(fresh: Served) -> None:
    label(fresh, "otto", 1, "ok")
    held = hold_folder(fresh.station.source.parent / "labels")
    try:
        assert label(fresh, "otto", 2, "ok") == 409
    finally:
        os.close(held)
    assert label(fresh, "otto", 2, "ok") == 200


def test_a_set_of_plain_folders_is_not_spoilt(fresh: Served) -> None:
    known = fresh.station.source.parent / "labels" / "ng"
    known.mkdir(parents=True)
    assert label(fresh, "otto", 1, "ok") == 409
    known.rmdir()
    (known.parent / "images").mkdir()
    assert label(fresh, "otto", 1, "ok") == 200, "a first press that was killed may have begun"


def test_without_a_folder_there_are_no_labels(station: Station) -> None:
    with served(station) as panel:
        answer = panel.visitor("otto").post("/api/label", ACTS["label"][0])
        assert answer.status == 409 and "panel.labels_dir" in answer.json["error"]


def test_options_that_contradict_each_other_are_mistakes() -> None:
    assert Panel().mistakes() == Panel(listen="[::1]:80").mistakes() == []
    tls = {"certificate": Path("c"), "private_key": Path("k")}
    assert Panel(listen="192.0.2.5:443", **tls).names == {"192.0.2.5"}  # type: ignore[arg-type]
    assert Panel(listen="0.0.0.0:443", hosts=("panel",), **tls).mistakes() == []  # type: ignore[arg-type]
    for wrong, words in (
        (Panel(listen="192.0.2.5:80"), "by TLS only"),
        (Panel(listen="0.0.0.0:80", **tls), "name the hosts"),  # type: ignore[arg-type]
        (Panel(certificate=Path("c")), "go together"),
        (Panel(listen="8080"), "an address and a port"),
        (Panel(listen="panel:http"), "an address and a port"),
        (Panel(listen="panel.example:80"), "an address and a port"),
    ):
        assert words in "; ".join(wrong.mistakes())
    for key, value in (("shifts", ("6:00",)), ("hosts", ("http://x",)), ("classes", ("ok",)), ("idle_min", 0)):
        with pytest.raises(ValueError, match=key):
            Panel(**{key: value})  # type: ignore[arg-type]


# --- thresholds ---


@pytest.mark.parametrize(
    ("value", "status", "words"),
    [
        (0.54, 409, "the evidence misses its target"),
        (0, 422, "threshold: write more than 0"),
        (1, 422, "threshold: write less than 1"),
        (-0.5, 422, "threshold: write more than 0"),
        ("many", 422, "threshold: write a number"),
    ],
)
def test_a_threshold_that_is_none_or_unproven_is_not_asked_for(
    panel: Served, value: object, status: int, words: str
) -> None:
    with an_eye(panel.station) as eye:
        answer = panel.visitor("erna").post("/api/move_threshold", {"product": "cap-a", "value": value, "why": WHY})
        assert answer.status == status and words in answer.json["error"]
        assert eye.asked == []


def test_a_threshold_is_moved_by_the_panels_own_page_only(panel: Served) -> None:
    body = {"product": "cap-a", "value": None, "why": WHY}
    with an_eye(panel.station) as eye:
        erna = panel.visitor("erna")
        assert erna.post("/api/move_threshold", body, X_CSRF="x").status == 403
        assert erna.post("/api/move_threshold", body, Origin="http://elsewhere").status == 403
        assert erna.post("/api/move_threshold", {**body, "product": "../cap-a"}).status == 422
        assert erna.post("/api/move_threshold", {"product": "cap-a", "why": WHY}).status == 422, (
            "nothing is no reset"
        )
        assert eye.asked == []
        assert erna.post("/api/move_threshold", body).status == 200
        assert eye.asked == [MoveThreshold(product="cap-a", value=None, why=WHY, who="erna")]


def test_what_a_threshold_would_prove_is_told_to_all_and_changes_nothing(panel: Served) -> None:
    vera, asked = panel.visitor("vera"), "/api/threshold_at?product=cap-a&value="
    told = vera.get(f"{asked}0.45").json
    assert (told["threshold"], told["proven"], told["evidence"]["missed"]) == (0.45, True, 0)
    worse = vera.get(f"{asked}0.54").json
    assert worse["proven"] is False and worse["evidence"]["missed"] == 1
    for wrong in ("0", "1", "nan", "inf", "x", ""):
        assert vera.get(f"{asked}{wrong}").status == 422
    assert vera.get("/api/threshold_at?product=cap-b&value=0.5").status == 409
    assert open_active(panel.station, "cap-a").manifest.models[0].threshold == 0.5
