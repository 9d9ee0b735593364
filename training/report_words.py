"""The words of the report in English and Japanese: report.en.toml and report.ja.toml, by the same names."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES = ("en", "ja")


def words_of(language: str) -> dict[str, str]:
    """Every phrase of one of LANGUAGES by its name; {names} in it stand for figures."""
    text = Path(__file__).with_name(f"report.{language}.toml").read_text(encoding="utf-8")
    words: dict[str, str] = tomllib.loads(text)
    return words
