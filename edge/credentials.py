"""The secrets that a station file names, and how a service gets them: systemd hands it copies that only it can read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.station import Station

FOLDER = "CREDENTIALS_DIRECTORY"  # systemd's name for where the copies are
_SECRET = {"plc": ("private_key", "users"), "mqtt": ("private_key", "password_file"), "panel": ("private_key",)}


def secrets(station: Station, section: str) -> dict[str, Path]:
    """The secret files of this section, each by the name that its credential has."""
    options = getattr(station, section)
    paths = {key: getattr(options, key, None) for key in _SECRET[section]}
    return {f"{station.station.name}.{section}.{key}": path for key, path in paths.items() if path is not None}


def with_credentials(station: Station, folder: str) -> Station:
    """The station with the copies in `folder` in place of those secrets of which there are any; "": none."""
    update = {}
    for section in _SECRET if folder else ():
        copies = {name: Path(folder) / name for name in secrets(station, section)}
        keys = {name.rpartition(".")[2]: path for name, path in copies.items() if path.exists()}
        if keys:
            update[section] = getattr(station, section).model_copy(update=keys)
    return station.model_copy(update=update)
