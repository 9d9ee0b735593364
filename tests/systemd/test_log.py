"""In systemd's journal log lines carry their weight instead of the time, which the journal knows better."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from edge.systemd import log


def test_lines_for_the_journal_have_their_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stderr").open("w") as stderr:
        state = os.fstat(stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{state.st_dev}:{state.st_ino}")
        monkeypatch.setattr(log.sys, "stderr", stderr)
        words = log.words_for("%(message)s")
    record = logging.LogRecord("x", logging.WARNING, "", 0, "a\nb", None, None)
    assert words.format(record) == "<4>a\n<4>b"


def test_elsewhere_they_have_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    record = logging.LogRecord("x", logging.INFO, "", 0, "a", None, None)
    assert log.words_for("%(message)s").format(record)[2] == ":"
