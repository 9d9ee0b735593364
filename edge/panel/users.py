"""Who may use the panel: names, roles and hashed passwords in one file of the station's state folder."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.durable import PARTIAL, hold, sync_folder, write_synced
from edge.errors import ConfigError
from edge.ownership import as_owner_of

FILE = "panel-users.json"
LOCK = "panel-users.lock"
MODE = 0o640
SHORTEST, LONGEST = 10, 200  # letters of a password
_NAME = re.compile(r"[\w.@-]{1,40}")
_COST, _BLOCK, _PARALLEL = 2**15, 8, 1  # scrypt: 32 MB, about 0.1 s
_MEMORY = 64 * 1_024 * 1_024
_MOST_USERS = 500


class Role(IntEnum):
    """What somebody may do; each may all that the one before may."""

    VIEWER = 0  # look
    OPERATOR = 1  # acknowledge, end a bypass, set the lot, label
    ENGINEER = 2  # begin a bypass, change the bundle, move the threshold, start the eye again


@dataclass(frozen=True, slots=True)
class User:
    """Somebody as the file has them; `mark` changes with the password."""

    name: str
    role: Role
    mark: str


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=_NAME.pattern)
    role: str = Field(pattern="^(viewer|operator|engineer)$")
    salt: str = Field(pattern="^[0-9a-f]{32}$")
    hash: str = Field(pattern="^[0-9a-f]{64}$")

    @property
    def user(self) -> User:
        return User(self.name, Role[self.role.upper()], self.hash)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    users: list[_Entry] = Field(max_length=_MOST_USERS)


class Users:
    """The users of one station; any thread may ask. What another process changes in the file counts at once."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir
        self._path = state_dir / FILE
        self._lock = threading.Lock()
        self._hashing = threading.Lock()  # one at a time: guessing must not eat the processor
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, _Entry] = {}
        self._nobody = _hashed("nobody", Role.VIEWER, secrets.token_hex())

    # --- asking ---

    def find(self, name: str) -> User | None:
        """The user of this name, if there is one now. Raises ConfigError."""
        entry = self._entries().get(name)
        return entry.user if entry else None

    def all(self) -> list[User]:
        """Everybody, by name. Raises ConfigError."""
        return [entry.user for _, entry in sorted(self._entries().items())]

    def check(self, name: str, password: str) -> User | None:
        """The user, where the password is theirs. Takes as long for a name that there is not. Raises ConfigError."""
        entry = self._entries().get(name)
        asked = entry or self._nobody
        with self._hashing:
            given = _scrypt(password[: LONGEST + 1], bytes.fromhex(asked.salt))
        is_right = secrets.compare_digest(given, bytes.fromhex(asked.hash))
        return entry.user if entry is not None and is_right else None

    def _entries(self) -> dict[str, _Entry]:
        with self._lock:
            stamp = self._now()
            if stamp != self._stamp:
                self._known = self._read() if stamp else {}
                self._stamp = stamp
            return self._known

    def _now(self) -> tuple[int, int, int] | None:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        return state.st_mtime_ns, state.st_size, state.st_ino

    def _read(self) -> dict[str, _Entry]:
        try:
            table = _Table.model_validate_json(self._path.read_bytes())
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        except ValidationError as error:
            raise ConfigError(f"{self._path} is damaged: move it away, then edge panel-user add") from error
        return {entry.name: entry for entry in table.users}

    def _unreadable(self, words: str | None) -> ConfigError:
        return ConfigError(f"cannot read {self._path}: {words}; be root or the station's user")

    # --- changing ---

    def add(self, name: str, role: Role, password: str) -> None:
        """One more user, on the disk when it returns. Raises ConfigError."""
        if not _NAME.fullmatch(name):
            raise ConfigError(f"name {name!r}: use up to 40 letters, digits, dots, dashes, underlines and @")
        made = _hashed(name, role, _checked(name, password))

        def add(known: dict[str, _Entry]) -> None:
            if name in known:
                raise ConfigError(f"there is a user {name} already: use edge panel-user password, or remove")
            if len(known) >= _MOST_USERS:
                raise ConfigError(f"there are {_MOST_USERS} users already: remove one")
            known[name] = made

        self._change(add)

    def set_password(self, name: str, password: str) -> None:
        """Another password; whoever is signed in under the name is signed out. Raises ConfigError."""
        _checked(name, password)

        def change(known: dict[str, _Entry]) -> None:
            known[name] = _hashed(name, _asked(known, name).user.role, password)

        self._change(change)

    def remove(self, name: str) -> None:
        """Take a user away; whoever is signed in under the name is signed out. Raises ConfigError."""
        self._change(lambda known: known.pop(_asked(known, name).name))

    def _change(self, change: Callable[[dict[str, _Entry]], object]) -> None:
        if not self._folder.is_dir():
            raise ConfigError(
                f"{self._folder} does not exist: run edge setup first, or make it for the station's user"
            )
        try:
            with as_owner_of(self._folder):  # root may ask
                lock = hold(self._folder / LOCK, wait=True)
                try:
                    known = dict(self._entries())
                    change(known)
                    self._write(_Table(users=list(known.values())).model_dump_json(indent=1).encode())
                finally:
                    os.close(lock)
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._path}: {error.strerror}; be root or the station's user, free disk space"
            ) from error

    def _write(self, data: bytes) -> None:
        """Whole or not at all, never readable by others."""
        partial = self._path.with_name(FILE + PARTIAL)
        partial.unlink(missing_ok=True)
        try:
            write_synced(partial, data, mode=MODE)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(self._folder)


def _asked(known: dict[str, _Entry], name: str) -> _Entry:
    if name not in known:
        there = ", ".join(sorted(known)) or "nobody yet"
        raise ConfigError(f"there is no user {name}, only {there}: check the name")
    return known[name]


def _checked(name: str, password: str) -> str:
    """The password. Raises ConfigError for one that is easily guessed or cannot be typed again."""
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        raise ConfigError(f"a password has {SHORTEST} to {LONGEST} letters on one line: choose another")
    if password.lower().strip("0123456789") in (name.lower(), "password", "kenpin", "") or len(set(password)) < 4:
        raise ConfigError("that password is easily guessed: choose another")
    return password


def _hashed(name: str, role: Role, password: str) -> _Entry:
    salt = secrets.token_bytes(16)
    return _Entry(name=name, role=role.name.lower(), salt=salt.hex(), hash=_scrypt(password, salt).hex())


def _scrypt(password: str, salt: bytes) -> bytes:
    words = password.encode(errors="replace")
    return hashlib.scrypt(words, salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, maxmem=_MEMORY, dklen=32)
