"""The bundles that are kept on this device, each with its evidence, and what may be made of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.bundle import Bundle
from edge.clock import MS
from edge.errors import BundleError, ConfigError
from edge.install import Installed, before, installed, open_version
from edge.manifest import ModelEntry
from edge.moved import moved_for, path_of
from edge.station import Station

_EVIDENCE = (
    *("defects", "missed", "goods", "overkill", "groups"),
    *("confidence", "escape_upper", "overkill_upper", "target_escape"),
)


def told_of(bundle: Bundle, station: Station) -> dict[str, Any]:
    """The model that this station runs of a bundle, with the threshold in force and its evidence; `moved` says who has
    moved it on this device, if anybody. Raises BundleError where there is none for its engine."""
    manifest = bundle.manifest
    entry = manifest.entry(station.engine.kind, station.engine.precision)
    moved = moved_for(bundle, entry)
    return {
        "product": manifest.product,
        "version": manifest.version,
        "model": f"{entry.target} {entry.precision}",
        "threshold": entry.threshold,
        "proven": entry.proven,
        "evidence": evidence_of(entry),
        "moved": None
        if moved is None
        else {"was": moved.was, "by": moved.by, "why": moved.why, "wall_ms": moved.wall_ns // MS},
    }


def evidence_of(entry: ModelEntry) -> dict[str, float]:
    """What the page shows of a model's evidence."""
    return {name: getattr(entry.evidence, name) for name in _EVIDENCE}


class Shelf:
    """Any thread may ask; one bundle is verified at a time, and each once while it does not change."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._lock = threading.Lock()
        self._known: dict[tuple[object, ...], dict[str, Any]] = {}

    def told(self, running: Mapping[str, int]) -> list[dict[str, Any]]:
        """For each product of the station its versions, newest first. `running`: those that the eye has loaded.

        Raises ConfigError where the folder cannot be read.
        """
        found = installed(self._station)
        with self._lock:
            return [
                {"product": product, "recipe": recipe, "versions": self._versions(product, found, running)}
                for recipe, product in sorted(self._station.products().items())
            ]

    def _versions(self, product: str, found: list[Installed], running: Mapping[str, int]) -> list[dict[str, Any]]:
        kept = sorted((one for one in found if one.product == product), key=lambda one: -one.version)
        active, back_to = next((one.version for one in kept if one.active), 0), before(kept)
        versions = []
        for one in kept:
            act = "rollback" if one.version == back_to else ""
            if one is kept[0] and one.version > active:
                act = "install"
            told = self._verified(one)
            versions.append(
                {
                    **told,
                    "active": one.active,
                    "running": running.get(product) == one.version,
                    "note": one.words,
                    "act": act if not told["words"] else "",
                }
            )
        return versions

    def _verified(self, one: Installed) -> dict[str, Any]:
        """What the bundle says of itself; `words` where it cannot be trusted any more."""
        try:
            key = (str(one.path), *_state(one.path), *_state(path_of(one.path.parent, one.version)))
            if key not in self._known:
                bundle = open_version(self._station, one.product, one.version)
                self._known = {each: told for each, told in self._known.items() if each[0] != key[0]}
                self._known[key] = {**told_of(bundle, self._station), "words": ""}
            return self._known[key]
        except (OSError, BundleError, ConfigError) as error:
            return {"product": one.product, "version": one.version, "words": str(error)}


def _state(path: Path) -> tuple[int, ...]:
    """What changes with a file; nothing where there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return ()
    return state.st_mtime_ns, state.st_size, state.st_ino
