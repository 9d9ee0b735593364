"""A camera kind whose library is not installed says what to install."""

from __future__ import annotations

import sys

import pytest

from edge.capture import TABLE
from edge.errors import ConfigError
from edge.kinds import find


def test_without_gi_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edge.capture.gst", raising=False)
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(ConfigError, match=r"kenpin\[gstreamer\].*gir1\.2-gst-plugins-base"):
        find(TABLE, "gst", "camera")


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="belt, cv, folder, gst"):
        find(TABLE, "webcam", "camera")
