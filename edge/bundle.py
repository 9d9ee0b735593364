"""The signed file with student, thresholds, evidence and acceptance pictures: verified first, then opened.

    8 bytes     magic and version of the layout
    8 bytes     key id: the first 8 bytes of the SHA-256 of the raw public key
    64 bytes    Ed25519 signature over all that follows
    the rest    a zip without compression: manifest.json, models/*.onnx, acceptance/ with acceptance.csv
                (file,label) and its pictures as PNG, report.html, evidence.csv (edge.evidence)

The file is read once; what was verified is what is parsed, and later reads are compared with its hashes.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from numpy.typing import NDArray

from edge.durable import write_whole
from edge.errors import BundleError, JournalError
from edge.evidence import JudgedSet, judged_of, table
from edge.manifest import MODEL_NAME, Evidence, Manifest, ModelEntry, from_json, to_json
from edge.weights import keeps_weights_elsewhere

if TYPE_CHECKING:
    from edge.moved import Moved

__all__ = [
    "AcceptancePicture",
    "Bundle",
    "Evidence",
    "KeyRing",
    "Manifest",
    "ModelEntry",
    "key_id",
    "load_keys",
    "read_bundle",
    "write_bundle",
]

MAGIC = b"KENPIN\x00\x01"
MAX_BYTES = 512 * 1024 * 1024
MAX_ENTRIES = 5_000
MAX_MANIFEST = 1_000_000
MAX_SIDE = 16_384
REVOKED = "revoked.txt"
_KEY_ID = 8
_SIGNATURE = 64
_HEADER = len(MAGIC) + _KEY_ID + _SIGNATURE
_MANIFEST, _REPORT, _TABLE = "manifest.json", "report.html", "acceptance/acceptance.csv"
_EVIDENCE = "evidence.csv"  # bundles of before have none
_DATE = (1980, 1, 1, 0, 0, 0)  # the same input and key give the same bytes
_LOCAL_HEADER = 30  # bytes of a zip's local file header before the name


class KeyRing(dict[bytes, Ed25519PublicKey]):
    """Key id -> public key, and the ids of the keys that are `revoked`."""

    def __init__(self, keys: Mapping[bytes, Ed25519PublicKey], revoked: frozenset[bytes] = frozenset()) -> None:
        super().__init__(keys)
        self.revoked = revoked


@dataclass(frozen=True, slots=True, eq=False)
class AcceptancePicture:
    """One picture of the acceptance set: `image` is uint8 H x W x 3 (BGR), `label` "ok" or a defect class."""

    name: str
    label: str
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an entry's bytes lie in the file, and their SHA-256 when it was verified."""

    offset: int
    size: int
    digest: bytes


class Bundle:
    """A verified bundle. Models and pictures are read from the file when asked for, and checked again.

    `sha256` is that of the whole file, in hex; `key_id` is whose signature it carries. Where the threshold was `moved`
    on this device, the manifest has it with its evidence in place of the one that was signed.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        places: Mapping[str, _Place],
        key: bytes,
        digest: str,
        moved: Moved | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.key_id = key
        self.sha256 = digest
        self.moved = moved
        self._places = places

    def at(self, moved: Moved, manifest: Manifest) -> Bundle:
        """The same bundle with a threshold that was moved on this device, and the manifest that says so."""
        return Bundle(self.path, manifest, self._places, self.key_id, self.sha256, moved)

    def model(self, entry: ModelEntry) -> bytes:
        """The ONNX file of one of the manifest's entries. Raises BundleError."""
        data = self._read(entry.file)
        if sha256(data).hexdigest() != entry.sha256:
            raise BundleError(f"{self.path} holds no {entry.file} with that SHA-256; use an entry of its manifest")
        return data

    def acceptance(self) -> list[AcceptancePicture]:
        """The acceptance pictures, in the order of their names. Raises BundleError."""
        pictures = _table(self._read(_TABLE), self.path)
        return [
            AcceptancePicture(name, label, _decoded(self._read(f"acceptance/{name}"), f"{self.path}: {name}"))
            for name, label in pictures
        ]

    def report(self) -> str:
        """The report as HTML. Raises BundleError."""
        return self._read(_REPORT).decode("utf-8", errors="replace")

    def judged(self, entry: ModelEntry) -> JudgedSet:
        """What one of its models said of the whole acceptance set. Raises BundleError, also where it does not say."""
        if _EVIDENCE not in self._places:
            raise BundleError(
                f"{self.path} does not hold what its models said of the acceptance set, so it allows no other "
                "threshold; compile it again with this version of edge-compile"
            )
        return judged_of(self._read(_EVIDENCE), entry, str(self.path))

    def _read(self, name: str) -> bytes:
        place = self._places.get(name)
        if place is None:
            raise BundleError(f"{self.path} holds no {name}; compile the bundle again")
        try:
            with self.path.open("rb") as file:
                file.seek(place.offset)
                data = file.read(place.size)
        except OSError as error:
            raise BundleError(f"cannot read {self.path}: {error.strerror}; install the bundle again") from error
        if sha256(data).digest() != place.digest:
            raise BundleError(f"{self.path} changed since it was verified; install the bundle again")
        return data


