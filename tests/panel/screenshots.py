"""Takes the pictures of docs/panel.md, by `python -m tests.panel.screenshots`; look at them before you keep them.

All on them is real: the demo's network on a simulated belt and relay board, its panel, a browser; the faults are made.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import cv2

from compile.coverage import coverage_of
from edge.bundle import load_keys, read_bundle, write_bundle
from edge.capture.belt import draw_set
from edge.capture.belt_drawing import Look
from edge.clock import SystemClock
from edge.control import Control
from edge.demo.run import HERE as DEMO
from edge.demo.run import station_text
from edge.errors import ControlError
from edge.install import install
from edge.panel.users import Role, Users
from edge.picture_set import read_set
from edge.relay_board import RelayBoard
from edge.station import load
from tests.bundles import KEY, store_key
from tests.eye.stations import EdgeProcess
from tests.line.lines import end_child
from tests.panel.panels import until
from tests.panel.test_panel_browser import click
from tests.peers.browser import Browser, browser
from tests.peers.waiting import eventually
from tests.test_metrics import free_port

DOCS = Path(__file__).parents[2] / "docs"
MOST_BYTES = 120_000
SCREEN, PHONE = (1280, 800), (390, 844)
NAMES = (
    "sign-in", "screen", "limits", "drift", "part", "threshold", "bundles", "export", "phone", "phone-ja", "fault",
    "down", "collect",
)  # fmt: skip
PASSWORD = "engineer it 123"
MORE = """
[panel]
labels_dir = "labels"
classes = ["scratch", "dent", "stain"]
shifts = ["06:00", "14:00", "22:00"]
"""
LIMITS = """
[limits]
consecutive_rejects = 10
window_rejects = 30
window_parts = 100
warn = ["unknown_in_a_row"]
bypass_max_min = 30
"""
PARTS_PER_S = 2.0
SEED = 11  # the demo's belt, which its network has learned


def keep(name: str, png: bytes) -> None:
    """With as many colours as leave it small."""
    from PIL import Image

    assert name in NAMES
    image = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (256, 128, 96, 64, 48):
        data = io.BytesIO()
        # the few colours of a heat map are kept beside the many greys of a part
        few = image.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        few.save(data, "PNG", optimize=True)
        if data.tell() <= MOST_BYTES:
            break
    else:
        raise SystemExit(f"{name} has {data.tell()} bytes with {colours} colours: show less on it")
    (DOCS / f"panel-{name}.png").write_bytes(data.getvalue())
    print(f"docs/panel-{name}.png: {image.width} x {image.height}, {colours} colours, {data.tell()} bytes")


def lay_out(home: Path, port: str) -> Path:
    """The demo's station with limits, a panel and somebody who may sign in; two versions of its bundle, which also say
    how far its training pictures reach."""
    text = station_text(port, PARTS_PER_S).replace('name = "demo"', 'name = "line-3"')
    path = home / "line-3.toml"
    path.write_text(text[: text.index("[limits]")] + LIMITS + MORE)
    store_key(home / "keys")
    station = load(path)
    for each in bundles(home):
        install(each, station)
    return with_user(path)


def with_user(path: Path) -> Path:
    Users(load(path).station.state_dir).add("anna", Role.ENGINEER, PASSWORD)
    return path


def bundles(home: Path) -> Iterator[Path]:
    demo = read_bundle(DEMO / "washer-1.bundle", load_keys(DEMO))
    (entry,) = demo.manifest.models
    look = Look(SEED, 640, 640)
    for name, parts, first_lot in (("learned", 120, 1), ("held-out", 80, 31)):
        draw_set(home / name, parts, look, first_lot=first_lot)
    sets = [read_set(home / name) for name in ("learned", "held-out")]
    entry = replace(entry, coverage=coverage_of(demo.model(entry), entry.target, *sets, 0))
    pictures = {
        each.name: (each.label, cv2.imencode(".png", each.image)[1].tobytes()) for each in demo.acceptance()
    }
    for version in (1, 2):
        path = home / f"washer-{version}.bundle"
        manifest = replace(demo.manifest, version=version, models=(entry,))
        write_bundle(path, manifest, {entry.file: demo.model(entry)}, pictures, demo.report(), KEY)
        yield path


@contextmanager
def signed_in(
    folder: Path, address: str, size: tuple[int, int], language: str = "en", first: str = ""
) -> Iterator[Browser]:
    """A browser in which anna is signed in; `first` is the picture of before that."""
    folder.mkdir()
    with browser(folder, *size) as tab:
        tab.open(address)
        tab.wait_for("#login button", "Sign in", 30.0)
        if language != "en":
            click(tab, f"[data-language={language}]")
            until(lambda: bool(tab.text(f"html[lang={language}] #login button")), language)
        until(lambda: tab.ask("document.querySelector('#login button')?.disabled") is False, "its script runs")
        if first:
            keep(first, tab.picture())
        for field, value in (("#name", "anna"), ("#password", PASSWORD)):
            tab.ask(f"document.querySelector('{field}').value = '{value}'")
        click(tab, "#login button")
        eventually(lambda: tab.text("#headline") not in ("", "…"), "the state is shown", 60.0)
        yield tab
        assert tab.complaints == [], tab.complaints


def served(panel: EdgeProcess, port: int) -> str:
    until(lambda: "http" in panel.output, "the panel is served")
    return f"http://127.0.0.1:{port}/"


def see_a_reject(tab: Browser) -> None:
    """The newest part was rejected, and every picture in view is there."""
    waiting = "document.querySelectorAll('#gallery .coming').length"
    shown = (
        "document.querySelector('#seen').classList.contains('reject') && "
        "document.querySelector('#seen img').naturalWidth > 0 && "
        "document.querySelector('#seen').dataset.shown.includes(`/${document.querySelector('#seen').dataset.id}/`) && "
        "document.querySelector('#seen img').src.endsWith(document.querySelector('#seen').dataset.shown)"
    )
    eventually(lambda: tab.ask(waiting) == 0 and bool(tab.ask(shown)), "a reject is the newest part", 120.0, 0.05)


def go(tab: Browser, address: str, css: str, words: str = "") -> None:
    tab.open(address)
    eventually(lambda: bool(tab.text(css)) and words in tab.text(css), f"{words} at {address}", 30.0)


def pages(tab: Browser, address: str) -> None:
    """What is seen while the line runs."""
    until(lambda: tab.ask("document.querySelectorAll('#gallery .item').length") >= 12, "rejects")
    see_a_reject(tab)
    keep("screen", tab.picture())
    keep("limits", tab.picture("section:has(> #limits)"))
    click(tab, "#drift summary")
    eventually(lambda: "of the limit" in tab.text("#views"), "ten parts were compared", 60.0)
    keep("drift", tab.picture("#drift"))
    part = tab.ask("document.querySelector('#gallery .item.reject').href")
    go(tab, part, "[data-heat]")
    until(lambda: tab.ask("document.querySelector('figure img').naturalWidth") > 0, "its picture")
    keep("part", tab.picture(scale=0.75))  # the grain of its picture is most of it
    go(tab, f"{address}threshold", "#products", "Another threshold")
    keep("threshold", tab.picture())
    go(tab, f"{address}bundles", ".version.runs")
    click(tab, ".version.runs summary")
    keep("bundles", tab.picture())
    go(tab, f"{address}export", "#parts[href]")
    keep("export", tab.picture())


def of_a_line(home: Path, run_min: float) -> None:
    with ExitStack() as stack:
        board = stack.enter_context(ExitStack())
        file = lay_out(home, board.enter_context(RelayBoard(SystemClock())).port)
        port = free_port()
        stack.callback(end_child, load(file))
        edge = stack.enter_context(EdgeProcess("run", file))
        panel = stack.enter_context(EdgeProcess("panel", file, "--listen", f"127.0.0.1:{port}"))
        address = served(panel, port)
        control = Control(load(file))
        eventually(lambda: ready(control), "the station inspects", 120.0)
        control.set_lot("4712", "anna")
        time.sleep(run_min * 60)
        tab = stack.enter_context(signed_in(home / "screen", address, SCREEN, first="sign-in"))
        pages(tab, address)
        for name, language in (("phone", "en"), ("phone-ja", "ja")):
            with signed_in(home / name, address, PHONE, language) as phone:
                see_a_reject(phone)
                keep(name, phone.picture())
        go(tab, address, "#headline", "Inspecting")
        board.close()
        tab.wait_for("#headline", "Fault", 60.0)  # parts go on coming, whose pictures are looked for
        keep("fault", tab.picture())
        edge.process.kill()
        tab.wait_for("#headline", "does not answer", 60.0)
        tab.wait_for("#seen small", "does not answer", 60.0)
        see_all(tab)
        keep("down", tab.picture())


def see_all(tab: Browser) -> None:
    waiting = "document.querySelectorAll('#gallery .coming').length"
    eventually(lambda: tab.ask(waiting) == 0, "every picture is there", 30.0)


def ready(control: Control) -> bool:
    try:
        return control.status().level == "READY"
    except ControlError:
        return False


def of_a_collection(home: Path) -> None:
    text = station_text("/dev/null", PARTS_PER_S).replace('name = "demo"', 'name = "line-4"')
    camera, trigger = text[: text.index("[trigger]")], text[text.index("[trigger]") : text.index("[travel]")]
    file = home / "line-4.toml"
    file.write_text(camera.replace("[station]", '[station]\nmode = "collect"') + trigger + MORE)
    load(file).station.state_dir.mkdir()
    with_user(file)
    port = free_port()
    with (
        EdgeProcess("collect", file, "--into", home / "pictures", "--at-trigger", "--lot", "4712", "--as", "jpeg"),
        EdgeProcess("panel", file, "--listen", f"127.0.0.1:{port}") as panel,
        signed_in(home / "screen", served(panel, port), SCREEN) as tab,
    ):
        tab.wait_for("#headline", "Collecting", 60.0)
        until(lambda: (tab.ask("document.querySelector('#seen img').naturalWidth") or 0) > 0, "a picture")
        until(lambda: len(tab.text("#recorded b")) > 1, "some pictures")
        keep("collect", tab.picture())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.panel.screenshots", description=__doc__)
    parser.add_argument("--run-min", type=float, default=0.5, help="how long the line runs first, minutes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kenpin-") as folder:
        for name in ("line", "collect"):
            (Path(folder) / name).mkdir()
        of_a_line(Path(folder) / "line", given.run_min)
        of_a_collection(Path(folder) / "collect")


if __name__ == "__main__":
    main()
