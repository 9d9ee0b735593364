"""A stop that nobody has acknowledged: kept on the disk, so that neither a crash nor a restart ends it."""

from __future__ import annotations

import logging
from pathlib import Path

from edge.durable import sync_folder, write_whole

log = logging.getLogger(__name__)

_FILE = "stopped"
_MOST = 200
UNNAMED = "a limit"


class Held:
    """`cause` is what stopped the line, empty when nothing did or it is acknowledged. Without a folder nothing is kept.

    `keep` and `acknowledge` block for the disk and belong to the journal's thread. A disk that fails is told in the
    log: the stop stands in the line itself all the same.
    """

    def __init__(self, state_dir: Path | None) -> None:
        self._path = None if state_dir is None else state_dir / _FILE
        self.cause = ""
        if self._path is not None:
            self.cause = _kept(self._path)

    def stopped(self, cause: str) -> None:
        """The line stopped."""
        self.cause = cause or UNNAMED

    def acknowledge(self) -> None:
        """A person acknowledged."""
        self.cause = ""
        self.keep()

    def keep(self) -> None:
        """Bring it to the disk."""
        if self._path is None:
            return
        try:
            if self.cause:
                write_whole(self._path, self.cause.encode())
            else:
                self._path.unlink(missing_ok=True)
                sync_folder(self._path.parent)
        except OSError as error:
            log.error("cannot keep in %s whether the line is stopped: %s; check the disk", self._path, error)


def _kept(path: Path) -> str:
    """What an earlier run left; a file that cannot be read is a stop all the same."""
    try:
        return path.read_bytes()[:_MOST].decode("utf-8", "replace") or UNNAMED
    except FileNotFoundError:
        return ""
    except OSError as error:
        log.error("cannot read %s: %s; the line is taken to be stopped, check the disk", path, error.strerror)
        return UNNAMED