# --- keys -------------------------------------------------------------------------------------------------------


def key_id(key: Ed25519PublicKey) -> bytes:
    """The first 8 bytes of the SHA-256 of the raw public key."""
    return sha256(key.public_bytes_raw()).digest()[:_KEY_ID]


def load_keys(folder: Path) -> KeyRing:
    """Every *.pub (PEM) of the folder, without the keys whose ids (16 hex digits, one a line) revoked.txt names.

    Raises BundleError when there is no key, or when one of the files cannot be read or understood.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".pub")
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise BundleError(f"cannot read {folder}: {error.strerror}; make it readable for this user") from error
    if not paths:
        raise BundleError(f"{folder} holds no *.pub key; copy the .pub file of `edge-compile keygen` there")
    revoked = _revoked(folder / REVOKED)
    keys = [_public_key(path) for path in paths]
    return KeyRing({key_id(key): key for key in keys if key_id(key) not in revoked}, revoked)


def _public_key(path: Path) -> Ed25519PublicKey:
    advice = "replace it by the .pub file of `edge-compile keygen`"
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; make it readable for this user") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BundleError(f"{path} is no public key in PEM form; {advice}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{path} is no Ed25519 key; {advice}")
    return key


def _revoked(path: Path) -> frozenset[bytes]:
    try:
        lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"cannot read {path}: {error}; it must be readable, one key id a line") from error
    words = [line.partition("#")[0].strip() for line in lines]
    for word in words:
        if word and not re.fullmatch(r"[0-9a-fA-F]{16}", word):
            raise BundleError(f"{path}: {word!r} is no key id; write 16 hex digits a line, comments after #")
    return frozenset(bytes.fromhex(word) for word in words if word)


# --- reading ----------------------------------------------------------------------------------------------------


def read_bundle(path: Path, keys: Mapping[bytes, Ed25519PublicKey]) -> Bundle:
    """Verify a bundle's signature, then its limits, hashes and manifest; needs no clock.

    Blocks for about 3 ms a MB. Raises BundleError, which says what to do.
    """
    header, body = _whole(path)
    signer = _verified(path, header, body, keys)
    manifest, places = _opened(body, path)
    digest = sha256(header)
    digest.update(body)
    return Bundle(path, manifest, places, signer, digest.hexdigest())


def _whole(path: Path) -> tuple[bytes, bytes]:
    """Header and body of the file, from one descriptor."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise BundleError(f"{path} has {size} bytes, over the limit of {MAX_BYTES}; it is no usable bundle")
            header = file.read(_HEADER)
            return header, file.read(size)  # so many bytes are allocated at once
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; give the path of a .bundle file") from error


