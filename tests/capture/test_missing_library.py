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


def test_a_kind_names_its_own_extra_of_a_library_that_others_use_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("gige", "gige_link"):
        monkeypatch.delitem(sys.modules, f"edge.capture.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "gi", None)
    with pytest.raises(ConfigError, match=r"kenpin\[gige\].*gir1\.2-aravis"):
        find(TABLE, "gige", "camera")


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="belt, cv, folder, gige, gst"):
        find(TABLE, "webcam", "camera")
