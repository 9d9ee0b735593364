"""`python -m benchmarks.peers`: the same network on the same pictures, by Kenpin and by others, in turns."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.peers.environments import python_of
from benchmarks.peers.rounds import (
    FIRST,
    OTHERS,
    PEERS,
    Peer,
    PeerError,
    Turn,
    in_rounds,
    summary,
    turn,
    write_task,
)
from benchmarks.peers.standing import sentences, standings
from benchmarks.station_run import StationError, run_station
from benchmarks.watch import Watch
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.control import Control
from edge.errors import ConfigError, KenpinError
from edge.report import host
from edge.station import load

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

STATION = "kenpin station"
STATION_PATIENCE_S = 60.0


def main() -> None:
    """Run the command; errors a person can act on are one message and an exit code."""
    try:
        app()
    except KenpinError as error:
        print(f"benchmarks.peers: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.command(help=__doc__)
def peers(
    bundle: Annotated[Path, typer.Option(metavar="X.bundle", help="its model for ONNX Runtime and its pictures")],
    keys: Annotated[Path, typer.Option(metavar="DIR", help="public keys that may have signed the bundle")],
    rounds: Annotated[int, typer.Option(min=1, max=100, help="so often every peer takes its turn")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="how long a turn is")] = 3.0,
    threads: Annotated[int, typer.Option(min=1, max=64, help="of every engine")] = 1,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON:MODULE", help="one more peer, by the Python of its own environment"),
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help=f"also {' or '.join(OTHERS)}, installed at the first time: minutes, gigabytes"
        ),
    ] = None,
    beside: Annotated[
        str, typer.Option(metavar="NAME", help="the others are told as multiples of this peer")
    ] = FIRST,
    station: Annotated[
        Path | None, typer.Option(metavar="STATION.TOML", help="a whole station takes its turn too")
    ] = None,
    parts: Annotated[int, typer.Option(min=1, help="of the station, in each turn")] = 100,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="also write it all as JSON")
    ] = None,
) -> None:
    """Measure all peers that can run here; those that cannot are named with their reason."""
    found = read_bundle(bundle, load_keys(keys))
    known = [Peer(name, module) for name, module in PEERS.items()] + [_added(text) for text in peer or ()]
    known += [_other(name) for name in other or ()]
    names = [one.name for one in known]
    if beside not in names:
        raise ConfigError(f"--beside {beside}: no such peer; there are {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="kenpin-peers-") as name:
        folder = Path(name)
        write_task(folder, found, bundle, keys, threads)
        turns: dict[str, Callable[[], Turn]] = {one.name: partial(turn, one, folder, seconds) for one in known}
        if station is not None:
            turns[STATION] = partial(_station_turn, station, parts)
        done, failed = in_rounds(turns, rounds)
    told = summary(done, beside)
    stands = standings(done)
    Console().print(_table(told, beside))
    print(*sentences(stands), sep="\n")
    for name, why in failed.items():
        print(f"{name} was left out after {len(done[name])} rounds: {why}")
    values = {
        "peers": told,
        "standing": {name: [asdict(one) | {"word": one.word} for one in each] for name, each in stands.items()},
        "sentences": list(sentences(stands)),
        "left_out": failed,
        "beside": beside,
        "threads": threads,
        "seconds": seconds,
        "host": host(),
    }
    if json_file is not None:
        _write(json_file, values)


def _added(text: str) -> Peer:
    name, _, rest = text.partition("=")
    python, _, module = rest.rpartition(":")
    if not name or not python or not module:
        raise ConfigError(f"--peer {text}: write NAME=PYTHON:MODULE, as mine=/opt/mine/bin/python:mine_peer")
    return Peer(name, module, python)


def _other(name: str) -> Peer:
    if name not in OTHERS:
        raise ConfigError(f"--other {name}: there are {', '.join(OTHERS)}; --peer adds one of your own")
    return Peer(name, OTHERS[name], str(python_of(name)))


def _station_turn(station: Path, parts: int) -> Turn:
    """By its own camera and at its own pace, so it has no rate; up to the release that was sent to the line."""
    try:
        watch = Watch(Control(load(station)).figures, SystemClock())
        done = run_station(station, parts, watch, STATION_PATIENCE_S)
    except StationError as error:
        raise PeerError(str(error)) from error
    ranks = done.latency_ms["capture_to_release"]
    if ranks["p50"] is None or ranks["p99"] is None:
        raise PeerError("no part was released: see its messages above")
    return Turn("capture to release", ranks["p50"], ranks["p99"], 0.0, [], done.host["versions"])


def _table(told: dict[str, dict[str, Any]], beside: str) -> Table:
    table = Table(
        "peer",
        "span",
        "p50 ms",
        "p99 ms",
        "per s",
        "kept full",
        "CPU ms",
        f"p50 / {beside}",
        "score off by",
        "versions",
    )
    for name, one in told.items():
        ratio = one["ratio"]
        table.add_row(
            name,
            one["span"],
            f"{one['p50_ms']:.3f}",
            f"{one['p99_ms']:.3f}",
            f"{one['rate_per_s']:.1f}" if one["rate_per_s"] else "",
            f"{one['full_per_s']:.1f}" if one["full_per_s"] else "",
            f"{one['cpu_ms']:.3f}" if one["cpu_ms"] else "",
            "" if ratio is None else f"{ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f})",
            "" if one["score_differs"] is None else f"{one['score_differs']:g}",
            ", ".join(f"{library} {version}" for library, version in one["versions"].items()),
        )
    return table


def _write(file: Path, values: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; give another --json") from error


if __name__ == "__main__":
    main()
