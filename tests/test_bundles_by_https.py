"""A bundle by the commands of docs/fleet.md from a real HTTPS server: cut off, old or forged, it changes nothing."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from edge.install import installed
from edge.station import load
from tests.bundles import OTHER_KEY, a_bundle
from tests.contracts.source_tree import ROOT
from tests.eye.stations import Bench, bundle, modbus_bench
from tests.peers.waiting import missing

NAME = "cap-a-7.bundle"
CUT_AT = 1_000


class Files(SimpleHTTPRequestHandler):
    """A folder's files; `cut` ends each body early, as a connection does that breaks."""

    cut = False

    def log_message(self, *_words: object) -> None:
        """Not of interest."""

    def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
        if self.cut:
            outputfile.write(source.read(CUT_AT))
            self.close_connection = True
        else:
            super().copyfile(source, outputfile)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of the plant, and a certificate for localhost by it: CA, certificate, key."""
    if not shutil.which("openssl") or not shutil.which("curl"):
        missing("needs openssl and curl: apt-get install openssl curl")
    folder.mkdir()
    ca, ca_key, crt, key, csr = (folder / name for name in ("ca.pem", "ca.key", "b.crt", "b.key", "b.csr"))
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for words in (
        ["req", "-x509", *new, "-days", "2", "-subj", "/CN=plant", "-keyout", ca_key, "-out", ca],
        ["req", *new, "-subj", "/CN=localhost", "-keyout", key, "-out", csr],
        ["x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-out", crt,
         "-extfile", folder / "names"],
    ):  # fmt: skip
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
    return ca, crt, key


@contextmanager
def served(folder: Path, crt: Path, key: Path) -> Iterator[tuple[int, type[Files]]]:
    """The folder by HTTPS at a port of localhost."""

    class Handler(Files):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port, Handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Device:
    """A station and the commands of the page, with this test's names in the place of the plant's."""

    def __init__(self, bench: Bench, port: int, ca: Path) -> None:
        self.station, self.fetched = load(bench.file), bench.folder / "fetched.bundle"
        page = (ROOT / "docs" / "fleet.md").read_text()
        start = page.index("    curl --fail")
        self.command = page[start : page.index("\n\n", start)]
        for theirs, ours in {
            "/etc/kenpin/plant-ca.pem": ca,
            f"/tmp/{NAME}": self.fetched,
            "bundles.plant.example": f"localhost:{port}",
            "/opt/kenpin/bin/edge": f"{sys.executable} -m edge.cli",
            "/etc/kenpin/line-3.toml": bench.file,
        }.items():
            assert theirs in self.command
            self.command = self.command.replace(theirs, str(ours))

    def fetch(self, command: str = "") -> tuple[int, str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "no_proxy": "localhost"}
        done = subprocess.run(
            ["bash", "-c", command or self.command], capture_output=True, text=True, env=environment, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    def install(self) -> tuple[int, str]:
        """What lies there, whatever curl has said of it."""
        return self.fetch(self.command.partition("&&")[2])

    def active(self) -> int:
        return next(one.version for one in installed(self.station) if one.active)


def test_what_is_no_new_whole_signed_bundle_changes_nothing(tmp_path: Path) -> None:
    ca, crt, key = certificates(tmp_path / "tls")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with modbus_bench(tmp_path / "device") as bench, served(shelf, crt, key) as (port, server):
        device = Device(bench, port, ca)
        assert device.active() == 1
        code, said = device.fetch()
        assert code == 22 and "404" in said and not device.fetched.exists()

        bundle(shelf / NAME, version=7)
        assert (shelf / NAME).stat().st_size > 2 * CUT_AT, "there is something to cut off"
        server.cut = True
        code, said = device.fetch()
        assert code == 18 and device.active() == 1, said
        assert device.fetched.stat().st_size == CUT_AT
        code, said = device.install()
        assert code == 65 and "truncated" in said and device.active() == 1
        server.cut = False

        code, said = device.fetch()
        assert code == 0 and "version 7 is active" in said and device.active() == 7

        for spoiled, words in (
            (lambda: bundle(shelf / NAME, version=6), "version 7 is installed"),
            (lambda: bundle(shelf / NAME, version=7, report="<p>another</p>"), "version 7 is installed"),
            (lambda: a_bundle(shelf / NAME, OTHER_KEY, version=8), "unknown key"),
        ):
            spoiled()
            code, said = device.fetch()
            assert code == 65 and words in said, said
            assert device.active() == 7


def test_another_authority_and_plain_http_are_refused(tmp_path: Path) -> None:
    ca, crt, key = certificates(tmp_path / "tls")
    other, _, _ = certificates(tmp_path / "other")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    bundle(shelf / NAME, version=7)
    with modbus_bench(tmp_path / "device") as bench, served(shelf, crt, key) as (port, _):
        assert Device(bench, port, other).fetch()[0] == 60
        device = Device(bench, port, ca)
        assert device.fetch(device.command.replace("https://", "http://"))[0] == 1
        assert device.active() == 1
