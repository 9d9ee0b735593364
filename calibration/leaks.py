"""Keeps the acceptance set locked: nothing that training or the choice of a threshold saw may be in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from edge.durable import write_whole
from edge.errors import ConfigError
from edge.picture_set import Image, Picture, read_image

PRETRAINED = "pretrained.txt"  # beside scores.csv


@dataclass(frozen=True, slots=True)
class Seen:
    """Fingerprints of pictures, and the groups that were named; a group of one nameless picture is not."""

    pictures: frozenset[str]
    groups: frozenset[str]


def fingerprint(picture: Picture) -> str:
    """SHA-256 (hex) of the decoded pixels: the same picture saved in another file is the same picture.

    Raises ConfigError for a picture that cannot be read.
    """
    try:
        state = picture.path.stat()
    except OSError as error:
        raise ConfigError(f"cannot read {picture.path}: {error.strerror}; restore the file") from error
    return _fingerprint(picture.path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=100_000)
def _fingerprint(path: Path, _changed_ns: int, _size: int) -> str:
    """Kept while the file does: a compile asks for the same pictures several times."""
    return fingerprint_of(read_image(path))


def fingerprint_of(image: Image) -> str:
    """The same for a picture that is decoded already: uint8 H x W x 3 (BGR), as `read_image` gives it."""
    return sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()


def seen_in(pictures: Iterable[Picture]) -> Seen:
    """What these pictures give away. Raises ConfigError for a picture that cannot be read."""
    known = list(pictures)
    groups = frozenset(picture.group for picture in known if picture.group != picture.name)
    return Seen(frozenset(fingerprint(picture) for picture in known), groups)


def refuse_leaks(seen: Seen, acceptance: Sequence[Picture], what: str) -> None:
    """Raise ConfigError when `what` (training, calibration) shares a picture or a group with the acceptance set."""
    groups = sorted({picture.group for picture in acceptance} & seen.groups)
    if groups:
        raise ConfigError(
            f"{_listed(groups)} of the acceptance set were used for {what} too: a group is never split; select "
            "other groups with --acceptance-groups, or rename groups that are different things"
        )
    both = [picture.name for picture in acceptance if fingerprint(picture) in seen.pictures]
    if both:
        raise ConfigError(
            f"{len(both)} acceptance pictures were used for {what} too ({_listed(both)}): evidence on them is "
            "worth nothing; hold out pictures that nothing has seen"
        )


def write_pretrained(folder: Path, fingerprints: Iterable[str]) -> None:
    """Tell in `folder`, beside scores.csv, which pictures the student's backbone was pretrained on; none is told too.

    Raises ConfigError when it cannot be written.
    """
    path = folder / PRETRAINED
    try:
        write_whole(path, "".join(f"{one}\n" for one in sorted(fingerprints)).encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another folder with -o") from error


def read_pretrained(folder: Path) -> frozenset[str] | None:
    """The fingerprints that `write_pretrained` wrote into `folder`; None without a file. Raises ConfigError."""
    path = folder / PRETRAINED
    try:
        lines = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; run edge-train finetune again") from error
    if not all(re.fullmatch("[0-9a-f]{64}", line) for line in lines):
        raise ConfigError(f"{path} holds what is no fingerprint; run edge-train finetune again")
    return frozenset(lines)


def set_hash(pictures: Iterable[Picture]) -> str:
    """SHA-256 (hex) of a set's pictures and labels; their order and names do not count."""
    return hash_of((fingerprint(picture), picture.label) for picture in pictures)


def hash_of(known: Iterable[tuple[str, str]]) -> str:
    """The same of fingerprints and labels."""
    lines = sorted(f"{seen} {label}\n" for seen, label in known)
    return sha256("".join(lines).encode()).hexdigest()


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
