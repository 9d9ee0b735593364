"""The key of this device: made once, kept in station.state_dir for its user alone, signs what the device attests."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge.durable import write_new
from edge.errors import ConfigError

PRIVATE = "device.key"
PUBLIC = "device.pub"  # for whoever checks what this device has signed


def load_or_create(state_dir: Path) -> Ed25519PrivateKey:
    """The device's key; the first call makes it, and it is on the disk when this returns.

    Processes that call this together get the same key. Raises ConfigError when it cannot be read or made, when others
    may read it, or when the file holds no such key: a key that is lost is never replaced by itself.
    """
    path = state_dir / PRIVATE
    try:
        if not path.exists():
            state_dir.mkdir(parents=True, exist_ok=True)
            secret = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_new(path, secret, mode=0o600)
        key = _private(path)
        if not (state_dir / PUBLIC).exists():
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            write_new(state_dir / PUBLIC, public, mode=0o644)
    except OSError as error:
        raise ConfigError(f"cannot keep {path}: {error.strerror}; make station.state_dir writable") from error
    return key


def _private(path: Path) -> Ed25519PrivateKey:
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"others may read {path} and sign in this device's name; chmod 600 it, or make a new one")
    advice = "restore it from a backup, or move it away and tell whoever checks signatures that the key is new"
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no private key in PEM form without a password; {advice}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key; {advice}")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """A device's public key from its device.pub. Raises ConfigError."""
    advice = f"give the {PUBLIC} of the device's state_dir"
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; {advice}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no public key in PEM form; {advice}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is no Ed25519 key; {advice}")
    return key
