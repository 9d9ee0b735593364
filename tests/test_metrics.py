"""What Prometheus is told is what the station has counted; a station that is away is down, and says nothing else."""

from __future__ import annotations

import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from edge import metrics as served_by
from edge.control import Figures, Histogram, Status
from edge.errors import ConfigError, ControlError
from edge.metrics import StationMetrics, keep, registry_of, serve
from edge.nearness import DriftOf, LimitNow
from edge.timing import BOUNDS_NS, Series
from tests.contracts.source_tree import ROOT
from tests.eye.stations import BELT, BELT_TRIGGER, EdgeProcess, modbus_bench
from tests.eye.test_operator import becomes
from tests.line.lines import station_file
from tests.peers import eventually

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Name and label values (station first) -> value."""
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels, key=lambda key: key != "station"))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(series: Series) -> Histogram:
    return Histogram(bins=list(series.bins), total_ns=series.total)


def figures(**changes: object) -> Figures:
    series = Series(bounds=[1_000_000, 10_000_000])
    for value in (400_000, 1_000_000, 2_000_000, 50_000_000):
        series.add(value)
    status = Status(
        station="left", mode="inspect", level="READY", cause="", line="READY", permit=True, can_acknowledge=False,
        product="cap-a", recipe=0, bypass_left_s=0.0, parts=4, verdicts={"pass": 3, "reject": 1},
        outcomes={"fired": 1, "released": 3}, bypassed=0, turned_away=2, malformed=0, pid=1,
    )  # fmt: skip
    told = Figures(
        status=status, unknown_reasons={"NO_FRAME": 1}, frames={"captured": 4}, deadlines={"met": 4, "missed": 0},
        records={"committed": 9, "lost": 0}, unconfirmed=0, stage_bounds_ns=[1_000_000, 10_000_000],
        stages={"engine": of(series)}, edge_bounds_ns=[1_000_000, 10_000_000], gate_edges=of(series),
    )  # fmt: skip
    return told.model_copy(update=changes)


def exposed(**stations: object) -> Samples:
    registry = CollectorRegistry()
    registry.register(StationMetrics(stations))  # type: ignore[arg-type]
    return samples(generate_latest(registry).decode())


def test_counts_and_states_of_a_station_are_told_under_its_name() -> None:
    told = exposed(left=figures)
    assert told["kenpin_up", "left"] == 1
    assert (
        told["kenpin_parts_total", "left", "reject"] == 1 and told["kenpin_outcomes_total", "left", "released"] == 3
    )
    assert told["kenpin_state", "left", "READY"] == 1 and told["kenpin_state", "left", "FAULT"] == 0
    assert told["kenpin_line_permit", "left"] == told["kenpin_pictures_as_learned", "left"] == 1
    assert told["kenpin_unknown_total", "left", "NO_FRAME"] == 1 and told["kenpin_turned_away_total", "left"] == 2


def test_limits_that_are_on_are_told_with_their_counts() -> None:
    def limit(name: str, count: int | None, bound: int, product: str = "") -> LimitNow:
        return LimitNow(name=name, count=count, bound=bound, then="stop", product=product)

    limits = [
        limit("unknown_in_a_row", 2, 5),
        limit("missed_deadlines", 1, 0),
        limit("window_rejects", None, 40),
        limit("unknown", 7, 50, "cap-a"),
    ]
    told = exposed(left=lambda: figures(limits=limits))
    counts = {key[2:]: value for key, value in told.items() if key[0] == "kenpin_limit_count"}
    bounds = {key[2:]: value for key, value in told.items() if key[0] == "kenpin_limit_bound"}
    assert counts == {("unknown_in_a_row", ""): 2, ("unknown", "cap-a"): 7}
    assert bounds == {("unknown_in_a_row", ""): 5, ("window_rejects", ""): 40, ("unknown", "cap-a"): 50}


def test_how_far_pictures_lie_is_told_of_each_camera_that_can_tell() -> None:
    seen = DriftOf(product="cap-a", camera="top", has_coverage=True, parts=40, distance=0.8, unlike=10, allowed=20)
    blind = DriftOf(product="cap-a", camera="side", has_coverage=False)
    told = exposed(left=lambda: figures(views=[seen, blind]))
    assert told["kenpin_distance", "left", "top", "cap-a"] == 0.8
    assert told["kenpin_unlike_ratio", "left", "top", "cap-a"] == 0.25
    assert not [key for key in told if "side" in key]


def test_a_threshold_that_is_not_proven_is_told_of_its_product() -> None:
    status = figures().status.model_copy(update={"versions": {"cap-a": 3, "cap-b": 1}, "unproven": ["cap-b"]})
    told = exposed(left=lambda: figures(status=status))
    assert [told["kenpin_threshold_proven", "left", product] for product in ("cap-a", "cap-b")] == [1, 0]


def test_a_histogram_counts_what_is_at_most_so_large() -> None:
    told = exposed(left=figures)
    by_bound = {key[2]: value for key, value in told.items() if key[0] == "kenpin_gate_edge_error_seconds_bucket"}
    assert by_bound == {"0.001": 2, "0.01": 3, "+Inf": 4}
    assert told["kenpin_gate_edge_error_seconds_sum", "left"] == pytest.approx(0.0534)
    assert told["kenpin_stage_seconds_count", "left", "engine"] == 4


def test_a_station_that_is_away_is_down_and_hides_no_other() -> None:
    def away() -> Figures:
        raise ControlError("no station answers")

    told = exposed(left=away, right=figures)
    assert told["kenpin_up", "left"] == 0 and told["kenpin_up", "right"] == 1
    assert {key[1] for key in told if key[0] != "kenpin_up"} == {"right"}


def test_a_file_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.metrics.LEAST_S", 0)
    registry = CollectorRegistry()
    registry.register(StationMetrics({"left": figures}))
    stop = threading.Event()
    writer = threading.Thread(target=keep, args=(registry, tmp_path / "kenpin.prom", 0.001, stop))
    writer.start()
    eventually((tmp_path / "kenpin.prom").exists, "it is there")
    for _ in range(50):
        assert samples((tmp_path / "kenpin.prom").read_text())["kenpin_up", "left"] == 1
    stop.set()
    writer.join()


@pytest.mark.parametrize("address", ["9317", "localhost:", "localhost:http", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"--listen .*127\.0\.0\.1:9317"):
        serve(CollectorRegistry(), address, threading.Event())


def test_a_file_is_not_written_without_a_pause(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1s or more"):
        keep(CollectorRegistry(), tmp_path / "kenpin.prom", 0.0, threading.Event())


def test_two_stations_of_one_name_are_refused(tmp_path: Path) -> None:
    station = station_file(tmp_path, gate='kind = "memory"', permit='kind = "memory"')
    with pytest.raises(ConfigError, match="one name"):
        registry_of([station, station])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder that may be written"):
        keep(CollectorRegistry(), tmp_path / "none" / "kenpin.prom", 1.0, threading.Event())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where a station's figures are served to whoever takes at most half a second."""
    monkeypatch.setattr(served_by, "WITHIN_S", 0.5)
    registry, stop, port = CollectorRegistry(), threading.Event(), free_port()
    registry.register(StationMetrics({"left": figures}))
    server = threading.Thread(target=serve, args=(registry, f"127.0.0.1:{port}", stop))
    server.start()
    eventually(lambda: is_scraped(port), "it is served")
    yield port
    stop.set()
    server.join()


