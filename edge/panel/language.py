"""The language that somebody reads: the one they chose, else their browser's. Its words are in words.LANGUAGE.toml."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LANGUAGES = ("en", "ja")
COOKIE = "kenpin.language"  # no station's session can have this name
SCRIPT = "script"  # the table of what the page's scripts say
_asked: ContextVar[str] = ContextVar("language", default=LANGUAGES[0])


def words_of(language: str) -> dict[str, str]:
    """Every phrase of one of LANGUAGES by TABLE.NAME; {names} in it stand for what changes."""
    text = Path(__file__).with_name(f"words.{language}.toml").read_text(encoding="utf-8")
    words: dict[str, str] = {}
    for name, value in tomllib.loads(text).items():
        words |= (
            {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
        )
    return words


_WORDS = {language: words_of(language) for language in LANGUAGES}


def listen(chosen: str, accepted: str) -> None:
    """Whoever asks now reads `chosen`, where it is one of LANGUAGES, or what their Accept-Language prefers of them."""
    _asked.set(chosen if chosen in LANGUAGES else _preferred(accepted))


def language() -> str:
    """That of whoever asks now; English where nobody does."""
    return _asked.get()


def others() -> dict[str, str]:
    """The other languages, each with its own name."""
    return {each: _WORDS[each]["language"] for each in LANGUAGES if each != language()}


def say(key: str, **values: object) -> str:
    """A phrase in the language of whoever asks now."""
    return _WORDS[language()][key].format(**values)


def known(key: str, otherwise: str) -> str:
    """The same; `otherwise` where there is no such phrase."""
    return _WORDS[language()].get(key, otherwise)


def around(key: str, **values: object) -> list[str]:
    """What stands before and after the command of a phrase."""
    return say(key, command="\0", **values).split("\0")


def of_scripts() -> dict[str, str]:
    """What the page's scripts say, by name."""
    words = {key: text for key, text in _WORDS[language()].items() if "." not in key}
    return words | {
        key.removeprefix(f"{SCRIPT}."): text
        for key, text in _WORDS[language()].items()
        if key.startswith(f"{SCRIPT}.")
    }


def _preferred(accepted: str) -> str:
    """The first of the languages that weigh most in an Accept-Language header."""
    best, most = LANGUAGES[0], 0.0
    for each in accepted.split(","):
        tag, _, weight = each.partition(";q=")
        name = tag.strip().partition("-")[0].lower()
        if name in LANGUAGES and (weighs := _weight(weight)) > most:
            best, most = name, weighs
    return best


def _weight(text: str) -> float:
    try:
        return float(text or 1)
    except ValueError:
        return 0.0
