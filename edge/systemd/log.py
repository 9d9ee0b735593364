"""How log lines look: for a terminal or file with the time in front, for systemd's journal with their weight."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

_WEIGHTS = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))  # syslog's numbers


class _Weighed(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        weight = next((number for level, number in _WEIGHTS if record.levelno >= level), 7)
        # each line of a message is an entry of its own
        return "\n".join(f"<{weight}>{line}" for line in super().format(record).splitlines())


def words_for(words: str) -> logging.Formatter:
    """The formatter of `words`, a format of the logging module, for where stderr goes."""
    if _is_journal(sys.stderr):
        return _Weighed(words)
    return logging.Formatter(f"%(asctime)s {words}", "%H:%M:%S")


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd connected this stream to its journal; a shell that a service started has the variable too."""
    try:
        state = os.fstat(stream.fileno())
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{state.st_dev}:{state.st_ino}"
