"""Durations on the command line."""

import pytest

from edge.durations import parse_ns
from edge.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "ns"),
    [("500ms", 500_000_000), ("30s", 30_000_000_000), ("1.5m", 90_000_000_000), ("2h", 7_200_000_000_000)],
)
def test_a_number_with_a_unit_is_a_duration(text: str, ns: int) -> None:
    assert parse_ns(text) == ns


@pytest.mark.parametrize("text", ["30", "s", "-3s", "3 days", "", "1e3s"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="for example 30s"):
        parse_ns(text)
