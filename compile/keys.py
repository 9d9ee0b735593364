"""The keys that sign bundles: made once, the private one kept by whoever releases."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge.errors import ConfigError


def make_keys(name: Path) -> tuple[Path, Path]:
    """Write NAME.key (private, readable by its owner only) and NAME.pub; both PEM. Returns their paths.

    Raises ConfigError when one exists: a lost key cannot be made again.
    """
    private, public = name.with_name(name.name + ".key"), name.with_name(name.name + ".pub")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_new(private, secret, 0o600)
    _write_new(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    return private, public


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask took or left
            file.write(data)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists already; choose another name, keys are never overwritten") from error
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; choose a folder that you may write to"
        ) from error


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a file. Raises ConfigError."""
    advice = "give the .key file of `edge-compile keygen`"
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; {advice}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no private key in PEM form without a password; {advice}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key; {advice}")
    return key


def readable_by_others(path: Path) -> bool:
    """Whether other users can read the file, and so sign in your name."""
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
