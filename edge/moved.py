"""A threshold that a person has moved on this device: of one model of one bundle, and of no other one.

    STATE_DIR/bundles/PRODUCT/VERSION.threshold    signature of the device's key (hex), then the rest as JSON

A file that is damaged, or that this device has not signed for this version, is an error, and the station does not
start: the moved threshold may have been the stricter one, and the bundle's own would then release what was meant to be
rejected. A whole file of another model, or of another bundle with this version's number, is not in force.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from edge.bundle import Bundle
from edge.device_key import PUBLIC, load_public
from edge.durable import sync_folder, write_whole
from edge.errors import BundleError, ConfigError
from edge.evidence import is_proven
from edge.manifest import ModelEntry

SUFFIX = ".threshold"
_CONTEXT = b"kenpin moved threshold\n"  # nothing else that the device's key signs begins like this
_SIGNATURE = 128  # hex digits
_MOST_BYTES = 10_000


@dataclass(frozen=True)
class Moved:
    """`threshold` in place of `was` for the model that a station runs of a bundle (both by their SHA-256).

    `proven`: what the acceptance set says of it meets the bundle's target; computed again at every opening. `by` and
    `why` are a person's words, `wall_ns` is when.
    """

    product: str
    version: int
    bundle: str
    model: str
    target: str
    precision: str
    was: float
    threshold: float
    proven: bool
    by: str
    why: str
    wall_ns: int

    def sentence(self) -> str:
        """For people and the journal."""
        unproven = "" if self.proven else "UNPROVEN; "
        return (
            f"{self.product} version {self.version} is judged at {self.threshold:g}, not at its own {self.was:g}: "
            f"{unproven}moved by {self.by}: {self.why}"
        )

    def short(self) -> str:
        """For a list in which this version stands."""
        unproven = "" if self.proven else ", UNPROVEN"
        return f"threshold of {self.target} {self.precision} moved to {self.threshold:g} by {self.by}{unproven}"

    def is_of(self, entry: ModelEntry) -> bool:
        """Whether it is this model's."""
        return (self.model, self.target, self.precision) == (entry.sha256, entry.target, entry.precision)


_KIND = TypeAdapter(Moved)


def path_of(folder: Path, version: int) -> Path:
    """Where the moved threshold of a version lies, if it has one."""
    return folder / f"{version}{SUFFIX}"


def read(folder: Path, version: int, state_dir: Path) -> Moved | None:
    """The moved threshold of a retained version; None where nobody has moved it. Raises BundleError."""
    path = path_of(folder, version)
    advice = "`edge threshold STATION.TOML --reset` removes it where this version is active, else remove it by hand"
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        load_public(state_dir / PUBLIC).verify(
            bytes.fromhex(data[:_SIGNATURE].decode()), _CONTEXT + data[_SIGNATURE:]
        )
        found = _KIND.validate_json(data[_SIGNATURE:])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}; {advice}") from error
    except (ValueError, InvalidSignature, ConfigError) as error:
        raise BundleError(f"{path} is damaged, or this device has not signed it; {advice}") from error
    if (found.product, found.version) != (folder.name, version):
        raise BundleError(f"{path} is of {found.product} version {found.version}; {advice}")
    return found


def write(folder: Path, moved: Moved, key: Ed25519PrivateKey) -> None:
    """On the disk when this returns; a kill leaves what was before. Raises OSError."""
    data = _KIND.dump_json(moved) + b"\n"
    write_whole(path_of(folder, moved.version), key.sign(_CONTEXT + data).hex().encode(), data)


def remove(folder: Path, version: int) -> None:
    """The bundle's own threshold again. Raises OSError."""
    path_of(folder, version).unlink(missing_ok=True)
    sync_folder(folder)


def in_force(bundle: Bundle, moved: Moved | None) -> Bundle:
    """The bundle as it is judged here: with the moved threshold, and its evidence, where that is this bundle's.

    Raises BundleError where the evidence cannot be computed.
    """
    if moved is None or moved.bundle != bundle.sha256:
        return bundle
    models = tuple(
        entry_at(bundle, entry, moved.threshold) if moved.is_of(entry) else entry
        for entry in bundle.manifest.models
    )
    return bundle if models == bundle.manifest.models else bundle.at(moved, replace(bundle.manifest, models=models))


def moved_for(bundle: Bundle, entry: ModelEntry) -> Moved | None:
    """What has moved the threshold of this entry of an opened bundle, if anything has."""
    return bundle.moved if bundle.moved is not None and bundle.moved.is_of(entry) else None


def entry_at(bundle: Bundle, entry: ModelEntry, threshold: float) -> ModelEntry:
    """The entry of a bundle's model at another threshold, by what it said of the acceptance set.

    Raises BundleError where the bundle does not hold that.
    """
    evidence = bundle.judged(entry).at(threshold, entry.evidence)
    return replace(entry, threshold=threshold, evidence=evidence, proven=is_proven(evidence))
