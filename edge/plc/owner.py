"""Who may write a server's few points: one address at a time, so that a second master is refused and seen; pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

Networks = Sequence[IPv4Network | IPv6Network]


def is_peer(host: str, peers: Networks) -> bool:
    """Whether the address is in one of the networks; what is no address is in none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in peers)


class Owner:
    """The address that writes. Another one may only after it has been silent for `patience_ns`."""

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._host = ""
        self._seen_ns = 0

    @property
    def host(self) -> str:
        """Who owns the points, empty before the first write."""
        return self._host

    def admits(self, host: str, now_ns: int) -> bool:
        """Whether this address may write now; it owns the points then."""
        if host != self._host and self._host and now_ns - self._seen_ns < self._patience_ns:
            return False
        self._host, self._seen_ns = host, now_ns
        return True
