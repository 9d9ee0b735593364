"""Two pseudo-terminals joined by socat: one end for the program under test, the other for the board."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.peers.waiting import eventually, hurry, missing


class PtyPair:
    """`device` is the path for the station, `peer` the board's end; `unplug` makes both vanish, `plug` brings them
    back under the same paths."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kenpin-pty-"))
        self.device = str(self._folder / "device")
        self.peer = str(self._folder / "peer")
        self._socat: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PtyPair:
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
        shutil.rmtree(self._folder)

    def plug(self) -> None:
        """Create both ends; they must not be there."""
        assert self._socat is None, "plugged in already"
        if shutil.which("socat") is None:
            shutil.rmtree(self._folder)
            missing("no socat: install socat")
        self._socat = subprocess.Popen(["socat", self._end(self.device), self._end(self.peer)])
        hurry(self._socat.pid)  # a cable does not wait for its turn
        paths = (Path(self.device), Path(self.peer))
        eventually(lambda: all(path.exists() for path in paths), "socat makes its pseudo-terminals")

    def unplug(self) -> None:
        """Take both ends away, as pulling a USB adapter does. May be called twice."""
        process, self._socat = self._socat, None
        if process is not None:
            process.kill()
            process.wait()
            for path in (self.device, self.peer):
                Path(path).unlink(missing_ok=True)

    def _end(self, path: str) -> str:
        # wait-slave would keep it from starting; b9600 and raw are what a fresh USB adapter comes near to
        return f"pty,raw,echo=0,mode=600,link={path}"
