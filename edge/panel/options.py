"""[panel]: where the operator panel listens, under which names, and for how long somebody stays signed in."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, field_validator

from edge.section import Options

LOCAL = ("127.0.0.1", "::1", "localhost")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class Panel(Options):
    """[panel]: the operator panel of this station (`edge panel`). Another address than this machine's own needs
    `certificate` and `private_key`. `hosts` are the names under which browsers may open it, beside the address itself;
    `peers` are the networks that it is reached from, all where none is named.

    Who may act is signed out after `idle_min` minutes without an act, everybody after `session_h` hours. `shifts` are
    the times at which shifts begin. Labels that people give go into the picture set `labels_dir`.
    """

    listen: str = "127.0.0.1:8080"
    hosts: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    peers: tuple[IPvAnyNetwork, ...] = ()
    shifts: tuple[str, ...] = ()
    labels_dir: Path | None = None
    classes: tuple[str, ...] = ("defect",)
    idle_min: float = Field(default=15, ge=1, le=1_440)
    session_h: float = Field(default=12, ge=0.1, le=720)

    @field_validator("hosts")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _NAME.fullmatch(host) and not _is_address(host):
                raise ValueError(f"{host!r} is no host name; write it without scheme and port")
        return tuple(host.lower() for host in hosts)

    @field_validator("shifts")
    @classmethod
    def _times(cls, shifts: tuple[str, ...]) -> tuple[str, ...]:
        for shift in shifts:
            if not _TIME.fullmatch(shift):
                raise ValueError(f"{shift!r} is no time of the day; write it as 06:00")
        return tuple(sorted(shifts))

    @field_validator("classes")
    @classmethod
    def _defects(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        for each in classes:
            if not each.strip() or len(each) > 40 or not each.isprintable() or each == "ok":
                raise ValueError(f"{each!r} is no defect class; write up to 40 letters on one line, not ok")
        return tuple(each.strip() for each in classes)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`; ("", 0) where it is neither."""
        try:
            found = urlsplit(f"//{self.listen}")
            return found.hostname or "", found.port or 0
        except ValueError:
            return "", 0

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.address[0] in LOCAL

    @property
    def reached_from(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks that are let in; none: all that can reach the address."""
        return () if self.is_local else self.peers

    @property
    def names(self) -> frozenset[str]:
        """The hosts that a browser may have asked for."""
        own = LOCAL if self.is_local else (self.address[0],)
        return frozenset({*own, *self.hosts}) - {"0.0.0.0", "::"}  # noqa: S104 - no name of a machine

    def mistakes(self) -> list[str]:
        """What does not go together."""
        host, port = self.address
        found = []
        if not port or not (host == "localhost" or _is_address(host)):
            found.append("panel.listen: write an address and a port, such as 127.0.0.1:8080")
        elif not self.is_local and self.certificate is None:
            found.append(
                "panel.certificate: missing; passwords leave this machine by TLS only. Or listen at 127.0.0.1"
            )
        elif not self.names:
            found.append("panel.hosts: missing; name the hosts under which browsers open this panel")
        if (self.certificate is None) is not (self.private_key is None):
            found.append("panel: certificate and private_key go together; give both or neither")
        return found


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
