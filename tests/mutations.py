"""Bundles as a broken disk, a broken line or somebody without the key would leave them."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.bundle import MAGIC, key_id
from tests.bundles import KEY, OTHER_KEY

HEADER = 80


def signed(body: bytes, key: Ed25519PrivateKey, claimed: Ed25519PrivateKey | None = None) -> bytes:
    """A bundle of this body with the signature of `key` under the id of `claimed`."""
    return MAGIC + key_id((claimed or key).public_key()) + key.sign(body) + body


def entries_of(whole: bytes) -> dict[str, bytes]:
    """What a bundle's zip holds."""
    with zipfile.ZipFile(io.BytesIO(whole[HEADER:])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(contents: Sequence[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these names and bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in contents:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


# --- damage -----------------------------------------------------------------------------------------------------


def flipped(rng: random.Random, whole: bytes) -> bytes:
    """One to eight bits are other ones."""
    copy = bytearray(whole)
    for _ in range(rng.randint(1, 8)):
        copy[rng.randrange(len(copy))] ^= 1 << rng.randrange(8)
    return bytes(copy)


def cut_short(rng: random.Random, whole: bytes) -> bytes:
    """The end is missing."""
    return whole[: rng.randrange(len(whole))]


def grown(rng: random.Random, whole: bytes) -> bytes:
    """Something was appended: noise, zeros, or the bundle's own end once more."""
    tails = (rng.randbytes(rng.randint(1, 999)), bytes(rng.randint(1, 999)), whole[-rng.randint(1, 99) :])
    return whole + rng.choice(tails)


def with_a_hole(rng: random.Random, whole: bytes) -> bytes:
    """Some bytes are missing in the middle."""
    at = rng.randrange(len(whole) - 20)
    return whole[:at] + whole[at + rng.randint(1, 19) :]


def overwritten(rng: random.Random, whole: bytes) -> bytes:
    """A block lies where another should be, as a disk that mixed up sectors leaves it."""
    size = rng.choice((16, 64, 512))
    source, target = (rng.randrange(len(whole) - size) for _ in range(2))
    return whole[:target] + whole[source : source + size] + whole[target + size :]


def another_header(rng: random.Random, whole: bytes) -> bytes:
    """Another magic, layout version, key id or signature."""
    start, end = rng.choice(((0, 6), (6, 8), (8, 16), (16, 80)))
    return whole[:start] + rng.randbytes(end - start) + whole[end:]


DAMAGE = (flipped, cut_short, grown, with_a_hole, overwritten, another_header)


# --- forgery: all but the key -----------------------------------------------------------------------------------


def _forged(rng: random.Random, body: bytes) -> bytes:
    """Signed with a key that the device does not trust, under its own id or under that of the trusted one."""
    return signed(body, OTHER_KEY, rng.choice((KEY, OTHER_KEY)))


def swapped_fields(rng: random.Random, whole: bytes) -> bytes:
    """The manifest says something else of product, version, threshold, evidence or expiry."""
    contents = entries_of(whole)
    manifest = json.loads(contents["manifest.json"])
    model = manifest["models"][0]
    rng.choice(
        (
            lambda: manifest.update(version=manifest["version"] + rng.randint(1, 10**6)),
            lambda: manifest.update(product=rng.choice(("cap-b", "../../etc", "x" * 999))),
            lambda: manifest.update(expires=None, created="2999-01-01T00:00:00Z"),
            lambda: manifest.update(min_runtime="0.0.0"),
            lambda: model.update(threshold=rng.random()),
            lambda: model.update(proven=not model["proven"]),
            lambda: model["evidence"].update(missed=0, escape_upper=0.0),
            lambda: model.update(sha256=rng.randbytes(32).hex()),
        )
    )()
    contents["manifest.json"] = json.dumps(manifest).encode()
    return _forged(rng, zipped(list(contents.items())))


def swapped_contents(rng: random.Random, whole: bytes) -> bytes:
    """Another model, picture or report under a name of the bundle, or two of them exchanged."""
    contents = entries_of(whole)
    first, second = rng.sample(sorted(contents), 2)
    if rng.random() < 0.5:
        contents[first] = rng.randbytes(rng.randint(0, 5_000))
    else:
        contents[first], contents[second] = contents[second], contents[first]
    return _forged(rng, zipped(list(contents.items())))


def huge_claims(rng: random.Random, whole: bytes) -> bytes:
    """Directory or local headers claim sizes, offsets and counts that no file has."""
    return _forged(rng, with_huge_claims(rng, whole[HEADER:]))


def with_huge_claims(rng: random.Random, body: bytes) -> bytes:
    """A zip some of whose sizes, offsets or counts are as large as they can be."""
    copy = bytearray(body)
    for _ in range(rng.randint(1, 3)):
        # signature of a record, where its sizes stand in it, and how wide they are
        mark, places, width = rng.choice(
            (
                (b"PK\x01\x02", (20, 24, 42), 4),
                (b"PK\x03\x04", (18, 22), 4),
                (b"PK\x05\x06", (12, 16), 4),
                (b"PK\x05\x06", (8, 10, 20), 2),
            )
        )
        found = [match.start() for match in re.finditer(re.escape(mark), copy)]
        if found:
            at = rng.choice(found) + rng.choice(places)
            copy[at : at + width] = rng.choice((b"\xff" * width, b"\xfe" * width, rng.randbytes(width)))
    return bytes(copy)


def zip_tricks(rng: random.Random, whole: bytes) -> bytes:
    """A bomb, names that leave the folder, a comment, flags, entries that overlap, a zip in front of the zip."""
    contents = list(entries_of(whole).items())
    body = whole[HEADER:]
    made = rng.choice(
        (
            lambda: zipped([*contents, ("models/b.onnx", bytes(rng.randint(10**5, 10**6)))], zipfile.ZIP_DEFLATED),
            lambda: zipped([*contents, (rng.choice(("../x", "/etc/passwd", "models/../x.onnx")), b"x")]),
            lambda: zipped([(f"acceptance/{number}.png", b"") for number in range(rng.randint(1, 300))]),
            lambda: body[:-2] + len(tail := rng.randbytes(rng.randint(1, 99))).to_bytes(2, "little") + tail,
            lambda: zipped(contents[:1]) + body,
            lambda: body.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
            lambda: body.replace(b"models/", b"models\x00"),
        )
    )()
    return _forged(rng, made)


FORGERY = (swapped_fields, swapped_contents, huge_claims, zip_tricks)
EVERY = DAMAGE + FORGERY
