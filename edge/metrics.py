"""`edge metrics`: a station's figures for Prometheus, from a process of its own; its eye only answers questions."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from edge.clock import SECOND
from edge.control import Control, Figures, Histogram
from edge.errors import ConfigError, ControlError, DeviceError
from edge.health import Level
from edge.station import Station

Ask = Callable[[], Figures]
LABEL = ["station"]
LEAST_S = 1.0
WITHIN_S = 10.0  # a connection: the request, and the answer taken
AT_ONCE = 20  # connections; the oldest gives way to another one


class StationMetrics(Collector):
    """Asks the stations at each scrape; one that does not answer is down, and says nothing else.

    stations: name -> how to ask it.
    """

    def __init__(self, stations: dict[str, Ask]) -> None:
        self._stations = stations

    def describe(self) -> Sequence[Metric]:
        """Nothing is asked when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All figures of all stations that answer."""
        answers: dict[str, Figures] = {}
        up = GaugeMetricFamily("kenpin_up", "Whether the station's eye answers.", labels=LABEL)
        for name, ask in self._stations.items():
            try:
                answers[name] = ask()
            except ControlError:
                up.add_metric([name], 0)
            else:
                up.add_metric([name], 1)
        yield up
        yield from _states(answers)
        yield from _counters(answers)
        yield from _times(answers)


def _states(answers: dict[str, Figures]) -> Iterator[Metric]:
    state = GaugeMetricFamily("kenpin_state", "1 for the state that the station is in.", labels=[*LABEL, "state"])
    permit = GaugeMetricFamily("kenpin_line_permit", "Whether the belt may run.", labels=LABEL)
    alike = GaugeMetricFamily(
        "kenpin_pictures_as_learned", "Whether light, colour, focus and what is shown are as learned.", labels=LABEL
    )
    proven = GaugeMetricFamily(
        "kenpin_threshold_proven",
        "Whether the evidence meets its target at the threshold in force.",
        labels=[*LABEL, "product"],
    )
    for name, told in answers.items():
        for product in told.status.versions:
            proven.add_metric([name, product], product not in told.status.unproven)
        for level in Level:
            state.add_metric([name, level.name], told.status.level == level.name)
        permit.add_metric([name], told.status.permit)
        alike.add_metric([name], not told.status.likeness)
    yield from (state, permit, alike, proven)
    yield from _outboxes(answers)
    yield from _limits(answers)
    yield from _distances(answers)


def _limits(answers: dict[str, Figures]) -> Iterator[Metric]:
    """Those that are on. No count while no line tells it."""
    labels = [*LABEL, "limit", "product"]
    bound = GaugeMetricFamily("kenpin_limit_bound", "So many are too many.", labels=labels)
    count = GaugeMetricFamily("kenpin_limit_count", "How many there are of it now.", labels=labels)
    for name, told in answers.items():
        for limit in told.limits:
            if limit.bound:
                bound.add_metric([name, limit.name, limit.product], limit.bound)
                if limit.count is not None:
                    count.add_metric([name, limit.name, limit.product], limit.count)
    yield from (bound, count)


def _distances(answers: dict[str, Figures]) -> Iterator[Metric]:
    """Of cameras that have seen parts of a bundle with coverage."""
    labels = [*LABEL, "camera", "product"]
    distance = GaugeMetricFamily(
        "kenpin_distance",
        "How far the newest pictures lie from what was learned; 1 is what 95 % of held-out pictures stay within.",
        labels=labels,
    )
    unlike = GaugeMetricFamily("kenpin_unlike_ratio", "The share of the newest pictures beyond 1.", labels=labels)
    for name, told in answers.items():
        for view in told.views:
            if view.parts:
                distance.add_metric([name, view.camera, view.product], view.distance)
                unlike.add_metric([name, view.camera, view.product], view.unlike / view.parts)
    yield from (distance, unlike)


def _outboxes(answers: dict[str, Figures]) -> Iterator[Metric]:
    """Of stations with [mqtt]."""
    waiting = GaugeMetricFamily("kenpin_outbox_waiting", "Records that the broker has not taken yet.", labels=LABEL)
    dropped = GaugeMetricFamily("kenpin_outbox_dropped", "Records that left the journal unsent.", labels=LABEL)
    silent = GaugeMetricFamily(
        "kenpin_outbox_silent_seconds", "How long ago the outbox told the eye of itself.", labels=LABEL
    )
    for name, told in answers.items():
        if told.outbox_silent_s is not None:
            waiting.add_metric([name], told.outbox_waiting)
            dropped.add_metric([name], told.outbox_dropped)
            silent.add_metric([name], told.outbox_silent_s)
    yield from (waiting, dropped, silent)


def _counters(answers: dict[str, Figures]) -> Iterator[Metric]:
    """Each of them begins anew with the eye."""
    tables: tuple[tuple[str, str, str, Callable[[Figures], dict[str, int]]], ...] = (
        ("kenpin_parts", "Parts by their verdict.", "verdict", lambda told: told.status.verdicts),
        ("kenpin_outcomes", "What the gate did.", "outcome", lambda told: told.status.outcomes),
        ("kenpin_unknown", "Parts without a verdict, by reason.", "reason", lambda told: told.unknown_reasons),
        ("kenpin_frames", "Frames of all cameras, and copies made.", "what", lambda told: told.frames),
        ("kenpin_deadlines", "Verdicts in time or not.", "result", lambda told: told.deadlines),
        ("kenpin_records", "Records of the journal.", "result", lambda told: told.records),
    )
    for name, words, label, of in tables:
        family = CounterMetricFamily(name, words, labels=[*LABEL, label])
        for station, told in answers.items():
            for value, count in of(told).items():
                family.add_metric([station, value], count)
        yield family
    single: tuple[tuple[str, str, Callable[[Figures], int]], ...] = (
        ("kenpin_unconfirmed", "Parts whose reject nobody confirmed.", lambda told: told.unconfirmed),
        ("kenpin_bypassed", "Parts that a bypass let pass.", lambda told: told.status.bypassed),
        (
            "kenpin_turned_away",
            "Peers that may not ask at the control socket.",
            lambda told: told.status.turned_away,
        ),
    )
    for name, words, count_of in single:
        family = CounterMetricFamily(name, words, labels=LABEL)
        for station, told in answers.items():
            family.add_metric([station], count_of(told))
        yield family


def _times(answers: dict[str, Figures]) -> Iterator[Metric]:
    stages = HistogramMetricFamily("kenpin_stage_seconds", "Where a part's time goes.", labels=[*LABEL, "stage"])
    edges = HistogramMetricFamily(
        "kenpin_gate_edge_error_seconds", "The gate was written so long after its planned time.", labels=LABEL
    )
    for name, told in answers.items():
        for stage, histogram in told.stages.items():
            stages.add_metric([name, stage], _buckets(told.stage_bounds_ns, histogram), histogram.total_ns / SECOND)
        edges.add_metric([name], _buckets(told.edge_bounds_ns, told.gate_edges), told.gate_edges.total_ns / SECOND)
    yield from (stages, edges)


def _buckets(bounds_ns: Sequence[int], histogram: Histogram) -> list[tuple[str, float]]:
    """What Prometheus calls buckets: how many values are at most so large."""
    buckets, count = [], 0
    for bound, more in zip([*(str(bound / SECOND) for bound in bounds_ns), "+Inf"], histogram.bins, strict=True):
        count += more
        buckets.append((bound, float(count)))
    return buckets


def registry_of(stations: Sequence[Station]) -> CollectorRegistry:
    """A registry with the figures of these stations and nothing else. Raises ConfigError for two of one name."""
    asked = {each.station.name: Control(each).figures for each in stations}
    if len(asked) < len(stations):
        raise ConfigError("two of the stations have one name: their figures could not be told apart")
    registry = CollectorRegistry()
    registry.register(StationMetrics(asked))
    return registry


class _Handler(WSGIRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Whoever scrapes is no news."""


