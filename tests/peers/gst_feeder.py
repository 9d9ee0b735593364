"""Another program's pictures in shared memory (shmsink), as a vendor's own capture process gives them; it can die."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.peers.waiting import missing

ROOT = Path(__file__).parents[2]
_PICTURES = 8  # that the shared memory holds


class GstFeeder:
    """Runs `source` from `__enter__`; `pipeline` reads it. `kill` is a crash, and `start` brings it back.

    `caps` are those of the raw pictures that the source makes, `frame_bytes` the size of one.
    """

    def __init__(self, source: str, caps: str, frame_bytes: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._socket = Path(self._folder.name) / "frames"
        size = frame_bytes * _PICTURES
        self._text = (
            f"{source} ! {caps} ! shmsink socket-path={self._socket} shm-size={size} wait-for-connection=false"
        )
        self.pipeline = (
            f"shmsrc socket-path={self._socket} is-live=true do-timestamp=true ! {caps} ! appsink name=frames"
        )
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> GstFeeder:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Returns when it may be connected to."""
        if find_spec("gi") is None:
            missing("install kenpin[gstreamer]")
        command = [sys.executable, "-m", "tests.peers.gst_feeder", self._text]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout and self._process.stderr
        if not self._process.stdout.readline():
            words = self._process.stderr.read().strip()
            self.kill()
            missing(f"no pictures in shared memory ({words}): install gstreamer1.0-plugins-bad")

    def kill(self) -> None:
        """May be called twice; what a crash leaves is cleared away."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
            self._socket.unlink(missing_ok=True)
            for area in Path("/dev/shm").glob(f"shmpipe.*{process.pid}.*"):
                area.unlink()


def feed(text: str) -> None:
    """The process: says when it plays."""
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst

    Gst.init(None)
    pipeline = Gst.parse_launch(text)
    pipeline.set_state(Gst.State.PLAYING)
    state = pipeline.get_state(10 * Gst.SECOND)
    assert state[0] != Gst.StateChangeReturn.FAILURE, "it does not play"
    print("plays", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    feed(sys.argv[1])
