"""A progress bar for long lists: on a terminal, and gone when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def watched(items: Sequence[Item], words: str, console: Console) -> Iterable[Item]:
    """The items, with a bar that moves as they are taken; nothing is shown where `console` is no terminal."""
    return track(items, words, console=console, transient=True, disable=not console.is_terminal)