class _Server(ThreadingWSGIServer):
    """A thread for each connection, which ends after WITHIN_S whatever it does; the oldest gives way to new ones."""

    request_queue_size = 100

    def __init__(self, *given: Any) -> None:
        self._open: dict[socket.socket, threading.Timer] = {}  # the oldest first
        self._lock = threading.Lock()
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        timer = threading.Timer(WITHIN_S, _end, (request,))
        timer.daemon = True
        with self._lock:
            self._open[request] = timer
            oldest = next(iter(self._open)) if len(self._open) > AT_ONCE else None
        timer.start()
        if oldest is not None:
            self._forget(oldest)
            _end(oldest)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._forget(request)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Somebody left early, or was sent away."""

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            timer = self._open.pop(request, None)
        if timer is not None:
            timer.cancel()


class _ServerOf6(_Server):
    address_family = socket.AF_INET6


def _end(connection: socket.socket) -> None:
    """Its thread reads the end of the connection, or cannot write on."""
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


def serve(registry: CollectorRegistry, address: str, stop: threading.Event) -> None:
    """Answer scrapes at "127.0.0.1:9317" until `stop`. Raises ConfigError, DeviceError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigError(f"--listen {address!r}: write an address and a port, such as 127.0.0.1:9317")
    host = host.strip("[]")
    kind = _ServerOf6 if ":" in host else _Server
    try:
        server = make_server(host, int(port), make_wsgi_app(registry), kind, _Handler)
    except OSError as error:
        raise DeviceError(f"cannot listen at {address}: {error}; choose another --listen") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    print(f"http://{address}/metrics", flush=True)
    stop.wait()
    server.shutdown()
    server.server_close()
    thread.join()


def keep(registry: CollectorRegistry, file: Path, every_s: float, stop: threading.Event) -> None:
    """Write the file again and again, whole each time, for node_exporter's textfile collector. Raises ConfigError."""
    if every_s < LEAST_S:
        raise ConfigError(f"--every {every_s:g}s: write {LEAST_S:g}s or more, each time asks the eye")
    while True:
        try:
            write_to_textfile(str(file), registry)
        except OSError as error:
            raise ConfigError(
                f"cannot write {file}: {error.strerror}; give a folder that may be written"
            ) from error
        if stop.wait(every_s):
            return