def _verified(path: Path, header: bytes, body: bytes, keys: Mapping[bytes, Ed25519PublicKey]) -> bytes:
    """The id of the key whose signature the file carries; nothing of the body was looked at before."""
    if not header.startswith(MAGIC):
        raise BundleError(f"{path} is unsigned or no bundle at all; sign it with `edge-compile ... --key`")
    if len(header) < _HEADER:
        raise BundleError(f"{path} is truncated ({len(header)} bytes); copy it again")
    signer, signature = header[len(MAGIC) : -_SIGNATURE], header[-_SIGNATURE:]
    if isinstance(keys, KeyRing) and signer in keys.revoked:
        raise BundleError(f"{path} is signed with the revoked key {signer.hex()}; sign it with another key")
    if signer not in keys:
        raise BundleError(f"{path} is signed with the unknown key {signer.hex()}; copy its .pub into keys_dir")
    try:
        keys[signer].verify(signature, body)
    except InvalidSignature as error:
        raise BundleError(
            f"{path} is truncated, damaged or was changed after it was signed; copy it again or compile it again"
        ) from error
    return signer


def _opened(body: bytes, path: Path) -> tuple[Manifest, dict[str, _Place]]:
    """The manifest, and where each entry lies in the file; everything is checked but the pictures' pixels."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = _checked_entries(archive, len(body), path)
            places = {entry.filename: _place(archive, entry, body) for entry in entries}
            manifest = _manifest(archive, path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise BundleError(f"{path} is signed but damaged inside ({error}); compile the bundle again") from error
    _check_content(manifest, places, body, path)
    return manifest, places


def _checked_entries(archive: zipfile.ZipFile, body_size: int, path: Path) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise BundleError(f"{path} holds {len(entries)} files, over the limit of {MAX_ENTRIES}; use fewer pictures")
    names = [entry.filename for entry in entries]
    for name in names:
        if not _is_expected(name):
            raise BundleError(f"{path} holds {name!r}, a name with no place in a bundle; compile it again")
    if len(set(names)) != len(names):
        raise BundleError(f"{path} holds a name twice; compile it again")
    for entry in entries:
        stored = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        if not stored or entry.flag_bits & 1:
            raise BundleError(f"{path} holds {entry.filename} compressed or encrypted; compile it again")
    if sum(entry.file_size for entry in entries) > body_size:
        raise BundleError(f"{path} claims more content than the file has; compile it again")
    for name in (_MANIFEST, _REPORT, _TABLE):
        if name not in names:
            raise BundleError(f"{path} lacks {name}; compile it again")
    return entries


def _is_expected(name: str) -> bool:
    if name in (_MANIFEST, _REPORT, _TABLE, _EVIDENCE) or re.fullmatch(MODEL_NAME, name):
        return True
    folder, _, rest = name.partition("/")
    return folder == "acceptance" and _is_picture_name(rest)


def _is_picture_name(name: str) -> bool:
    """A relative path in plain steps, as picture sets name their files."""
    steps = name.split("/")
    return 0 < len(name) <= 200 and name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(steps)


def _place(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, body: bytes) -> _Place:
    """Read an entry (which checks its name and its CRC where the data stands) and note where it was."""
    data = archive.read(entry)
    lengths = body[entry.header_offset + 26 : entry.header_offset + _LOCAL_HEADER]
    names = int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    offset = entry.header_offset + _LOCAL_HEADER + names
    if memoryview(body)[offset : offset + entry.file_size] != data:
        raise zipfile.BadZipFile(f"{entry.filename} is not where the directory says")
    return _Place(_HEADER + offset, entry.file_size, sha256(data).digest())


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    if archive.getinfo(_MANIFEST).file_size > MAX_MANIFEST:
        raise BundleError(f"{path}: the manifest is over {MAX_MANIFEST} bytes; compile the bundle again")
    manifest = from_json(archive.read(_MANIFEST), str(path))
    manifest.refuse_older_runtime(str(path))
    return manifest


def _check_content(manifest: Manifest, places: Mapping[str, _Place], body: bytes, path: Path) -> None:
    """Manifest, models and pictures agree with each other, and every model is complete in itself."""
    models = {name for name in places if name.startswith("models/")}
    listed = {entry.file for entry in manifest.models}
    if models != listed:
        wrong = ", ".join(sorted(models ^ listed))
        raise BundleError(f"{path}: models and manifest disagree about {wrong}; compile the bundle again")
    for entry in manifest.models:
        place = places[entry.file]
        if place.digest.hex() != entry.sha256:
            raise BundleError(f"{path}: {entry.file} is not the model of the manifest; compile the bundle again")
        start = place.offset - _HEADER
        if keeps_weights_elsewhere(body, start, start + place.size):
            raise BundleError(f"{path}: {entry.file} keeps weights in another file; export it as one file")
    table = places[_TABLE]
    start = table.offset - _HEADER
    pictures = {f"acceptance/{name}" for name, _ in _table(body[start : start + table.size], path)}
    stored = {name for name in places if name.startswith("acceptance/")} - {_TABLE}
    for entry in manifest.models:
        if entry.scores and {f"acceptance/{name}" for name in entry.scores} != stored:
            raise BundleError(f"{path}: pictures and scores of {entry.file} disagree; compile the bundle again")
    if pictures != stored:
        wrong = ", ".join(sorted(pictures ^ stored)[:5])
        raise BundleError(f"{path}: pictures and acceptance.csv disagree about {wrong}; compile the bundle again")


def _table(data: bytes, path: Path) -> list[tuple[str, str]]:
    """The rows of acceptance.csv: picture name and label."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BundleError(f"{path}: acceptance.csv cannot be read ({error}); compile the bundle again") from error
    names = [row[0] for row in rows[1:] if len(row) == 2 and row[1]]
    if rows[:1] != [["file", "label"]] or len(set(names)) != len(rows) - 1:
        raise BundleError(f"{path}: acceptance.csv has wrong or repeated rows; compile the bundle again")
    return [(row[0], row[1]) for row in rows[1:]]


