"""The machine as setup changes it: its files below a root, and the programs that make systemd take them up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.durable import PARTIAL, write_whole
from edge.errors import ConfigError, DeviceError
from edge.systemd.units import MARK, UNITS, stations_of

_FOLDERS = (UNITS, Path("/etc/sysusers.d"), Path("/etc/tmpfiles.d"), Path("/etc/udev/rules.d"))


class Machine:
    """Files are read and written below `root`; with another root than / nothing is run but what works there."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def _place(self, path: Path) -> Path:
        return self._root / path.relative_to("/")

    def read(self, path: Path) -> str | None:
        """The file's text; None where there is none. Raises ConfigError."""
        try:
            return self._place(path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}; move it away") from error

    def write(self, path: Path, text: str) -> None:
        """Raises ConfigError."""
        try:
            self._place(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._place(path), text.encode())
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}; are you root?") from error

    def remove(self, path: Path) -> None:
        """A file, and its folder where that is a unit's and empty then."""
        self._place(path).unlink(missing_ok=True)
        folder = self._place(path).parent
        if folder.name.endswith(".d") and folder.parent == self._place(UNITS) and not any(folder.iterdir()):
            folder.rmdir()

    def ours(self) -> Iterator[tuple[Path, tuple[Path, ...]]]:
        """Every file that setup has written, with the stations that it is for."""
        for folder in _FOLDERS:
            for pattern in ("*kenpin*", "kenpin-*.d/*.conf"):
                for place in sorted(self._place(folder).glob(pattern)):
                    path = Path("/") / place.relative_to(self._root)
                    text = self.read(path) if place.is_file() and place.suffix != PARTIAL else None
                    if text is not None and text.startswith(MARK):
                        yield path, stations_of(text)

    def holds_files_of_root(self, folder: Path, but: str) -> bool:
        """Whether something in the folder belongs to root, other than the one of this name."""
        place = self._place(folder)
        return place.is_dir() and any(path.lstat().st_uid == 0 for path in place.iterdir() if path.name != but)

    # --- systemd ---

    def refuse(self) -> None:
        """Raises ConfigError where services cannot be set up."""
        if os.geteuid() != 0:
            raise ConfigError("setting up services takes root: run it with sudo, or look with --dry-run")
        if not Path("/run/systemd/system").is_dir():
            raise ConfigError(
                "this machine was not started by systemd, so it has no services: look at the files with --dry-run, run "
                "the station by hand with edge run"
            )

    def take_up_users(self, sysusers: Path) -> None:
        """Make the user. Raises DeviceError."""
        self._call("systemd-sysusers", str(sysusers))

    def take_up(self, tmpfiles: Sequence[Path]) -> None:
        """Make the folders, reread units and rules, and apply the rules to what is plugged in. Raises DeviceError."""
        if tmpfiles:
            self._call("systemd-tmpfiles", "--create", *map(str, tmpfiles))
        self._call("systemctl", "daemon-reload")
        if Path("/run/udev/control").exists():
            self._call("udevadm", "control", "--reload")
            self._call("udevadm", "trigger", "--action=change", *_MATCHES)
            self._call("udevadm", "settle", "--timeout=10")

    def is_active(self, unit: str) -> bool:
        """Whether it runs, or tries to."""
        return self._call("systemctl", "show", "--property=ActiveState", "--value", unit) not in (
            "inactive",
            "failed",
        )

    def enable(self, units: Sequence[str]) -> None:
        """From the next start of the machine on. Raises DeviceError."""
        self._call("systemctl", "enable", "--quiet", *units)

    def start(self, unit: str) -> None:
        """Now; it has begun when this returns. Raises DeviceError."""
        subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)  # noqa: S607 - one that is not loaded has none
        self._call("systemctl", "start", unit, hint=f"; see: journalctl -e -u {unit}")

    def forget(self, units: Sequence[str]) -> None:
        """Stop and disable; those that there are. Raises DeviceError."""
        self._call("systemctl", "disable", "--quiet", "--now", *units)

    def _call(self, *words: str, hint: str = "") -> str:
        try:
            done = subprocess.run(words, capture_output=True, text=True)
        except OSError as error:
            raise DeviceError(f"cannot run {words[0]}: {error.strerror}; install systemd") from error
        if done.returncode:
            raise DeviceError(f"`{' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}{hint}")
        return done.stdout.strip()


_MATCHES = tuple(f"--subsystem-match={name}" for name in ("tty", "gpio", "usb"))