def is_scraped(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return b"kenpin_up" in answer.read()
    return False


def has_ended(connection: socket.socket, drip: bytes = b"") -> bool:
    """Whether the other end has closed, while this one sends some more."""
    connection.settimeout(0.05)
    try:
        connection.sendall(drip)
        return connection.recv(65_536) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("first", [b"", b"GET /metrics HTTP/1.1\r\nX-"], ids=["new", "in its head"])
@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "slow"])
def test_a_connection_that_does_not_ask_in_time_ends(port: int, first: bytes, drip: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(first)
        began = time.monotonic()
        eventually(lambda: has_ended(one, drip), "it is sent away")
        assert 0.3 < time.monotonic() - began < 5


def test_connections_that_are_held_open_keep_no_scrape_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_by, "WITHIN_S", 60)
    before = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(3 * served_by.AT_ONCE)]
    assert is_scraped(port)
    assert has_ended(held[0]) and not has_ended(held[-1]), "the oldest gave way"
    eventually(lambda: threading.active_count() - before <= 2 * served_by.AT_ONCE, "so did their threads")
    for each in held:
        each.close()


def test_a_running_station_is_scraped_over_http_and_told_as_down_when_it_has_ended(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"

    def scraped() -> Samples:
        with suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
            return samples(answer.read().decode())
        return {}

    with modbus_bench(tmp_path, camera=BELT, trigger=BELT_TRIGGER, rate=10.0) as bench:
        name = bench.station.station.name
        with EdgeProcess("metrics", bench.file, "--listen", address) as metrics:
            eventually(lambda: scraped().get(("kenpin_up", name)) == 0, "no eye yet")
            with EdgeProcess("run", bench.file) as edge:
                becomes(bench, lambda status: status.parts >= 10, "parts come by")
                told = scraped()
                assert told["kenpin_up", name] == 1
                status = becomes(bench, lambda status: True, "it answers")
                assert 10 <= told["kenpin_stage_seconds_count", name, "capture_to_verdict"] <= status.parts + 5
                assert sum(value for key, value in told.items() if key[0] == "kenpin_parts_total") <= status.parts
                edge.process.terminate()
                assert edge.ends() == 0, edge.output
            eventually(lambda: scraped().get(("kenpin_up", name)) == 0, "the eye has ended")
            metrics.process.terminate()
            assert metrics.ends() == 0, metrics.output


def test_the_bounds_rise_and_registering_asks_nobody() -> None:
    assert list(BOUNDS_NS) == sorted(set(BOUNDS_NS))
    registry_of([])


def test_an_outbox_is_told_of_where_there_is_one() -> None:
    told = exposed(
        left=lambda: figures(outbox_waiting=7, outbox_dropped=2, outbox_silent_s=3.5),
        right=figures,
    )
    assert [told[f"kenpin_outbox_{what}", "left"] for what in ("waiting", "dropped", "silent_seconds")] == [
        7,
        2,
        3.5,
    ]
    assert not any(key[0].startswith("kenpin_outbox") and key[1] == "right" for key in told)


# --- the rules of docs/fleet.md ---

BY_OTHERS = {"up", "node_textfile_mtime_seconds"}  # Prometheus' own, node_exporter's


def rules() -> list[str]:
    """The expressions of the page's alert rules."""
    page = (ROOT / "docs" / "fleet.md").read_text()
    return re.findall(r"^ +expr: (.*)$", page, re.MULTILINE)


def exported() -> dict[str, list[dict[str, str]]]:
    """Each sample's name -> the labels that it comes with."""
    registry = CollectorRegistry()
    status = figures().status.model_copy(update={"versions": {"cap-a": 3}})
    registry.register(StationMetrics({"left": lambda: figures(status=status, outbox_silent_s=1.0)}))
    found: dict[str, list[dict[str, str]]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def test_the_alert_rules_speak_of_what_is_exported() -> None:
    known, spoken = exported(), set()
    for rule in rules():
        plain = re.sub(r'"[^"]*"|\[\d+m\]', "", rule)
        for name in set(re.findall(r"[a-z_]+(?=\s*(?:\{|==|\)|\[|>|$))", plain)) - BY_OTHERS:
            assert name in known, f"{rule}: nobody exports {name}"
            spoken.add(name)
        for name, label, value in re.findall(r'(kenpin_\w+)\{(\w+)="(\w+)"\}', rule):
            assert any(labels.get(label) == value for labels in known[name]), (
                f"{rule}: no {name} has {label}={value}"
            )
    assert len(rules()) >= 9
    assert {"kenpin_up", "kenpin_line_permit", "kenpin_records_total", "kenpin_deadlines_total"} <= spoken
    assert {"kenpin_pictures_as_learned", "kenpin_outbox_waiting"} <= spoken