def _decoded(data: bytes, what: str) -> NDArray[np.uint8]:
    sides = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]  # width and height in a PNG's first chunk
    if data[:8] != b"\x89PNG\r\n\x1a\n" or not all(0 < side <= MAX_SIDE for side in sides):
        raise BundleError(f"{what} is no PNG of at most {MAX_SIDE} pixels a side; compile the bundle again")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise BundleError(f"{what} is a damaged picture; compile the bundle again")
    return np.asarray(image, np.uint8)


# --- writing ----------------------------------------------------------------------------------------------------


def write_bundle(
    path: Path,
    manifest: Manifest,
    models: Mapping[str, bytes],
    acceptance: Mapping[str, tuple[str, bytes]],
    report_html: str,
    key: Ed25519PrivateKey,
    judged: Mapping[str, JudgedSet] | None = None,
) -> None:
    """Write and sign a bundle; the file at `path` is whole and readable by `read_bundle`, or untouched.

    models: file ("models/int8-x86.onnx") -> ONNX bytes, as the manifest lists them. acceptance: picture name (a
    relative path, as picture sets name it) -> label and PNG bytes. judged: what each model said of the acceptance set,
    by `edge.evidence.column`; without it nobody can move the threshold on a device. The same input and key give the
    same bytes. Raises BundleError where `read_bundle` would refuse the content, JournalError when the disk does.
    """
    contents = _contents(manifest, models, acceptance, report_html)
    if judged:
        contents[_EVIDENCE] = table(judged)
        for entry in manifest.models:
            judged_of(contents[_EVIDENCE], entry, str(path))
    body = _zipped(contents)
    if _HEADER + len(body) > MAX_BYTES:
        raise BundleError(f"{path} would be over the limit of {MAX_BYTES} bytes; use fewer acceptance pictures")
    _opened(body, path)
    header = MAGIC + key_id(key.public_key()) + key.sign(body)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, header, body)
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}; free disk space or check the rights") from error


def _contents(
    manifest: Manifest, models: Mapping[str, bytes], acceptance: Mapping[str, tuple[str, bytes]], report_html: str
) -> dict[str, bytes]:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("file", "label"))
    writer.writerows((name, acceptance[name][0]) for name in sorted(acceptance))
    contents = {_MANIFEST: to_json(manifest), _REPORT: report_html.encode(), _TABLE: table.getvalue().encode()}
    contents |= {name: models[name] for name in sorted(models)}
    return contents | {f"acceptance/{name}": acceptance[name][1] for name in sorted(acceptance)}


def _zipped(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = 3  # Unix, wherever it was built
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()
