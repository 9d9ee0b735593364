"""Who may write a server's few points: one address at a time, so that a second master is refused and seen; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from edge.clock import SECOND

Networks = Sequence[IPv4Network | IPv6Network]

_QUIET_NS = 10 * SECOND  # the same peer's next refusal is told after that, with the number of those between


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


class Refusals:
    """Words about refusals, rate-limited for each peer and thing tried: a flood of them must not fill the journal."""

    def __init__(self, max_kinds: int = 64) -> None:
        self._max_kinds = max_kinds
        self._told_ns: dict[tuple[str, str], int] = {}
        self._untold: Counter[tuple[str, str]] = Counter()
        self.count = 0

    def words(self, who: str, tried: str, now_ns: int, detail: str = "") -> str:
        """What to tell of this refusal, empty when it is only counted."""
        self.count += 1
        kind = self._kind(who, tried, now_ns)
        told_ns = self._told_ns.get(kind)
        if told_ns is not None and now_ns - told_ns < _QUIET_NS:
            self._untold[kind] += 1
            return ""
        self._told_ns[kind] = now_ns
        before = self._untold.pop(kind, 0)
        more = f" ({before} more like this since the last word about it)" if before else ""
        return f"{who} {tried}{detail}{more}"

    def _kind(self, who: str, tried: str, now_ns: int) -> tuple[str, str]:
        """Under what this refusal is counted: with too many peers at a time they share one count."""
        if (who, tried) in self._told_ns:
            return who, tried
        if len(self._told_ns) >= self._max_kinds:
            old = [kind for kind, told_ns in self._told_ns.items() if now_ns - told_ns >= _QUIET_NS]
            for kind in old:
                del self._told_ns[kind]
        return (who, tried) if len(self._told_ns) < self._max_kinds else ("", "")
