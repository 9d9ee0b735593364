"""Bundles for tests: a tiny student, its manifest, pictures and keys."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.bundle import Evidence, Manifest, ModelEntry, write_bundle
from edge.evidence import JudgedSet, column, is_proven
from edge.pixels import InputSpec

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
MODEL = "models/fp32.onnx"
EVIDENCE = Evidence(
    defects=60,
    missed=0,
    goods=200,
    overkill=3,
    groups=20,
    confidence=0.95,
    escape_upper=0.0487,
    overkill_upper=0.04,
    target_escape=0.05,
)


# Of 60 defects in 20 groups three score below 0.6, the lowest 0.52; of 200 good parts three score 0.5 or more.
JUDGED = JudgedSet(
    ["scratch"] * 60 + ["ok"] * 200,
    [f"lot-{number % 20}" for number in range(60)] + ["検品, lot 7"] * 200,
    [0.52, 0.55, 0.58, *[0.9] * 57, *[0.1] * 196, 0.3, 0.5, 0.51, 0.7],
)


def judged_entry(entry: ModelEntry) -> ModelEntry:
    """The entry with the evidence that JUDGED gives at its threshold."""
    evidence = JUDGED.at(entry.threshold, EVIDENCE)
    return replace(entry, evidence=evidence, proven=is_proven(evidence))


def png(value: int) -> bytes:
    return cv2.imencode(".png", np.full((16, 24, 3), value, np.uint8))[1].tobytes()


PICTURES = {"ok/1.png": ("ok", png(10)), "検品/ä 2.png": ("scratch", png(200))}


def a_manifest(model: bytes = b"a student", **changes: object) -> Manifest:
    entry = ModelEntry(MODEL, sha256(model).hexdigest(), "ort", "fp32", 0.5, EVIDENCE, proven=True)
    manifest = Manifest(
        product="cap-a",
        version=3,
        created="2026-01-31T12:00:00Z",
        expires=None,
        min_runtime="0.1.0",
        input=InputSpec(64, 64, roi=(0, 0, 16, 16)),
        models=(entry,),
        classes=("scratch",),
        provenance={"student": "0" * 64},
    )
    return replace(manifest, **changes)


def a_bundle(path: Path, key: Ed25519PrivateKey = KEY, model: bytes = b"a student", **changes: object) -> Path:
    """A signed bundle at `path`; `changes` go into its manifest."""
    write_bundle(path, a_manifest(model, **changes), {MODEL: model}, PICTURES, "<p>report</p>", key)
    return path


def a_judged_bundle(path: Path, model: bytes = b"a student", **changes: object) -> Path:
    """A signed bundle that holds what its model said of the acceptance set."""
    entry = judged_entry(a_manifest(model).models[0])
    manifest = a_manifest(model, models=(entry,), **changes)
    write_bundle(path, manifest, {MODEL: model}, PICTURES, "", KEY, {column(entry): JUDGED})
    return path


def store_key(folder: Path, key: Ed25519PrivateKey = KEY, name: str = "line") -> Path:
    """The public key as NAME.pub in `folder`; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(text)
    return folder
