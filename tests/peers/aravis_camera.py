"""Aravis' own fake GigE Vision camera as a process: real registers and streaming over the loopback's first address."""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.peers.waiting import eventually, missing

TOOL = "arv-fake-gv-camera-0.8"
ADDRESS, PORT = "127.0.0.1", 3956
DISCOVERY = bytes((0x42, 0x01, 0, 2, 0, 0, 0, 1))
LOCK = Path(tempfile.gettempdir()) / "kenpin-gige-vision.lock"


class AravisCamera:
    """Runs from `__enter__`; `kill` is a pulled plug, `start` the power that returns, `freeze` a camera that hangs.

    It can only have the standard's port, so two test runs on one machine take turns.
    """

    address = ADDRESS

    def __init__(self, serial: str = "KP01", lost_per_thousand: int = 0) -> None:
        self.serial = serial
        self._options = ["-i", ADDRESS, "-s", serial, "-r", str(lost_per_thousand)]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = LOCK.open("w")

    def __enter__(self) -> AravisCamera:
        if shutil.which(TOOL) is None:
            self._lock.close()
            missing("no fake GigE Vision camera: install aravis-tools")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._lock.close()

    def start(self) -> None:
        """Returns when it answers."""
        assert self._process is None, "it runs already"
        self._process = subprocess.Popen([TOOL, *self._options], stdout=subprocess.DEVNULL)
        eventually(_answers, "Aravis' fake camera answers")

    def kill(self) -> None:
        """May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self, frozen: bool = True) -> None:
        """It keeps its sockets and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)


def _answers() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.05)
        try:
            probe.sendto(DISCOVERY, (ADDRESS, PORT))
            probe.recv(1_024)
        except OSError:
            return False
        return True
