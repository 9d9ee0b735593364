"""Engines that were built on this device, each under what it was built from, sealed with a key of this device.

An engine is native code, and is not portable: another GPU, driver or TensorRT has another one. A file that was changed,
or copied from elsewhere, counts as absent.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from edge.durable import write_new, write_whole
from edge.errors import EngineError
from edge.ownership import as_owner_of, hand_over

KEPT = 8  # engines; the oldest give way
_KEY = "engines.key"
_SEAL = sha256().digest_size


class EngineCache:
    """Engines in one folder, which is made when the first one is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, origin: Mapping[str, str]) -> bytes | None:
        """The engine that was built from this, whole and by this device; None where there is none."""
        try:
            key = (self._folder / _KEY).read_bytes()
            stored = self._path(origin).read_bytes()
        except OSError:
            return None
        seal, engine = stored[:_SEAL], stored[_SEAL:]
        return engine if hmac.compare_digest(seal, _seal(key, origin, engine)) else None

    def keep(self, origin: Mapping[str, str], engine: bytes) -> None:
        """On the disk when it returns. Raises EngineError when the disk refuses."""
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            if self._folder.is_dir():
                hand_over(self._folder.parent, self._folder.name)
            with as_owner_of(self._folder.parent):  # root builds where it installs, and the station's user runs it
                self._folder.mkdir(exist_ok=True)
                self._write(origin, engine)
        except OSError as error:
            raise EngineError(
                f"cannot keep an engine in {self._folder}: {error.strerror}; free disk space or check its rights"
            ) from error

    def _write(self, origin: Mapping[str, str], engine: bytes) -> None:
        write_new(self._folder / _KEY, os.urandom(32), mode=0o600)
        key = (self._folder / _KEY).read_bytes()
        write_whole(self._path(origin), _seal(key, origin, engine), engine)
        files = sorted(self._folder.glob("*.engine"), key=lambda path: path.stat().st_mtime_ns)
        for old in files[:-KEPT]:
            old.unlink(missing_ok=True)

    def _path(self, origin: Mapping[str, str]) -> Path:
        return self._folder / f"{sha256(_written(origin)).hexdigest()[:32]}.engine"


def _written(origin: Mapping[str, str]) -> bytes:
    return "\n".join(f"{name}={origin[name]}" for name in sorted(origin)).encode()


def _seal(key: bytes, origin: Mapping[str, str], engine: bytes) -> bytes:
    return hmac.digest(key, sha256(_written(origin)).digest() + engine, "sha256")
