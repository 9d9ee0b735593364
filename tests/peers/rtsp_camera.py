"""A network camera as a process: an RTSP server on the loopback that can die, stall, and change its picture's size."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.peers.waiting import missing

ROOT = Path(__file__).parents[2]
ENCODERS = {
    "jpeg": "jpegenc ! rtpjpegpay",
    "h264": "x264enc tune=zerolatency key-int-max=10 ! rtph264pay config-interval=1",
}


class RtspCamera:
    """Runs from `__enter__`, at `uri`; `kill` is a pulled plug and `start` brings it back at the same address."""

    def __init__(self, encoding: str = "jpeg", fps: int = 30, width: int = 64, height: int = 48) -> None:
        self._encoding, self._fps = encoding, fps
        self.width, self.height = width, height  # of the next start
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self.uri = ""

    def __enter__(self) -> RtspCamera:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Returns when it listens."""
        if find_spec("gi") is None:
            missing("no RTSP server: install kenpin[gstreamer] and gir1.2-gst-rtsp-server-1.0")
        words = [self._encoding, str(self._fps), str(self.width), str(self.height)]
        command = [sys.executable, "-m", "tests.peers.rtsp_camera", str(self._port), *words]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout and self._process.stderr
        said = self._process.stdout.readline().strip()
        if not said:
            words = self._process.stderr.read().strip()
            self.kill()
            missing(f"no RTSP server ({words.splitlines()[-1]}): install gir1.2-gst-rtsp-server-1.0")
        self._port = int(said)
        self.uri = f"rtsp://127.0.0.1:{self._port}/camera"

    def kill(self) -> None:
        """May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self, frozen: bool = True) -> None:
        """The connection stays open and nothing comes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def size(self, width: int, height: int) -> None:
        """Change the picture in the middle of the stream."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{width} {height}\n")
        self._process.stdin.flush()


def serve(port: str, encoding: str, fps: str, width: str, height: str) -> None:
    """The process: prints its port, then reads new sizes."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server, factory, filters = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory(), []

    def caps(width: str, height: str) -> Any:
        return Gst.Caps.from_string(f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1")

    def configure(_: Any, media: Any) -> None:
        size = media.get_element().get_by_name("size")
        size.set_property("caps", caps(width, height))
        filters.append(size)

    def resize(channel: Any, _: Any) -> bool:
        line = channel.readline()
        for size in filters if line else ():
            size.set_property("caps", caps(*line.split()))
        return bool(line)

    factory.set_launch(
        f"( videotestsrc is-live=true pattern=snow ! capsfilter name=size ! {ENCODERS[encoding]} name=pay0 )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", configure)
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/camera", factory)
    assert server.attach(None), "it cannot listen"
    print(server.get_bound_port(), flush=True)
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, resize)
    GLib.MainLoop().run()


if __name__ == "__main__":
    serve(*sys.argv[1:])
