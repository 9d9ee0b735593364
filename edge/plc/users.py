"""Users of a server link: a file with one line each, `name:scrypt:salt:hash`; passwords themselves are never stored.

`python -m edge.plc.users NAME` asks for a password and prints the line.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import os
import sys
from pathlib import Path

from edge.clock import SECOND
from edge.errors import ConfigError

_N, _R, _P = 1 << 14, 8, 1  # scrypt's cost: some 50 ms and 16 MB for each try
_TRIES = 5  # wrong passwords in a row before a name has to wait
_WAIT_NS = 30 * SECOND
MIN_LENGTH = 12


def _hashed(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)


def line_for(name: str, password: str) -> str:
    """The line of the users' file for this user."""
    salt = os.urandom(16)
    return f"{name}:scrypt:{salt.hex()}:{_hashed(password, salt).hex()}"


class Users:
    """The users of a file. After five wrong passwords in a row a name is refused for 30 s, right or wrong."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when the file cannot be read, holds nobody, or a line is none."""
        self._hashes = _read(path)
        self._wrong: dict[str, int] = dict.fromkeys(self._hashes, 0)
        self._until_ns: dict[str, int] = dict.fromkeys(self._hashes, 0)

    def admits(self, name: str, password: str, now_ns: int) -> bool:
        """Whether this is a user with this password."""
        known = self._hashes.get(name)
        if known is None or now_ns < self._until_ns[name]:
            return False
        salt, expected = known
        if hmac.compare_digest(_hashed(password, salt), expected):
            self._wrong[name] = 0
            return True
        self._wrong[name] += 1
        if self._wrong[name] >= _TRIES:
            self._wrong[name], self._until_ns[name] = 0, now_ns + _WAIT_NS
        return False


def _read(path: Path) -> dict[str, tuple[bytes, bytes]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path} ({error}); write it with `python -m edge.plc.users NAME`") from error
    users: dict[str, tuple[bytes, bytes]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, method, salt, expected = line.strip().split(":")
            if not name or method != "scrypt":
                raise ValueError(method)
            users[name] = bytes.fromhex(salt), bytes.fromhex(expected)
        except ValueError as error:
            raise ConfigError(
                f"{path} line {number} is no user; write it with `python -m edge.plc.users NAME`"
            ) from error
    if not users:
        raise ConfigError(f"{path} holds no user; add one with `python -m edge.plc.users NAME`")
    return users


def main(name: str) -> int:
    """Ask for a password and print the user's line."""
    if not name or ":" in name:
        print("give a name without a colon", file=sys.stderr)
        return ConfigError.exit_code
    password = getpass.getpass(f"password for {name} (at least {MIN_LENGTH} characters): ")
    if len(password) < MIN_LENGTH:
        print(f"too short: at least {MIN_LENGTH} characters", file=sys.stderr)
        return ConfigError.exit_code
    print(line_for(name, password))
    return 0


if __name__ == "__main__":
    sys.exit(main("".join(sys.argv[1:2])))
