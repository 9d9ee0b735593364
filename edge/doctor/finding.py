"""What an examination finds, and where it looks: files of the kernel below a root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Grade = Literal["well", "advice", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`words` say what was found; what is not well has a `remedy`. What is wrong keeps the station from inspecting."""

    topic: str
    grade: Grade
    words: str
    remedy: str = ""


def graded(topic: str, is_well: bool, words: str, remedy: str, otherwise: Grade = "advice") -> Finding:
    """Well, or `otherwise` with the remedy."""
    return Finding(topic, "well", words) if is_well else Finding(topic, otherwise, words, remedy)


class Here:
    """The files of a machine, by default this one's."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def text(self, path: str) -> str:
        """What the file says, without the space around it; "" where it cannot be read."""
        try:
            return (self._root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def has(self, path: str) -> bool:
        return (self._root / path).exists()

    def files(self, pattern: str) -> Iterator[tuple[str, str]]:
        """Each file that matches, and what it says."""
        for path in sorted(self._root.glob(pattern)):
            name = str(path.relative_to(self._root))
            yield name, self.text(name)

    def texts(self, pattern: str) -> Iterator[str]:
        """What each file that matches says."""
        return (text for _, text in self.files(pattern))
