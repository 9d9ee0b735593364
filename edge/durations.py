"""Durations as people type them on a command line: 500ms, 30s, 5m, 2h."""

import re

from edge.clock import MS, SECOND
from edge.errors import ConfigError

_UNITS = {"ms": MS, "s": SECOND, "m": 60 * SECOND, "h": 3_600 * SECOND}


def parse_ns(text: str) -> int:
    """Nanoseconds of e.g. "30s" or "1.5m"; raises ConfigError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a duration: write a number and ms, s, m or h, for example 30s")
    return round(float(match[1]) * _UNITS[match[2]])
