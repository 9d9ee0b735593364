"""A network camera on this machine: MJPEG over HTTP, that can end, or fall silent with its connection open."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import cv2
import numpy as np

from edge.clock import SECOND, SystemClock

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=part\r\n\r\n"


class MjpegServer:
    """Serves numbered grey pictures at `fps`; after `frames` it closes the connection, or hangs where `hang`.

    `kill` closes every connection and the port, `start` opens it again; `freeze` sends nothing and keeps them open.
    """

    def __init__(self, fps: float = 50.0, frames: int = 1_000_000, hang: bool = False, size: int = 64) -> None:
        self._fps, self._frames, self._hang, self._size = fps, frames, hang, size
        self._stop = threading.Event()
        self._flows = threading.Event()
        self._flows.set()
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/camera.mjpg"

    def __enter__(self) -> MjpegServer:
        self._listen()
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()

    def start(self) -> None:
        """After `kill`, at the same address."""
        self._stop.clear()
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self._listen()

    def kill(self) -> None:
        """May be called twice."""
        self._stop.set()
        self._flows.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._socket.close()

    def freeze(self, frozen: bool = True) -> None:
        if frozen:
            self._flows.clear()
        else:
            self._flows.set()

    def _listen(self) -> None:
        self._socket.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._socket.accept()
                thread = threading.Thread(target=self._serve, args=(client,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        clock = SystemClock()
        with client, contextlib.suppress(OSError):
            client.settimeout(1.0)
            client.recv(4_096)
            client.sendall(HEAD)
            due_ns = clock.now_ns()
            for number in range(self._frames):
                if self._stop.is_set():
                    return
                self._flows.wait()
                client.sendall(self._part(number))
                due_ns += round(SECOND / self._fps)
                clock.sleep_until(due_ns)
            while self._hang and not self._stop.wait(0.05):
                pass

    def _part(self, number: int) -> bytes:
        picture = np.full((self._size, self._size, 3), 20 + number * 10 % 200, np.uint8)
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        return b"--part\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data)
