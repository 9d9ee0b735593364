"""Signed heads of the chain: made with the device's key, kept in the day files, the newest one also outside of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.durable import write_whole
from edge.journal.chain import Head, head_bytes

OUTSIDE = "journal.head"  # in station.state_dir


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head with the device's word for it: when it was signed (ns since 1970 UTC), by which public key (32 bytes)."""

    head: Head
    wall_ns: int
    key: bytes
    signature: bytes

    def is_genuine(self) -> bool:
        """Whether the signature is that of `key` over this head and time. Whose key it is, the caller must know."""
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(self.signature, head_bytes(self.head, self.wall_ns))
        except (InvalidSignature, ValueError, TypeError, struct.error):  # a damaged file holds anything
            return False
        return True


class Heads:
    """Signs heads and keeps the newest outside of the journal's folder, so that its end cannot vanish unnoticed.

    `outside` is a small file in another folder. It tells of one folder only: another journal begins anew.
    """

    def __init__(self, key: Ed25519PrivateKey, outside: Path) -> None:
        self._key = key
        self._outside = outside
        self.public = key.public_key().public_bytes_raw()

    def sign(self, head: Head, wall_ns: int) -> SignedHead:
        """The device's word for a head."""
        return SignedHead(head, wall_ns, self.public, self._key.sign(head_bytes(head, wall_ns)))

    def keep(self, signed: SignedHead, folder: Path) -> None:
        """Note the newest head of `folder` outside of it, durably. Raises OSError."""
        head = signed.head
        words = (head.number, head.link.hex(), signed.wall_ns, signed.key.hex(), signed.signature.hex())
        write_whole(
            self._outside, f"{' '.join(map(str, words))}\n{folder.absolute()}\n".encode(errors="surrogateescape")
        )

    def kept(self, folder: Path) -> SignedHead | None:
        """The newest head that was signed for `folder`; None without one."""
        return kept_head(self._outside, folder)


def kept_head(outside: Path, folder: Path) -> SignedHead | None:
    """The head that a Heads kept in the file `outside` for `folder`; None when there is none that is genuine."""
    try:
        first, path = outside.read_bytes().decode(errors="surrogateescape").splitlines()
        number, link, wall_ns, key, signature = first.split(" ")
        head = Head(int(number), bytes.fromhex(link))
        signed = SignedHead(head, int(wall_ns), bytes.fromhex(key), bytes.fromhex(signature))
    except (OSError, ValueError):
        return None
    return signed if path == str(folder.absolute()) and signed.is_genuine() else None
